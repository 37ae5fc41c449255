"""What people are told: one line that says what happened, then the numbers, then the one thing to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.core.announce import Occasion, occasion_of
from batchgen.core.facts import ManifestFacts
from batchgen.core.messages import Ended
from batchgen.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Notice:
    """A message."""

    occasion: Occasion
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run works, so that whoever reads the message finds it."""

    host: str
    workspace: str
    command: str  # run, resume, fetch
    sandbox: bool = False

    @property
    def shell(self) -> str:
        """What to type first."""
        return f"on {self.host}: cd {shlex.quote(self.workspace)}"

    def batchgen(self, words: str) -> str:
        """Return a command that looks at the same ledger."""
        return f"batchgen {words}{' --sandbox' if self.sandbox else ''}"


_TITLES = {
    Occasion.SUCCESS: "is done",
    Occasion.FAILURE: "FAILED",
    Occasion.BUDGET: "stopped at a budget",
    Occasion.IN_DOUBT: "needs a decision",
}
_NEXT = {
    ExitCode.SOME_FAILED: ("tasks --state failed", "says which and why; `run MANIFEST --retry-failed` asks again for them."),
    ExitCode.STOPPED_EARLY: ("status", "says which command goes on; raise the budget or the balance first if that is what stopped it."),
    ExitCode.KEY_REFUSED: ("credits", "says whether the key works again; then `resume`. Nothing is lost."),
    ExitCode.IN_DOUBT: ("status", "says what to look up at the vendor, and how to decide then. No credits are lost meanwhile."),
}


def started(place: Place, manifests: Iterable[ManifestFacts]) -> Notice:
    """Say that a run begins."""
    names = ", ".join(facts.name for facts in manifests) or "its manifests"
    return Notice(Occasion.START, f"batchgen {place.command} has started: {names}", place.shell)


def doubted(place: Place, task: str, why: str) -> Notice:
    """Say that an attempt is in doubt; the run goes on."""
    command = place.batchgen(f"show {shlex.quote(task)}")
    body = f"{task or 'A task'}: {why or 'the outcome of its purchase is unknown'}. Nothing is bought for it until you decide.\n"
    return Notice(Occasion.IN_DOUBT, f"batchgen {place.command}: a purchase is in doubt", f"{body}{place.shell}\n{command}")


def over(place: Place, manifests: Iterable[ManifestFacts], ended: Ended) -> Notice:
    """Say how a run ended."""
    facts = list(manifests)
    occasion = occasion_of(ended)
    names = ", ".join(fact.name for fact in facts)
    lines = [f"exit {int(ended.code)}: {ended.reason}", *(numbers(fact) for fact in facts)]
    if ended.code is not ExitCode.DONE:
        words, why = _NEXT.get(ended.code, ("resume", "goes on; nothing is lost and nothing is paid twice."))
        lines += [place.shell, f"{place.batchgen(words)}   # {why}"]
    return Notice(occasion, f"batchgen {place.command} {_TITLES[occasion]}: {names or place.workspace}", "\n".join(lines))


def numbers(facts: ManifestFacts) -> str:
    """Return a manifest in one line."""
    states = ", ".join(f"{count:,} {state}" for state, count in facts.by_state.items() if count) or "no tasks"
    return f"{facts.name}: {states}; {facts.captured:,} credits spent in all, {facts.held:,} held"
