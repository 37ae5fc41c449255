"""The ledger behind the port `core.ports.Ledger`: every method is one transaction, its errors are in plain words.

A store may be used by several threads; each call takes a connection of its own. Writing calls take the database's write
lock for their whole transaction, reading calls never wait for them (WAL in SQLite, snapshots in PostgreSQL).
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from batchgen.core.facts import ManifestFacts, MoneyFacts, Opening, RunAsked, RunFacts, TaskFacts, TaskHistory, TaskQuery
from batchgen.core.messages import DueArrived, Ended, FetchDue, Record
from batchgen.core.model import Instant, KnownTask, Manifest, Task, Upload
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.plan import Action
from batchgen.core.states import TaskState
from batchgen.core.steering import Control
from batchgen.core.written import Ready, Walk
from batchgen.errors import LedgerError, NoRun, Unavailable
from batchgen.ledger import adopting, kept, nights, reads, starting, steering, writing
from batchgen.ledger.check import Broken, check
from batchgen.ledger.documents import asked_text, stops_text
from batchgen.ledger.kept import Compared
from batchgen.ledger.lock import database_held, file_held, hold_database, hold_file
from batchgen.ledger.opening import Opened, backup, open_ledger
from batchgen.ledger.statements import BEARER, OWNER
from batchgen.ledger.tables import manifests, runs, tasks
from batchgen.ledger.trouble import plain_words


class Store:
    """A ledger, open. Close it, or use it as a context manager."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._session: sa.Connection | None = None  # of PostgreSQL, which has the run lock
        self.address = opened.address
        self.place = opened.place.name

    @classmethod
    def open(cls, where: str | Path, address: str | None, *, read_only: bool = False) -> Self:
        """Open the ledger at a path or database URL; make or migrate it unless `read_only`.

        Open first, then `lock`: a migration takes the lock for itself. `address` is the API's base URL or `sandbox`,
        kept at creation and compared afterwards; None takes whatever the ledger has. Raises LedgerError with what is
        wrong, where, and what to do.
        """
        return cls(open_ledger(where, address, read_only=read_only))

    def close(self) -> None:
        """Close every connection."""
        self._opened.reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lock(self, *, command: str, at: Instant) -> AbstractContextManager[None]:
        """Return the run lock. Entering it raises LedgerBusy, naming the holder, while another run has it."""
        if self._opened.place.path:
            return hold_file(self._opened.place.path, command=command, at=at)
        return self._hold(command)

    @contextmanager
    def _hold(self, command: str) -> Iterator[None]:
        """Hold the run lock of PostgreSQL, and write in its session only."""
        with plain_words(self.place), hold_database(self._opened.writing, self.place, command=command) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        """One snapshot."""
        with plain_words(self.place), self._opened.reading.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """One transaction, durable at the end, rolled back by any error."""
        if self._session is None:
            with plain_words(self.place), self._opened.writing.begin() as connection:
                yield connection
            return
        if self._session.invalidated:  # SQLAlchemy would connect anew, without the lock
            raise Unavailable(f"the ledger {self.place} cannot be reached: the session that had its lock is gone; run again later")
        with plain_words(self.place), self._session.begin():
            yield self._session

    # -- planning

    def known(self, manifest: str, ids: Sequence[str]) -> Mapping[str, KnownTask]:
        """Return what the ledger has of these task ids (a few thousand at most)."""
        with self._read() as connection:
            return starting.known(connection, manifest, ids)

    def leavers(self, manifest: str, stayed: Callable[[str], bool]) -> Iterator[KnownTask]:
        """Yield the wanted tasks of a manifest of which `stayed(id)` is false, by id."""
        return starting.leavers(self._read, manifest, stayed)

    def wanted(self, manifest: str) -> int:
        """Count the tasks that the manifest had when it was last adopted."""
        query = sa.select(sa.func.count()).select_from(tasks).join(manifests, manifests.c.id == tasks.c.manifest_id)
        with self._read() as connection:
            return connection.scalar(query.where(manifests.c.name == manifest, tasks.c.wanted)) or 0

    def uploaded(self, contents: Sequence[str]) -> Mapping[str, Upload]:
        """Return those of these contents (by sha256) that the server has."""
        with self._read() as connection:
            return starting.uploaded(connection, contents)

    def preview(self, manifests: Sequence[Manifest], *, today: str) -> Opening:
        """Return the spending and the prices that a run of these manifests would start from."""
        with self._read() as connection:
            return starting.preview(connection, manifests, today)

    def newest(self) -> Instant:
        """Return the newest instant that the ledger holds, 0.0 if none."""
        with self._read() as connection:
            return starting.newest(connection)

    def adopt(self, manifest: Manifest, actions: Iterable[Action], *, run: int, at: Instant) -> None:
        """Make the ledger's tasks those of the manifest, as planned, in one transaction.

        `actions` may be lazy and read this store meanwhile: it then sees the ledger as it was before.
        """
        with self._write() as connection:
            adopting.adopt(connection, manifest, actions, run=run, at=at)

    def knows(self, manifest: str) -> bool:
        """Say whether the ledger has tasks of a manifest, also ones that left it."""
        query = sa.select(
            sa.exists().where(tasks.c.manifest_id == sa.select(manifests.c.id).where(manifests.c.name == manifest).scalar_subquery())
        )
        with self._read() as connection:
            return bool(connection.scalar(query))

    def enroll(self, manifest: Manifest, rows: Iterable[Ready], *, at: Instant) -> None:
        """Write the tasks of a manifest of which the ledger has none, in one transaction."""
        with self._write() as connection:
            adopting.enroll(connection, manifest, rows, at)

    # -- manifests that did not change

    def walk(self, path: str) -> tuple[Manifest, Walk] | None:
        """Return the manifest whose tasks were last taken from this path (its own path left empty), and what it is recognised by."""
        with self._read() as connection:
            return kept.walk(connection, path)

    def remember(self, manifest: str, walk: Walk) -> None:
        """Keep what a manifest may be recognised by, after its tasks were taken over as they are."""
        with self._write() as connection:
            kept.remember(connection, manifest, walk)

    def states(self, manifest: str) -> Mapping[TaskState, int]:
        """Count the wanted tasks of a manifest by state."""
        with self._read() as connection:
            return kept.states(connection, manifest)

    def in_doubt(self, manifest: str, states: Sequence[TaskState]) -> int:
        """Count the attempts in doubt of a manifest's tasks in these states."""
        with self._read() as connection:
            return kept.in_doubt(connection, manifest, states)

    def named(self, manifest: str, state: TaskState, only: str) -> int:
        """Count the wanted tasks of a manifest in a state whose id a glob matches."""
        with self._read() as connection:
            return kept.named(connection, manifest, state, only)

    def left(self, manifest: str, states: Sequence[TaskState]) -> Iterator[list[tuple[Ready, Compared]]]:
        """Yield the wanted tasks of a manifest in these states in their order, page by page, compared with themselves."""
        return kept.left(self._read, manifest, states)

    def waiting(self, manifest: str) -> Iterator[list[Ready]]:
        """Yield the wanted pending tasks of a manifest in their order, page by page."""
        return kept.waiting(self._read, manifest)

    def kept(self, manifest: str, states: Sequence[TaskState], only: str = "") -> Iterator[tuple[Task, KnownTask]]:
        """Yield the wanted tasks of a manifest in these states that a glob matches, as the manifest and as the ledger has them."""
        return kept.kept(self._read, manifest, states, only)

    def compared(self, manifest: str, chunk: Sequence[Ready], first: int) -> Mapping[str, Compared]:
        """Compare tasks of a manifest, of which the first has the position `first`, with what the ledger has of them; by their ids."""
        with self._read() as connection:
            return kept.compared(connection, manifest, chunk, first)

    def in_order(self, manifest: str) -> Iterator[tuple[Task, KnownTask]]:
        """Yield all wanted tasks of a manifest in their order, as `kept` does."""
        return kept.in_order(self._read, manifest)

    # -- a run

    def begin_run(self, asked: RunAsked, *, resumes: int | None, at: Instant) -> RunFacts:
        """Write a run's beginning. `resumes` is the run whose budgets it counts on."""
        with self._write() as connection:
            root = None if resumes is None else _root(connection, resumes)
            adopted = resumes is not None and bool(connection.scalar(sa.select(runs.c.adopted).where(runs.c.id == resumes)))
            row = {
                "root": root,
                "adopted": adopted,
                "asked": asked_text(asked),
                "started_at": at,
                "pid": os.getpid(),
                "host": socket.gethostname(),
            }
            inserted = connection.execute(sa.insert(runs), row).inserted_primary_key
            assert inserted is not None
            if root is None:
                connection.execute(sa.update(runs).where(runs.c.id == inserted[0]).values(root=inserted[0]))
            return reads.runs(connection, 1)[0]

    def adopted(self, run: int) -> None:
        """Write that the tasks of all of a run's manifests are in the ledger: from here on it can be resumed."""
        with self._write() as connection:
            connection.execute(sa.update(runs).where(runs.c.id == run).values(adopted=True))

    def end_run(self, run: int, ended: Ended, at: Instant) -> None:
        """Write a run's end."""
        with self._write() as connection:
            values = {"ended_at": at, "exit_code": int(ended.code), "reason": ended.reason, "stops": stops_text(ended.stops)}
            if connection.execute(sa.update(runs).where(runs.c.id == run).values(values)).rowcount != 1:
                raise LedgerError(f"the ledger {self.place} has no run {run}")

    def open_run(self, manifests: Sequence[str], *, run: int, today: str, only: str) -> Opening:
        """Read what the engine starts from, for these manifests (by name)."""
        with self._read() as connection:
            return starting.opening(connection, manifests, starting.Scope(_root(connection, run), today, only))

    def due(self, request: FetchDue) -> DueArrived:
        """Read a page of wanted pending tasks in the manifest's order, from a position after `request.after` on."""
        with self._read() as connection:
            return starting.due(connection, request)

    def commit(self, run: int | None, records: Sequence[Record]) -> None:
        """Write a step's records in one transaction. `run` is None for what a person decides outside of a run."""
        if records:
            with self._write() as connection:
                writing.write(connection, run, records)

    # -- steering, from another process

    @property
    def held(self) -> bool:
        """True while some process has the run lock."""
        path = self._opened.place.path
        return file_held(path) if path else database_held(self._opened.reading)

    def steer(self, control: Control, at: Instant) -> int:
        """Say something to the run that is going on; return the row by which `obeyed` asks. Raises NoRun if there is none."""
        if not self.held:
            raise NoRun(f"no run holds the ledger {self.place}, so nobody would hear it")
        with self._write() as connection:
            return steering.ask(connection, control, at)

    def obeyed(self, row: int) -> bool:
        """Say whether the run has taken what `steer` wrote."""
        with self._read() as connection:
            return steering.taken(connection, row)

    def controls(self, run: int, after: int) -> tuple[Control, ...]:
        """Return what was said to a run since row `after`, in order."""
        with self._read() as connection:
            return steering.heard(connection, run, after)

    def owner(self, path: str) -> tuple[str, int] | None:
        """Which of our outputs is at this path: sha256 and attempt number."""
        with self._read() as connection:
            row = connection.execute(OWNER, {"at": path}).first()
        return None if row is None else (row.sha256, row.number)

    def bearer(self, api_task_id: str) -> str | None:
        """Return the key of the attempt that has this id at the vendor."""
        with self._read() as connection:
            return connection.scalar(BEARER, {"id": api_task_id})

    # -- care

    def check(self) -> tuple[Broken, ...]:
        """Prove the invariants on what is there; return every row that breaks one."""
        with self._read() as connection:
            return tuple(check(connection))

    def backup(self, target: Path) -> None:
        """Copy the ledger, consistently, also while a run goes on. Raises LedgerError for one that is no file, or if `target` exists."""
        if url := self._opened.place.url:
            # Without the password, which pg_dump asks for, or takes from PGPASSWORD or ~/.pgpass: a command line can be read by all.
            bare = url.set(drivername="postgresql", password=None).difference_update_query(("password", "sslpassword"))
            address = bare.render_as_string()
            raise LedgerError(
                f"{self.place} is a database server's, whose own tool copies it, also while a run goes on",
                then=f"pg_dump {shlex.quote(address)} --file={shlex.quote(str(target))}",
            )
        if target.exists():
            raise LedgerError(f"{target} exists already; name a file that does not")
        with plain_words(str(target), "the copy"), self._opened.reading.connect() as connection:
            backup(connection, target)

    # -- reading

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return the newest runs, newest first."""
        with self._read() as connection:
            return reads.runs(connection, limit)

    def manifests(self) -> tuple[ManifestFacts, ...]:
        """Return every manifest with its counts and credits."""
        with self._read() as connection:
            return reads.manifests(connection)

    def accounts(self, today: str) -> tuple[tuple[ManifestFacts, ...], MoneyFacts]:
        """Return what `manifests` and `money` do, of the same instant, for one pass over the book."""
        with self._read() as connection:
            return reads.accounts(connection, today)

    def money(self, today: str) -> MoneyFacts:
        """Return the credits of the whole ledger; `today` is `YYYY-MM-DD`, its month is `YYYY-MM`."""
        with self._read() as connection:
            return reads.money(connection, today)

    def tasks(self, wanted: TaskQuery) -> Iterator[TaskFacts]:
        """Yield tasks with their latest attempt, in manifest order, without holding them all."""
        with self._read() as connection:
            yield from reads.tasks(connection, wanted)

    def history(self, task: str, manifest: str = "") -> tuple[TaskHistory, ...]:
        """Return everything about the tasks with this id (one per manifest)."""
        with self._read() as connection:
            return reads.history(connection, task, manifest)

    def flights(self, root: int) -> Iterator[FlightFacts]:
        """Yield the attempts that the runs of this root submitted, in the order of submission."""
        with self._read() as connection:
            yield from nights.flights(connection, root)

    def credit_moves(self, root: int) -> Iterator[CreditFacts]:
        """Yield how the credits of these attempts moved, in the order of the book."""
        with self._read() as connection:
            yield from nights.credit_moves(connection, root)


def _root(connection: sa.Connection, run: int) -> int:
    root = connection.scalar(sa.select(runs.c.root).where(runs.c.id == run))
    if root is None:
        raise LedgerError(f"the ledger has no run {run}")
    return int(root)
