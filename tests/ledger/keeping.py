"""Ledgers of every version that was ever released, kept as SQL: `python -m tests.ledger.keeping` writes today's.

A version that was released is never written again: whoever changes the tables after that adds a migration, and with it a file.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from batchgen.core.model import Budget, Manifest
from batchgen.ledger import Store
from batchgen.ledger.migrations import MIGRATIONS
from batchgen.ledger.opening import APPLICATION_ID
from tests.contract.books import Books

KEPT = Path(__file__).with_name("kept")
HONEST = """UPDATE attempts SET body = CAST('{"client_request_id":"' || client_request_id || '"}' AS BLOB)"""
"""The bodies of `Books` are short and carry no key; `ledger check` wants one."""


def edit(path: Path, *statements: str) -> None:
    """Do what a person with a database shell can do who takes every guard away first."""
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.executescript("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        for kind, name in shell.execute("SELECT type, name FROM sqlite_master WHERE type = 'trigger' OR name LIKE 'uq_%'").fetchall():
            shell.execute(f"DROP {kind} {name}")
        for statement in statements:
            assert shell.execute(statement).rowcount != 0, statement


def night(path: Path) -> Store:
    """Make a ledger in which t0 is done, t1 sent, t2 failed, and 75 of a total of 75 credits are spent or held."""
    store = Store.open(path, "sandbox")
    books = Books(store, Manifest("spring", "/m/spring.yaml", budget=Budget(total=75)))
    books.begin()
    books.adopt([books.task(number) for number in range(3)])
    books.finish(0)
    books.submit(1)
    books.give_up(2)
    return store


def dumped(path: Path) -> str:
    """Return a ledger as SQL, with its guards; the bodies are made whole on the way."""
    with closing(sqlite3.connect(path)) as shell:
        guards = [sql for (sql,) in shell.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchall()]
        for (name,) in shell.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            shell.execute(f"DROP TRIGGER {name}")
        shell.execute(HONEST)
        rows = [line for line in shell.iterdump() if line != "COMMIT;"]
        return "\n".join([f"PRAGMA application_id = {APPLICATION_ID};", *rows, *(f"{guard};" for guard in guards), "COMMIT;", ""])


def restore(version: int, path: Path) -> None:
    """Make the file of a kept version."""
    with closing(sqlite3.connect(path)) as shell:
        shell.executescript((KEPT / f"{version}.sql").read_text("utf-8"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "ledger.sqlite3"
        night(made).close()
        (KEPT / f"{MIGRATIONS[-1].number}.sql").write_text(dumped(made), "utf-8")
