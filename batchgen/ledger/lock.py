"""One run at a time, by a lock that the system drops when its holder dies, however it dies.

For a SQLite ledger: flock on `LEDGER.lock`. The file stays when the lock is dropped, because deleting it would let two
runs lock two different files of that name. It holds the facts of its holder, for the run that comes second.
For PostgreSQL: a session's advisory lock. It needs a session, so a pooler in transaction mode must not be in between.

Not by process id files: they outlive their writer, and ids are used again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from batchgen.core.model import Instant
from batchgen.errors import LedgerBusy, LedgerError

RUN_LOCK = 0x62674C32
"""The advisory lock's number in PostgreSQL: one ledger per database."""

_FACTS_LIMIT = 4096
_NAME_LIMIT = 63
"""PostgreSQL cuts an application name there."""


def lock_path(ledger: Path) -> Path:
    """Return where the lock of a SQLite ledger is."""
    return ledger.with_name(ledger.name + ".lock")


@contextmanager
def hold_file(ledger: Path, *, command: str, at: Instant) -> Iterator[None]:
    """Hold the run lock of a SQLite ledger. Raises LedgerBusy, naming the holder, if another process (or this one) has it."""
    path = lock_path(ledger)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"the lock {path} cannot be made: {error.strerror}; make its folder writable for you") from error
    try:
        _lock(handle, ledger)
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "started": _moment(at), "command": command}
        _write(handle, json.dumps(facts))
        yield
        _write(handle, "")
    finally:
        os.close(handle)  # and with it the lock


def _lock(handle: int, ledger: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(handle, _FACTS_LIMIT, 0).decode("utf-8", "replace")
        raise LedgerBusy(f"another run holds the ledger {ledger}: {_who(said)}; wait for it, or stop it first") from None
    except OSError as error:
        raise LedgerError(f"{ledger} cannot be locked: {error.strerror}; put the ledger on a local disk with --ledger") from error


def file_held(ledger: Path) -> bool:
    """Say whether some process has the run lock of a SQLite ledger.

    flock cannot be asked; so a shared lock is taken and given back at once, which only the exclusive one keeps out.
    """
    try:
        handle = os.open(lock_path(ledger), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # a run makes the file before anything else
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _write(handle: int, text: str) -> None:
    """Only for people: a full disk must not stop a run here, and the lock holds without it."""
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)
    except OSError:
        return


def _who(said: str) -> str:
    """Put a holder's facts into words; they may be missing or cut."""
    try:
        facts = json.loads(said)
        return f"process {facts['pid']} on {facts['host']}, since {facts['started']} (`{facts['command']}`)"
    except (ValueError, KeyError, TypeError):
        return "a process that has only just started"


def _moment(at: Instant) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")


@contextmanager
def hold_database(writing: sa.Engine, place: str, *, command: str) -> Iterator[sa.Connection]:
    """Hold the run lock of a ledger in PostgreSQL; yield the session that has it. Raises LedgerBusy, naming the holder.

    Whoever holds it writes in this session alone: when the server ends it (a restart, a failover, a network that was
    cut), the lock goes to the next run, and nothing more can be committed under the old one.
    """
    name = f"batchgen {os.getpid()}@{socket.gethostname()} {command}"[:_NAME_LIMIT]
    with writing.connect() as connection:
        with connection.begin():
            for setting, value in {"application_name": name, **_DEAD_HOLDER}.items():
                connection.execute(sa.select(sa.func.set_config(setting, value, False)))  # noqa: FBT003 - SQL has no keywords
            locked = connection.scalar(sa.select(sa.func.pg_try_advisory_lock(RUN_LOCK)))
            holder = "" if locked else _holder(connection)
        if not locked:
            connection.invalidate()  # or the next to be given this session would have its name
            raise LedgerBusy(f"another run holds the ledger {place}: {holder}; wait for it, or stop it first")
        try:
            yield connection
        finally:
            _unlock(connection)


def _unlock(connection: sa.Connection) -> None:
    """End the session and with it the lock; its server may take its time for that, so the lock is given back before."""
    if not connection.invalidated:
        with suppress(sa.exc.DBAPIError), connection.begin():  # a session that is gone has no lock
            connection.execute(sa.select(sa.func.pg_advisory_unlock(RUN_LOCK)))
    connection.invalidate()


_DEAD_HOLDER = {"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "4"}
"""Seconds after which the server asks whether a silent holder's machine is there, and asks again: in a minute a machine that lost its
power has lost the lock. By default it takes two hours. On a socket of the same machine they mean nothing."""

_HOLDER = sa.text(
    "SELECT a.application_name, a.client_addr, a.backend_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :number"
)


def database_held(engine: sa.Engine) -> bool:
    """Say whether some session has the run lock of a ledger in PostgreSQL."""
    with engine.connect() as connection:
        return connection.execute(_HOLDER, {"number": RUN_LOCK}).first() is not None


def _holder(connection: sa.Connection) -> str:
    row = connection.execute(_HOLDER, {"number": RUN_LOCK}).first()
    if row is None:
        return "it ended just now"
    since = _moment(row.backend_start.timestamp())
    named = re.fullmatch(r"batchgen (\d+)@(\S+) (.*)", row.application_name)
    if named is None:
        return f"{row.application_name} from {row.client_addr or 'this machine'}, since {since}"
    return f"process {named[1]} on {named[2]}, since {since} (`{named[3]}`)"
