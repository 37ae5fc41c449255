"""Triggers: the invariants that need a look at another row, or at the row as it was.

They repeat what the store does anyway. That is the point: a bug in the store, a second program or a person with a
database shell meets them too. The numbers are those of the invariants in the ledger's tests.

One condition serves both databases; only the frame around it differs. `NEW.x <> OLD.x` is used where NULL may stay NULL.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from batchgen.core.messages import MoneyKind
from batchgen.core.states import ATTEMPT_MOVES, TASK_MOVES, AttemptState
from batchgen.ledger.tables import quoted


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuse `on` (as `UPDATE OF state`) of `table` when `condition` is true, saying `words`."""

    name: str
    on: str
    table: str
    condition: str
    words: str

    def statements(self, dialect: str) -> tuple[str, ...]:
        """Return the DDL for `sqlite` or `postgresql`."""
        head = f"CREATE TRIGGER {self.name} BEFORE {self.on} ON {self.table} FOR EACH ROW"
        if dialect == "sqlite":
            return (f"{head} WHEN {self.condition} BEGIN SELECT RAISE(ABORT, '{self.words}'); END",)
        body = (
            f"BEGIN IF {self.condition} THEN RAISE integrity_constraint_violation USING MESSAGE = '{self.words}'; END IF; RETURN NEW; END"
        )
        return (
            f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"{head} EXECUTE FUNCTION {self.name}()",
        )


def _unlogged(column: str, only: str) -> str:
    """Condition: the newest move in the log is not this one."""
    newest = f"SELECT moved_from || '>' || moved_to FROM events WHERE {column} = OLD.id AND {only} moved_to <> '' ORDER BY id DESC LIMIT 1"  # noqa: S608 - our own words
    return f"NEW.state <> OLD.state AND COALESCE(({newest}), '') <> OLD.state || '>' || NEW.state"


def _outside(pairs: set[tuple[str, str]]) -> str:
    """Condition: the state moves along none of these pairs."""
    allowed = quoted(f"{before}>{after}" for before, after in pairs)
    return f"NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ({allowed})"


def _sum(kinds: str) -> str:
    return f"(SELECT COALESCE(SUM(credits), 0) FROM money WHERE attempt_id = NEW.attempt_id AND kind {kinds})"  # noqa: S608 - our own words


_TASK_PAIRS = {(str(before), str(after)) for before, moves in TASK_MOVES.items() for after in moves.values()}
_ATTEMPT_PAIRS = {(str(before), str(after)) for before, moves in ATTEMPT_MOVES.items() for after in moves.values()}
_ALWAYS = "1 = 1"
_HOLD = f"'{MoneyKind.HOLD}'"
_CAPTURE = f"'{MoneyKind.CAPTURE}'"
_REFUND = f"'{MoneyKind.REFUND}'"
_CLOSING = quoted((MoneyKind.CAPTURE, MoneyKind.RELEASE))
_UNSETTLED = quoted((AttemptState.SUBMITTING, AttemptState.IN_DOUBT))

GUARDS = (
    # 3: what was sent never changes
    Guard(
        "guard_attempts_identity",
        "UPDATE",
        "attempts",
        "NEW.client_request_id <> OLD.client_request_id OR NEW.body <> OLD.body OR NEW.fingerprint <> OLD.fingerprint"
        " OR NEW.number <> OLD.number OR NEW.task_id <> OLD.task_id OR NEW.run_id <> OLD.run_id OR NEW.day <> OLD.day"
        # what a person said of an attempt in doubt may be a slip of the pen, and a repeat that was ordered may be sold under a new id
        f" OR (NEW.api_task_id <> OLD.api_task_id AND OLD.state NOT IN ({_UNSETTLED}))",
        "an attempt keeps its task, number, key, body and task id",
    ),
    Guard("guard_attempts_kept", "DELETE", "attempts", _ALWAYS, "attempts are never deleted"),
    Guard("guard_tasks_kept", "DELETE", "tasks", _ALWAYS, "tasks are never deleted"),
    # 4: every credit is explained, a hold is closed once
    Guard("guard_money_update", "UPDATE", "money", _ALWAYS, "money is append-only"),
    Guard("guard_money_delete", "DELETE", "money", _ALWAYS, "money is append-only"),
    Guard(
        "guard_money_hold",
        "INSERT",
        "money",
        f"NEW.kind = {_HOLD} AND EXISTS (SELECT 1 FROM money WHERE attempt_id = NEW.attempt_id AND kind <> {_HOLD})",  # noqa: S608 - our own words
        "no hold after a hold was closed",
    ),
    Guard(
        "guard_money_close",
        "INSERT",
        "money",
        f"NEW.kind IN ({_CLOSING}) AND {_sum(f'IN ({_CLOSING})')} + NEW.credits > {_sum(f'= {_HOLD}')}",
        "more captured and released than was held",
    ),
    Guard(
        "guard_money_refund",
        "INSERT",
        "money",
        f"NEW.kind = {_REFUND} AND {_sum(f'= {_REFUND}')} + NEW.credits > {_sum(f'= {_CAPTURE}')}",
        "more refunded than was captured",
    ),
    # 6: an output's row means that the file of a rendered attempt is complete
    Guard(
        "guard_outputs_rendered",
        "INSERT",
        "outputs",
        f"NOT EXISTS (SELECT 1 FROM attempts WHERE id = NEW.attempt_id AND state = '{AttemptState.SUCCEEDED}')",  # noqa: S608 - our own words
        "only a succeeded attempt has outputs",
    ),
    # 7: every move is in the log, and the log is append-only
    Guard("guard_events_update", "UPDATE", "events", _ALWAYS, "events are append-only"),
    Guard("guard_events_delete", "DELETE", "events", _ALWAYS, "events are append-only"),
    Guard(
        "guard_tasks_logged",
        "UPDATE OF state",
        "tasks",
        _unlogged("task_id", "attempt_id IS NULL AND"),
        "a task moves only after its event",
    ),
    Guard("guard_attempts_logged", "UPDATE OF state", "attempts", _unlogged("attempt_id", ""), "an attempt moves only after its event"),
    # 8: only the moves of core.states; final states have none
    Guard("guard_tasks_moves", "UPDATE OF state", "tasks", _outside(_TASK_PAIRS), "no such move of a task"),
    Guard("guard_attempts_moves", "UPDATE OF state", "attempts", _outside(_ATTEMPT_PAIRS), "no such move of an attempt"),
)


def create_guards(connection: sa.Connection) -> None:
    """Create every trigger, in the caller's transaction."""
    for guard in GUARDS:
        for statement in guard.statements(connection.dialect.name):
            connection.exec_driver_sql(statement)
