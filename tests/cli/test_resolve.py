"""An attempt in doubt: what a person is told, and the three things that can be said about it, each to its end."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.sandbox.account import Account
from tests.cli.calling import Cli

Write = Callable[..., str]
HOLD = "on_lost_answer: hold\nsandbox:\n  poll: {first: 0.1, every: 0.1, slowest: 0.3}\n"
LEDGER = Path(".batchgen/sandbox/ledger.sqlite3")


def asked(sql: str) -> list[tuple[object, ...]]:
    """Ask the ledger's file itself."""
    with closing(sqlite3.connect(LEDGER)) as shell:
        return shell.execute(sql).fetchall()


def charged() -> tuple[object, int]:
    """Return what the sandbox charged, and how many purchases it has."""
    with Account(LEDGER.with_name("account.sqlite3")) as account:
        books = account.books()
    assert isinstance(books["tasks"], list)
    return books["spent"], len(books["tasks"])


def bought() -> str:
    """Return the sandbox's id of its one task."""
    with Account(LEDGER.with_name("account.sqlite3")) as account:
        tasks = account.books()["tasks"]
    assert isinstance(tasks, list)
    (task,) = tasks
    return str(task["id"])


@pytest.fixture
def doubt(cli: Cli, manifest: Write, workspace: Path) -> Callable[[str], str]:
    """Bring t1 into doubt, by a lost answer (`drop_after`) or a lost request (`drop_before`); return its key."""

    def bring(fault: str) -> str:
        (workspace / "batchgen.yaml").write_text(HOLD, encoding="utf-8")
        assert cli("run", manifest(1), "--sandbox", "--yes", "--faults", f"{fault}=1").code == 7
        ((key, state),) = asked("SELECT client_request_id, state FROM attempts")
        assert state == "in_doubt"
        return str(key)

    return bring


def test_many_failures_do_not_hide_it(cli: Cli, manifest: Write, doubt: Callable[[str], str]) -> None:
    """What only a person can decide comes before any number of failures, with the command that decides."""
    doubt("drop_after")
    manifest(8)
    called = cli("run", "spring.yaml", "--sandbox", "--yes", "--faults", "fail=1,render=0.05")

    assert called.code == 7, called
    for text in (called.out, cli("status", "--sandbox").out):
        assert "spring/t1: blocked, in doubt" in text
        assert "next: look t1 up at the vendor, then batchgen resolve t1 --manifest spring --sandbox --accepted TASK_ID" in text
    for words in (("plan",), ("run", "--dry-run")):
        planned = cli(*words, "spring.yaml", "--sandbox").out
        assert planned.endswith("next: batchgen status --sandbox says what to do about 1 blocked task\n"), planned


def test_what_a_person_is_told(cli: Cli, doubt: Callable[[str], str]) -> None:
    """`show` says what happened, what is at risk, what to look up, and the three answers; `status` says how many and where to look."""
    key = doubt("drop_after")
    said = cli("show", "t1", "--sandbox").out
    for words in (
        "in doubt",
        "at risk     55 credits",
        "buying it anew could pay twice",
        "kling-2-6",
        key,
        "Clip number 1",
        "--sandbox --accepted",
    ):
        assert words in said, words
    assert re.search(r"from about \d{4}-\d\d-\d\d \d\d:\d\d", said), said
    for answer in ("--accepted TASK_ID", "--not-accepted", "--resend"):
        assert f"batchgen resolve t1 --manifest spring --sandbox {answer}" in said
    said = cli("status", "--sandbox").out
    assert "exit 7" in said
    assert "in doubt" in said
    assert key in said
    assert "batchgen resolve t1" in said


def test_it_was_accepted(cli: Cli, doubt: Callable[[str], str]) -> None:
    """The next run fetches that render; nothing is bought again."""
    doubt("drop_after")
    said = cli("resolve", "t1", "--accepted", bought(), "--sandbox")
    assert (said.code, "next: batchgen resume --sandbox" in said.out) == (0, True), said
    assert cli("resume", "--sandbox").code == 0
    assert (charged(), asked("SELECT state, count(*) FROM attempts GROUP BY state")) == ((55, 1), [("succeeded", 1)])
    assert cli("ledger", "check", "--sandbox").code == 0


def test_it_was_not_accepted(cli: Cli, doubt: Callable[[str], str]) -> None:
    """Its credits come free at once; the next run buys it under another key."""
    key = doubt("drop_before")
    assert charged() == (0, 0)
    assert cli("resolve", "t1", "--not-accepted", "--sandbox").code == 0
    assert asked("SELECT sum(CASE kind WHEN 'hold' THEN credits ELSE -credits END) FROM money") == [(0,)]
    assert cli("resume", "--sandbox").code == 0
    assert charged() == (55, 1)
    keys = [row[0] for row in asked("SELECT client_request_id FROM attempts ORDER BY id")]
    assert (keys[0], len(set(keys))) == (key, 2)
    assert cli("ledger", "check", "--sandbox").code == 0


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_it_is_sent_again(cli: Cli, doubt: Callable[[str], str], fault: str) -> None:
    """The same bytes leave with the same key: a server that remembers sells it once, whether it had it or not."""
    doubt(fault)
    assert cli("resolve", "t1", "--resend", "--sandbox").code == 0
    assert cli("resume", "--sandbox").code == 0
    assert (charged(), asked("SELECT state, count(*) FROM attempts GROUP BY state")) == ((55, 1), [("succeeded", 1)])
    assert cli("ledger", "check", "--sandbox").code == 0


def test_what_cannot_be_said(cli: Cli, doubt: Callable[[str], str]) -> None:
    """Nothing, two things, no task id, another task, a task that is not in doubt: exit 2, plain words, nothing changed."""
    doubt("drop_after")
    task = bought()
    before = asked("SELECT * FROM attempts")
    for words, said in (
        (("t1",), "say exactly one of"),
        (("t1", "--resend", "--not-accepted"), "say exactly one of"),
        (("t1", "--accepted", " "), "needs the task id"),
        (("t1", "--accepted", ".."), "needs the task id"),
        (("t1", "--accepted", "a\x1b[31m"), "needs the task id"),
        (("t9", "--resend"), "t9"),
        (("t1", "--resend", "--manifest", "autumn"), "autumn"),
    ):
        called = cli("resolve", *words, "--sandbox")
        assert (called.code, said in called.err, "Traceback" in called.err) == (2, True, False), called
    assert asked("SELECT * FROM attempts") == before
    assert cli("resolve", "t1", "--accepted", task, "--sandbox").code == 0
    called = cli("resolve", "t1", "--resend", "--sandbox")
    assert (called.code, "in doubt" in called.err) == (2, True), called


def test_the_vendors_task_of_another_attempt_is_refused(cli: Cli, doubt: Callable[[str], str], manifest: Write) -> None:
    """A pasted id that another render has is a mistake of the person, said in plain words; the attempt stays in doubt."""
    doubt("drop_after")
    task = bought()
    assert cli("resolve", "t1", "--accepted", task, "--sandbox").code == 0
    assert cli("resume", "--sandbox").code == 0
    assert cli("run", manifest(2), "--sandbox", "--yes", "--faults", "drop_after=1").code == 7
    called = cli("resolve", "t2", "--accepted", task, "--sandbox")
    assert (called.code, "belongs to another attempt" in called.err) == (2, True), called
    assert asked("SELECT state FROM attempts ORDER BY id") == [("succeeded",), ("in_doubt",)]


def test_a_task_in_doubt_in_two_manifests(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Whoever does not say which one decides about none."""
    (workspace / "batchgen.yaml").write_text(HOLD, encoding="utf-8")
    assert cli("run", manifest(1), manifest(1, name="autumn"), "--sandbox", "--yes", "--faults", "drop_before=1").code == 7
    called = cli("resolve", "t1", "--not-accepted", "--sandbox")
    assert called.code == 2
    assert "in doubt in several manifests; say which with --manifest: autumn, spring" in called.err
    assert asked("SELECT count(*) FROM attempts WHERE state = 'in_doubt'") == [(2,)]
    assert cli("resolve", "t1", "--manifest", "autumn", "--not-accepted", "--sandbox").code == 0
    assert asked("SELECT m.name, a.state FROM attempts a, tasks t, manifests m WHERE t.id = task_id AND m.id = manifest_id ORDER BY 1") == [
        ("autumn", "refused"),
        ("spring", "in_doubt"),
    ]
