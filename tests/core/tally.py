"""What a run says of itself, against what its ledger says: compared after every commit of every run that the core's tests drive.

The engine adds up as it goes and never asks the ledger. A sum that is off by one hold lets a budget be exceeded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from batchgen.core.messages import Glimpse, MoneyKind
from batchgen.core.model import Credits, Instant
from batchgen.core.states import AttemptState, TaskState
from tests.core.book import Book, calendar


@dataclass(frozen=True, slots=True)
class Tally:
    """A book's sums when a run began."""

    done: int = 0
    given_up: int = 0
    captured: Credits = 0
    doubted: Credits = 0

    def check(self, book: Book, seen: Glimpse, now: Instant) -> None:
        """Assert that what is seen of the run is what its book adds up to."""
        states = Counter(a.state for a in book.attempts.values())
        to_fetch = sum(_to_fetch(book, key) for key in book.attempts)
        assert (seen.submitting, seen.rendering) == (states[AttemptState.SUBMITTING], states[AttemptState.ACCEPTED])
        assert seen.downloading == to_fetch
        since = tally(book)
        flying = _held(book, AttemptState.SUBMITTING, AttemptState.ACCEPTED)
        assert seen.held == flying + since.doubted - self.doubted
        assert seen.saved == since.done - self.done
        assert seen.failed == since.given_up - self.given_up
        assert seen.captured == since.captured - self.captured
        spent = book.spending(calendar(now))
        account = {
            "--budget": sum(spent.run.values()),
            "the account's per_day": spent.account_day,
            "the account's per_month": spent.account_month,
        }
        for left in seen.budgets:
            own = {"total": spent.total, "per_run": spent.run, "per_day": spent.day}.get(left.name.split(" ")[0], {})
            assert left.used == (own.get(left.manifest, 0) if left.manifest else account[left.name]), left


def tally(book: Book) -> Tally:
    """Add up a book."""
    states = Counter(t.state for t in book.tasks.values())
    captured = sum(a.money[MoneyKind.CAPTURE] for a in book.attempts.values())
    given_up = states[TaskState.FAILED] + states[TaskState.BLOCKED]
    return Tally(states[TaskState.DONE], given_up, captured, _held(book, AttemptState.IN_DOUBT))


def _held(book: Book, *states: AttemptState) -> Credits:
    return sum(a.money[MoneyKind.HOLD] for a in book.attempts.values() if a.state in states)


def _to_fetch(book: Book, key: str) -> bool:
    attempt = book.attempts[key]
    task = book.tasks[attempt.row]
    return attempt.state is AttemptState.SUCCEEDED and task.state is TaskState.RENDERED and attempt.number == task.attempts
