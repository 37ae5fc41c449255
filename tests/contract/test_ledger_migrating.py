"""A migration waits for no run and works under none, on either database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from batchgen.core.messages import Ended
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode, LedgerBusy
from batchgen.ledger import Store
from batchgen.ledger.migrations import MIGRATIONS, Migration
from batchgen.ledger.opening import open_ledger
from tests.contract.books import Books


def forbidden(_connection: sa.Connection) -> None:
    """A pretend migration that must not be called."""
    raise AssertionError("migrated under a run")


def test_nothing_is_migrated_under_a_run(place: str) -> None:
    """While an older batchgen runs, a newer one waits outside, and says for whom."""
    newer = (*MIGRATIONS, Migration(MIGRATIONS[-1].number + 1, "next", forbidden))
    with Store.open(place, "sandbox") as store, store.lock(command="run", at=0.0):
        with pytest.raises(LedgerBusy, match=r"another run holds the ledger .*run"):
            open_ledger(place, "sandbox", steps=newer)
        open_ledger(place, "sandbox").reading.dispose()


def test_what_a_run_was_stopped_by_is_not_known_of_runs_before_it_was_written(place: str) -> None:
    """A ledger of version 1 gets a column for it on either database, and its old runs go on being told."""
    with Store.open(place, "sandbox") as store:
        Books(store).begin()
    with Store.open(place, "sandbox") as store, store._opened.writing.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE runs DROP COLUMN stops")
        connection.exec_driver_sql("DELETE FROM migrations WHERE number > 1")
    with Store.open(place, "sandbox") as store:
        (run,) = store.runs(2)
        assert run.stops == ()
        store.end_run(run.id, Ended(ExitCode.STOPPED_EARLY, "drained", (Stop(StopKind.DRAIN),)), run.started_at + 9)
        assert store.runs(1)[0].stops == (Stop(StopKind.DRAIN),)
