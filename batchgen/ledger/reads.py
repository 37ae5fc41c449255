"""What people ask: runs, manifests, money, tasks with their latest attempt, one task's whole history. Each is a query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from batchgen.core.facts import AttemptFacts, EventFacts, ManifestFacts, MoneyFacts, RunFacts, TaskFacts, TaskHistory, TaskQuery
from batchgen.core.glob import matches
from batchgen.core.messages import MoneyKind
from batchgen.core.model import Output
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.written import spec_from
from batchgen.ledger import sums, tables
from batchgen.ledger.documents import asked_from, fault_from, stops_from
from batchgen.ledger.tables import attempts, events, outputs, quoted

PAGE = 500
"""Tasks whose attempts, outputs and credits are looked up together."""

_MONEY = tables.money.c


def _sum(*kinds: MoneyKind) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((_MONEY.kind.in_(sa.literal_column(quoted([k])) for k in kinds), _MONEY.credits), else_=0))


HELD = _sum(MoneyKind.HOLD) - _sum(MoneyKind.CAPTURE, MoneyKind.RELEASE)
CAPTURED = _sum(MoneyKind.CAPTURE) - _sum(MoneyKind.REFUND)
RELEASED = _sum(MoneyKind.RELEASE)


# ---------------------------------------------------------------- runs, manifests, money


def runs(connection: sa.Connection, limit: int) -> tuple[RunFacts, ...]:
    """Return the newest runs, newest first."""
    query = sa.select(tables.runs).order_by(tables.runs.c.id.desc()).limit(limit)
    return tuple(
        RunFacts(
            id=row.id,
            root=row.root,
            asked=asked_from(row.asked),
            started_at=row.started_at,
            ended_at=row.ended_at,
            exit_code=row.exit_code,
            reason=row.reason,
            pid=row.pid,
            host=row.host,
            adopted=row.adopted,
            stops=stops_from(row.stops),
        )
        for row in connection.execute(query)
    )


def accounts(connection: sa.Connection, today: str) -> tuple[tuple[ManifestFacts, ...], MoneyFacts]:
    """Return every manifest, and the credits of the whole ledger: the book is gone through once for both."""
    moves = sums.by_day(connection)
    return _manifests(connection, moves), _money(moves, today)


def manifests(connection: sa.Connection) -> tuple[ManifestFacts, ...]:
    """Return every manifest with its counts and credits, by name."""
    return _manifests(connection, sums.by_day(connection))


def _manifests(connection: sa.Connection, moves: sums.Moves) -> tuple[ManifestFacts, ...]:
    tasks = tables.tasks.c
    counts: defaultdict[int, dict[TaskState, int]] = defaultdict(dict)
    removed: defaultdict[int, int] = defaultdict(int)
    by_state = sa.select(tasks.manifest_id, tasks.wanted, tasks.state, sa.func.count()).group_by(
        tasks.manifest_id, tasks.wanted, tasks.state
    )
    for manifest, wanted, state, count in connection.execute(by_state):
        if wanted:
            counts[manifest][TaskState(state)] = count
        else:
            removed[manifest] += count
    credits = {manifest: (part.captured, part.held) for manifest, part in moves.by_manifest().items()}
    rows = connection.execute(sa.select(tables.manifests).order_by(tables.manifests.c.name))
    return tuple(ManifestFacts(row.name, row.path, counts[row.id], removed[row.id], *credits.get(row.id, (0, 0))) for row in rows)


def money(connection: sa.Connection, today: str) -> MoneyFacts:
    """Return the credits of the whole ledger."""
    return _money(sums.by_day(connection), today)


def _money(moves: sums.Moves, today: str) -> MoneyFacts:
    day, month = moves.of(lambda one: one.day == today), moves.of(lambda one: one.day[:7] == today[:7])
    return MoneyFacts(moves.captured, moves.held, day.captured, day.held, month.captured, month.held)


# ---------------------------------------------------------------- attempts

_ATTEMPTS = sa.select(attempts).order_by(attempts.c.task_id, attempts.c.number)
_CREDITS = sa.select(_MONEY.attempt_id, HELD.label("held"), CAPTURED.label("captured"), RELEASED.label("released")).group_by(
    _MONEY.attempt_id
)


def _attempts(connection: sa.Connection, rows: Sequence[int]) -> Mapping[int, Sequence[AttemptFacts]]:
    """Return all attempts of these tasks (a page of them), by task, in their order."""
    if not rows:
        return {}
    found = connection.execute(_ATTEMPTS.where(attempts.c.task_id.in_(rows))).mappings().all()
    mine = sa.select(attempts.c.id).where(attempts.c.task_id.in_(rows))
    credits = {row["attempt_id"]: row for row in connection.execute(_CREDITS.where(_MONEY.attempt_id.in_(mine))).mappings()}
    files: defaultdict[int, list[Output]] = defaultdict(list)
    whole = sa.select(outputs).where(outputs.c.attempt_id.in_(mine), outputs.c.lost_at.is_(None))
    for row in connection.execute(whole.order_by(outputs.c.nth)):
        files[row.attempt_id].append(Output(row.nth, row.path, row.sha256, row.size, row.mime))
    by_task: defaultdict[int, list[AttemptFacts]] = defaultdict(list)
    for attempt in found:
        by_task[attempt["task_id"]].append(_attempt(attempt, credits.get(attempt["id"]), tuple(files[attempt["id"]])))
    return by_task


def _attempt(row: sa.RowMapping, credits: sa.RowMapping | None, files: tuple[Output, ...]) -> AttemptFacts:
    return AttemptFacts(
        number=row["number"],
        key=row["client_request_id"],
        state=AttemptState(row["state"]),
        fingerprint=row["fingerprint"],
        run=row["run_id"],
        submitted_at=row["submitted_at"],
        accepted_at=row["accepted_at"],
        ended_at=row["ended_at"],
        task_id=row["api_task_id"] or "",
        held=int(credits["held"]) if credits else 0,
        captured=int(credits["captured"]) if credits else 0,
        released=int(credits["released"]) if credits else 0,
        reserved=row["reserved"],
        final=row["final"],
        lost=row["lost"],
        fault=fault_from(row),
        outputs=files,
        body=bytes(row["body"]),
    )


# ---------------------------------------------------------------- tasks

_OF_MANIFEST = tables.manifests.c.id == tables.tasks.c.manifest_id
_TASKS = sa.select(tables.tasks, tables.manifests.c.name.label("manifest")).join(tables.manifests, _OF_MANIFEST)
_IDS = sa.select(tables.tasks.c.id).join(tables.manifests, _OF_MANIFEST)
_ORDER = (tables.manifests.c.name, tables.tasks.c.position, tables.tasks.c.id)


def tasks(connection: sa.Connection, wanted: TaskQuery) -> Iterator[TaskFacts]:
    """Yield tasks with their latest attempt, in the order of manifest and position."""
    query = _wanted(_TASKS, wanted).order_by(*_ORDER)
    if wanted.limit is not None and not wanted.only:
        # found first and read then: a million failed tasks are not carried through a sort for the sake of five
        query = _TASKS.where(tables.tasks.c.id.in_(_wanted(_IDS, wanted).order_by(*_ORDER).limit(wanted.limit))).order_by(*_ORDER)
    with connection.execution_options(yield_per=PAGE).execute(query) as rows:  # closed also when nobody reads to the end
        # the glob is matched here and not in SQL, so that it means the same as in `--only` and in both databases
        taken = (row for row in rows.mappings() if matches(row["ident"], wanted.only))
        left = islice(taken, wanted.limit)
        while page := list(islice(left, PAGE)):
            by_task = _attempts(connection, [row["id"] for row in page])
            yield from (_task(row, by_task.get(row["id"], ())) for row in page)


def _wanted(query: sa.Select[Any], wanted: TaskQuery) -> sa.Select[Any]:
    if wanted.manifest:
        query = query.where(tables.manifests.c.name == wanted.manifest)
    if wanted.states:
        # manifest and wanted are named only for the index on (manifest, wanted, state)
        these = tables.tasks.c.manifest_id.in_(sa.select(tables.manifests.c.id)), tables.tasks.c.wanted.in_((sa.true(), sa.false()))
        query = query.where(*these, tables.tasks.c.state.in_(wanted.states))
    if not wanted.removed:
        query = query.where(tables.tasks.c.wanted == sa.true())
    if wanted.run is not None:
        tried = sa.select(attempts.c.task_id).where(attempts.c.run_id == wanted.run)
        saved = sa.select(attempts.c.task_id).join(outputs, outputs.c.attempt_id == attempts.c.id).where(outputs.c.run_id == wanted.run)
        query = query.where(tables.tasks.c.id.in_(sa.union(tried, saved)))
    return query


def _task(row: sa.RowMapping, tries: Sequence[AttemptFacts]) -> TaskFacts:
    spec = spec_from(row["spec"])
    return TaskFacts(
        row=row["id"],
        manifest=row["manifest"],
        id=row["ident"],
        state=TaskState(row["state"]),
        wanted=row["wanted"],
        line=row["line"],
        model=spec.model,
        prompt=spec.prompt,
        params=spec.params,
        references=tuple(reference.url or reference.name for reference in spec.references),
        output=row["output"],
        note=row["note"],
        attempts=row["attempts"],
        captured=sum(one.captured for one in tries),
        held=sum(one.held for one in tries),
        latest=tries[-1] if tries else None,
    )


def history(connection: sa.Connection, task: str, manifest: str) -> tuple[TaskHistory, ...]:
    """Return everything about the tasks with this id."""
    # named through its manifests, so that the unique index on (manifest, id) finds it
    found = _TASKS.where(tables.tasks.c.ident == task, tables.tasks.c.manifest_id.in_(sa.select(tables.manifests.c.id)))
    if manifest:
        found = found.where(tables.manifests.c.name == manifest)
    rows = connection.execute(found.order_by(tables.manifests.c.name)).mappings().all()
    by_task = _attempts(connection, [row["id"] for row in rows])
    return tuple(
        TaskHistory(_task(row, tries), tuple(tries), _events(connection, row["id"]))
        for row in rows
        for tries in [by_task.get(row["id"], ())]
    )


def _events(connection: sa.Connection, task: int) -> tuple[EventFacts, ...]:
    query = sa.select(events, attempts.c.number).outerjoin(attempts, attempts.c.id == events.c.attempt_id)
    rows = connection.execute(query.where(events.c.task_id == task).order_by(events.c.id)).mappings()
    return tuple(
        EventFacts(
            at=row["at"],
            run=row["run_id"],
            event=row["event"],
            before=row["moved_from"],
            after=row["moved_to"],
            attempt=row["number"],
            detail=row["detail"],
            fault=fault_from(row),
        )
        for row in rows
    )
