"""One account as the server knows it: credits, tasks, uploaded files, idempotency keys seen, requests counted.

Money: credits are taken when a task is created, and given back whole at the instant when a task fails. A finished
task's `final_credits` are what was reserved.

Time: a task's end is fixed as an absolute instant when it is created, so renders go on while no process runs, as they
would on a real server. Nothing has to wake up: whoever looks sees what has happened by now.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from batchgen.core.model import Credits, Instant
from batchgen.sandbox.books import Books

DEFAULT_CREDITS = 100_000


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the books have it. `ends_at` is None for a render that never finishes; `results` are names in the library."""

    id: str
    model: str
    prompt: str
    client_request_id: str | None
    idempotency_key: str | None
    reserved: Credits
    created_at: Instant
    starts_at: Instant
    ends_at: Instant | None
    fails: bool
    results: tuple[str, ...]

    def status(self, now: Instant) -> str:
        """Say where the task is at `now`, in the API's words."""
        if self.ends_at is not None and now >= self.ends_at:
            return "failed" if self.fails else "succeeded"
        return "processing" if now >= self.starts_at else "queued"

    def final(self, now: Instant) -> Credits:
        """Say what it has cost for good; 0 until it is finished."""
        return self.reserved if self.status(now) == "succeeded" else 0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What is kept of an uploaded file: its facts, not its bytes. `token` is None for an image."""

    id: str
    kind: str
    name: str
    mime: str
    size: int
    sha256: str
    token: str | None
    client_request_id: str | None
    created_at: Instant


_TASK_COLUMNS = "id, model, prompt, client_request_id, idempotency_key, reserved, created_at, starts_at, ends_at, fails, results"
_FILE_COLUMNS = "id, kind, name, mime, size, sha256, token, client_request_id, created_at"


def _task(row: Sequence[object]) -> Task:
    """Build a task from its row."""
    return Task(*row[:9], bool(row[9]), tuple(json.loads(str(row[10]))))  # type: ignore[call-arg, arg-type] # the columns' types are the schema's


class Account:
    """The account in the file at `path`. Close it, or use it as a context manager."""

    def __init__(self, path: Path | str, *, starting_credits: Credits = DEFAULT_CREDITS, clock: Callable[[], Instant] = time.time) -> None:
        """Open the account or start one with `starting_credits`. Raises UsageError if the file cannot be used."""
        self._books = Books(Path(path), credits_at_start=starting_credits)
        self.now = clock

    # ------------------------------------------------------------------ whole operations

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Take the books, with everything settled that has happened by now."""
        with self._books.transaction() as db:
            self._refund(db)
            yield db

    def _refund(self, db: sqlite3.Connection) -> None:
        """Give back what tasks cost that have failed since somebody last looked."""
        now = self.now()
        due = db.execute("SELECT id, reserved, ends_at FROM tasks WHERE fails = 1 AND settled = 0 AND ends_at <= ?", (now,)).fetchall()
        for task_id, reserved, ends_at in due:
            db.execute("UPDATE tasks SET settled = 1 WHERE id = ?", (task_id,))
            self._book(db, task_id, "refund", -reserved, ends_at)

    @staticmethod
    def _book(db: sqlite3.Connection, task_id: str, kind: str, spent: Credits, at: Instant) -> None:
        """Write one movement of credits; `spent` is negative for a refund."""
        db.execute("INSERT INTO charges (task_id, kind, credits, at) VALUES (?, ?, ?, ?)", (task_id, kind, spent, at))
        db.execute("UPDATE purse SET balance = balance - ?", (spent,))

    def credits(self) -> Credits:
        """Say what can still be spent."""
        with self.transaction() as db:
            return self.balance(db)

    def task(self, task_id: str) -> Task | None:
        """Find a task."""
        with self.transaction() as db:
            return self.find_task(db, task_id)

    def file(self, file_id: str, *, forget: float = 0.0) -> Uploaded | None:
        """Find an uploaded file, unless it is older than `forget` seconds (0: it is kept for ever)."""
        with self.transaction() as db:
            return self.find_file(db, file_id, forget=forget)

    def keep_file(self, file: Uploaded) -> None:
        """Remember an uploaded file."""
        with self.transaction() as db:
            values = (file.id, file.kind, file.name, file.mime, file.size, file.sha256, file.token, file.client_request_id, file.created_at)
            db.execute(f"INSERT INTO files ({_FILE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - a constant

    def count(self, route: str, subject: str) -> int:
        """Count one more request about `subject`; return how many there have been, this one included."""
        with self._books.transaction() as db:
            db.execute(
                "INSERT INTO requests VALUES (?, ?, 1) ON CONFLICT (route, subject) DO UPDATE SET times = times + 1", (route, subject)
            )
            (times,) = db.execute("SELECT times FROM requests WHERE route = ? AND subject = ?", (route, subject)).fetchone()
        return int(times)

    def tally(self, name: str) -> None:
        """Count one more of something that the books show, such as `429`."""
        with self._books.transaction() as db:
            db.execute("INSERT INTO tallies VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET times = times + 1", (name,))

    def saw_key(self, key: str) -> None:
        """Count one more arrival of an idempotency key, whatever comes of it."""
        with self._books.transaction() as db:
            db.execute("INSERT INTO keys_seen VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1", (key,))

    def admit(self, rate: int, window: float) -> float:
        """Let a request through if fewer than `rate` were in the last `window` seconds.

        Returns 0.0 for a request that is let through, else the seconds after which the next one would be. A request
        that is turned away does not count.
        """
        now = self.now()
        with self._books.transaction() as db:
            db.execute("DELETE FROM arrivals WHERE at <= ?", (now - window,))
            times = [at for (at,) in db.execute("SELECT at FROM arrivals ORDER BY at")]
            if len(times) < rate:
                db.execute("INSERT INTO arrivals VALUES (?)", (now,))
                return 0.0
        return max(0.001, float(times[len(times) - rate]) + window - now)

    @property
    def port(self) -> int:
        """The port that served this account last, 0 at first; links to results go on working if it is taken again."""
        with self._books.transaction() as db:
            return int(db.execute("SELECT port FROM purse").fetchone()[0])

    @port.setter
    def port(self, port: int) -> None:
        with self._books.transaction() as db:
            db.execute("UPDATE purse SET port = ?", (port,))

    # ------------------------------------------------------------------ steps inside a transaction

    @staticmethod
    def balance(db: sqlite3.Connection) -> Credits:
        """Say what can still be spent."""
        return int(db.execute("SELECT balance FROM purse").fetchone()[0])

    @staticmethod
    def find_task(db: sqlite3.Connection, task_id: str) -> Task | None:
        """Find a task."""
        row = db.execute(f"SELECT {_TASK_COLUMNS} FROM tasks WHERE id = ?", (task_id,)).fetchone()  # noqa: S608 - a constant
        return _task(row) if row else None

    def find_file(self, db: sqlite3.Connection, file_id: str, *, forget: float = 0.0) -> Uploaded | None:
        """Find an uploaded file that is not forgotten."""
        row = db.execute(f"SELECT {_FILE_COLUMNS} FROM files WHERE id = ?", (file_id,)).fetchone()  # noqa: S608 - a constant
        file = Uploaded(*row) if row else None
        return None if file and forget and file.created_at + forget <= self.now() else file

    def find_key(self, db: sqlite3.Connection, key: str, *, memory: float = 0.0) -> tuple[str, str, str] | None:
        """Find (hash of the body, task id, first answer) of a key seen within `memory` seconds (0: ever)."""
        since = self.now() - memory if memory else 0.0
        row: tuple[str, str, str] | None
        row = db.execute("SELECT body, task_id, answer FROM keys WHERE key = ? AND at >= ?", (key, since)).fetchone()
        return row

    def keep_key(self, db: sqlite3.Connection, key: str, facts: tuple[str, str, str]) -> None:
        """Remember (hash of the body, task id, first answer) of a key, over one that memory has let go."""
        db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", (key, *facts, self.now()))

    def keep_task(self, db: sqlite3.Connection, task: Task, *, paid: bool = True) -> None:
        """Remember a new task and take its credits; one that is not `paid` costs nothing and gives nothing back."""
        facts = (task.id, task.model, task.prompt, task.client_request_id, task.idempotency_key, task.reserved)
        times = (task.created_at, task.starts_at, task.ends_at)
        ends = (int(task.fails), json.dumps(task.results), int(not paid))
        db.execute(f"INSERT INTO tasks ({_TASK_COLUMNS}, settled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*facts, *times, *ends))  # noqa: S608 - a constant
        if paid:
            self._book(db, task.id, "reserve", task.reserved, task.created_at)

    # ------------------------------------------------------------------ the books, open

    def books(self) -> dict[str, object]:
        """Show everything, as plain JSON values, for tests and demonstrations."""
        with self.transaction() as db:
            now = self.now()
            tasks = [_task(row) for row in db.execute(f"SELECT {_TASK_COLUMNS} FROM tasks ORDER BY created_at, id")]  # noqa: S608 - a constant
            charges = db.execute("SELECT task_id, kind, credits, at FROM charges ORDER BY n").fetchall()
            (started_with,) = db.execute("SELECT started_with FROM purse").fetchone()
            routes = dict(db.execute("SELECT route, sum(times) FROM requests GROUP BY route"))
            tallies = dict(db.execute("SELECT name, times FROM tallies"))
            return {
                "balance": self.balance(db),
                "started_with": started_with,
                "spent": sum(charge[2] for charge in charges),
                "charges": [dict(zip(("task_id", "kind", "credits", "at"), charge, strict=True)) for charge in charges],
                "tasks": [_shown(task, now) for task in tasks],
                "bought_more_than_once": _repeated([task.client_request_id for task in tasks if not (task.fails and task.ends_at)]),
                "idempotency_keys": dict(db.execute("SELECT key, times FROM keys_seen")),
                "uploads": dict(db.execute("SELECT sha256, count(*) FROM files GROUP BY sha256")),
                "requests": routes,
                "requests_total": sum(routes.values()),
                "rate_limited": tallies.get("429", 0),
            }

    def close(self) -> None:
        """Close the file."""
        self._books.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _shown(task: Task, now: Instant) -> dict[str, object]:
    """Show a task in the books."""
    return {
        "id": task.id,
        "client_request_id": task.client_request_id,
        "idempotency_key": task.idempotency_key,
        "model": task.model,
        "prompt": task.prompt,
        "status": task.status(now),
        "reserved_credits": task.reserved,
        "final_credits": task.final(now),
        "created_at": task.created_at,
        "ends_at": task.ends_at,
    }


def _repeated(ids: list[str | None]) -> list[str]:
    """Name the client_request_ids that more than one paid task carries: what must never be."""
    counts: dict[str, int] = {}
    for client_id in filter(None, ids):
        counts[client_id] = counts.get(client_id, 0) + 1
    return sorted(client_id for client_id, times in counts.items() if times > 1)


def new_id(prefix: str) -> str:
    """Make an id like the server's: `task_...`, `file_...`."""
    return f"{prefix}_{uuid.uuid4().hex[:24]}"
