"""A step's records become rows, inside one transaction that the store opens.

Every move is checked against `core.states` first, then its event is written, then a guarded update that names the state
it expects; an update that matches no row raises and the transaction is rolled back. Statements are built once: SQLAlchemy
keeps their compiled form, so a commit of sixty records is a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from batchgen.core.messages import (
    AttemptMoved,
    MoneyKind,
    MoneyMoved,
    Noted,
    OutputSaved,
    Record,
    Submitted,
    TaskMoved,
    UploadForgotten,
    UploadStored,
)
from batchgen.core.model import Credits, Instant
from batchgen.core.states import (
    ATTEMPT_MOVES,
    AttemptEvent,
    AttemptState,
    TaskEvent,
    TaskState,
    advance_attempt,
    advance_task,
)
from batchgen.errors import LedgerConflict
from batchgen.ledger import statements as sql
from batchgen.ledger.documents import fault_values, urls_text
from batchgen.ledger.journal import Entry
from batchgen.ledger.tables import attempts

SLOW_DOWN = "slow_down"
"""The Noted event whose detail is such an instant."""


_FAILURES = frozenset({AttemptEvent.FAILED, AttemptEvent.REFUSED})
_DUE_AFRESH = frozenset({TaskEvent.RENEWED, TaskEvent.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What other rows need to know of an attempt."""

    row: int
    task: int
    manifest: int
    root: int
    day: str


@dataclass(slots=True)
class Commit:
    """One transaction's writing."""

    connection: sa.Connection
    run: int
    attempts: dict[str, _Attempt] = field(default_factory=dict)  # by key
    manifests: dict[int, int] = field(default_factory=dict)  # of tasks about to be submitted
    root: int = 0
    closed: set[int] = field(default_factory=set)  # attempts whose hold is closed here

    def log(self, entry: Entry) -> None:
        """Write an event."""
        self.connection.execute(sql.INSERT_EVENT, entry.values(self.run))

    def guarded(self, statement: sa.Update, values: Mapping[str, object], what: str) -> None:
        """Execute an update that must match exactly one row. Raises LedgerConflict."""
        if self.connection.execute(statement, values).rowcount != 1:
            raise LedgerConflict(f"{what}: the ledger's row is not as expected, nothing was written")

    def attempt(self, key: str) -> _Attempt:
        """Return the attempt with this client_request_id. Raises LedgerConflict if the ledger has none."""
        found = self.attempts.get(key)
        if found is None:
            raise LedgerConflict(f"no attempt {key} in the ledger, nothing was written")
        return found


def write(connection: sa.Connection, run: int, records: Sequence[Record]) -> None:
    """Write records in their order. Raises LedgerConflict or IllegalMove; the caller then rolls back."""
    for record in records:
        _check_move(record)
    commit = Commit(connection, run)
    _look_up(commit, records)
    for record in records:
        _write_one(commit, record)
    _check_closed(commit)


def _check_move(record: Record) -> None:
    """A move must be one of the tables in `core.states`."""
    match record:
        case AttemptMoved(before=before, event=event, after=after):
            right: str = advance_attempt(before, event)
        case TaskMoved(before=before_task, event=task_event, after=after):
            right = advance_task(before_task, task_event)
        case _:
            return
    if right != after:
        raise LedgerConflict(f"a move that is not in the tables: {record.before} by {record.event} gives {right}, not {after}")


def _write_one(commit: Commit, record: Record) -> None:
    match record:
        case Submitted():
            _submitted(commit, record)
        case AttemptMoved():
            _attempt_moved(commit, record)
        case TaskMoved():
            _task_moved(commit, record)
        case MoneyMoved():
            _money_moved(commit, record)
        case UploadStored():
            _upload_stored(commit, record)
        case UploadForgotten():
            _upload_forgotten(commit, record)
        case OutputSaved():
            _output_saved(commit, record)
        case Noted():
            _noted(commit, record)


def _look_up(commit: Commit, records: Sequence[Record]) -> None:
    """Read, in at most four queries, what the records' rows need to know."""
    keys = {record.key for record in records if isinstance(record, AttemptMoved | MoneyMoved | OutputSaved | Noted) and record.key}
    if keys:
        for row in commit.connection.execute(sql.FIND_ATTEMPTS, {"keys": sorted(keys)}):
            commit.attempts[row.client_request_id] = _Attempt(row.id, row.task_id, row.manifest_id, row.root, row.day)
    buys = sorted({record.row for record in records if isinstance(record, Submitted)})
    if buys:
        commit.manifests = dict(commit.connection.execute(sql.FIND_TASKS, {"rows": buys}).tuples().all())
        commit.root = int(commit.connection.scalar(sql.ROOT, {"run": commit.run}) or 0)
    paid = {commit.attempts[r.key].row for r in records if isinstance(r, MoneyMoved) and r.key in commit.attempts}
    for _, kind, _ in _sums(commit.connection, paid):
        if kind != MoneyKind.HOLD:
            raise LedgerConflict("the credits of an attempt were settled before, nothing was written")


def _sums(connection: sa.Connection, rows: set[int]) -> Sequence[tuple[int, str, Credits]]:
    if not rows:
        return []
    found = connection.execute(sql.BALANCES, {"rows": sorted(rows)})
    return [(row.attempt_id, row.kind, int(row.credits)) for row in found]


def _check_closed(commit: Commit) -> None:
    """A closed hold is closed whole: holds = captures + releases."""
    open_credits = dict.fromkeys(commit.closed, 0)
    for attempt, kind, amount in _sums(commit.connection, commit.closed):
        open_credits[attempt] += amount if kind == MoneyKind.HOLD else -amount
    for attempt, rest in open_credits.items():
        if rest:
            raise LedgerConflict(f"the holds of attempt {attempt} differ by {rest} credits from what is captured and released")


# ---------------------------------------------------------------- one writer per kind of record


def _submitted(commit: Commit, record: Submitted) -> None:
    manifest = commit.manifests.get(record.row)
    if manifest is None:
        raise LedgerConflict(f"no task {record.row} in the ledger, nothing was written")
    _check_key(commit, record)
    at = record.at
    commit.log(Entry(TaskEvent.SUBMITTED, at, record.row, before=TaskState.PENDING, after=TaskState.RENDERING))
    wanted = {"row": record.row, "had": record.number - 1, "wanted_fingerprint": record.fingerprint}
    commit.guarded(sql.SUBMIT_TASK, wanted, f"attempt {record.number} at task {record.row}")
    inserted = commit.connection.execute(
        sql.INSERT_ATTEMPT,
        {
            "task_id": record.row,
            "run_id": commit.run,
            "number": record.number,
            "fingerprint": record.fingerprint,
            "client_request_id": record.key,
            "body": record.body,
            "state": AttemptState.SUBMITTING,
            "submitted_at": at,
            "price_key": record.price_key,
            "day": record.day,
        },
    ).inserted_primary_key
    assert inserted is not None
    attempt = _Attempt(inserted[0], record.row, manifest, commit.root, record.day)
    commit.attempts[record.key] = attempt
    commit.log(Entry(TaskEvent.SUBMITTED, at, record.row, attempt.row, after=AttemptState.SUBMITTING))
    _pay(commit, attempt, MoneyKind.HOLD, record.hold, at)


def _check_key(commit: Commit, record: Submitted) -> None:
    """The unique constraint refuses a repeated key anyway; this says whether it was about to buy something else with it."""
    found = commit.connection.scalar(sa.select(attempts.c.body).where(attempts.c.client_request_id == record.key))
    if found is not None:
        same = "the same" if found == record.body else "another"
        raise LedgerConflict(f"the client_request_id {record.key} was used before, with {same} body; nothing was written")


def _attempt_moved(commit: Commit, record: AttemptMoved) -> None:
    attempt = commit.attempt(record.key)
    commit.log(Entry(record.event, record.at, attempt.task, attempt.row, before=record.before, after=record.after, fault=record.fault))
    ended = not ATTEMPT_MOVES[record.after] and record.after is not AttemptState.IN_DOUBT
    commit.guarded(
        sql.MOVE_ATTEMPT,
        {
            "row": attempt.row,
            "before": record.before,
            "after": record.after,
            "new_accepted_at": record.at if record.event is AttemptEvent.ACCEPTED else None,
            "new_ended_at": record.at if ended else None,
            "new_api_task_id": record.task_id or None,
            "new_reserved": record.reserved,
            "new_final": record.final,
            "new_urls": urls_text(record.urls),
            "more_lost": int(record.lost),
            **{f"new_{name}": value for name, value in fault_values(record.fault).items()},
        },
        f"attempt {record.key} from {record.before} to {record.after}",
    )
    if record.event in _FAILURES:
        commit.guarded(sql.COUNT_FAILURE, {"row": attempt.task}, f"task {attempt.task}")


def _task_moved(commit: Commit, record: TaskMoved) -> None:
    commit.log(Entry(record.event, record.at, record.row, before=record.before, after=record.after, detail=record.note))
    values = {
        "row": record.row,
        "before": record.before,
        "after": record.after,
        "new_note": record.note,
        "keep_failures": int(record.event not in _DUE_AFRESH),
    }
    commit.guarded(sql.MOVE_TASK, values, f"task {record.row} from {record.before} to {record.after}")


def _money_moved(commit: Commit, record: MoneyMoved) -> None:
    attempt = commit.attempt(record.key)
    _pay(commit, attempt, record.kind, record.credits, record.at)
    if record.kind is not MoneyKind.HOLD:
        commit.closed.add(attempt.row)


def _pay(commit: Commit, attempt: _Attempt, kind: MoneyKind, amount: Credits, at: Instant) -> None:
    row = {
        "attempt_id": attempt.row,
        "manifest_id": attempt.manifest,
        "run_root": attempt.root,
        "day": attempt.day,
        "kind": kind,
        "credits": amount,
        "at": at,
    }
    commit.connection.execute(sql.INSERT_MONEY, row)


def _upload_stored(commit: Commit, record: UploadStored) -> None:
    upload = record.upload
    commit.log(Entry("upload_stored", record.at, detail=upload.sha256))
    commit.connection.execute(sql.FORGET_UPLOAD, {"content": upload.sha256})
    row = {
        "sha256": upload.sha256,
        "url": upload.url,
        "file_id": upload.file_id,
        "duration_token": upload.duration_token,
        "uploaded_at": upload.uploaded_at or record.at,
    }
    commit.connection.execute(sql.INSERT_UPLOAD, row)


def _upload_forgotten(commit: Commit, record: UploadForgotten) -> None:
    commit.log(Entry("upload_forgotten", record.at, detail=record.sha256))
    commit.connection.execute(sql.FORGET_UPLOAD, {"content": record.sha256})


def _output_saved(commit: Commit, record: OutputSaved) -> None:
    attempt, output = commit.attempt(record.key), record.output
    if record.displaced:
        moved = {"before": record.displaced.before, "after": record.displaced.after}
        commit.guarded(sql.RENAME_OUTPUT, moved, f"the output {record.displaced.before}, renamed")
    commit.log(Entry("output_saved", record.at, attempt.task, attempt.row, detail=output.path))
    values = {
        "run_id": commit.run,
        "path": output.path,
        "sha256": output.sha256,
        "size": output.size,
        "mime": output.mime,
        "saved_at": record.at,
    }
    again = {f"new_{name}": value for name, value in values.items()} | {"of": attempt.row, "index": output.index}
    if not commit.connection.execute(sql.REPLACE_OUTPUT, again).rowcount:  # a file that was lost and fetched again has its row already
        commit.connection.execute(sql.INSERT_OUTPUT, {**values, "attempt_id": attempt.row, "nth": output.index})


def _noted(commit: Commit, record: Noted) -> None:
    attempt = commit.attempt(record.key) if record.key else None
    task = attempt.task if attempt else record.row
    entry = Entry(record.event, record.at, task, attempt.row if attempt else None, detail=record.detail, fault=record.fault)
    commit.log(entry)
    if record.event == SLOW_DOWN:
        until = str(float(record.detail))
        commit.connection.execute(sql.FORGET_META, {"name": sql.NOT_BEFORE})
        commit.connection.execute(sql.INSERT_META, {"key": sql.NOT_BEFORE, "value": until})
