"""A migration waits for no run and works under none, on either database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from batchgen.errors import LedgerBusy
from batchgen.ledger import Store
from batchgen.ledger.migrations import MIGRATIONS, Migration
from batchgen.ledger.opening import open_ledger


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
