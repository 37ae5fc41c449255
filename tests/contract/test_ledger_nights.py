"""The ledger's port: the rows behind a night's charts."""

from __future__ import annotations

from dataclasses import replace

from batchgen.core.messages import AttemptMoved, MoneyKind, TaskMoved
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from tests.contract.books import NOW, Books


def test_a_night_is_a_run_with_those_that_resumed_it(books: Books) -> None:
    """Attempts and credits of one root are told in their order; those of another night are not."""
    first = books.run
    books.finish(0)
    books.at += 60
    books.begin(resumes=first)
    books.submit(1)
    books.at += 60
    books.begin()
    books.submit(2, hold=7)
    accepted = FlightFacts("kling-2-6/5", AttemptState.SUCCEEDED, NOW, NOW, NOW)
    assert list(books.store.flights(first)) == [
        accepted,
        replace(accepted, state=AttemptState.SUBMITTING, submitted_at=NOW + 60, accepted_at=None, ended_at=None),
    ]
    moves = [(NOW, MoneyKind.HOLD, 40), (NOW, MoneyKind.CAPTURE, 35), (NOW, MoneyKind.RELEASE, 5), (NOW + 60, MoneyKind.HOLD, 40)]
    assert list(books.store.credit_moves(first)) == [CreditFacts(*move) for move in moves]
    assert list(books.store.credit_moves(books.run)) == [CreditFacts(NOW + 120, MoneyKind.HOLD, 7)]


def test_a_night_that_nobody_knows(books: Books) -> None:
    """An unknown root has no rows."""
    assert [*books.store.flights(99), *books.store.credit_moves(99)] == []


def test_an_attempt_sent_again_stands_where_it_left_last(books: Books) -> None:
    """The order is that of submission, not of the rows."""
    row, key = books.submit(0)
    books.at += 60
    books.submit(1)
    doubted = AttemptMoved(key, AttemptEvent.DOUBTED, AttemptState.SUBMITTING, AttemptState.IN_DOUBT, NOW)
    books.write(doubted, TaskMoved(row, TaskEvent.BLOCKED, TaskState.RENDERING, TaskState.BLOCKED, NOW))
    books.write(replace(doubted, event=AttemptEvent.RESENT, before=doubted.after, after=doubted.before, submitted_at=NOW + 120))
    assert [flight.submitted_at for flight in books.store.flights(books.run)] == [NOW + 60, NOW + 120]
