"""What a person says to a run that is going on, from another shell.

    pause     nothing new is bought or uploaded; what is in flight goes on
    go        the end of a pause
    drain     nothing new leaves; the run ends when what is in the air has landed
    budget N  in place of --budget
    rate N    requests a minute, in place of the setting

It comes through the ledger, because that is what both shells know; a signal could carry no number and would need the
process's id. Deliberately absent: anything that buys, and anything that outlasts the run but its budget, which a resumed
run counts on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PAUSED = "paused by `batchgen control pause`"
DRAINED = "drained by `batchgen control drain`"


class ControlKind(StrEnum):
    """What may be said."""

    PAUSE = "pause"
    GO = "go"
    DRAIN = "drain"
    BUDGET = "budget"
    RATE = "rate"


VALUED = frozenset({ControlKind.BUDGET, ControlKind.RATE})
"""Those that come with a number."""


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that was said. `id` is its row in the ledger; `value` is 0 for those without a number."""

    id: int
    kind: ControlKind
    value: float = 0.0

    def __str__(self) -> str:
        """Say it as it was typed."""
        return f"{self.kind} {self.value:.12g}" if self.kind in VALUED else self.kind.value
