"""The real ledger's file, opened again for every process, copied and put back. Kept in memory where the system can.

The product syncs each commit to the disk; here a hook of the test turns that off, because a process that dies loses
nothing that the system has taken. What the loss of power does is SQLite's to guarantee.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from batchgen.ledger import Store
from batchgen.ledger.opening import WRITES, open_ledger

ADDRESS = "https://api.example"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it

IN_MEMORY = b"\x01\x01"
"""The 18th byte of the file's header and the next: no write-ahead log, which a database in memory cannot have."""


def _nothing() -> None:
    """Let every commit through."""


class LedgerFile:
    """One path at which ledgers come and go. The engine stays, with its compiled statements, and so do the connections.

    A process that dies takes its connections with it. Here they only roll back, which is the same to everybody who looks at
    the file: what was not committed is not there. To read the schema and to compile every statement again, three times a
    night, was a third of a night's time.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="batchgen-simulation-", dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.folder / "ledger.sqlite3"
        self.before_commit: Callable[[], None] = _nothing
        self._opened = open_ledger(self.path, ADDRESS)
        self._opened.reading.dispose()
        sa.event.listen(self._opened.reading, "connect", _hasten)
        sa.event.listen(self._opened.reading, "commit", self._committing)
        self.raw = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        """A connection that is none of the product's, and sees only what is committed."""
        self.vandal = sqlite3.connect(self.path, isolation_level=None)
        """A connection that may write, with the ledger's own guards on."""
        self.vandal.execute("PRAGMA foreign_keys = ON")
        self.vandal.execute("PRAGMA synchronous = OFF")
        self._schema = self._schema_version()
        self._empty = self.backup()

    def _committing(self, connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WRITES):
            self.before_commit()

    def _schema_version(self) -> int:
        return int(self.raw.execute("PRAGMA schema_version").fetchone()[0])

    def new(self) -> None:
        """Begin with an empty ledger."""
        self.restore(self._empty)

    def open(self) -> Store:
        """Open it as a process that starts."""
        return Store(self._opened)

    @contextmanager
    def from_another_process(self) -> Iterator[None]:
        """Commits in here are no points at which the run that goes on can die."""
        before, self.before_commit = self.before_commit, _nothing
        try:
            yield
        finally:
            self.before_commit = before

    def backup(self) -> bytes:
        """Return the whole ledger."""
        with closing(sqlite3.connect(":memory:")) as copy:
            self.raw.backup(copy)
            content = copy.serialize()
        return content[:18] + IN_MEMORY + content[20:]

    def restore(self, content: bytes) -> None:
        """Put a ledger in place of this one."""
        with closing(sqlite3.connect(":memory:")) as copy:
            copy.deserialize(content)
            copy.backup(self.vandal)
        # The copying counts as a change of the schema, after which every connection reads it anew. It is the same one.
        self.vandal.execute(f"PRAGMA schema_version = {self._schema}")

    def remove(self) -> None:
        """Leave nothing behind."""
        self._opened.reading.dispose()
        self.raw.close()
        self.vandal.close()
        shutil.rmtree(self.folder)


def _hasten(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
