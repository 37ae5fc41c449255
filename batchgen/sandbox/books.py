"""The file that an account lives in: one SQLite database in WAL mode.

`synchronous=OFF` is deliberate: only a power cut could lose what it commits, and this is a sandbox. A killed process
loses nothing, and that is what a real server's clients may rely on. Every write begins with BEGIN IMMEDIATE, so that two
processes on the same books take turns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from batchgen.errors import UsageError

_APPLICATION_ID = 0x52767958  # "RvyX": tells our books from any other SQLite file
_VERSION = 1
_PATIENCE = 30.0
"""Seconds to wait for another process's transaction; each takes milliseconds."""

_SCHEMA = """
CREATE TABLE purse (balance INTEGER NOT NULL, started_with INTEGER NOT NULL, port INTEGER NOT NULL DEFAULT 0);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, prompt TEXT NOT NULL, client_request_id TEXT, idempotency_key TEXT,
    reserved INTEGER NOT NULL, created_at REAL NOT NULL, starts_at REAL NOT NULL, ends_at REAL,
    fails INTEGER NOT NULL, settled INTEGER NOT NULL, results TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX to_refund ON tasks (ends_at) WHERE fails = 1 AND settled = 0;
CREATE TABLE charges (n INTEGER PRIMARY KEY, task_id TEXT NOT NULL, kind TEXT NOT NULL, credits INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE keys (key TEXT PRIMARY KEY, body TEXT NOT NULL, task_id TEXT NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE keys_seen (key TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, mime TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    token TEXT, client_request_id TEXT, created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE requests (route TEXT NOT NULL, subject TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (route, subject)) WITHOUT ROWID;
CREATE TABLE tallies (name TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE arrivals (at REAL NOT NULL);
CREATE INDEX arrivals_at ON arrivals (at);
"""


class Books:
    """The open file. Safe to use from several threads and several processes."""

    def __init__(self, path: Path, *, credits_at_start: int) -> None:
        """Open or make the books at `path`; `credits_at_start` counts only where they are new. Raises UsageError."""
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():  # prompts and credits: only its owner reads it, and SQLite gives its side files the same mode
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(str(error)) from error
        try:
            self._prepare(credits_at_start)
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(str(error)) from error
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, credits_at_start: int) -> None:
        """Check that these are our books, or make them."""
        self._db.execute("PRAGMA synchronous=OFF")
        with self.transaction() as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables == 0:
                self._create(db, credits_at_start)
            elif application != _APPLICATION_ID:
                raise self._unusable("it is another program's database")
            (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            raise self._unusable(f"it has version {version}, this sandbox reads version {_VERSION}")
        self._db.execute("PRAGMA journal_mode=WAL")  # cannot be switched inside a transaction; waits like one

    @staticmethod
    def _create(db: sqlite3.Connection, credits_at_start: int) -> None:
        """Make all tables, inside the caller's transaction (executescript would end it)."""
        for statement in filter(None, (part.strip() for part in _SCHEMA.split(";"))):
            db.execute(statement)
        db.execute("INSERT INTO purse (balance, started_with) VALUES (?, ?)", (credits_at_start, credits_at_start))
        db.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={_VERSION}")

    def _unusable(self, why: str) -> UsageError:
        """Say which file, why, and what to do."""
        return UsageError(f"{self.path}: cannot be used as the sandbox's books: {why}; name another file, or delete it to start afresh")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Take the books for reading and writing; all of the block is kept, or nothing if it raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; using the books afterwards raises sqlite3.ProgrammingError."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
