"""The little of the ledger that the page reads: part of the port `core.ports.Ledger`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from batchgen.core.facts import RunFacts, TaskFacts, TaskQuery
from batchgen.core.night import CreditFacts, FlightFacts


class Source(Protocol):
    """What tells the page; each call streams, so that no list of all tasks is ever held."""

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return the newest runs, newest first."""
        ...

    def tasks(self, wanted: TaskQuery) -> Iterator[TaskFacts]:
        """Yield tasks with their latest attempt, in manifest order."""
        ...

    def flights(self, root: int) -> Iterator[FlightFacts]:
        """Yield the attempts that the runs of this root submitted, in the order of submission."""
        ...

    def credit_moves(self, root: int) -> Iterator[CreditFacts]:
        """Yield how the credits of these attempts moved, in the order of the book."""
        ...
