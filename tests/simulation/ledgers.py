"""The real ledger's file, opened again for every process, copied and put back. Kept in memory where the system can.

The product syncs each commit to the disk; here a hook of the test turns that off, because a process that dies loses
nothing that the system has taken. What the loss of power does is SQLite's to guarantee.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from batchgen.ledger import Store
from batchgen.ledger.opening import WRITES, open_ledger

ADDRESS = "https://api.example"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


def _nothing() -> None:
    """Let every commit through."""


class LedgerFile:
    """One path at which ledgers come and go. The engine stays, with its compiled statements; its connections do not."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="batchgen-simulation-", dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.folder / "ledger.sqlite3"
        self.before_commit: Callable[[], None] = _nothing
        self._opened = open_ledger(self.path, ADDRESS)
        self._raw: sqlite3.Connection | None = None
        sa.event.listen(self._opened.reading, "connect", _hasten)
        sa.event.listen(self._opened.reading, "commit", self._committing)
        self._close_all()
        self._empty = self.path.read_bytes()

    def _committing(self, connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WRITES):
            self.before_commit()

    def new(self) -> None:
        """Begin with an empty ledger."""
        self.restore(self._empty)

    def open(self) -> Store:
        """Open it as a process that starts."""
        self.close()
        return Store(self._opened)

    def close(self) -> None:
        """Drop every connection of the product's, as the end of a process does. The log stays beside the file, as after a crash."""
        self._opened.reading.dispose()

    def _close_all(self) -> None:
        """The last connection that closes puts the log into the file."""
        self.close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    @property
    def raw(self) -> sqlite3.Connection:
        """A connection that is none of the product's, and sees only what is committed."""
        if self._raw is None:
            self._raw = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        return self._raw

    def vandal(self) -> sqlite3.Connection:
        """A connection that may write, with the ledger's own guards on."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def backup(self) -> bytes:
        """Return the whole ledger; no process may have it open."""
        self._close_all()
        with self.vandal() as last:  # opens and closes it once more: then all is in the one file
            last.execute("SELECT 1 FROM meta").fetchone()
        last.close()
        return self.path.read_bytes()

    def restore(self, content: bytes) -> None:
        """Put a ledger in place of this one."""
        self._close_all()
        for side in ("-wal", "-shm"):
            self.path.with_name(self.path.name + side).unlink(missing_ok=True)
        self.path.write_bytes(content)

    def remove(self) -> None:
        """Leave nothing behind."""
        self._close_all()
        shutil.rmtree(self.folder)


def _hasten(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
