"""What a plan and a run start from: known tasks, live attempts, spending by every budget's scope, due tasks page by page."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

import sqlalchemy as sa

from batchgen.core.facts import FETCH_LATER, LiveAttempt, Opening, Spending
from batchgen.core.glob import matches
from batchgen.core.messages import DueArrived, FetchDue, MoneyKind
from batchgen.core.model import Credits, DueTask, Instant, KnownTask, Manifest, Task, Upload
from batchgen.core.states import AttemptEvent, AttemptState, TaskState
from batchgen.core.written import spec_from
from batchgen.errors import LedgerError
from batchgen.ledger import sums
from batchgen.ledger.documents import manifest_from, urls_from
from batchgen.ledger.statements import NOT_BEFORE, RENDER_TIMES
from batchgen.ledger.tables import (
    DUE,
    FAILED_ATTEMPT,
    LIVE_ATTEMPT,
    PRICED,
    attempts,
    events,
    manifests,
    meta,
    money,
    outputs,
    quoted,
    runs,
    tasks,
    uploads,
)

PAGE = 500
"""Rows, or parameters, of one query."""

# ---------------------------------------------------------------- for planning

_KNOWN = (
    sa.select(*tasks.c["id", "ident", "state", "fingerprint", "output", "position", "wanted"], attempts.c.state.label("live"))
    .join(manifests, manifests.c.id == tasks.c.manifest_id)
    .outerjoin(attempts, sa.and_(attempts.c.task_id == tasks.c.id, LIVE_ATTEMPT))
    .where(manifests.c.name == sa.bindparam("manifest"))
)
_KNOWN_IDS = _KNOWN.where(tasks.c.ident.in_(sa.bindparam("ids", expanding=True)))
_KNOWN_WANTED = (
    # said so that the index on (manifest, id) serves: it alone begins a page where the last one ended, and has it in order
    _KNOWN.where(tasks.c.wanted.is_not(sa.false()), tasks.c.ident > sa.bindparam("after")).order_by(tasks.c.ident).limit(PAGE)
)


def known(connection: sa.Connection, manifest: str, ids: Sequence[str]) -> Mapping[str, KnownTask]:
    """Return what the ledger has of these task ids."""
    found: dict[str, KnownTask] = {}
    for start in range(0, len(ids), PAGE):
        rows = connection.execute(_KNOWN_IDS, {"manifest": manifest, "ids": ids[start : start + PAGE]}).mappings()
        found.update((row["ident"], _known_task(row)) for row in rows)
    return found


def leavers(
    connect: Callable[[], AbstractContextManager[sa.Connection]], manifest: str, stayed: Callable[[str], bool]
) -> Iterator[KnownTask]:
    """Yield the wanted tasks of which `stayed(id)` is false, by id, page by page, so that nothing stays open while they are written."""
    after = ""
    while True:
        with connect() as connection:
            page = connection.execute(_KNOWN_WANTED, {"manifest": manifest, "after": after}).mappings().all()
        yield from (_known_task(row) for row in page if not stayed(row["ident"]))
        if len(page) < PAGE:
            return
        after = page[-1]["ident"]


def _known_task(row: sa.RowMapping) -> KnownTask:
    live = AttemptState(row["live"]) if row["live"] else None
    return KnownTask(row["ident"], TaskState(row["state"]), row["fingerprint"], live, row["output"], row["position"], row["wanted"])


# ---------------------------------------------------------------- due tasks

_OTHER = attempts.alias("other")  # `attempts` itself stands in some of the queries below
_ALIKE = (
    sa.select(sa.func.count())
    .where(_OTHER.c.task_id == tasks.c.id, _OTHER.c.fingerprint == tasks.c.fingerprint)
    .correlate(tasks)
    .scalar_subquery()
)
_TASK = (
    tasks.c.id.label("row"),
    *tasks.c["ident", "position", "line", "spec", "output", "wanted", "failures"],
    tasks.c.fingerprint.label("task_fingerprint"),
    tasks.c.state.label("task_state"),
    tasks.c.attempts.label("had"),
    sa.case((tasks.c.attempts == 0, 0), else_=_ALIKE).label("alike"),
)
_DUE_PAGE = (
    sa.select(*_TASK)
    .where(
        DUE,
        tasks.c.manifest_id == sa.select(manifests.c.id).where(manifests.c.name == sa.bindparam("manifest")).scalar_subquery(),
        tasks.c.position > sa.bindparam("after"),
    )
    .order_by(tasks.c.position)
    .limit(sa.bindparam("most"))
)
_UPLOADS = sa.select(uploads).where(uploads.c.sha256.in_(sa.bindparam("contents", expanding=True)))


def due(connection: sa.Connection, request: FetchDue) -> DueArrived:
    """Read a page of wanted pending tasks, and the uploads that its references have already.

    The glob is applied here and not in SQL, so that it means the same in every database.
    """
    after, last, page = request.after, False, list[DueTask]()
    while not last and len(page) < request.limit:
        most = max(request.limit, PAGE if request.only else 0)
        rows = connection.execute(_DUE_PAGE, {"manifest": request.manifest, "after": after, "most": most}).mappings().all()
        last = len(rows) < most
        for row in rows:
            after = row["position"]
            if matches(row["ident"], request.only):
                page.append(_due_task(row, request.manifest))
            if len(page) == request.limit:
                last = last and row is rows[-1]
                break
    contents = sorted({r.sha256 for due_task in page for r in due_task.task.spec.references if r.sha256})
    return DueArrived(request, tuple(page), after, last, tuple(uploaded(connection, contents).values()))


def uploaded(connection: sa.Connection, contents: Sequence[str]) -> Mapping[str, Upload]:
    """Return those of these contents that the server has."""
    return {upload.sha256: upload for upload in _uploads(connection, contents)}


def _due_task(row: sa.RowMapping, manifest: str) -> DueTask:
    task = Task(manifest, row["ident"], spec_from(row["spec"]), row["output"], row["position"], row["line"])
    return DueTask(row["row"], task, row["task_fingerprint"], row["had"], row["failures"], row["alike"])


def _uploads(connection: sa.Connection, contents: Sequence[str]) -> Iterator[Upload]:
    for start in range(0, len(contents), PAGE):
        for row in connection.execute(_UPLOADS, {"contents": contents[start : start + PAGE]}):
            yield Upload(row.sha256, row.url, row.file_id, row.duration_token, row.uploaded_at)


# ---------------------------------------------------------------- a run's opening


@dataclass(frozen=True, slots=True)
class Scope:
    """The run that opens: its root, today, and the glob on task ids."""

    root: int
    today: str
    only: str


def unindexed(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return a column so that SQLite looks for it in no index.

    It knows no numbers of rows, and would go through a million tasks to look for the few attempts that have an index of their own.
    """
    return column + 0


_LIVE_COLUMNS = (
    sa.select(
        *_TASK,
        attempts.c.id.label("attempt_id"),
        *attempts.c["client_request_id", "number", "fingerprint", "body", "state", "submitted_at", "accepted_at"],
        *attempts.c["price_key", "day", "lost", "api_task_id", "reserved", "final", "urls"],
        runs.c.root,
        manifests.c.name.label("manifest"),
        sa.select(sa.func.sum(money.c.credits))
        .where(money.c.attempt_id == attempts.c.id, money.c.kind == MoneyKind.HOLD)
        .scalar_subquery()
        .label("hold"),
        sa.select(events.c.event)
        .where(events.c.attempt_id == attempts.c.id, events.c.moved_to != "")
        .order_by(events.c.id.desc())
        .limit(1)
        .scalar_subquery()
        .label("newest_event"),
        sa.select(events.c.detail)
        .where(events.c.attempt_id == attempts.c.id, events.c.event == FETCH_LATER)
        .order_by(events.c.id.desc())
        .limit(1)
        .scalar_subquery()
        .label("fetch_later"),
    )
    .select_from(attempts)
    .join(runs, runs.c.id == attempts.c.run_id)
)
_OF_THESE = manifests.c.id.in_(sa.bindparam("rows", expanding=True))
_LIVE = (
    _LIVE_COLUMNS.join(tasks, tasks.c.id == unindexed(attempts.c.task_id))
    .join(manifests, manifests.c.id == unindexed(tasks.c.manifest_id))
    .where(_OF_THESE)
)
_IN_FLIGHT = _LIVE.where(LIVE_ATTEMPT, attempts.c.state != AttemptState.IN_DOUBT)
_FROM_TASKS = (
    _LIVE_COLUMNS.join(tasks, tasks.c.id == attempts.c.task_id).join(manifests, manifests.c.id == tasks.c.manifest_id).where(_OF_THESE)
)
_TO_FETCH = _FROM_TASKS.where(
    tasks.c.wanted.in_((sa.true(), sa.false())),  # both, and named for the index on (manifest, wanted, state)
    tasks.c.state == sa.literal_column(quoted([TaskState.RENDERED])),
    attempts.c.number == tasks.c.attempts,
    attempts.c.state == AttemptState.SUCCEEDED,
)
REFUND_DAYS = 7
"""Days in which a failed attempt that kept credits is asked about again: the vendor does not say when refunds come."""

_KEPT = (
    sa.select(sa.func.sum(sa.case((money.c.kind == MoneyKind.CAPTURE, money.c.credits), else_=-money.c.credits)))
    .where(money.c.attempt_id == attempts.c.id, money.c.kind.in_((MoneyKind.CAPTURE, MoneyKind.REFUND)))
    .scalar_subquery()
)
_OWED = _LIVE.add_columns(_KEPT.label("kept")).where(
    FAILED_ATTEMPT, attempts.c.ended_at >= sa.bindparam("since", type_=attempts.c.ended_at.type), _KEPT > 0
)
_SAVED = sa.select(outputs.c.attempt_id, outputs.c.nth).where(
    outputs.c.attempt_id.in_(sa.bindparam("attempts", expanding=True)), outputs.c.lost_at.is_(None)
)


def opening(connection: sa.Connection, names: Sequence[str], scope: Scope) -> Opening:
    """Read what the engine starts from. Raises LedgerError for a manifest that the ledger does not know."""
    rows = connection.execute(sa.select(manifests).where(manifests.c.name.in_(names))).mappings()
    found: dict[str, tuple[int, Manifest]] = {
        row["name"]: (row["id"], manifest_from(row["name"], row["path"], row["header"])) for row in rows
    }
    missing = [name for name in names if name not in found]
    if missing:
        raise LedgerError(f"the ledger has no manifest {', '.join(missing)}")
    ids = [found[name][0] for name in names]
    states = connection.execute(_STATES, {"rows": ids}).all()
    return Opening(
        manifests=tuple(found[name][1] for name in names),
        live=_live(connection, ids, scope),
        spending=spending(connection, scope),
        prices=_prices(connection),
        not_before=float(connection.scalar(sa.select(meta.c.value).where(meta.c.key == NOT_BEFORE)) or 0),
        last_request_by=_last_request_by(connection),
        render_times=_render_times(connection),
        only=scope.only,
        rendered={name: sum(n for m, state, n in states if m == name and state in {TaskState.RENDERED, TaskState.DONE}) for name in names},
        failed=sum(n for _, state, n in states if state == TaskState.FAILED),
        blocked=sum(n for _, state, n in states if state == TaskState.BLOCKED),
        in_doubt=connection.scalar(_IN_DOUBT, {"rows": ids}) or 0,
        bought=connection.scalar(_BOUGHT, {"root": scope.root}) or 0,
    )


_STATES = (
    sa.select(manifests.c.name, tasks.c.state, sa.func.count())
    .join(manifests, manifests.c.id == tasks.c.manifest_id)
    .where(tasks.c.wanted, tasks.c.manifest_id.in_(sa.bindparam("rows", expanding=True)))
    .group_by(manifests.c.name, tasks.c.state)
)
_IN_DOUBT = (
    sa.select(sa.func.count())
    .select_from(attempts)
    .join(tasks, tasks.c.id == unindexed(attempts.c.task_id))
    .where(
        LIVE_ATTEMPT, attempts.c.state == AttemptState.IN_DOUBT, unindexed(tasks.c.manifest_id).in_(sa.bindparam("rows", expanding=True))
    )
)
_BOUGHT = (
    sa.select(sa.func.count()).select_from(attempts).join(runs, runs.c.id == attempts.c.run_id).where(runs.c.root == sa.bindparam("root"))
)


def preview(connection: sa.Connection, wanted: Sequence[Manifest], today: str) -> Opening:
    """Read the spending and the prices for manifests that the ledger may not know yet."""
    return Opening(tuple(wanted), (), spending(connection, Scope(0, today, "")), _prices(connection))


def newest(connection: sa.Connection) -> Instant:
    """Return the newest instant of runs and events. Events are written in the order of time, so the last row has it."""
    last_event = sa.select(events.c.at).where(events.c.id == sa.select(sa.func.max(events.c.id)).scalar_subquery())
    instants = (
        connection.scalar(query) for query in (last_event, *(sa.select(sa.func.max(c)) for c in (runs.c.started_at, runs.c.ended_at)))
    )
    return max((float(at) for at in instants if at is not None), default=0.0)


def _live(connection: sa.Connection, rows: Sequence[int], scope: Scope) -> tuple[LiveAttempt, ...]:
    since = datetime.fromisoformat(f"{scope.today}T00:00:00+00:00").timestamp() - REFUND_DAYS * 86_400
    queries = (_TO_FETCH, _IN_FLIGHT, _OWED)
    given = {"rows": rows, "since": since}
    # sorted here: for the sake of an order the database would go through every attempt there ever was
    found = [row for query in queries for row in sorted(connection.execute(query, given).mappings(), key=itemgetter("attempt_id"))]
    saved: defaultdict[int, set[int]] = defaultdict(set)
    ids = [row["attempt_id"] for row in found]
    for start in range(0, len(ids), PAGE):
        for output in connection.execute(_SAVED, {"attempts": ids[start : start + PAGE]}):
            saved[output.attempt_id].add(output.nth)
    return tuple(_live_attempt(row, scope, frozenset(saved[row["attempt_id"]])) for row in found)


def _live_attempt(row: sa.RowMapping, scope: Scope, saved: frozenset[int]) -> LiveAttempt:
    return LiveAttempt(
        due=_due_task(row, row["manifest"]),
        wanted=row["wanted"],
        key=row["client_request_id"],
        number=row["number"],
        fingerprint=row["fingerprint"],
        body=bytes(row["body"]),
        state=AttemptState(row["state"]),
        task_state=TaskState(row["task_state"]),
        submitted_at=row["submitted_at"],
        hold=int(row["hold"] or 0),
        price_key=row["price_key"],
        day=row["day"],
        this_run=row["root"] == scope.root,
        accepted_at=row["accepted_at"] or 0.0,
        lost=row["lost"],
        task_id=row["api_task_id"] or "",
        reserved=row["reserved"],
        final=row.get("kept", row["final"]),
        urls=urls_from(row["urls"]),
        saved=saved,
        ordered=row["newest_event"] == AttemptEvent.RESENT,
        not_before=float(row["fetch_later"] or 0),
    )


# ---------------------------------------------------------------- spending

_NEWEST_PRICES = sa.select(sa.func.max(attempts.c.id)).where(PRICED).group_by(attempts.c.price_key)


def spending(connection: sa.Connection, scope: Scope) -> Spending:
    """Sum what is committed or held, by every scope that a budget has."""
    names = {row.id: row.name for row in connection.execute(sa.select(manifests.c.id, manifests.c.name))}

    def by_manifest(moves: sums.Moves) -> Mapping[str, Credits]:
        return {names[manifest]: part.used for manifest, part in moves.by_manifest().items()}

    moved = sums.by_day(connection)
    day = by_manifest(moved.of(lambda one: one.day == scope.today))
    return Spending(
        total=by_manifest(moved),
        run=by_manifest(sums.of_run(connection, scope.root)),
        day=day,
        account_day=sum(day.values()),
        account_month=moved.of(lambda one: one.day[:7] == scope.today[:7]).used,
        today=scope.today,
    )


def _last_request_by(connection: sa.Connection) -> Instant:
    """When the last request of earlier runs had left at the latest: the newest run is the one that opens.

    A poll writes nothing, so of a run that was killed only this is known: it was gone when the next one began.
    """
    newest = connection.execute(sa.select(runs.c.started_at, runs.c.ended_at).order_by(runs.c.id.desc()).limit(2)).all()
    return float(newest[1].ended_at or newest[0].started_at) if len(newest) > 1 else 0.0


def _render_times(connection: sa.Connection) -> Mapping[str, tuple[int, float, float]]:
    """Return what is known of render times; what cannot be read is learned again."""
    text = connection.scalar(sa.select(meta.c.value).where(meta.c.key == RENDER_TIMES)) or "{}"
    try:
        return {str(name): (int(count), float(mean), float(variance)) for name, (count, mean, variance) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _prices(connection: sa.Connection) -> Mapping[str, Credits]:
    """Return by price key what the newest purchase that tells cost: what was reserved, or more if it took more in the end."""
    query = sa.select(*attempts.c["price_key", "reserved", "final", "state"]).where(attempts.c.id.in_(_NEWEST_PRICES))
    return {
        row.price_key: max(row.reserved or 0, (row.final or 0) if row.state == AttemptState.SUCCEEDED else 0)
        for row in connection.execute(query)
    }
