"""What the ledger keeps of a manifest that did not change: enough to plan it without reading the manifest again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import sqlalchemy as sa

from batchgen.core.glob import matches
from batchgen.core.model import KnownTask, Manifest, Task
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.written import Frames, Ready, Walk, parted
from batchgen.ledger.documents import manifest_from, walk_from, walk_text
from batchgen.ledger.starting import unindexed
from batchgen.ledger.tables import DUE, LIVE_ATTEMPT, attempts, manifests, tasks, walks

PAGE = 2_000
"""Rows of one query; a megabyte."""

_OF = sa.select(manifests.c.id).where(manifests.c.name == sa.bindparam("manifest")).scalar_subquery()
_WALK = sa.select(walks, manifests.c.name, manifests.c.header).join(manifests, manifests.c.id == walks.c.manifest_id)
_FORGET = sa.delete(walks).where(walks.c.manifest_id == _OF)
_INSERT = sa.insert(walks)
_STATES = sa.select(tasks.c.state, sa.func.count()).where(tasks.c.manifest_id == _OF, tasks.c.wanted).group_by(tasks.c.state)
_IN_DOUBT = (
    sa.select(sa.func.count())
    .select_from(attempts)
    .join(tasks, tasks.c.id == unindexed(attempts.c.task_id))
    .where(
        LIVE_ATTEMPT,
        attempts.c.state == AttemptState.IN_DOUBT,
        unindexed(tasks.c.manifest_id) == _OF,
        tasks.c.state.in_(sa.bindparam("states", expanding=True)),
    )
)
_IDENTS = sa.select(tasks.c.ident).where(tasks.c.manifest_id == _OF, tasks.c.wanted == sa.true(), tasks.c.state == sa.bindparam("state"))
_DUE_TASKS = (
    sa.select().where(DUE, tasks.c.manifest_id == _OF, tasks.c.position > sa.bindparam("after")).order_by(tasks.c.position).limit(PAGE)
)
_WAITING = _DUE_TASKS.add_columns(*tasks.c["ident", "spec", "fingerprint", "output", "line", "position"])
_EMPTY: sa.ColumnElement[str] = sa.literal_column("''")
_WAITING_ON = _DUE_TASKS.add_columns(*tasks.c["ident", "spec"], _EMPTY, _EMPTY, sa.literal_column("0"), tasks.c.position)
_PAIRS = (
    sa.select(*tasks.c["id", "ident", "state", "fingerprint", "spec", "output", "line", "position"], attempts.c.state.label("live"))
    .select_from(tasks)
    .outerjoin(attempts, sa.and_(attempts.c.task_id == tasks.c.id, LIVE_ATTEMPT))
    .where(tasks.c.manifest_id == _OF, tasks.c.wanted == sa.true())
)
_KEPT = _PAIRS.where(tasks.c.state == sa.bindparam("state"), tasks.c.id > sa.bindparam("after")).order_by(tasks.c.id).limit(PAGE)
_ALL = _PAIRS.order_by(tasks.c.position)
_LEFT = _ALL.where(tasks.c.state.in_(sa.bindparam("states", expanding=True)))

_COMPARED = (
    sa.select(*tasks.c["ident", "state", "fingerprint", "output", "position", "wanted", "spec", "line"], attempts.c.state.label("live"))
    .select_from(tasks)
    .outerjoin(attempts, sa.and_(attempts.c.task_id == tasks.c.id, LIVE_ATTEMPT))
    .where(tasks.c.manifest_id == _OF, tasks.c.ident.in_(sa.bindparam("ids", expanding=True)))
)
AT_ONCE = 500
"""Ids of one query: SQLite before 3.32 takes 999 parameters."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A task as the ledger has it; `same` if the manifest wants every column of it as it is."""

    known: KnownTask
    same: bool


Connect = Callable[[], AbstractContextManager[sa.Connection]]


def walk(connection: sa.Connection, path: str) -> tuple[Manifest, Walk] | None:
    """Return the manifest whose tasks were last taken from this path, and what it was recognised by."""
    row = connection.execute(_WALK.where(walks.c.path == path)).mappings().first()
    if row is None:
        return None
    found = walk_from(path, row["digest"], row["read"])
    return manifest_from(row["name"], "", row["header"]), found


def remember(connection: sa.Connection, manifest: str, found: Walk) -> None:
    """Keep what a manifest may be recognised by. Only if its tasks here are those that it had then."""
    connection.execute(_FORGET, {"manifest": manifest})
    row = connection.scalar(sa.select(manifests.c.id).where(manifests.c.name == manifest))
    connection.execute(_INSERT, {"manifest_id": row, "path": found.path, "digest": found.digest, "read": walk_text(found)})


def states(connection: sa.Connection, manifest: str) -> Mapping[TaskState, int]:
    """Count the wanted tasks by state."""
    return {TaskState(state): count for state, count in connection.execute(_STATES, {"manifest": manifest})}


def in_doubt(connection: sa.Connection, manifest: str, states: Sequence[TaskState]) -> int:
    """Count the attempts in doubt of tasks in these states."""
    return connection.scalar(_IN_DOUBT, {"manifest": manifest, "states": states}) or 0


def named(connection: sa.Connection, manifest: str, state: TaskState, only: str) -> int:
    """Count the wanted tasks in a state whose id a glob matches."""
    with connection.execution_options(yield_per=PAGE).execute(_IDENTS, {"manifest": manifest, "state": state}) as rows:
        return sum(matches(ident, only) for (ident,) in rows)


def waiting(connect: Connect, manifest: str) -> Iterator[list[Ready]]:
    """Yield the wanted pending tasks in their order, as the manifest wrote them, page by page.

    For a plan, which names the first few and counts the rest: after the first page fingerprint, output and line are left empty.
    """
    after, query = -1, _WAITING
    while True:
        with connect() as connection:
            page = connection.execute(query, {"manifest": manifest, "after": after}).all()
        if page:
            yield [(ident, *parted(spec), fingerprint, output, line) for ident, spec, fingerprint, output, line, _ in page]
        if len(page) < PAGE:
            return
        after, query = page[-1].position, _WAITING_ON


def kept(connect: Connect, manifest: str, wanted: Sequence[TaskState], only: str) -> Iterator[tuple[Task, KnownTask]]:
    """Yield the wanted tasks in these states that a glob matches, state by state, as the manifest and as the ledger has them."""
    frames = Frames()
    for state in wanted:
        after, full = 0, True
        while full:
            with connect() as connection:
                page = connection.execute(_KEPT, {"manifest": manifest, "state": state, "after": after}).mappings().all()
            yield from (_pair(row, manifest, frames) for row in page if matches(row["ident"], only))
            full = len(page) == PAGE
            after = page[-1]["id"] if page else after


def compared(connection: sa.Connection, manifest: str, chunk: Sequence[Ready], first: int) -> Mapping[str, Compared]:
    """Compare tasks of a manifest, of which the first has the position `first`, with what the ledger has of them; by their ids."""
    found: dict[str, Compared] = {}
    for start in range(0, len(chunk), AT_ONCE):
        part = chunk[start : start + AT_ONCE]
        rows = {row[0]: row for row in connection.execute(_COMPARED, {"manifest": manifest, "ids": [ready[0] for ready in part]})}
        for position, (ident, head, prompt, tail, fingerprint, output, line) in enumerate(part, first + start):
            row = rows.get(ident)
            if row is not None:
                _, state, *has, spec, at, live = row
                same = (*has, at) == (fingerprint, output, position, True, line) and spec == f"{head}{prompt}{tail}"
                known = KnownTask(ident, TaskState(state), has[0], AttemptState(live) if live else None, has[1], has[2], has[3])
                found[ident] = Compared(known, same)
    return found


def in_order(connect: Connect, manifest: str) -> Iterator[tuple[Task, KnownTask]]:
    """Yield all wanted tasks in their order. The database sorts them, on disk if they are many."""
    frames = Frames()
    with connect() as connection, connection.execution_options(yield_per=PAGE).execute(_ALL, {"manifest": manifest}) as rows:
        for row in rows.mappings():
            yield _pair(row, manifest, frames)


def left(connect: Connect, manifest: str, states: Sequence[TaskState]) -> Iterator[list[tuple[Ready, Compared]]]:
    """Yield the wanted tasks in these states in their order, page by page. The database sorts them, on disk if they are many."""
    given = {"manifest": manifest, "states": states}
    with connect() as connection, connection.execution_options(yield_per=PAGE).execute(_LEFT, given) as rows:
        for page in rows.mappings().partitions():
            yield [(_ready(row), Compared(_known(row), same=True)) for row in page]


def _ready(row: sa.RowMapping) -> Ready:
    return (row["ident"], *parted(row["spec"]), row["fingerprint"], row["output"], row["line"])


def _known(row: sa.RowMapping) -> KnownTask:
    live = AttemptState(row["live"]) if row["live"] else None
    return KnownTask(row["ident"], TaskState(row["state"]), row["fingerprint"], live, row["output"], row["position"], wanted=True)


def _pair(row: sa.RowMapping, manifest: str, frames: Frames) -> tuple[Task, KnownTask]:
    task = Task(manifest, row["ident"], frames.spec(*parted(row["spec"])), row["output"], row["position"], row["line"])
    return task, _known(row)
