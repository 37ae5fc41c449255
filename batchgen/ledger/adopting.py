"""The plan becomes tasks: new rows, new specs, tasks due again, tasks that left the manifest.

Actions stream through in chunks, so a million of them need no more memory than a thousand. The ledger's own rows are read
again here: what a plan was made from is compared with what is there, and a row in which nothing differs is not written.
New tasks and mere changes of place write no event; everything else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import sqlalchemy as sa

from batchgen.core.model import Instant, Manifest, Task
from batchgen.core.plan import Action, ActionKind
from batchgen.core.states import TaskEvent, TaskState, advance_task
from batchgen.core.written import Ready, spec_text
from batchgen.errors import LedgerConflict
from batchgen.ledger.columns import Utc
from batchgen.ledger.documents import manifest_text
from batchgen.ledger.journal import Entry
from batchgen.ledger.statements import INSERT_EVENT
from batchgen.ledger.tables import manifests, tasks, walks

CHUNK = 500
"""Actions at a time: one query by ids (SQLite before 3.32 takes 999 parameters) and two executemany."""

ENROLLED = 2_000
"""New tasks in one call of the driver: a megabyte."""

_KEEPS_SPEC = frozenset({ActionKind.DONE, ActionKind.FAILED, ActionKind.BLOCKED})
"""A changed spec is not taken over under these: the task's state was reached with the old one (an attempt in doubt)."""

_SAME = ("position", "line", "spec", "fingerprint", "output", "wanted")

_ROWS = sa.select(*tasks.c["id", "ident", "state", "note", "failures", *_SAME]).where(
    tasks.c.manifest_id == sa.bindparam("of"), tasks.c.ident.in_(sa.bindparam("idents", expanding=True))
)
_ANY = sa.select(sa.exists().where(tasks.c.manifest_id == sa.bindparam("of")))
_FORGET_WALK = sa.delete(walks).where(walks.c.manifest_id == sa.bindparam("of"))
_INSERT = sa.insert(tasks)
_UPDATE = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("row"), tasks.c.state == sa.bindparam("before"))
    .values({name: sa.bindparam(f"new_{name}") for name in (*_SAME, "state", "note", "failures")})
)


@dataclass(frozen=True, slots=True)
class _Adoption:
    """What holds for every action of one call."""

    connection: sa.Connection
    manifest: int
    run: int
    at: Instant


@dataclass(slots=True)
class _Chunk:
    """What one chunk of actions writes."""

    inserts: list[dict[str, object]] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)
    updates: list[dict[str, object]] = field(default_factory=list)


def adopt(connection: sa.Connection, manifest: Manifest, actions: Iterable[Action], *, run: int, at: Instant) -> None:
    """Write a plan, in the caller's transaction. Raises LedgerConflict if the ledger is not what the plan was made from."""
    adoption = _Adoption(connection, _manifest_row(connection, manifest), run, at)
    for some in _chunks(actions):
        _flush(adoption, _decide(adoption, some))


def enroll(connection: sa.Connection, manifest: Manifest, rows: Iterable[Ready], at: Instant) -> None:
    """Write the tasks of a manifest of which the ledger has none, in the caller's transaction: `adopt` with nothing to compare.

    The driver takes the rows as they come: what SQLAlchemy does for each of a million costs as much as what the database does.
    Raises LedgerConflict if there are tasks already.
    """
    row = _manifest_row(connection, manifest)
    if connection.scalar(_ANY, {"of": row}):
        raise LedgerConflict(f"the tasks of {manifest.name} came into the ledger since they were planned; nothing was written, run again")
    added = Utc().process_bind_param(at, connection.dialect)
    tail = (row, TaskState.PENDING.value, True, added)
    values = (
        (ident, fingerprint, f"{head}{prompt}{written}", output, line, position, *tail)
        for position, (ident, head, prompt, written, fingerprint, output, line) in enumerate(rows)
    )
    while some := list(islice(values, ENROLLED)):
        connection.exec_driver_sql(_enrolment(connection.dialect), some)


def _enrolment(dialect: sa.Dialect) -> str:
    """Return the insert of `enroll`, with the driver's own marks for values."""
    columns = ("ident", "fingerprint", "spec", "output", "line", "position", "manifest_id", "state", "wanted", "added_at")
    mark = "?" if dialect.name == "sqlite" else "%s"
    return f"INSERT INTO {tasks.name} ({', '.join(columns)}) VALUES ({', '.join(mark for _ in columns)})"  # noqa: S608 - our own words


def _chunks(actions: Iterable[Action]) -> Iterator[list[Action]]:
    left = iter(actions)
    while some := list(islice(left, CHUNK)):
        yield some


def _manifest_row(connection: sa.Connection, manifest: Manifest) -> int:
    """Return the manifest's row, made or brought up to date."""
    says = {"path": manifest.path, "header": manifest_text(manifest)}
    row = connection.execute(sa.select(manifests).where(manifests.c.name == manifest.name)).mappings().first()
    if row is None:
        inserted = connection.execute(sa.insert(manifests).values(name=manifest.name, **says)).inserted_primary_key
        assert inserted is not None
        return int(inserted[0])
    connection.execute(_FORGET_WALK, {"of": row["id"]})
    if {name: row[name] for name in says} != says:
        connection.execute(sa.update(manifests).where(manifests.c.id == row["id"]).values(says))
    return int(row["id"])


def _decide(adoption: _Adoption, actions: Sequence[Action]) -> _Chunk:
    """Compare the actions with the ledger's rows."""
    idents = [action.known.id if action.task is None and action.known else action.task.id if action.task else "" for action in actions]
    found = adoption.connection.execute(_ROWS, {"of": adoption.manifest, "idents": idents}).mappings()
    rows = {row["ident"]: row for row in found}
    chunk = _Chunk()
    for ident, action in zip(idents, actions, strict=True):
        row = rows.get(ident)
        if (row is None) is not (action.known is None) or (row and action.known and row["state"] != action.known.state):
            raise LedgerConflict(f"task {ident} changed in the ledger since it was planned; nothing was written, run again")
        if row is None and action.task:
            chunk.inserts.append(_new(adoption, action.task, action.fingerprint))
        elif row is not None:
            _compare(adoption, chunk, action, row)
    return chunk


def _new(adoption: _Adoption, task: Task, fingerprint: str) -> dict[str, object]:
    return {
        "manifest_id": adoption.manifest,
        "ident": task.id,
        "position": task.position,
        "line": task.line,
        "state": TaskState.PENDING,
        "fingerprint": fingerprint,
        "spec": spec_text(task.spec),
        "output": task.output,
        "wanted": True,
        "added_at": adoption.at,
    }


def _compare(adoption: _Adoption, chunk: _Chunk, action: Action, row: sa.RowMapping) -> None:
    """Add the update of a known task, if anything differs, and the event that says why."""
    values = {name: row[name] for name in (*_SAME, "state", "note", "failures")}
    values |= _wishes(action, row)
    entry: Entry | None = None
    if action.renews:
        before = TaskState(row["state"])
        after = advance_task(before, TaskEvent.RENEWED)
        values |= {"state": after, "note": "", "failures": 0}
        entry = Entry(TaskEvent.RENEWED, adoption.at, row["id"], before=before, after=after, detail=action.reason)
    elif values["fingerprint"] != row["fingerprint"]:
        values["failures"] = 0
        entry = Entry("changed", adoption.at, row["id"], detail=action.reason)
    elif values["wanted"] != row["wanted"]:
        entry = Entry("returned_to_manifest" if values["wanted"] else "removed", adoption.at, row["id"], detail=action.reason)
    if entry:
        chunk.events.append(entry)
    if entry or any(values[name] != row[name] for name in _SAME):
        chunk.updates.append({"row": row["id"], "before": row["state"], **{f"new_{name}": value for name, value in values.items()}})


def _wishes(action: Action, row: sa.RowMapping) -> dict[str, object]:
    """Return what the manifest wants of a known task's columns."""
    task = action.task
    if task is None:
        return {"wanted": False}
    wishes: dict[str, object] = {"position": task.position, "line": task.line, "output": task.output, "wanted": True}
    if action.kind not in _KEEPS_SPEC or action.fingerprint == row["fingerprint"]:
        # with the same fingerprint too: a reference's file may have moved
        wishes |= {"spec": spec_text(task.spec), "fingerprint": action.fingerprint}
    return wishes


def _flush(adoption: _Adoption, chunk: _Chunk) -> None:
    """Write a chunk: events first, as the triggers want it. A task is in it only once, so all events may go first."""
    connection = adoption.connection
    if chunk.inserts:
        connection.execute(_INSERT, chunk.inserts)
    if chunk.events:
        connection.execute(INSERT_EVENT, [entry.values(adoption.run) for entry in chunk.events])
    if chunk.updates and connection.execute(_UPDATE, chunk.updates).rowcount != len(chunk.updates):
        raise LedgerConflict("tasks moved while a plan was written; nothing was written, run again")
