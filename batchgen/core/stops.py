"""Why work is left although nothing is wrong, as data: whoever tells people what to do next must not have to read words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batchgen.core.model import Credits


class StopKind(StrEnum):
    """What ended a manifest's way through a run. The first four are the spans of a budget."""

    TOTAL = "total"
    RUN = "run"
    DAY = "day"
    MONTH = "month"
    KEEP_BALANCE = "keep_balance"
    FUNDS = "funds"  # the server said that the account has too few credits
    UNTIL = "until"
    MAX_TASKS = "max_tasks"
    DRAIN = "drain"
    LATER = "later"  # only another run can go on with it, and that needs nothing first


PLANNED = frozenset({StopKind.UNTIL, StopKind.MAX_TASKS, StopKind.DRAIN})
"""A run that ends by one of these was told to."""


@dataclass(frozen=True, slots=True)
class Stop:
    """What ended the way of a manifest (empty: of all). A budget is that of `owner` (empty: of all manifests together)."""

    kind: StopKind
    manifest: str = ""
    owner: str = ""
    limit: Credits = 0
    used: Credits = 0
    asked: Credits = 0  # what the next task would have cost


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that says no, in words of its own, or a budget: its name and owner, its limit, what is used of it, what is asked of it."""

    kind: StopKind
    words: str = ""
    budget: str = ""
    owner: str = ""
    limit: Credits = 0
    used: Credits = 0
    asked: Credits = 0

    def __str__(self) -> str:
        """In words; where something is left, what the next task costs explains why it is not enough."""
        if self.words:
            return self.words
        said = f"the budget {self.budget} is {self.limit:,} credits, of which {self.used:,} are spent or held"
        return said if self.used >= self.limit else f"{said}, and the next task costs {self.asked:,}"

    def stop(self, manifest: str) -> Stop:
        """Return it as what ended the way of a manifest."""
        return Stop(self.kind, manifest, self.owner, self.limit, self.used, self.asked)
