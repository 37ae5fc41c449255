"""Ledgers to try the port on: SQLite always, PostgreSQL where its server (`initdb`) and `psycopg` are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchgen.ledger import Store, tables
from tests.contract.books import Books
from tests.postgresql import DATABASES


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger is: a path, or the URL of a database whose ledger was emptied."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite3")
    return emptied(str(request.getfixturevalue("postgresql")))


def emptied(url: str) -> str:
    """Empty the ledger of a database, or make one; return the URL."""
    with Store.open(url, "sandbox") as ledger, ledger._opened.writing.begin() as connection:
        # a tenth of the time that making the tables anew takes; row triggers do not stop a truncation
        names = ", ".join(set(tables.metadata.tables) - {"meta", "migrations"})
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        connection.execute(sa.delete(tables.meta).where(tables.meta.c.key != "address"))
    return url


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    """An open ledger that nobody has written to; it must give every connection back."""
    with Store.open(place, "sandbox") as ledger:
        yield ledger
        pool = ledger._opened.reading.pool
        assert isinstance(pool, sa.QueuePool)
        assert pool.checkedout() == 0


@pytest.fixture
def books(store: Store) -> Books:
    """A ledger with a run and three pending tasks."""
    made = Books(store)
    made.begin()
    made.adopt([made.task(n) for n in range(3)])
    return made


@pytest.fixture
def attack(store: Store) -> Callable[[str], None]:
    """Execute raw SQL, as a second program could."""

    def execute(statement: str) -> None:
        with store._opened.writing.begin() as connection:
            connection.exec_driver_sql(statement)

    return execute
