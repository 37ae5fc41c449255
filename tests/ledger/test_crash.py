"""Killed at any instant, or with a full disk, the ledger has whole commits and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchgen.core.states import TaskState
from batchgen.errors import Unavailable
from batchgen.ledger import Store, tables
from tests.contract.books import Books

WRITER = """
import sys
from tests.contract.books import Books
from batchgen.ledger import Store
books = Books(Store.open(sys.argv[1], "sandbox"))
books.begin()
books.adopt([books.task(n) for n in range(400)])
print("ready", flush=True)
for due in books.due(limit=400):
    books.write(books.submission(due))
    print(due.task.id, flush=True)
"""


@pytest.mark.parametrize("commits", [0, 1, 7])
def test_a_killed_run_left_whole_commits(tmp_path: Path, commits: int) -> None:
    """After SIGKILL every submission that was reported is there, whole, and at most one more that was not."""
    ledger = tmp_path / "ledger.sqlite3"
    checkout = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(ledger)], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(checkout)}
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        reported = [process.stdout.readline().strip() for _ in range(commits)]
        process.kill()
        reported += process.stdout.read().split()
    with Store.open(ledger, "sandbox") as store:
        books = Books(store, run=1)
        live = [one.due.task.id for one in books.open().live]
        assert live[: len(reported)] == reported
        assert len(live) - len(reported) in {0, 1}
        rows = books.rows()
        assert [len(rows[name]) for name in ("attempts", "money", "events")] == [len(live), len(live), 2 * len(live)]
        assert store.manifests()[0].by_state.get(TaskState.RENDERING, 0) == len(live)


def test_a_full_disk_writes_nothing(tmp_path: Path) -> None:
    """When the disk is full a commit says so in plain words and leaves nothing half-written; with room it goes through."""
    with Store.open(tmp_path / "ledger.sqlite3", "sandbox") as store:
        books = Books(store)
        books.begin()
        books.adopt([books.task(n) for n in range(3)])
        before = books.rows()
        record = books.submission(books.due()[0], hold=1)
        big = type(record)(record.row, record.key, 1, record.fingerprint, b"x" * 200_000, 1, "k", record.day, record.at)
        limit_pages(store, "1")  # SQLite takes the size that it has
        with pytest.raises(Unavailable, match=r"disk under the ledger .* free some space and run again"):
            books.write(big)
        assert books.rows() == before
        limit_pages(store, "100000")
        books.write(big)
        assert len(books.open().live[0].body) == 200_000


def limit_pages(store: Store, pages: str) -> None:
    """Set how big the file may become, on the one connection in the pool."""
    with store._opened.reading.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_commit_is_durable_when_it_returns(tmp_path: Path) -> None:
    """What one store committed, another process' store sees at once."""
    path = tmp_path / "ledger.sqlite3"
    with Store.open(path, "sandbox") as store:
        Books(store).begin()
        with Store.open(path, "sandbox") as other, other._read() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(tables.runs)) == 1
