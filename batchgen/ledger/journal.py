"""The log of moves: one row per event, never changed, written before the row that it is about (a trigger insists)."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.core.answers import Fault
from batchgen.core.model import Instant
from batchgen.ledger.documents import fault_values


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, about `attempt` if that is given, else about `task`, else about the account.

    `before` and `after` are empty if nothing moved.
    """

    event: str
    at: Instant
    task: int | None = None
    attempt: int | None = None
    before: str = ""
    after: str = ""
    detail: str = ""
    fault: Fault | None = None

    def values(self, run: int | None) -> dict[str, object]:
        """Return the row."""
        return {
            "run_id": run,
            "task_id": self.task,
            "attempt_id": self.attempt,
            "event": self.event,
            "moved_from": self.before,
            "moved_to": self.after,
            "detail": self.detail,
            "at": self.at,
            **fault_values(self.fault),
        }
