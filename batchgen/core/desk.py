"""What the parts of the engine share: the time, the policy, the money, and the records being written in this step."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.core.answers import Fault
from batchgen.core.budget import Budgets, Purse
from batchgen.core.looks import Looks
from batchgen.core.messages import Ended, Noted, Record
from batchgen.core.model import Credits, Instant
from batchgen.core.pacing import Pace
from batchgen.core.policy import Calendar, Dice, Policy
from batchgen.core.pricing import Prices
from batchgen.core.stops import Refusal, Stop


@dataclass(slots=True)
class Desk:
    """Shared by the engine's parts; every change of state ends up in `records`."""

    policy: Policy
    calendar: Calendar
    dice: Dice
    pace: Pace
    prices: Prices
    budgets: Budgets
    purse: Purse
    looks: Looks
    now: Instant = 0.0
    records: list[Record] = field(default_factory=list)
    halted: Ended | None = None  # nothing new leaves; the run ends when what is in the air has landed
    paused: bool = False  # by a person: nothing new is bought or uploaded
    dry: bool = False  # the server said insufficient_credits
    work_left: str = ""  # why work is left although nothing is wrong
    stops: list[Stop] = field(default_factory=list)  # the same as data, and for each manifest
    undelivered: str = ""  # why paid or submitted work is left that the service should have finished
    saved: int = 0
    failed: int = 0
    blocked: int = 0
    in_doubt: int = 0
    captured: Credits = 0

    def write(self, *records: Record) -> None:
        """Add records to this step's transaction."""
        self.records.extend(records)

    def note(self, event: str, *, key: str = "", fault: Fault | None = None, detail: str = "") -> None:
        """Remember something that moves no state."""
        self.write(Noted(event, self.now, key=key, fault=fault, detail=detail))

    def leave(self, why: Refusal, manifest: str) -> None:
        """Leave work of a manifest to another run. The first reason is what the run's end says."""
        self.work_left = self.work_left or str(why)
        stop = why.stop(manifest)
        if stop not in self.stops:
            self.stops.append(stop)

    def halt(self, ended: Ended) -> None:
        """Start nothing new. The first reason stands."""
        self.halted = self.halted or ended
