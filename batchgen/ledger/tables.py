"""The tables, as SQLAlchemy Core, portable to SQLite and PostgreSQL.

What a constraint can say, a constraint says: states, signs, lengths, one live attempt, one closing of a hold. What
only a look at other rows or at the row before can say is in `guards.py`. The README of a row is its CHECKs.

Two rules for whoever writes queries: SQLite takes a partial index only if the query repeats the index's condition with
the same literals, so use `DUE` and `LIVE_ATTEMPT` from here; and numbers are sums over rows, so there are no counters but
`tasks.attempts` (numbers the next attempt) and `tasks.failures` (since the task was last due afresh).
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from batchgen.core.messages import MoneyKind
from batchgen.core.states import LIVE, AttemptState, TaskState
from batchgen.core.steering import ControlKind
from batchgen.ledger.columns import Number, Utc, Words

WHERE = "where"
"""Key of a partial index's condition in its `info`."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def quoted(words: Iterable[str]) -> str:
    """SQL literals for words of ours, sorted so that the same set always gives the same text."""
    return ", ".join(f"'{word}'" for word in sorted(words))


def either(column: str, words: Iterable[str]) -> str:
    """A condition: the column is one of these words. With IN, SQLite builds a table of them for each row that it checks."""
    return " OR ".join(f"{column} = '{word}'" for word in words)


def _row_id() -> sa.Column[int]:
    return sa.Column("id", Number, primary_key=True)


def _to(column: str, name: str, *, nullable: bool = False, index: bool = False) -> sa.Column[int]:
    return sa.Column(name, Number, sa.ForeignKey(column), nullable=nullable, index=index)


def _partial(name: str, *columns: sa.ColumnElement[object], where: sa.ColumnElement[bool], unique: bool = False) -> sa.Index:
    """An index of some rows.

    `postgresql_where` is added by `migrations` where it is wanted: to say it here would import that dialect, 0.1 s in every command.
    """
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, info={WHERE: where})


def _words(name: str, default: str | None = "") -> sa.Column[str]:
    """Text that is never NULL; `default` None means that every insert must say it."""
    return sa.Column(name, Words, nullable=False, server_default=default)


def _fault() -> tuple[sa.Column[str], sa.Column[str], sa.Column[str], sa.Column[int]]:
    """A server's error, whole; all four are NULL when there was none."""
    return (
        sa.Column("fault_code", Words),
        sa.Column("fault_message", Words),
        sa.Column("fault_request_id", Words),
        sa.Column("fault_status", sa.Integer),
    )


def _whole(column: str) -> sa.CheckConstraint:
    """SQLite would keep 1.5 in an INTEGER column; credits are whole."""
    check = sa.CheckConstraint(f"{column} IS NULL OR typeof({column}) = 'integer'", name=f"{column}_whole")
    check.ddl_if(dialect="sqlite")
    return check


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", Words, primary_key=True),
    _words("value", None),
)

migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _words("name", None),
    sa.Column("applied_at", Utc, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    _row_id(),
    _to("runs.id", "root", nullable=True),  # NULL only between the insert and the update that names the row itself
    _words("asked", None),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("adopted", sa.Boolean, nullable=False, server_default=sa.false()),  # all its manifests' tasks are in the ledger
    sa.Column("ended_at", Utc),
    sa.Column("exit_code", sa.Integer),
    _words("reason"),
    _words("stops", "[]"),
    sa.Column("pid", sa.Integer, nullable=False),
    _words("host", None),
    sa.CheckConstraint("(ended_at IS NULL) = (exit_code IS NULL)", name="ended"),
)

manifests = sa.Table(
    "manifests",
    metadata,
    _row_id(),
    sa.Column("name", Words, nullable=False, unique=True),
    _words("path", None),
    _words("header", None),
    sa.CheckConstraint("name <> ''", name="named"),
)

walks = sa.Table(
    "walks",  # what a manifest was made of when its tasks came in; a row is gone as soon as they may be others
    metadata,
    sa.Column("manifest_id", Number, sa.ForeignKey("manifests.id"), primary_key=True, autoincrement=False),
    sa.Column("path", Words, nullable=False, index=True),
    _words("digest", None),
    _words("read", None),
    sa.CheckConstraint("length(digest) = 64", name="digest"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    _row_id(),
    _to("manifests.id", "manifest_id"),
    _words("ident", None),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
    _words("state", None),
    _words("fingerprint", None),
    _words("spec", None),
    _words("output", None),
    sa.Column("wanted", sa.Boolean, nullable=False),
    _words("note"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("added_at", Utc, nullable=False),
    sa.UniqueConstraint("manifest_id", "ident"),
    sa.CheckConstraint(either("state", TaskState), name="state"),
    sa.CheckConstraint("length(fingerprint) = 64", name="fingerprint"),
    sa.CheckConstraint("ident <> '' AND position >= 0", name="place"),
    sa.CheckConstraint("attempts >= 0 AND failures >= 0 AND failures <= attempts", name="counted"),
    sa.Index("ix_tasks_states", "manifest_id", "wanted", "state"),
)

DUE = sa.and_(tasks.c.state == sa.literal_column(quoted([TaskState.PENDING])), tasks.c.wanted == sa.true())
"""Pending and wanted: the condition of the index below, literally."""
_partial("ix_tasks_due", tasks.c.manifest_id, tasks.c.position, where=DUE)

attempts = sa.Table(
    "attempts",
    metadata,
    _row_id(),
    _to("tasks.id", "task_id"),
    _to("runs.id", "run_id", index=True),
    sa.Column("number", sa.Integer, nullable=False),
    _words("fingerprint", None),
    sa.Column("client_request_id", Words, nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    _words("state", None),
    sa.Column("submitted_at", Utc, nullable=False),
    sa.Column("accepted_at", Utc),
    sa.Column("ended_at", Utc),
    sa.Column("api_task_id", Words, unique=True),
    sa.Column("reserved", Number),
    sa.Column("final", Number),
    _words("urls", "[]"),
    sa.Column("lost", sa.Integer, nullable=False, server_default="0"),
    *_fault(),
    _words("price_key", None),
    _words("day", None),
    sa.UniqueConstraint("task_id", "number"),
    sa.CheckConstraint(either("state", AttemptState), name="state"),
    sa.CheckConstraint("number >= 1 AND lost >= 0 AND length(body) > 0", name="counted"),
    sa.CheckConstraint("client_request_id <> '' AND length(fingerprint) = 64", name="named"),
    sa.CheckConstraint("length(day) = 10", name="day"),
    sa.CheckConstraint("reserved >= 0 AND final >= 0", name="credits"),  # NULL passes a CHECK
    _whole("reserved"),
    _whole("final"),
)

LIVE_ATTEMPT = attempts.c.state.in_(sa.literal_column(quoted([state])) for state in sorted(LIVE))
"""Submitting, accepted or in doubt: the condition of invariant 2's index, literally."""
_partial("uq_attempts_live", attempts.c.task_id, unique=True, where=LIVE_ATTEMPT)
FAILED_ATTEMPT = attempts.c.state == sa.literal_column(quoted([AttemptState.FAILED]))
_partial("ix_attempts_failed", attempts.c.ended_at, where=FAILED_ATTEMPT)
PRICED = sa.or_(
    attempts.c.reserved > sa.literal_column("0"),
    sa.and_(attempts.c.state == sa.literal_column(quoted([AttemptState.SUCCEEDED])), attempts.c.final > sa.literal_column("0")),
)
"""Attempts that tell what such a purchase costs: the server said what it reserves, or what a render took."""
_partial("ix_attempts_prices", attempts.c.price_key, attempts.c.id, where=PRICED)

money = sa.Table(
    "money",
    metadata,
    _row_id(),
    _to("attempts.id", "attempt_id"),
    _to("manifests.id", "manifest_id"),
    _to("runs.id", "run_root"),
    _words("day", None),
    _words("kind", None),
    sa.Column("credits", Number, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.CheckConstraint(either("kind", MoneyKind), name="kind"),
    sa.CheckConstraint("credits >= 0", name="credits"),
    sa.CheckConstraint("length(day) = 10", name="day"),
    _whole("credits"),
    # These three cover their sums, so that no budget question reads the table itself.
    sa.Index("ix_money_attempt", "attempt_id", "kind", "credits"),
    sa.Index("ix_money_manifest", "manifest_id", "run_root", "kind", "credits"),
    sa.Index("ix_money_day", "day", "manifest_id", "kind", "credits"),
)

CLOSES = money.c.kind.in_(sa.literal_column(quoted([kind])) for kind in (MoneyKind.CAPTURE, MoneyKind.RELEASE))
_partial("uq_money_closed_once", money.c.attempt_id, money.c.kind, unique=True, where=CLOSES)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("sha256", Words, primary_key=True),
    _words("url", None),
    _words("file_id"),
    _words("duration_token"),
    sa.Column("uploaded_at", Utc, nullable=False),
    sa.CheckConstraint("length(sha256) = 64 AND url <> ''", name="complete"),
)

outputs = sa.Table(
    "outputs",
    metadata,
    _row_id(),
    _to("attempts.id", "attempt_id"),
    _to("runs.id", "run_id", index=True),  # the run that saved the file, not the one that bought it
    sa.Column("nth", sa.Integer, nullable=False),
    sa.Column("path", Words, nullable=False, unique=True),
    _words("sha256", None),
    sa.Column("size", Number, nullable=False),
    _words("mime", None),
    sa.Column("saved_at", Utc, nullable=False),
    sa.Column("lost_at", Utc),  # found to be missing or damaged; NULL: complete
    sa.UniqueConstraint("attempt_id", "nth"),
    sa.CheckConstraint("nth >= 0 AND path <> '' AND length(sha256) = 64 AND size > 0", name="complete"),
)

controls = sa.Table(
    "controls",  # what a person says to a run that is going on; another process writes here, without the run lock
    metadata,
    _row_id(),
    _to("runs.id", "run_id", index=True),
    _words("kind", None),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("asked_at", Utc, nullable=False),
    sa.Column("taken_at", Utc),  # when the run obeyed
    sa.CheckConstraint(f"kind IN ({quoted(ControlKind)})", name="kind"),
    sa.CheckConstraint("value >= 0", name="value"),
)

events = sa.Table(
    "events",
    metadata,
    _row_id(),
    _to("runs.id", "run_id", nullable=True),
    _to("tasks.id", "task_id", nullable=True),
    _to("attempts.id", "attempt_id", nullable=True, index=True),  # set: what moved is the attempt; NULL: the task
    _words("event", None),
    _words("moved_from"),
    _words("moved_to"),  # empty: nothing moved
    _words("detail"),
    *_fault(),
    sa.Column("at", Utc, nullable=False),
    sa.CheckConstraint("event <> ''", name="named"),
    sa.Index("ix_events_task", "task_id", "id"),
)
