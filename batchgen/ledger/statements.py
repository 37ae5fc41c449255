"""The statements that write a step's records, built once: SQLAlchemy keeps their compiled form.

Parameters that would clash with a column's name carry a prefix: `new_` for what a column becomes.
"""

from __future__ import annotations

import sqlalchemy as sa

from batchgen.core.states import TaskState
from batchgen.ledger.tables import attempts, events, meta, money, outputs, runs, tasks, uploads

NOT_BEFORE = "not_before"
"""Key in meta: no request earlier than this instant, as text of its seconds."""

RENDER_TIMES = "render_times"
"""Key in meta: what is known of render times, as JSON (see core.looks)."""

INSERT_EVENT = sa.insert(events)


def _given(name: str) -> sa.ColumnElement[object]:
    """Set the column to the parameter of its name, unless that is None."""
    column = attempts.c[name]
    return sa.func.coalesce(sa.bindparam(f"new_{name}", type_=column.type), column)


FIND_ATTEMPTS = (
    sa.select(
        attempts.c.client_request_id,
        attempts.c.id,
        attempts.c.task_id,
        attempts.c.day,
        tasks.c.manifest_id,
        runs.c.root,
    )
    .join(tasks, tasks.c.id == attempts.c.task_id)
    .join(runs, runs.c.id == attempts.c.run_id)
    .where(attempts.c.client_request_id.in_(sa.bindparam("keys", expanding=True)))
)
BODY = sa.select(attempts.c.body).where(attempts.c.id == sa.bindparam("row"))
BEARER = sa.select(attempts.c.client_request_id).where(attempts.c.api_task_id == sa.bindparam("id"))
OWNER = (
    sa.select(outputs.c.sha256, attempts.c.number)
    .join(attempts, attempts.c.id == outputs.c.attempt_id)
    .where(outputs.c.path == sa.bindparam("at"))
)
SAVED = sa.select(outputs.c.attempt_id, outputs.c.nth).where(outputs.c.attempt_id.in_(sa.bindparam("rows", expanding=True)))

SUBMIT_TASK = (
    sa.update(tasks)
    .where(
        tasks.c.id == sa.bindparam("row"),
        tasks.c.state == TaskState.PENDING,
        tasks.c.attempts == sa.bindparam("had"),
        # what is bought must be what the manifest wants now
        tasks.c.fingerprint == sa.bindparam("bought"),
    )
    .values(state=TaskState.RENDERING, attempts=tasks.c.attempts + 1, note="")
)
INSERT_ATTEMPT = sa.insert(attempts)
INSERT_MONEY = sa.insert(money)
MOVE_TASK = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("row"), tasks.c.state == sa.bindparam("before"))
    .values(
        state=sa.bindparam("after"),
        note=sa.bindparam("new_note"),
        failures=tasks.c.failures * sa.bindparam("keep_failures", type_=sa.Integer),
    )
)
_BOUGHT_AS = sa.select(attempts.c.fingerprint).where(attempts.c.id == sa.bindparam("attempt")).scalar_subquery()
COUNT_FAILURE = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("row"))
    # An older wish that failed says nothing about what the manifest wants now.
    .values(failures=tasks.c.failures + sa.case((tasks.c.fingerprint == _BOUGHT_AS, 1), else_=0))
)
MOVE_ATTEMPT = (
    sa.update(attempts)
    .where(attempts.c.id == sa.bindparam("row"), attempts.c.state == sa.bindparam("before"))
    .values(
        state=sa.bindparam("after"),
        submitted_at=_given("submitted_at"),
        accepted_at=_given("accepted_at"),
        ended_at=_given("ended_at"),
        api_task_id=_given("api_task_id"),
        reserved=_given("reserved"),
        final=_given("final"),
        urls=_given("urls"),
        lost=attempts.c.lost + sa.bindparam("more_lost", type_=sa.Integer),
        fault_code=_given("fault_code"),
        fault_message=_given("fault_message"),
        fault_request_id=_given("fault_request_id"),
        fault_status=_given("fault_status"),
    )
)
BALANCES = (
    sa.select(money.c.attempt_id, money.c.kind, sa.func.sum(money.c.credits).label("credits"))
    .where(money.c.attempt_id.in_(sa.bindparam("rows", expanding=True)))
    .group_by(money.c.attempt_id, money.c.kind)
)
RENAME_OUTPUT = sa.update(outputs).where(outputs.c.path == sa.bindparam("before")).values(path=sa.bindparam("after"))
REPLACE_OUTPUT = (
    sa.update(outputs)
    .where(outputs.c.attempt_id == sa.bindparam("of"), outputs.c.nth == sa.bindparam("index"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("run_id", "path", "sha256", "size", "mime", "saved_at")} | {"lost_at": None})
)
LOSE_OUTPUT = (
    sa.update(outputs)
    .where(outputs.c.attempt_id == sa.bindparam("of"), outputs.c.nth == sa.bindparam("index"), outputs.c.path == sa.bindparam("was_at"))
    .values(lost_at=sa.bindparam("lost", type_=outputs.c.lost_at.type))
)
INSERT_OUTPUT = sa.insert(outputs)
FORGET_UPLOAD = sa.delete(uploads).where(uploads.c.sha256 == sa.bindparam("content"))
INSERT_UPLOAD = sa.insert(uploads)
FORGET_META = sa.delete(meta).where(meta.c.key == sa.bindparam("name"))
INSERT_META = sa.insert(meta)
