"""From nothing, or from an older version, to today's tables.

A new ledger gets today's tables at once and is marked as having every migration. An older one gets the numbered
functions that it lacks, in order, all in one transaction. So migration 1 is never run on an existing ledger, and whoever
adds number 3 changes `tables.py` and writes the function that brings version 2 to the same shape; a test compares both.

alembic would be a second description of the schema and a dependency; numbered functions do until there are many versions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from batchgen.core.model import Instant
from batchgen.ledger import tables
from batchgen.ledger.guards import create_guards


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. `apply` works inside the caller's transaction."""

    number: int
    name: str
    apply: Callable[[sa.Connection], None]


def _begin(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        for table in tables.metadata.tables.values():
            for index in table.indexes:
                index.dialect_options["postgresql"]["where"] = index.info.get(tables.WHERE)
    tables.metadata.create_all(connection, checkfirst=False)
    create_guards(connection)


def _stops(connection: sa.Connection) -> None:
    """Runs say as data what work was left by; of those before it is not known."""
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN stops TEXT DEFAULT '[]' NOT NULL")


MIGRATIONS: tuple[Migration, ...] = (Migration(1, "begin", _begin), Migration(2, "stops", _stops))


def version_of(connection: sa.Connection) -> int:
    """Return the number of the newest migration that this ledger has."""
    return int(connection.scalar(sa.select(sa.func.max(tables.migrations.c.number))) or 0)


def create(connection: sa.Connection, steps: Sequence[Migration], at: Instant) -> None:
    """Make today's tables in an empty database, in the caller's transaction."""
    _begin(connection)
    _mark(connection, steps, at)


def migrate(connection: sa.Connection, steps: Sequence[Migration], at: Instant) -> None:
    """Apply the steps that the ledger lacks, in the caller's transaction."""
    missing = [step for step in steps if step.number > version_of(connection)]
    for step in missing:
        step.apply(connection)
    _mark(connection, missing, at)


def _mark(connection: sa.Connection, steps: Sequence[Migration], at: Instant) -> None:
    if steps:
        rows = [{"number": step.number, "name": step.name, "applied_at": at} for step in steps]
        connection.execute(sa.insert(tables.migrations), rows)
