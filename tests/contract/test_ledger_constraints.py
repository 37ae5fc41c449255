"""The promises hold against raw SQL too: a second program, a bug in the store, a person with a database shell.

Each attack names, as a pattern, the words or the constraint by which it must be refused in either database.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.contract.books import Books

HASH = "d" * 64
INSERT_ATTEMPT = (
    "INSERT INTO attempts (task_id, run_id, number, fingerprint, client_request_id, body, state, submitted_at, price_key, day) "
    "SELECT t.id, a.run_id, 9, a.fingerprint, {key}, a.body, '{state}', a.submitted_at, a.price_key, a.day "
    "FROM tasks t CROSS JOIN attempts a WHERE a.number = 1 AND a.state = 'submitting' AND t.ident = '{task}'"
)
INSERT_MONEY = (
    "INSERT INTO money (attempt_id, manifest_id, run_root, day, kind, credits, at) "
    "SELECT a.id, t.manifest_id, 1, a.day, '{kind}', {credits}, a.submitted_at "
    "FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE t.ident = '{task}'"
)
INSERT_OUTPUT = (
    "INSERT INTO outputs (attempt_id, run_id, nth, path, sha256, size, mime, saved_at) "
    "SELECT id, run_id, 5, 'p', '{content}', {size}, 'video/mp4', submitted_at FROM attempts WHERE state = '{state}'"
)
INSERT_UPLOAD = "INSERT INTO uploads (sha256, url, uploaded_at) VALUES ('{content}', '{url}', '2026')"


def money(task: str, kind: str, credits: int) -> str:
    """SQL for one money row of the first attempt at a task."""
    return INSERT_MONEY.format(task=task, kind=kind, credits=credits)


ATTACKS = {
    "2 a second live attempt": (INSERT_ATTEMPT.format(key="'bg-x'", state="submitting", task="t1"), r"uq_attempts_live|attempts\.task_id"),
    "3 another body": ("UPDATE attempts SET body = 'other'", "an attempt keeps its"),
    "3 another key": ("UPDATE attempts SET client_request_id = 'bg-y' WHERE state = 'submitting'", "an attempt keeps its"),
    "3 another number": ("UPDATE attempts SET number = number + 5", "an attempt keeps its"),
    "3 another task id": ("UPDATE attempts SET api_task_id = 'other' WHERE state = 'succeeded'", "an attempt keeps its"),
    "3 a key twice": (INSERT_ATTEMPT.format(key="a.client_request_id", state="refused", task="t2"), "client_request_id"),
    "3 a number twice": ("UPDATE attempts SET task_id = 1", "an attempt keeps its"),
    "3 forgotten": ("DELETE FROM attempts", "never deleted|foreign key|FOREIGN KEY"),
    "4 money changed": ("UPDATE money SET credits = 0", "money is append-only"),
    "4 money deleted": ("DELETE FROM money", "money is append-only"),
    "4 less than nothing": (money("t1", "hold", -1), "ck_money_credits"),
    "4 captured twice": (money("t0", "capture", 0), r"uq_money_closed_once|money\.attempt_id"),
    "4 held after closing": (money("t0", "hold", 5), "no hold after a hold was closed"),
    "4 more than held": (money("t1", "release", 41), "more captured and released than was held"),
    "4 an unknown kind": (money("t1", "gift", 1), "ck_money_kind"),
    "4 of nobody": (
        "INSERT INTO money (attempt_id, manifest_id, run_root, day, kind, credits, at) VALUES (99, 1, 1, '2026-11-23', 'hold', 1, '2026')",
        "fk_money_attempt_id|FOREIGN KEY",
    ),
    "6 an output of no render": (INSERT_OUTPUT.format(content=HASH, size=1, state="submitting"), "only a succeeded attempt"),
    "6 an output without content": (INSERT_OUTPUT.format(content=HASH, size=0, state="succeeded"), "ck_outputs_complete"),
    "6 an output without checksum": (INSERT_OUTPUT.format(content="", size=1, state="succeeded"), "ck_outputs_complete"),
    "6 an upload without address": (INSERT_UPLOAD.format(content=HASH, url=""), "ck_uploads_complete"),
    "6 an upload without checksum": (INSERT_UPLOAD.format(content="abc", url="https://x"), "ck_uploads_complete"),
    "7 a task moved in silence": ("UPDATE tasks SET state = 'rendering' WHERE state = 'pending'", "a task moves only after its event"),
    "7 an old event again": ("UPDATE tasks SET state = 'pending' WHERE state = 'done'", "a task moves only after its event"),
    "7 an attempt moved in silence": ("UPDATE attempts SET state = 'accepted' WHERE state = 'submitting'", "moves only after its event"),
    "7 an event changed": ("UPDATE events SET event = 'nothing'", "events are append-only"),
    "7 an event deleted": ("DELETE FROM events", "events are append-only"),
    "8 a task's move that is not in the tables": (
        "UPDATE tasks SET state = 'done' WHERE state = 'pending'",
        "no such move|after its event",
    ),
    "8 out of a final state": ("UPDATE attempts SET state = 'failed' WHERE state = 'succeeded'", "no such move|after its event"),
    "8 an unknown state": ("UPDATE tasks SET state = 'sleeping'", "no such move|after its event|ck_tasks_state"),
    "a task without a manifest": ("UPDATE tasks SET manifest_id = 99", "fk_tasks_manifest_id|FOREIGN KEY"),
    "a task deleted": ("DELETE FROM tasks", "never deleted|FOREIGN KEY"),
    "a task twice": ("UPDATE tasks SET ident = 't0'", r"uq_tasks_manifest_id|tasks\.ident"),
    "a run half ended": ("UPDATE runs SET ended_at = '2026'", "ck_runs_ended"),
}


def test_the_schema_refuses(books: Books, attack: Callable[[str], None]) -> None:
    """What would break an invariant is refused by the database itself, each for its own reason, and changes nothing."""
    books.finish(0)
    books.submit(1)
    before = books.rows()
    for name, (statement, words) in ATTACKS.items():
        with pytest.raises(sa.exc.IntegrityError, match=words):
            attack(statement)
        assert books.rows() == before, name


LOGGED = {
    "a task": (
        "INSERT INTO events (task_id, event, moved_from, moved_to, at) SELECT id, 'x', state, 'rendering', '2026' FROM tasks",
        "UPDATE tasks SET state = 'rendering' WHERE state = 'done'",
    ),
    "an attempt": (
        "INSERT INTO events (attempt_id, event, moved_from, moved_to, at) SELECT id, 'x', state, 'accepted', '2026' FROM attempts",
        "UPDATE attempts SET state = 'accepted' WHERE state = 'succeeded'",
    ),
}


def test_an_event_does_not_excuse_every_move(books: Books, attack: Callable[[str], None]) -> None:
    """A move that core.states lacks is refused even when the log has it (invariant 8, alone)."""
    books.finish(0)
    for log, move in LOGGED.values():
        attack(log)
        with pytest.raises(sa.exc.IntegrityError, match="no such move"):
            attack(move)
