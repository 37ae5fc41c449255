"""`ledger check`: the invariants, proven on a real ledger, row by row.

The tables' constraints and triggers refuse what breaks an invariant while batchgen writes. This looks again at what is
there, without trusting them: a file may have been edited by hand, half-restored or damaged by a disk.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from batchgen.core import states
from batchgen.core.messages import MoneyKind
from batchgen.core.model import Credits, client_request_id
from batchgen.core.states import ATTEMPT_MOVES, AttemptState, TaskState
from batchgen.core.steering import ControlKind
from batchgen.errors import IllegalMove
from batchgen.ledger.documents import asked_from, manifest_from
from batchgen.ledger.sums import USED
from batchgen.ledger.tables import attempts, controls, events, manifests, money, outputs, runs, tasks

INVARIANTS: Mapping[int, str] = {
    0: "the file is whole",
    1: "what was sent was committed first, with its key",
    2: "a task has at most one live attempt",
    3: "a key never repeats over different bodies",
    4: "holds, captures and releases explain every credit",
    5: "no budget is exceeded",
    6: "an output is there only when it is complete",
    7: "every move is in the log",
    8: "final states have no way out",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that breaks an invariant. `row` names it as `table/id`, with the task where there is one."""

    invariant: int
    row: str
    what: str


def check(connection: sa.Connection) -> Iterator[Broken]:
    """Yield every row that breaks an invariant; nothing if all hold. Reads only, in flat memory.

    What cannot be read at all (a lost page, a word that is no state) ends only the proof that met it.
    """
    for prove in (_whole, _sent, _one_live, _keys, _money, _accounts, _budgets, _outputs, _task_log, _attempt_log):
        try:
            yield from prove(connection)
        except (sa.exc.DBAPIError, ValueError, TypeError) as error:
            said = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            yield Broken(0, "the file", f"what is in it cannot be read to its end ({prove.__name__.strip('_')}): {said}")


_ATTEMPT = (
    sa.select(
        attempts.c.id,
        attempts.c.number,
        attempts.c.state,
        attempts.c.fingerprint,
        attempts.c.client_request_id,
        attempts.c.body,
        attempts.c.submitted_at,
        attempts.c.accepted_at,
        attempts.c.api_task_id,
        tasks.c.ident,
        manifests.c.name,
    )
    .join(tasks, tasks.c.id == attempts.c.task_id)
    .join(manifests, manifests.c.id == tasks.c.manifest_id)
    .order_by(attempts.c.id)
)
_EARLIER = attempts.alias("earlier")
_ALIKE = (
    sa.select(sa.func.count())
    .where(
        _EARLIER.c.task_id == attempts.c.task_id,
        _EARLIER.c.fingerprint == attempts.c.fingerprint,
        _EARLIER.c.number <= attempts.c.number,
    )
    .scalar_subquery()
)
"""Which attempt at its fingerprint of its task an attempt is: 1, 2, ..."""


def _named(row: sa.Row[tuple[object, ...]] | sa.RowMapping, table: str = "attempts") -> str:
    facts = row if isinstance(row, sa.RowMapping) else row._mapping  # noqa: SLF001 - a Row's mapping is its documented other face
    return f"{table}/{facts['id']} ({facts['name']}/{facts['ident']})"


def _whole(connection: sa.Connection) -> Iterator[Broken]:
    if connection.dialect.name != "sqlite":
        return
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if said != "ok":
            yield Broken(0, "the file", str(said))
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Broken(0, f"{table}/{row}", f"names a row of {parent} that is not there")
    # SQLite leaves CHECK constraints out of its own proof of a file that is open for reading only, as a ledger is here.
    for row, credits in connection.exec_driver_sql("SELECT id, credits FROM money WHERE typeof(credits) <> 'integer' OR credits < 0"):
        yield Broken(4, f"money/{row}", f"its credits are {credits!r}")


def _sent(connection: sa.Connection) -> Iterator[Broken]:
    for row in connection.execute(_ATTEMPT).mappings():
        key = row["client_request_id"]
        try:
            carried = json.loads(row["body"]).get("client_request_id")
        except (ValueError, TypeError, AttributeError):
            yield Broken(1, _named(row), "its body is not the JSON of a request")
            continue
        if not isinstance(row["body"], bytes):
            yield Broken(1, _named(row), "its body is text where bytes were committed")
        if carried != key:
            yield Broken(1, _named(row), f"its body carries the client_request_id {carried!r}, its row {key!r}")
        if row["accepted_at"] is not None and row["accepted_at"] < row["submitted_at"]:
            yield Broken(1, _named(row), "it was accepted before it was committed")
        if row["api_task_id"] is None and row["state"] in {AttemptState.ACCEPTED, AttemptState.SUCCEEDED, AttemptState.FAILED}:
            yield Broken(1, _named(row), f"it is {row['state']} without a task id of the server")


def _one_live(connection: sa.Connection) -> Iterator[Broken]:
    live = attempts.c.state.in_(sorted(states.LIVE))
    many = (
        sa.select(tasks.c.id, tasks.c.ident, manifests.c.name, sa.func.count().label("live"))
        .join(attempts, attempts.c.task_id == tasks.c.id)
        .join(manifests, manifests.c.id == tasks.c.manifest_id)
        .where(live)
        .group_by(tasks.c.id, tasks.c.ident, manifests.c.name)
        .having(sa.func.count() > 1)
    )
    for row in connection.execute(many).mappings():
        yield Broken(2, _named(row, "tasks"), f"it has {row['live']} live attempts")


def _keys(connection: sa.Connection) -> Iterator[Broken]:
    for row in connection.execute(_ATTEMPT.add_columns(_ALIKE.label("alike"))).mappings():
        expected = client_request_id(row["name"], row["ident"], row["fingerprint"], row["alike"])
        if row["client_request_id"] != expected:
            yield Broken(
                3, _named(row), f"its key is {row['client_request_id']}, which is not that of its task, fingerprint and place among them"
            )
    repeated = sa.select(attempts.c.client_request_id).group_by(attempts.c.client_request_id).having(sa.func.count() > 1)
    for (key,) in connection.execute(repeated):
        yield Broken(3, f"attempts/{key}", "its key stands in several rows")


def _sums(connection: sa.Connection) -> Iterator[tuple[sa.RowMapping, dict[str, Credits], dict[str, int]]]:
    """Yield each attempt with its credits and its rows by kind, attempt by attempt in step with the money."""
    rows = iter(
        connection.execute(
            sa.select(money.c.attempt_id, money.c.kind, sa.func.sum(money.c.credits), sa.func.count())
            .group_by(money.c.attempt_id, money.c.kind)
            .order_by(money.c.attempt_id)
        )
    )
    pending = next(rows, None)
    for attempt in connection.execute(_ATTEMPT).mappings():
        credits: dict[str, Credits] = defaultdict(int)
        count: dict[str, int] = defaultdict(int)
        while pending is not None and pending[0] == attempt["id"]:
            credits[pending[1]], count[pending[1]] = int(pending[2]), pending[3]
            pending = next(rows, None)
        yield attempt, credits, count


def _money(connection: sa.Connection) -> Iterator[Broken]:
    for attempt, credits, count in _sums(connection):
        held = credits[MoneyKind.HOLD]
        closed = credits[MoneyKind.CAPTURE] + credits[MoneyKind.RELEASE]
        final = AttemptState(attempt["state"]) not in states.LIVE
        if not count[MoneyKind.HOLD]:
            yield Broken(4, _named(attempt), "it was submitted without a hold")
        if count[MoneyKind.CAPTURE] > 1 or count[MoneyKind.RELEASE] > 1:
            yield Broken(4, _named(attempt), "its hold was closed more than once")
        if final and closed != held:
            yield Broken(4, _named(attempt), f"it is {attempt['state']}: {held} credits were held, {closed} captured or released")
        if credits[MoneyKind.REFUND] > credits[MoneyKind.CAPTURE]:
            yield Broken(4, _named(attempt), f"{credits[MoneyKind.REFUND]} credits came back, {credits[MoneyKind.CAPTURE]} were captured")
        if not final and (count[MoneyKind.CAPTURE] or count[MoneyKind.RELEASE]):
            yield Broken(4, _named(attempt), f"it is {attempt['state']}, but its hold is closed")


def _accounts(connection: sa.Connection) -> Iterator[Broken]:
    """Prove that every row of money counts for the manifest, the run and the day of its attempt: budgets are sums by these."""
    strange = (
        sa.select(money.c.id, tasks.c.ident, manifests.c.name)
        .join(attempts, attempts.c.id == money.c.attempt_id)
        .join(tasks, tasks.c.id == attempts.c.task_id)
        .join(manifests, manifests.c.id == tasks.c.manifest_id)
        .join(runs, runs.c.id == attempts.c.run_id)
        .where(sa.or_(money.c.manifest_id != tasks.c.manifest_id, money.c.run_root != runs.c.root, money.c.day != attempts.c.day))
        .order_by(money.c.id)
    )
    for row in connection.execute(strange).mappings():
        yield Broken(4, _named(row, "money"), "it counts for another manifest, run or day than its attempt")


def _budgets(connection: sa.Connection) -> Iterator[Broken]:
    """Prove what the ledger knows the limits of: `total` and `per_run` of a manifest, `--budget` of a run with all that resumed it.

    It keeps a manifest's limits as they were last read. They held while the night that read them bought; with no purchase since, a
    person may have lowered them below what was spent, which is no overspending. What the server reserved beyond the price that was known
    is left out. Not provable: `per_day`, for which other limits may have held earlier that day, and the account's, which are not kept here.
    """
    newest: dict[str, int] = {}
    asked: defaultdict[int, set[Credits | None]] = defaultdict(set)
    for root, text in connection.execute(sa.select(runs.c.root, runs.c.asked).where(runs.c.root.is_not(None)).order_by(runs.c.id)):
        facts = asked_from(text)
        newest |= dict.fromkeys(facts.manifests, root)
        asked[root].add(facts.budget)
    for row in connection.execute(sa.select(manifests)).mappings():
        yield from _manifest_budgets(connection, row, newest.get(row["name"], 0))
    told = set(connection.scalars(sa.select(runs.c.root).join(controls, controls.c.run_id == runs.c.id).where(_TOLD)))
    for root, limits in asked.items():
        limit = next(iter(limits)) if len(limits) == 1 and root not in told else None
        if used := _over(connection, money.c.run_root == root, limit):
            yield Broken(5, f"runs/{root}", f"{used} credits are spent or held of a --budget of {limit}")


_TOLD = controls.c.kind == ControlKind.BUDGET
"""`control budget` takes the place of what a run was asked with, also with less than it has spent."""


def _manifest_budgets(connection: sa.Connection, row: sa.RowMapping, night: int) -> Iterator[Broken]:
    """Look at the limits of a manifest that were last read by a night (the row of its first run; 0: by none)."""
    ours = money.c.manifest_id == row["id"]
    tonight = sa.and_(ours, money.c.run_root == night)
    if connection.scalar(sa.select(money.c.id).where(tonight, money.c.kind == MoneyKind.HOLD).limit(1)) is None:
        return
    budget = manifest_from(row["name"], row["path"], row["header"]).budget
    for limit, said, part in ((budget.total, "a total", ours), (budget.per_run, "its per_run", tonight)):
        if used := _over(connection, part, limit):
            yield Broken(5, f"manifests/{row['id']} ({row['name']})", f"{used} credits are spent or held of {said} of {limit}")


def _over(connection: sa.Connection, part: sa.ColumnElement[bool], limit: Credits | None) -> Credits:
    """Return what is spent and held in a part of the book if it is more than a limit, else 0.

    The holds after an attempt's first are left out: the server reserved more than the price that was known.
    """
    used = 0 if limit is None else int(connection.scalar(sa.select(USED).where(part)) or 0)
    if limit is None or used <= limit:
        return 0
    first = sa.select(sa.func.min(money.c.id)).where(money.c.kind == MoneyKind.HOLD).group_by(money.c.attempt_id)
    later = sa.select(sa.func.coalesce(sa.func.sum(money.c.credits), 0)).where(
        part, money.c.kind == MoneyKind.HOLD, money.c.id.not_in(first)
    )
    used -= int(connection.scalar(later) or 0)
    return used if used > limit else 0


def _outputs(connection: sa.Connection) -> Iterator[Broken]:
    rows = (
        sa.select(outputs.c.id, outputs.c.path, outputs.c.size, outputs.c.sha256, attempts.c.state, tasks.c.ident, manifests.c.name)
        .join(attempts, attempts.c.id == outputs.c.attempt_id)
        .join(tasks, tasks.c.id == attempts.c.task_id)
        .join(manifests, manifests.c.id == tasks.c.manifest_id)
    )
    for row in connection.execute(rows).mappings():
        if row["state"] != AttemptState.SUCCEEDED:
            yield Broken(6, _named(row, "outputs"), f"it belongs to an attempt that is {row['state']}")
        if row["size"] <= 0 or len(row["sha256"]) != 64:  # noqa: PLR2004 - hex digits of a SHA-256
            yield Broken(6, _named(row, "outputs"), f"{row['path']} has no size or no checksum")
    unsaved = (
        sa.select(tasks.c.id, tasks.c.ident, manifests.c.name)
        .join(manifests, manifests.c.id == tasks.c.manifest_id)
        .where(
            tasks.c.state == TaskState.DONE,
            ~sa.exists().where(attempts.c.task_id == tasks.c.id, outputs.c.attempt_id == attempts.c.id, outputs.c.lost_at.is_(None)),
        )
    )
    for row in connection.execute(unsaved).mappings():
        yield Broken(6, _named(row, "tasks"), "it is done without a file")


def _task_log(connection: sa.Connection) -> Iterator[Broken]:
    rows = (
        sa.select(tasks.c.id, tasks.c.ident, manifests.c.name, tasks.c.state, events.c.event, events.c.moved_from, events.c.moved_to)
        .select_from(tasks)
        .join(manifests, manifests.c.id == tasks.c.manifest_id)
        .outerjoin(events, sa.and_(events.c.task_id == tasks.c.id, events.c.attempt_id.is_(None), events.c.moved_to != ""))
        .order_by(tasks.c.id, events.c.id)
    )
    yield from _follow(connection.execute(rows).mappings(), "tasks", TaskState.PENDING, _task_move)


def _attempt_log(connection: sa.Connection) -> Iterator[Broken]:
    rows = (
        sa.select(attempts.c.id, tasks.c.ident, manifests.c.name, attempts.c.state, events.c.event, events.c.moved_from, events.c.moved_to)
        .select_from(attempts)
        .join(tasks, tasks.c.id == attempts.c.task_id)
        .join(manifests, manifests.c.id == tasks.c.manifest_id)
        .outerjoin(events, sa.and_(events.c.attempt_id == attempts.c.id, events.c.moved_to != ""))
        .order_by(attempts.c.id, events.c.id)
    )
    yield from _follow(connection.execute(rows).mappings(), "attempts", "", _attempt_move)


def _task_move(before: str, event: str) -> str:
    return states.advance_task(TaskState(before), states.TaskEvent(event))


def _attempt_move(before: str, event: str) -> str:
    return AttemptState.SUBMITTING if not before else states.advance_attempt(AttemptState(before), states.AttemptEvent(event))


Move = Callable[[str, str], str]


def _follow(rows: Iterator[sa.RowMapping], table: str, start: str, move: Move) -> Iterator[Broken]:
    """Walk each row's events from its first state: each must follow from the one before, and the last must be its state."""
    last: sa.RowMapping | None = None
    at = start
    for row in rows:
        if last is None or row["id"] != last["id"]:
            yield from _arrived(last, table, at)
            at = start
        last = row
        if row["event"] is None:
            continue
        if row["moved_from"] != at:
            yield Broken(7, _named(row, table), f"the log moves it from {row['moved_from']!r}, but it was {at!r}")
        try:
            legal = move(row["moved_from"], row["event"])
        except (IllegalMove, ValueError):
            legal = ""
        if legal != row["moved_to"]:
            rule = 8 if table == "attempts" and not ATTEMPT_MOVES.get(AttemptState(at), {}) else 7
            yield Broken(rule, _named(row, table), f"{row['event']} does not lead from {row['moved_from']!r} to {row['moved_to']!r}")
        at = row["moved_to"]
    yield from _arrived(last, table, at)


def _arrived(last: sa.RowMapping | None, table: str, at: str) -> Iterator[Broken]:
    if last is not None and last["state"] != at:
        yield Broken(7, _named(last, table), f"it is {last['state']!r}, but its log ends with {at!r}")
