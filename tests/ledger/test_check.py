"""`ledger check` trusts no constraint and no trigger: in an edited or damaged ledger, each row that breaks an invariant is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.ledger import Store
from batchgen.ledger.check import INVARIANTS, Broken
from tests.ledger.keeping import HONEST, edit, night

COPY = (
    "INSERT INTO attempts (task_id, run_id, number, fingerprint, client_request_id, body, state, submitted_at, price_key, day)"
    " SELECT task_id, run_id, {number}, fingerprint, {key}, {body}, '{state}', submitted_at, price_key, day FROM attempts WHERE id = {of}"
)
MONEY = (
    "INSERT INTO money (attempt_id, manifest_id, run_root, day, kind, credits, at)"
    " SELECT id, 1, 1, day, '{kind}', {credits}, submitted_at FROM attempts WHERE id = {of}"
)
EVENT = (
    "INSERT INTO events (run_id, task_id, attempt_id, event, moved_from, moved_to, at) SELECT 1, {task}, {attempt}, '{move}', submitted_at"
    " FROM attempts WHERE id = 1"
)
PER_RUN = "UPDATE manifests SET header = json_set(header, '$.budget.per_run', {})"
ASKED = "UPDATE runs SET asked = json_set(asked, '$.budget', {}) WHERE id = 1"
TOLD = "INSERT INTO controls (run_id, kind, value, asked_at) SELECT 1, 'budget', 74, started_at FROM runs WHERE id = 1"
LATER = (
    "INSERT INTO runs (root, asked, started_at, adopted, pid, host) SELECT 2, json_set(asked, '$.budget', NULL), started_at, 1, 1, 'h'"
    " FROM runs WHERE id = 1"
)
NAMED = "UPDATE runs SET asked = json_set(asked, '$.manifests', json('{}')) WHERE id = (SELECT max(id) FROM runs)"
DEARER = (
    "INSERT INTO money (attempt_id, manifest_id, run_root, day, kind, credits, at) SELECT 2, 1, 1, day, 'hold', 9, at FROM money LIMIT 1"
)


def event(move: str, *, task: str = "NULL", attempt: str = "NULL") -> str:
    """SQL for one event; `move` is `event from to`."""
    return EVENT.format(task=task, attempt=attempt, move="', '".join(move.split(" ")))


DONE, SENT, FAILED = "attempts/1 (spring/t0)", "attempts/2 (spring/t1)", "attempts/3 (spring/t2)"
WHOLE = "the file"
BREAKS: dict[str, tuple[str, int, str, str]] = {
    "names a row that is gone": ("UPDATE money SET attempt_id = 99 WHERE id = 1", 0, "money/1", "names a row of attempts"),
    "a word that is no state": ("UPDATE attempts SET state = 'lost' WHERE id = 2", 0, WHOLE, "'lost' is not a valid AttemptState"),
    "credits that are no number": ("UPDATE money SET credits = 'many' WHERE id = 1", 4, "money/1", "its credits are 'many'"),
    "credits below nothing": ("UPDATE money SET credits = -1 WHERE id = 1", 4, "money/1", "its credits are -1"),
    "a time that is none": ("UPDATE attempts SET submitted_at = 'noon' WHERE id = 2", 0, WHOLE, "noon"),
    "a header that is none": ("UPDATE manifests SET header = 'spring'", 0, WHOLE, "(budgets)"),
    "a body that is no JSON": ("UPDATE attempts SET body = x'00ff' WHERE id = 2", 1, SENT, "not the JSON of a request"),
    "a body that is a list": ("UPDATE attempts SET body = CAST('[]' AS BLOB) WHERE id = 2", 1, SENT, "not the JSON of a request"),
    "a body that became text": ("UPDATE attempts SET body = CAST(body AS TEXT) WHERE id = 2", 1, SENT, "text where bytes were"),
    "a body with another key": (
        """UPDATE attempts SET body = CAST('{"client_request_id":"bg-x"}' AS BLOB) WHERE id = 2""",
        1,
        SENT,
        "carries the",
    ),
    "accepted before it was committed": (
        "UPDATE attempts SET accepted_at = '2020-01-01T00:00:00.000000Z' WHERE id = 1",
        1,
        DONE,
        "accepted before it was committed",
    ),
    "a render of no task of the server's": ("UPDATE attempts SET api_task_id = NULL WHERE id = 1", 1, DONE, "without a task id"),
    "two live attempts": (
        COPY.format(number=2, key="'bg-x'", body="""'{"client_request_id":"bg-x"}'""", state="submitting", of=2),
        2,
        "tasks/2 (spring/t1)",
        "it has 2 live attempts",
    ),
    "another key": (
        """UPDATE attempts SET client_request_id = 'bg-x', body = '{"client_request_id":"bg-x"}' WHERE id = 2""",
        3,
        SENT,
        "its key is bg-x",
    ),
    "a key of another content": (
        "UPDATE attempts SET fingerprint = replace(fingerprint, 'a', 'b') WHERE id = 2",
        3,
        SENT,
        "is not that of its task",
    ),
    "a lost hold": ("DELETE FROM money WHERE attempt_id = 2", 4, SENT, "submitted without a hold"),
    "a lost capture": (
        "DELETE FROM money WHERE attempt_id = 1 AND kind = 'capture'",
        4,
        DONE,
        "it is succeeded: 40 credits were held, 5 captured or released",
    ),
    "a capture of more": ("UPDATE money SET credits = 36 WHERE kind = 'capture'", 4, DONE, "40 credits were held, 41 captured"),
    "closed twice": (MONEY.format(kind="capture", credits=0, of=1), 4, DONE, "closed more than once"),
    "released twice": (MONEY.format(kind="release", credits=0, of=3), 4, FAILED, "closed more than once"),
    "closed while it is live": (MONEY.format(kind="release", credits=40, of=2), 4, SENT, "it is submitting, but its hold is closed"),
    "more back than was paid": (MONEY.format(kind="refund", credits=36, of=1), 4, DONE, "36 credits came back, 35 were captured"),
    "counted for another manifest": (
        "UPDATE money SET manifest_id = 7 WHERE attempt_id = 1 AND kind = 'hold'",
        4,
        "money/1 (spring/t0)",
        "another manifest, run or day",
    ),
    "counted for another run": ("UPDATE money SET run_root = 7 WHERE attempt_id = 2", 4, "money/4 (spring/t1)", "another manifest, run or"),
    "counted for another day": (
        "UPDATE attempts SET day = '2020-01-01' WHERE id = 3",
        4,
        "money/5 (spring/t2)",
        "another manifest, run or",
    ),
    "over its budget": (
        "UPDATE money SET credits = 41 WHERE attempt_id = 2",
        5,
        "manifests/1 (spring)",
        "76 credits are spent or held of a total of 75",
    ),
    "over its budget for a run": (PER_RUN.format(74), 5, "manifests/1 (spring)", "75 credits are spent or held of its per_run of 74"),
    "over the run's budget": (ASKED.format(74), 5, "runs/1", "75 credits are spent or held of a --budget of 74"),
    "an output of no render": ("UPDATE outputs SET attempt_id = 3", 6, "outputs/1 (spring/t2)", "an attempt that is failed"),
    "an output without content": ("UPDATE outputs SET size = 0", 6, "outputs/1 (spring/t0)", "no size or no checksum"),
    "an output without checksum": ("UPDATE outputs SET sha256 = 'abc'", 6, "outputs/1 (spring/t0)", "no size or no checksum"),
    "done without a file": ("DELETE FROM outputs", 6, "tasks/1 (spring/t0)", "done without a file"),
    "done with another task's file": ("UPDATE tasks SET state = 'done' WHERE id = 3", 6, "tasks/3 (spring/t2)", "done without a file"),
    "done with a lost file": ("UPDATE outputs SET lost_at = saved_at", 6, "tasks/1 (spring/t0)", "done without a file"),
    "a task moved without its event": (
        "UPDATE tasks SET state = 'blocked' WHERE id = 3",
        7,
        "tasks/3 (spring/t2)",
        "its log ends with 'failed'",
    ),
    "an attempt moved without its event": (
        "UPDATE attempts SET state = 'in_doubt' WHERE id = 2",
        7,
        SENT,
        "its log ends with 'submitting'",
    ),
    "a task's event is gone": ("DELETE FROM events WHERE event = 'saved'", 7, "tasks/1 (spring/t0)", "its log ends with 'rendered'"),
    "an event from elsewhere": (event("renewed pending pending", task="1"), 7, "tasks/1 (spring/t0)", "but it was 'done'"),
    "a move that is none": (event("saved done done", task="1"), 7, "tasks/1 (spring/t0)", "saved does not lead from 'done'"),
    "a word that is no event": (event("wished done pending", task="1"), 7, "tasks/1 (spring/t0)", "wished does not lead"),
    "out of a final state": (
        event("accepted failed accepted", task="3", attempt="3"),
        8,
        FAILED,
        "does not lead from 'failed' to 'accepted'",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger file with nothing broken, made once: t0 is done, t1 sent, t2 failed, 75 of a total of 75 credits spent or held."""
    path = tmp_path_factory.mktemp("whole") / "ledger.sqlite3"
    night(path).close()
    edit(path, HONEST)
    return path


@pytest.fixture
def ledger(whole: Path, tmp_path: Path) -> Iterator[tuple[Store, Path]]:
    """A copy of it, open for reading as `ledger check` opens it."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copyfile(whole, path)
    with Store.open(path, None, read_only=True) as store:
        yield store, path


def test_nothing_is_broken(ledger: tuple[Store, Path]) -> None:
    """Without its constraints and triggers a ledger is as right as before; 75 of 75 is within the budget."""
    store, _ = ledger
    assert store.check() == ()


@pytest.mark.parametrize(
    "statements",
    {
        "as much as is allowed": (PER_RUN.format(75), ASKED.format(75)),
        "lowered for the next night, which bought nothing": (
            PER_RUN.format(74),
            "UPDATE manifests SET header = replace(header, 75, 7)",
            LATER,
        ),
        "lowered while it went on": (ASKED.format(74), TOLD),
        "no limit when it was resumed": (ASKED.format(74), LATER, "UPDATE runs SET root = 1"),
        "dearer than was known": (DEARER,),
        "read by no night": (PER_RUN.format(74), NAMED.format("[]")),
        "spent by another manifest of the same run": (PER_RUN.format(74), "UPDATE money SET manifest_id = 7 WHERE attempt_id = 2"),
        "nothing for a run that bought nothing": (LATER, ASKED.format(0).replace("id = 1", "id = 2")),
    }.values(),
)
def test_a_budget_that_was_lowered_since_is_not_broken(ledger: tuple[Store, Path], statements: tuple[str, ...]) -> None:
    """Whoever lowers a budget below what is spent has overspent nothing; nor has a run that the server charged more than it could know."""
    store, path = ledger
    edit(path, *statements)
    assert [broken for broken in store.check() if broken.invariant == 5] == []


@pytest.mark.parametrize(
    ("statements", "row"),
    {
        "another run was charged more": ((ASKED.format(74), LATER, DEARER.replace("2, 1, 1, day", "2, 1, 2, day")), "runs/1"),
        "a run of another manifest came after it": ((PER_RUN.format(74), LATER, NAMED.format('["autumn"]')), "manifests/1 (spring)"),
        "nothing of it is closed": (("DELETE FROM money WHERE attempt_id <> 2", PER_RUN.format(39)), "manifests/1 (spring)"),
    }.values(),
)
def test_overspending_is_found_beside_other_things(ledger: tuple[Store, Path], statements: tuple[str, ...], row: str) -> None:
    """What belongs to another run or manifest excuses nothing, and what is only held counts as well."""
    store, path = ledger
    edit(path, *statements)
    assert [broken.row for broken in store.check() if broken.invariant == 5] == [row]


def test_a_task_without_a_log_hides_no_other(ledger: tuple[Store, Path]) -> None:
    """The tasks after one that never moved are followed as well."""
    store, path = ledger
    edit(path, "DELETE FROM events WHERE task_id = 1 AND attempt_id IS NULL", "UPDATE tasks SET state = 'blocked' WHERE id = 3")
    assert [broken.row for broken in store.check() if broken.invariant == 7] == ["tasks/1 (spring/t0)", "tasks/3 (spring/t2)"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            "UPDATE events SET id = 1000 WHERE id = (SELECT max(id) FROM events WHERE attempt_id = 1 AND moved_to <> '')",
            id="attempts move by turns: each is followed by itself, whatever happened to others in between",
        ),
        pytest.param(event("noted  ", task="1"), id="a note moves nothing"),
        pytest.param("UPDATE outputs SET size = 1", id="complete is not the same as large"),
    ],
)
def test_what_is_strange_and_right(ledger: tuple[Store, Path], change: str) -> None:
    """It breaks no invariant, and nobody is alarmed."""
    store, path = ledger
    edit(path, change)
    assert store.check() == ()


def test_what_cannot_be_read_is_told_in_the_databases_own_words(ledger: tuple[Store, Path]) -> None:
    """Each proof that met it says so, and nothing of our SQL."""
    store, path = ledger
    edit(path, "DROP TABLE outputs")
    (broken,) = store.check()
    assert broken == Broken(0, "the file", "what is in it cannot be read to its end (outputs): no such table: outputs")


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named(ledger: tuple[Store, Path], name: str) -> None:
    """The row, its task, the invariant and what is wrong with it."""
    store, path = ledger
    statement, invariant, row, words = BREAKS[name]
    edit(path, statement)
    found = [broken for broken in store.check() if broken.invariant == invariant]
    assert any(broken.row == row and words in broken.what for broken in found), store.check()


def test_a_key_in_two_rows(ledger: tuple[Store, Path]) -> None:
    """The key's constraint is part of its table: only a table that was made anew without it can hold a key twice."""
    store, path = ledger
    edit(path, "CREATE TABLE bare AS SELECT * FROM attempts", "DROP TABLE attempts", "ALTER TABLE bare RENAME TO attempts")
    edit(path, "INSERT INTO attempts SELECT * FROM attempts WHERE id = 1")
    assert "its key stands in several rows" in [broken.what for broken in store.check() if broken.invariant == 3]


def test_one_broken_body_hides_no_other(ledger: tuple[Store, Path]) -> None:
    """The rows after one that cannot be read are looked at as well."""
    store, path = ledger
    edit(path, "UPDATE attempts SET body = x'00ff' WHERE id < 3")
    assert [broken.row for broken in store.check() if broken.invariant == 1] == [DONE, SENT]


def test_every_invariant_is_broken_once() -> None:
    """No invariant is left out above."""
    assert {invariant for _, invariant, _, _ in BREAKS.values()} == set(INVARIANTS)


def test_a_page_that_a_disk_has_lost(ledger: tuple[Store, Path], tmp_path: Path) -> None:
    """An index that does not match its table any more is found by reading all of the file."""
    store, path = ledger
    damaged = tmp_path / "damaged.sqlite3"
    store.backup(damaged)
    with closing(sqlite3.connect(path)) as shell:
        (page,) = shell.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_money_day'").fetchone()
        (size,) = shell.execute("PRAGMA page_size").fetchone()
    content = bytearray(damaged.read_bytes())
    begin = (page - 1) * size
    # The number of cells in the head of a B-tree's page: the index forgets its rows.
    content[begin + 3 : begin + 5] = b"\0\0"
    damaged.write_bytes(content)
    with Store.open(damaged, "sandbox", read_only=True) as opened:
        found = opened.check()
    assert found
    assert {(broken.invariant, broken.row) for broken in found} == {(0, "the file")}
    assert all(isinstance(broken, Broken) for broken in found)
    assert any("ix_money_day" in broken.what for broken in found), found
