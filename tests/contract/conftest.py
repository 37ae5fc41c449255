"""Ledgers to try the port on: SQLite always, PostgreSQL where its server (`initdb`) and `psycopg` are installed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchgen.ledger import Store, tables
from tests.contract.books import Books

INITDB = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
"""Debian keeps it off the path."""
HAS_POSTGRESQL = bool(INITDB and importlib.util.find_spec("psycopg"))
DATABASES = ["sqlite", *(["postgresql"] if HAS_POSTGRESQL or "BATCHGEN_CI" in os.environ else [])]
"""`.ci/run` tries both or fails."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A real server without a network port, as a user who is not root (it refuses root); its URL."""
    assert INITDB
    folder = Path(tempfile.mkdtemp(prefix="bg-pg-"))
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(folder, account.pw_uid, account.pw_gid)
    binaries = Path(INITDB).resolve().parent

    def call(*words: str) -> None:
        subprocess.run(words, check=True, user=account.pw_uid, group=account.pw_gid, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    data = str(folder / "data")
    call(str(binaries / "initdb"), "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    options = f"-c listen_addresses='' -c fsync=off -k {folder}"
    call(str(binaries / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
    yield f"postgresql+psycopg://tester@/postgres?host={folder}"
    call(str(binaries / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger is: a path, or the URL of a database whose ledger was emptied."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite3")
    url = str(request.getfixturevalue("postgresql"))
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
