"""Programs with one flaw each, such as a careless change would make. The simulation must catch every one of them.

A flaw is a subclass of the driver, the engine or the ledger that does one thing otherwise; all else is the real thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from batchgen.core.engine import Engine
from batchgen.core.facts import Opening, RunFacts
from batchgen.core.messages import (
    Answered,
    Controlled,
    DueArrived,
    Ended,
    Event,
    MoneyKind,
    MoneyMoved,
    Record,
    Request,
    SendCreate,
    Step,
)
from batchgen.core.model import DueTask, Instant
from batchgen.core.policy import Given, Policy
from batchgen.core.steering import Control, ControlKind
from tests.simulation.ledgers import LedgerFile
from tests.simulation.process import Process

# ---------------------------------------------------------------- the driver's and the ledger's


class SendsFirst(Process):
    """The commit comes after the requests."""

    def _carry_out(self, step: Step) -> None:
        self._send_off(step)
        self._commit(step)


class ForgetsBudget(Process):
    """A resumed run begins with the budget of the settings, not with what was asked for or said."""

    def _drive(self, begun: RunFacts, names: Sequence[str], finish_only: frozenset[str]) -> Ended:
        self._policy = replace(self._policy, run_budget=self._errand.policy.run_budget)
        return super()._drive(begun, names, finish_only)


class LedgerWithoutIndex(LedgerFile):
    """Nothing but the engine's own care keeps a task from a second live attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.vandal.execute("DROP INDEX uq_attempts_live")
        self._schema = self._schema_version()
        self._empty = self.backup()


# ---------------------------------------------------------------- the engine's


class Flawed(Engine):
    """Hears and says something else than the real one: each flaw overrides one of these."""

    def step(self, now: Instant, events: Iterable[Event]) -> Step:
        """Step as the real one."""
        step = super().step(now, [self.hears(event) for event in events])
        return replace(step, records=tuple(self.writes(step.records)), requests=tuple(self.asks(r) for r in step.requests))

    def hears(self, event: Event) -> Event:
        """Return what it takes an event for."""
        if isinstance(event, DueArrived):
            return replace(event, tasks=tuple(self.takes(due) for due in event.tasks))
        return event

    def takes(self, due: DueTask) -> DueTask:
        """Return what it takes a due task for."""
        return due

    def writes(self, records: Iterable[Record]) -> Iterable[Record]:
        """Return what it writes down."""
        return records

    def asks(self, request: Request) -> Request:
        """Return what it sends."""
        return request


class ReusesKeys(Flawed):
    """Every run counts a task's attempts from one."""

    def takes(self, due: DueTask) -> DueTask:
        """Count otherwise."""
        return replace(due, alike=0)


class CountsAllAttempts(Flawed):
    """Ids are numbered over all attempts of a task, so that after an edit a ledger from a backup counts otherwise."""

    def __init__(self, opening: Opening, policy: Policy, given: Given) -> None:
        live = tuple(replace(fact, due=self.takes(fact.due)) for fact in opening.live)
        super().__init__(replace(opening, live=live), policy, given)

    def takes(self, due: DueTask) -> DueTask:
        """Count otherwise."""
        return replace(due, alike=due.attempts)


class KeepsHolds(Flawed):
    """What was held for a failed purchase is not given back."""

    def writes(self, records: Iterable[Record]) -> Iterable[Record]:
        """Write something else."""
        return (r for r in records if not (isinstance(r, MoneyMoved) and r.kind is MoneyKind.RELEASE))


class CapturesAll(Flawed):
    """What was held is spent, however a purchase ended."""

    def writes(self, records: Iterable[Record]) -> Iterable[Record]:
        """Write something else."""
        captured = {r.key for r in records if isinstance(r, MoneyMoved) and r.kind is MoneyKind.CAPTURE}
        for record in records:
            all_released = isinstance(record, MoneyMoved) and record.kind is MoneyKind.RELEASE and record.key not in captured
            yield replace(record, kind=MoneyKind.CAPTURE) if isinstance(record, MoneyMoved) and all_released else record


class ChangesBody(Flawed):
    """A repeated create says so in its body."""

    def __init__(self, opening: Opening, policy: Policy, given: Given) -> None:
        super().__init__(opening, policy, given)
        self._sent: set[str] = set()

    def asks(self, request: Request) -> Request:
        """Send something else."""
        if isinstance(request, SendCreate) and request.key in self._sent:
            return replace(request, body=request.body.replace(b"{", b'{"repeat": true, ', 1))
        if isinstance(request, SendCreate):
            self._sent.add(request.key)
        return request


class IgnoresRetryAfter(Flawed):
    """It does not read that header."""

    def hears(self, event: Event) -> Event:
        """Hear something else."""
        return replace(event, answer=replace(event.answer, retry_after=None)) if isinstance(event, Answered) else super().hears(event)


class Unmarked(Flawed):
    """It obeys and does not say so."""

    def writes(self, records: Iterable[Record]) -> Iterable[Record]:
        """Write something else."""
        return (r for r in records if not isinstance(r, Controlled))


class Disobedient(Engine):
    """Says that it obeys, and does not."""

    deaf_to: ClassVar[ControlKind]

    def _obey(self, control: Control) -> None:
        if control.kind is self.deaf_to:
            self._desk.write(Controlled(control, self._desk.now))
        else:
            super()._obey(control)


class GoesOn(Disobedient):
    """Buys while paused."""

    deaf_to = ControlKind.PAUSE


class StaysPaused(Disobedient):
    """Waits for ever."""

    deaf_to = ControlKind.GO


class DoesNotDrain(Disobedient):
    """Sends on."""

    deaf_to = ControlKind.DRAIN


class KeepsBudget(Disobedient):
    """Spends as it was asked at first."""

    deaf_to = ControlKind.BUDGET


class KeepsRate(Disobedient):
    """Sends as fast as before."""

    deaf_to = ControlKind.RATE


def driven_by(flawed: type[Engine]) -> type[Process]:
    """Return the driver of a flawed engine."""

    class Driver(Process):
        engine = flawed

    return Driver


@dataclass(frozen=True, slots=True)
class Flaw:
    """One flaw and what the simulation must say of it."""

    name: str
    found: str  # a regular expression
    process: type[Process] = Process
    ledger: type[LedgerFile] = LedgerFile
    steered: float = 0.25  # the share of runs that a person steers; for flaws that only then show


def _engine(flawed: type[Engine], found: str, steered: float = 0.25) -> Flaw:
    return Flaw(flawed.__name__, found, process=driven_by(flawed), steered=steered)


FLAWS = (
    Flaw("SendsFirst", "leaves with bytes that are not in the ledger", process=SendsFirst),
    Flaw("LedgerWithoutIndex", "takes a second live attempt", ledger=LedgerWithoutIndex),
    _engine(ReusesKeys, "was used before"),
    _engine(KeepsHolds, "credits not closed|differ by .* credits from its captures and releases"),
    _engine(CapturesAll, "unexplained credits"),
    _engine(ChangesBody, "leaves with bytes that are not in the ledger"),
    _engine(IgnoresRetryAfter, "before the Retry-After"),
    _engine(Unmarked, "does not say that it obeyed", steered=1.0),
    _engine(GoesOn, "the run is paused", steered=1.0),
    _engine(StaysPaused, "waits for nothing", steered=1.0),
    _engine(DoesNotDrain, "leaves after `drain`|the run is drained", steered=1.0),
    _engine(KeepsBudget, "the budget --budget of", steered=1.0),
    _engine(KeepsRate, "requests within a minute since the rate", steered=1.0),
    Flaw("ForgetsBudget", "the resumed run has", process=ForgetsBudget, steered=1.0),
)
