"""The ledger's port: the rows behind a night's charts."""

from __future__ import annotations

from dataclasses import replace

from batchgen.core.messages import MoneyKind
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.states import AttemptState
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
