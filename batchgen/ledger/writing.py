"""A step's records become rows, inside one transaction that the store opens.

Every move is checked against `core.states` first, then its event is written, then a guarded update that names the state
it expects; an update that matches no row raises and the transaction is rolled back.
Nothing is written row by row: `staging` gathers rows and writes them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from batchgen.core.looks import RENDER_TIMES
from batchgen.core.messages import (
    AttemptMoved,
    Controlled,
    MoneyKind,
    MoneyMoved,
    Noted,
    OutputLost,
    OutputSaved,
    Record,
    Submitted,
    TaskMoved,
    UploadForgotten,
    UploadStored,
)
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
from batchgen.ledger import steering
from batchgen.ledger.documents import fault_values, urls_text
from batchgen.ledger.journal import Entry
from batchgen.ledger.staging import Commit, money_row, sums

SLOW_DOWN = "slow_down"
"""The Noted event whose detail is the instant before which no request may start."""

_ACCEPTED = frozenset({AttemptEvent.ACCEPTED, AttemptEvent.FOUND_ACCEPTED})
_DUE_AFRESH = frozenset({TaskEvent.RENEWED, TaskEvent.SUPERSEDED})


def write(connection: sa.Connection, run: int | None, records: Sequence[Record]) -> None:
    """Write records in their order. Raises LedgerConflict or IllegalMove; the caller then rolls back."""
    for record in records:
        _check_move(record)
    commit = Commit(connection, run)
    _look_up(commit, records)
    for record in records:
        _write_one(commit, record)
    commit.flush()
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


def _look_up(commit: Commit, records: Sequence[Record]) -> None:
    """Read, in a few queries, what the records' rows need to know; refuse keys and settlements that are there already."""
    new = {record.key: record for record in records if isinstance(record, Submitted)}
    about = AttemptMoved | MoneyMoved | OutputSaved | OutputLost | Noted
    named = {record.key for record in records if isinstance(record, about) and record.key}
    commit.find(sorted(named | new.keys()))
    for key in new.keys() & commit.attempts.keys():
        same = commit.connection.scalar(sql.BODY, {"row": commit.attempts[key].row}) == new[key].body
        raise LedgerConflict(
            f"the client_request_id {key} was used before, with {'the same' if same else 'another'} body; nothing was written"
        )
    moving = [r for r in records if isinstance(r, MoneyMoved) and r.kind is not MoneyKind.REFUND]
    paid = {commit.attempts[r.key].row for r in moving if r.key in commit.attempts}
    if any(kind != MoneyKind.HOLD for _, kind, _ in sums(commit.connection, paid)):
        raise LedgerConflict("the credits of an attempt were settled before; nothing was written")
    saving = {commit.attempts[r.key].row for r in records if isinstance(r, OutputSaved) and r.key in commit.attempts}
    if saving:
        commit.saved.update(commit.connection.execute(sql.SAVED, {"rows": sorted(saving)}))


def _check_closed(commit: Commit) -> None:
    """A closed hold is closed whole: holds = captures + releases."""
    rest = dict.fromkeys(commit.closed, 0)
    for attempt, kind, amount in sums(commit.connection, commit.closed):
        rest[attempt] += {MoneyKind.HOLD: amount, MoneyKind.REFUND: 0}.get(MoneyKind(kind), -amount)
    for attempt, credits in rest.items():
        if credits:
            raise LedgerConflict(
                f"the holds of attempt row {attempt} differ by {credits} credits from its captures and releases; nothing was written"
            )


# ---------------------------------------------------------------- one function per kind of record


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
        case OutputLost():
            _output_lost(commit, record)
        case _:
            _remembered(commit, record)


def _remembered(commit: Commit, record: Noted | Controlled) -> None:
    if isinstance(record, Noted):
        _noted(commit, record)
    else:
        commit.log(Entry(f"control_{record.control.kind}", record.at, detail=str(record.control)))
        steering.obey(commit.connection, commit.run, record)


def _submitted(commit: Commit, record: Submitted) -> None:
    commit.moves("task", record.row)
    commit.log(Entry(TaskEvent.SUBMITTED, record.at, record.row, before=TaskState.PENDING, after=TaskState.RENDERING))
    commit.update(sql.SUBMIT_TASK, {"row": record.row, "had": record.number - 1, "bought": record.fingerprint})
    if record.key in commit.stage.submitted:
        raise LedgerConflict(f"two attempts with the client_request_id {record.key}; nothing was written")
    commit.stage.submitted[record.key] = record


def _attempt_moved(commit: Commit, record: AttemptMoved) -> None:
    attempt = commit.attempt(record.key)
    commit.moves("attempt", attempt.row)
    # The row may get another id later, so the log keeps what a person said.
    said = record.task_id or "" if record.event is AttemptEvent.FOUND_ACCEPTED else ""
    commit.log(Entry(record.event, record.at, attempt.task, attempt.row, record.before, record.after, said, record.fault))
    ended = not ATTEMPT_MOVES[record.after] and record.after is not AttemptState.IN_DOUBT
    commit.update(
        sql.MOVE_ATTEMPT,
        {
            "row": attempt.row,
            "before": record.before,
            "after": record.after,
            "new_submitted_at": record.submitted_at,
            "new_accepted_at": record.at if record.event in _ACCEPTED else None,
            "new_ended_at": record.at if ended else None,
            "new_api_task_id": record.task_id or None,
            "new_reserved": record.reserved,
            "new_final": record.final,
            "new_urls": urls_text(record.urls),
            "more_lost": int(record.lost),
            **{f"new_{name}": value for name, value in fault_values(record.fault).items()},
        },
    )
    if record.event is AttemptEvent.FAILED:  # a refusal is no failure of a render: it costs none of the task's retries
        commit.update(sql.COUNT_FAILURE, {"row": attempt.task, "attempt": attempt.row})


def _task_moved(commit: Commit, record: TaskMoved) -> None:
    commit.moves("task", record.row)
    commit.log(Entry(record.event, record.at, record.row, before=record.before, after=record.after, detail=record.note))
    commit.update(
        sql.MOVE_TASK,
        {
            "row": record.row,
            "before": record.before,
            "after": record.after,
            "new_note": record.note,
            "keep_failures": int(record.event not in _DUE_AFRESH),
        },
    )


def _money_moved(commit: Commit, record: MoneyMoved) -> None:
    attempt = commit.attempt(record.key)
    commit.insert(sql.INSERT_MONEY, money_row(attempt, record.kind, record.credits, record.at))
    if record.kind in {MoneyKind.CAPTURE, MoneyKind.RELEASE}:
        commit.closed.add(attempt.row)


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
        commit.update(sql.RENAME_OUTPUT, {"before": record.displaced.before, "after": record.displaced.after})
    commit.log(Entry("output_saved", record.at, attempt.task, attempt.row, detail=output.path))
    values = {
        "run_id": commit.run,
        "path": output.path,
        "sha256": output.sha256,
        "size": output.size,
        "mime": output.mime,
        "saved_at": record.at,
    }
    place = (attempt.row, output.index)
    if place in commit.saved:  # a file that was lost and fetched again
        commit.flush()  # its update must not go before a rename that makes room for its path
        commit.update(sql.REPLACE_OUTPUT, {f"new_{name}": value for name, value in values.items()} | {"of": place[0], "index": place[1]})
    else:
        commit.insert(sql.INSERT_OUTPUT, {**values, "attempt_id": place[0], "nth": place[1]})
    commit.saved.add(place)


def _output_lost(commit: Commit, record: OutputLost) -> None:
    """Mark the row. It is not deleted: what stands at its path is ours to set aside."""
    attempt = commit.attempt(record.key)
    commit.log(Entry("output_lost", record.at, attempt.task, attempt.row, detail=f"{record.path}: {record.why}"))
    found = commit.connection.execute(sql.LOSE_OUTPUT, {"of": attempt.row, "index": record.index, "was_at": record.path, "lost": record.at})
    if found.rowcount != 1:
        raise LedgerConflict(f"the ledger has no output {record.path} with the number {record.index} of {record.key}; nothing was written")


def _noted(commit: Commit, record: Noted) -> None:
    if record.event == RENDER_TIMES:  # no event of any task: only the newest is worth keeping
        commit.connection.execute(sql.FORGET_META, {"name": sql.RENDER_TIMES})
        commit.connection.execute(sql.INSERT_META, {"key": sql.RENDER_TIMES, "value": record.detail})
        return
    attempt = commit.attempt(record.key) if record.key else None
    task = attempt.task if attempt else record.row
    commit.log(Entry(record.event, record.at, task, attempt.row if attempt else None, detail=record.detail, fault=record.fault))
    if record.event == SLOW_DOWN:
        until = str(float(record.detail))
        commit.connection.execute(sql.FORGET_META, {"name": sql.NOT_BEFORE})
        commit.connection.execute(sql.INSERT_META, {"key": sql.NOT_BEFORE, "value": until})
