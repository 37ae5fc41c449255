"""What the ledger tells about a night: when attempts began and ended, and how the credits moved meanwhile.

A night is a run with the runs that resumed it (one `root`): somebody who looks at it in the morning sees one thing, however often it was
interrupted. Apart from `facts`, because only the charts of a report ask for these rows, and they come by the hundred thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.core.messages import MoneyKind
from batchgen.core.model import Credits, Instant
from batchgen.core.states import AttemptState


@dataclass(frozen=True, slots=True)
class FlightFacts:
    """When one attempt was submitted, taken by the server, and over; None where that has not happened."""

    model: str
    state: AttemptState
    submitted_at: Instant
    accepted_at: Instant | None
    ended_at: Instant | None


@dataclass(frozen=True, slots=True)
class CreditFacts:
    """One line of the money book: credits held, captured or released."""

    at: Instant
    kind: MoneyKind
    credits: Credits
