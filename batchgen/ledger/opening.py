"""Finding, making and refusing ledgers.

A file is a ledger when its SQLite application id says so. Creation is one transaction: a crash in it leaves an empty
database, which counts as no ledger yet. The address of the API is kept from the first opening on, because tasks bought
at one account must never be looked for at another.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from batchgen.errors import LedgerBusy, LedgerError, NoLedger
from batchgen.ledger import migrations, tables
from batchgen.ledger.lock import hold_database, hold_file
from batchgen.ledger.migrations import MIGRATIONS, Migration
from batchgen.ledger.places import Place, has_content, make_private, place_of, read_mounts, refuse_network, touch
from batchgen.ledger.trouble import plain_words

APPLICATION_ID = 0x62674C31
"""`bgL1`: `file` and we recognise a ledger by it."""

_BACKUP_PAUSE = 0.25
"""Seconds between two tries to copy a locked ledger; sqlite3's own default."""

BUSY_SECONDS = 30.0
"""How long a statement waits for another writer; a run's commits take milliseconds, a checkpoint of a big ledger seconds."""

_UPGRADING = "migration of the ledger"
"""What holds the run lock then, for a run that comes second."""

_SILENCE = {"keepalives_idle": "20", "keepalives_interval": "10", "keepalives_count": "4", "tcp_user_timeout": "60000"}
"""A minute after the last sign of life PostgreSQL's server counts as gone; what the URL says goes before. By default it takes two hours."""

CREATION_LOCK = 0x62674C31
"""PostgreSQL advisory lock held while tables are made, so that two first runs do not both make them."""

WRITES = "batchgen_writes"
"""Execution option of connections that write: SQLite then takes its write lock at BEGIN, so a transaction never fails half-way for it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger that may be used."""

    place: Place
    reading: sa.Engine
    writing: sa.Engine
    address: str


def exists(where: str | Path) -> bool:
    """Say whether there is a ledger file at a path (its content is not looked at); True for a database URL."""
    path = place_of(where).path
    return path is None or has_content(path)


def open_ledger(
    where: str | Path, address: str | None, *, read_only: bool = False, steps: Sequence[Migration] = MIGRATIONS, mounts: str | None = None
) -> Opened:
    """Open a ledger, making or migrating it unless `read_only`.

    `address` is the API's base URL or `sandbox`; None takes whatever the ledger has. Raises LedgerError if the ledger
    cannot be used, saying why, where and what to do.
    """
    place = place_of(where)
    if place.path is not None:
        _check_path(place.path, read_only=read_only, mounts=read_mounts() if mounts is None else mounts)
    engine = _sqlite(place.path, read_only=read_only) if place.path else _postgresql(place)
    try:
        with plain_words(place.name):
            if not read_only:
                _prepare(engine, place, address, steps)
            found = _check(engine, place, address, steps)
    except BaseException:
        engine.dispose()
        raise
    return Opened(place, engine, engine.execution_options(**{WRITES: True}), found)


# ---------------------------------------------------------------- engines


def _check_path(path: Path, *, read_only: bool, mounts: str) -> None:
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir() raises for a name that is too long or may not be looked at
        raise LedgerError(f"the ledger {path} is a folder; name a file in it, as {path / 'ledger.sqlite3'}")
    if read_only and not has_content(path):
        raise NoLedger(f"no ledger yet at {path}; `batchgen run` makes one, or name another with --ledger")
    refuse_network(path, mounts)
    if not read_only:
        touch(path)


def _sqlite(path: Path, *, read_only: bool) -> sa.Engine:
    mode = "ro" if read_only else "rw"
    # creator: a path goes into the URI by as_uri(), which escapes the `?`, `#` and `%` that a file name may hold
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            f"{path.as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        ),
        poolclass=sa.QueuePool,
    )

    @sa.event.listens_for(engine, "connect")
    def _settle(connection: sqlite3.Connection, _record: object) -> None:
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit survives a power cut. NORMAL could forget the last ones, that is, purchases.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA recursive_triggers = ON")  # else INSERT OR REPLACE deletes past the triggers

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")

    return engine


def _postgresql(place: Place) -> sa.Engine:
    assert place.url is not None
    try:
        engine = sa.create_engine(place.url.update_query_dict(_SILENCE | place.url.query), pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise LedgerError("a ledger in PostgreSQL needs psycopg: pip install 'batchgen[postgres]'") from error

    @sa.event.listens_for(engine, "begin")
    def _settle(connection: sa.Connection) -> None:
        """A server may default to less; a purchase must survive its power cut too. Reads see one instant."""
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":  # the run lock's session has no transactions
            return
        reads = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
        connection.exec_driver_sql("SET LOCAL synchronous_commit = on" if options.get(WRITES) else reads)

    return engine


# ---------------------------------------------------------------- making and migrating


def _prepare(engine: sa.Engine, place: Place, address: str | None, steps: Sequence[Migration]) -> None:
    """Make the tables if there are none, migrate them if they are old. Ask, lock, ask again."""
    writing = engine.execution_options(**{WRITES: True})
    with writing.begin() as connection:  # also finds out, early, whether the file can be written
        if connection.dialect.name != "sqlite":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATION_LOCK)))
        if _is_empty(connection, place):
            if address is None:
                raise NoLedger(f"no ledger yet at {place.name}; `batchgen run` makes one")
            _create(connection, address, steps)
        current = migrations.version_of(connection)
    if current < steps[-1].number:
        _upgrade(writing, place, steps)


def _is_empty(connection: sa.Connection, place: Place) -> bool:
    """Say whether the database has no tables. Raises LedgerError if it has somebody else's."""
    if connection.dialect.name == "sqlite":
        ours = connection.exec_driver_sql("PRAGMA application_id").scalar() == APPLICATION_ID
        empty = not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    else:
        names = set(sa.inspect(connection).get_table_names())
        ours = {tables.meta.name, tables.migrations.name, tables.attempts.name} <= names
        empty = not names & set(tables.metadata.tables)
    if not ours and not empty:
        raise LedgerError(f"{place.name} is a database, but not a batchgen ledger; name another with --ledger")
    return empty


def _create(connection: sa.Connection, address: str, steps: Sequence[Migration]) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    migrations.create(connection, steps, time.time())
    connection.execute(sa.insert(tables.meta), {"key": "address", "value": address})


def _upgrade(writing: sa.Engine, place: Place, steps: Sequence[Migration]) -> None:
    """Back up, then migrate; never under a run of an older batchgen."""
    if place.path is None:
        with hold_database(writing, place.name, command=_UPGRADING) as session, session.begin():
            migrations.migrate(session, steps, time.time())
        return
    with hold_file(place.path, command=_UPGRADING, at=time.time()):
        with writing.begin() as connection:
            version = migrations.version_of(connection)
        with writing.connect() as connection:  # without a transaction: a copy waits for one of its own connection for ever
            backup(connection, place.path.with_name(f"{place.path.name}.before-{version + 1}.bak"))
        with writing.begin() as connection:
            migrations.migrate(connection, steps, time.time())


def backup(connection: sa.Connection, target: Path) -> None:
    """Copy a SQLite ledger, consistently, into a file that only its owner reads. An older file there is replaced.

    The connection must have no transaction open. Raises LedgerBusy when the ledger stays locked.
    """
    part = target.with_name(f"{target.name}.part")  # broken off or killed half-way, a copy must not look like a backup
    try:
        for older in (target, part):  # first, so that there need not be room for both
            older.unlink(missing_ok=True)
        make_private(part)
        _copy(connection, part)
        part.replace(target)
    except OSError as error:
        raise LedgerError(f"the copy {target} cannot be made: {error.strerror}; name another place for it") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _copy(connection: sa.Connection, target: Path) -> None:
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)
    copy = sqlite3.connect(target)
    try:
        source.backup(copy, progress=_patience(), sleep=_BACKUP_PAUSE)
    finally:
        copy.close()


def _patience() -> Callable[[int, int, int], None]:
    """Return what ends a copy that is locked out for too long; sqlite3 itself would try for ever."""
    left = int(BUSY_SECONDS / _BACKUP_PAUSE)

    def look(status: int, _remaining: int, _total: int) -> None:
        nonlocal left
        left -= status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        if left < 0:
            raise LedgerBusy("another program keeps the ledger locked, so it could not be copied; close it and try again")

    return look


# ---------------------------------------------------------------- checking


def _check(engine: sa.Engine, place: Place, address: str | None, steps: Sequence[Migration]) -> str:
    """Return the ledger's address. Raises LedgerError if it is not ours, of another version, or another address'."""
    with engine.connect() as connection:
        if _is_empty(connection, place):
            raise NoLedger(f"no ledger yet at {place.name}; `batchgen run` makes one, or name another with --ledger")
        version = migrations.version_of(connection)
        found = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.key == "address")) or ""
    newest = steps[-1].number
    if version > newest:
        raise LedgerError(
            f"the ledger {place.name} was made by a newer batchgen (version {version}, this one knows {newest}); update batchgen"
        )
    if version < newest:
        raise LedgerError(
            f"the ledger {place.name} is of version {version}, this batchgen reads {newest}; the next `batchgen run` migrates it"
        )
    if address is not None and address != found:
        raise LedgerError(
            f"the ledger {place.name} belongs to {found}, not to {address}; "
            "name another with --ledger, because tasks bought at one address cannot be fetched from another"
        )
    return found
