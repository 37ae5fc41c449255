"""The simulation can fail: with each of these flaws put into the program, some night breaks a promise.

Each flaw is one line that a person could write by mistake. The nights stop at the first that fails; how soon that was is what
`pytest -s` prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from batchgen.core.engine import Engine
from batchgen.core.facts import RunAsked
from batchgen.core.flights import Flights
from batchgen.core.landings import Landings
from batchgen.core.lanes import Lane
from batchgen.core.live import Live
from batchgen.core.messages import Answered, Event, MoneyKind, MoneyMoved, SendCreate, Step
from batchgen.core.model import Credits, DueTask, Instant, Manifest, client_request_id
from batchgen.core.policy import Policy
from batchgen.core.submissions import Submissions
from tests.simulation.audit import Broken
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import CATALOGUE, Edition, Line
from tests.simulation.night import run_nights
from tests.simulation.process import Errand, Fuse, Process
from tests.simulation.stage import scene_of
from tests.simulation.troubles import Tally
from tests.simulation.world import Rules

NIGHTS = 2000
"""What CI runs without a flaw: each must be found out within them."""


class Hasty(Process):
    """Starts the requests, and writes them down afterwards."""

    def _do(self, step: Step) -> None:
        self._start(step)
        self._commit(step)


class Unguarded(LedgerFile):
    """Lets a task have two live attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.vandal.execute("DROP INDEX uq_attempts_live")
        self._schema = self._schema_version()
        self._empty = self.backup()


def _launch_as(submissions: Submissions, lane: Lane, due: DueTask, nth: int) -> SendCreate:
    """Launch a task as `Submissions` does, but with the key of its `nth` attempt."""
    key = client_request_id(due.task.manifest, due.task.id, due.fingerprint, nth)
    used = {r.sha256: submissions.uploads.known[r.sha256] for r in due.task.spec.references if r.sha256}
    submissions.bought += 1
    quote = submissions._desk.prices.quote(due.task.spec)
    return submissions._flights.launch(due, lane, quote, submissions._compose(due.task.spec, used, key), key)


class Reusing(Submissions):
    """Gives every attempt at a task the same key."""

    def _launch(self, lane: Lane, due: DueTask) -> SendCreate:
        return _launch_as(self, lane, due, 1)


class CountingAll(Submissions):
    """Numbers keys over all attempts of a task, also those at what it asked for before."""

    def _launch(self, lane: Lane, due: DueTask) -> SendCreate:
        return _launch_as(self, lane, due, due.attempts + 1)


class Keeping(Landings):
    """Releases nothing when a render failed."""

    def _close(self, live: Live, cost: Credits) -> None:
        super()._close(live, cost)
        records = self._desk.records
        records[:] = [r for r in records if not (isinstance(r, MoneyMoved) and r.kind is MoneyKind.RELEASE)]


class Rewriting(Flights):
    """Builds the body anew for a repeat."""

    def repeat(self, live: Live) -> SendCreate:
        """Mean the same, in other bytes."""
        request = super().repeat(live)
        return replace(request, body=request.body.replace(b'"prompt":', b'"prompt": '))


class Deaf(Engine):
    """Does not hear Retry-After."""

    def step(self, now: Instant, events: Iterable[Event]) -> Step:
        """Go on as if nobody had asked for rest."""
        return super().step(now, [_without_retry_after(event) for event in events])


def _without_retry_after(event: Event) -> Event:
    return replace(event, answer=replace(event.answer, retry_after=None)) if isinstance(event, Answered) else event


def with_part(attribute: str, part: type[Any]) -> type[Process]:
    """Return a process whose engine has one of its parts replaced by a flawed one."""

    class Flawed(Engine):
        def __init__(self, *given: Any) -> None:  # noqa: ANN401 - the engine's own
            super().__init__(*given)
            getattr(self, attribute).__class__ = part

    return with_engine(Flawed)


def with_engine(engine: type[Engine]) -> type[Process]:
    """Return a process with this engine."""

    class Run(Process):
        engine_of = engine

    return Run


FLAWS: dict[str, tuple[type[LedgerFile], type[Process]]] = {
    "the commit comes after the send": (LedgerFile, Hasty),
    "the unique index is gone": (Unguarded, Process),
    "a key is used again": (LedgerFile, with_part("_submissions", Reusing)),
    "a failure releases nothing": (LedgerFile, with_part("_landings", Keeping)),
    "a repeat has another body": (LedgerFile, with_part("_flights", Rewriting)),
    "Retry-After is ignored": (LedgerFile, with_engine(Deaf)),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_is_found_out(flaw: str) -> None:
    """Some night breaks a promise, and says which."""
    ledger, process = FLAWS[flaw]
    tally = Tally()
    with pytest.raises(Broken) as broken:
        run_nights(range(1, NIGHTS + 1), tally, ledger_of=ledger, process_of=process)
    print(f"\n{flaw}: night {tally.nights + 1}: {str(broken.value).splitlines()[0]}")
    assert tally.nights < NIGHTS


# ---------------------------------------------------------------- a flaw that only a lost ledger shows

BEFORE = Edition(Manifest("m", "/m.yaml"), (Line("hero", "kling-2-6", "5"),))
AFTER = Edition(BEFORE.header, (replace(BEFORE.lines[0], revision=1),))


def bought_after_a_restore(process_of: type[Process]) -> int:
    """Buy, edit, buy, put back a ledger that knows of neither, and run once more; return how many renders were bought in all."""
    ledger = LedgerFile()
    try:
        scene = scene_of(ledger, Rules(CATALOGUE))
        empty = ledger.backup()
        for edition in (BEFORE, AFTER):
            process_of(scene, Errand(RunAsked("run", ("m",)), Policy(), [edition]), Fuse()).live()
        rows = list(scene.audit.rows)
        ledger.restore(empty)
        scene.audit.restored(rows)
        process_of(scene, Errand(RunAsked("run", ("m",)), Policy(), [AFTER]), Fuse()).live()
        return len(scene.world.purchases)
    finally:
        ledger.remove()


def test_a_lost_ledger_asks_for_the_same_purchases() -> None:
    """Ids count attempts by what they ask for: with a count over all of a task's attempts the edited task is bought twice."""
    assert bought_after_a_restore(Process) == 2
    assert bought_after_a_restore(with_part("_submissions", CountingAll)) == 3
