"""The rows of one commit, gathered into stages and written stage by stage.

All rows of a kind go with one call, so that a commit of sixty records is some ten statements and a few milliseconds. A
stage ends before a second move of the same task or attempt, because that one builds on the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from batchgen.core.messages import MoneyKind, Submitted
from batchgen.core.model import Credits, Instant
from batchgen.core.states import AttemptState, TaskEvent
from batchgen.errors import LedgerConflict
from batchgen.ledger import statements as sql
from batchgen.ledger.journal import Entry

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What other rows need to know of an attempt."""

    row: int
    task: int
    manifest: int
    root: int
    day: str


@dataclass(slots=True)
class Stage:
    """Rows to write together. `moved` names the tasks and attempts that move in it."""

    moved: set[tuple[str, int]] = field(default_factory=set)
    submitted: dict[str, Submitted] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    updates: dict[sa.Update, list[Row]] = field(default_factory=dict)
    inserts: dict[sa.Insert, list[Row]] = field(default_factory=dict)


@dataclass(slots=True)
class Commit:
    """One transaction's writing."""

    connection: sa.Connection
    run: int | None
    attempts: dict[str, Attempt] = field(default_factory=dict)  # by key
    saved: set[tuple[int, int]] = field(default_factory=set)  # outputs that have a row: attempt, index
    closed: set[int] = field(default_factory=set)  # attempts whose hold is closed here
    stage: Stage = field(default_factory=Stage)

    def moves(self, what: str, row: int) -> None:
        """Note that a task or an attempt moves; what it builds on is written first."""
        if (what, row) in self.stage.moved:
            self.flush()
        self.stage.moved.add((what, row))

    def log(self, entry: Entry) -> None:
        """Add an event."""
        self.stage.events.append(entry.values(self.run))

    def update(self, statement: sa.Update, values: Row) -> None:
        """Add an update that must match exactly one row."""
        self.stage.updates.setdefault(statement, []).append(values)

    def insert(self, statement: sa.Insert, values: Row) -> None:
        """Add a row."""
        self.stage.inserts.setdefault(statement, []).append(values)

    def attempt(self, key: str) -> Attempt:
        """Return the attempt with this client_request_id. Raises LedgerConflict if the ledger has none."""
        if key in self.stage.submitted:
            self.flush()
        found = self.attempts.get(key)
        if found is None:
            raise LedgerConflict(f"no attempt {key} in the ledger; nothing was written")
        return found

    def find(self, keys: Sequence[str]) -> None:
        """Read what these attempts' rows need to know."""
        if keys:
            for row in self.connection.execute(sql.FIND_ATTEMPTS, {"keys": keys}):
                self.attempts[row.client_request_id] = Attempt(row.id, row.task_id, row.manifest_id, row.root, row.day)

    def flush(self) -> None:
        """Write the stage: events before the moves that they tell of (a trigger insists), moves before what hangs on them."""
        stage, self.stage = self.stage, Stage()
        self._write_events(stage)
        for update, rows in stage.updates.items():
            self._guarded(update, rows)
        if stage.submitted:
            self._write_attempts(stage)
        for insert, rows in stage.inserts.items():
            self.connection.execute(insert, rows)

    def _write_events(self, stage: Stage) -> None:
        if stage.events:
            self.connection.execute(sql.INSERT_EVENT, stage.events)
            stage.events = []

    def _guarded(self, statement: sa.Update, rows: Sequence[Row]) -> None:
        matched = self.connection.execute(statement, rows).rowcount
        if matched != len(rows):
            some = "; ".join(str(dict(row)) for row in rows[:3])
            raise LedgerConflict(
                f"{len(rows) - matched} of {len(rows)} changes of {statement.table.description} met a row that is not as expected; "
                f"nothing was written. They begin with {some}"
            )

    def _write_attempts(self, stage: Stage) -> None:
        """Insert attempts, and what needs their row numbers: an event and a hold for each."""
        rows = [_attempt_row(record, self.run) for record in stage.submitted.values()]
        self.connection.execute(sql.INSERT_ATTEMPT, rows)
        self.find(sorted(stage.submitted))
        holds: list[Row] = []
        for record in stage.submitted.values():
            attempt = self.attempts[record.key]
            entry = Entry(TaskEvent.SUBMITTED, record.at, attempt.task, attempt.row, after=AttemptState.SUBMITTING)
            stage.events.append(entry.values(self.run))
            holds.append(money_row(attempt, MoneyKind.HOLD, record.hold, record.at))
        self._write_events(stage)
        self.connection.execute(sql.INSERT_MONEY, holds)


def _attempt_row(record: Submitted, run: int | None) -> Row:
    return {
        "task_id": record.row,
        "run_id": run,
        "number": record.number,
        "fingerprint": record.fingerprint,
        "client_request_id": record.key,
        "body": record.body,
        "state": AttemptState.SUBMITTING,
        "submitted_at": record.at,
        "price_key": record.price_key,
        "day": record.day,
    }


def money_row(attempt: Attempt, kind: MoneyKind, amount: Credits, at: Instant) -> Row:
    """Return a money row; manifest, run and day are the attempt's own."""
    return {
        "attempt_id": attempt.row,
        "manifest_id": attempt.manifest,
        "run_root": attempt.root,
        "day": attempt.day,
        "kind": kind,
        "credits": amount,
        "at": at,
    }


def sums(connection: sa.Connection, rows: set[int]) -> Sequence[tuple[int, str, Credits]]:
    """Return attempt, kind of money, credits."""
    if not rows:
        return []
    found = connection.execute(sql.BALANCES, {"rows": sorted(rows)})
    return [(row.attempt_id, row.kind, int(row.credits)) for row in found]
