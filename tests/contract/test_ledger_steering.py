"""What a person says to a run, on its way through the ledger, on both databases."""

from __future__ import annotations

import pytest

from batchgen.core.messages import Controlled, Ended
from batchgen.core.steering import Control, ControlKind
from batchgen.errors import ExitCode, LedgerConflict, NoRun
from batchgen.ledger import Store
from tests.contract.books import NOW, Books


def test_what_was_said_reaches_the_run_once_and_in_order(books: Books, place: str) -> None:
    """A second process writes without the run lock; the run reads what is new since it last looked, and marks what it obeyed."""
    with books.store.lock(command="run", at=NOW), Store.open(place, "sandbox") as other:
        assert other.held
        first = other.steer(Control(0, ControlKind.PAUSE), NOW)
        second = other.steer(Control(0, ControlKind.RATE, 0.5), NOW)
        assert books.store.controls(books.run, 0) == (Control(first, ControlKind.PAUSE), Control(second, ControlKind.RATE, 0.5))
        assert books.store.controls(books.run, first) == (Control(second, ControlKind.RATE, 0.5),)
        books.store.commit(books.run, [Controlled(Control(first, ControlKind.PAUSE), NOW)])
        assert (other.obeyed(first), other.obeyed(second)) == (True, False)


def test_a_budget_is_the_runs_from_then_on(books: Books) -> None:
    """`resume` reads how the run was asked for, so a new budget belongs there."""
    with books.store.lock(command="run", at=NOW):
        row = books.store.steer(Control(0, ControlKind.BUDGET, 700), NOW)
    books.store.commit(books.run, [Controlled(Control(row, ControlKind.BUDGET, 700.0), NOW)])
    assert books.store.runs()[0].asked.budget == 700


def test_nothing_is_obeyed_twice(books: Books) -> None:
    """The guard matches only what this run has yet to take; else nothing of the step is written."""
    with books.store.lock(command="run", at=NOW):
        row = books.store.steer(Control(0, ControlKind.GO), NOW)
    done = Controlled(Control(row, ControlKind.GO), NOW)
    books.store.commit(books.run, [done])
    with pytest.raises(LedgerConflict):
        books.store.commit(books.run, [done])


def test_nobody_hears_it(books: Books) -> None:
    """Without a run that holds the ledger nothing is written: neither when no process has the lock, nor when its run has ended."""
    assert not books.store.held
    with pytest.raises(NoRun, match="no run holds"):
        books.store.steer(Control(0, ControlKind.PAUSE), NOW)
    books.store.end_run(books.run, Ended(ExitCode.DONE, "done"), NOW)
    with books.store.lock(command="resolve", at=NOW), pytest.raises(NoRun, match="no run is going on"):
        books.store.steer(Control(0, ControlKind.PAUSE), NOW)
    assert not books.store.held, "the lock's file stays, its lock does not"
    following = books.begin()
    assert books.store.controls(following, 0) == ()


def test_what_was_said_to_another_run_is_not_obeyed(books: Books) -> None:
    """A run that comes after takes no order that was for the one before."""
    with books.store.lock(command="run", at=NOW):
        row = books.store.steer(Control(0, ControlKind.GO), NOW)
    books.begin()
    with pytest.raises(LedgerConflict, match="not one that run"):
        books.store.commit(books.run, [Controlled(Control(row, ControlKind.GO), NOW)])
    assert not books.store.obeyed(row)
