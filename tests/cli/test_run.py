"""Runs from end to end in the sandbox: what is said, what lies on disk, how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from batchgen.ledger import Store
from batchgen.settings import SANDBOX_ADDRESS
from tests.cli.calling import ROOT, Cli

Write = Callable[..., str]
QUICK = "sandbox: {faults: render=0.05, poll: {first: 0.05, every: 0.05}}\n"


@pytest.fixture(autouse=True)
def quick(workspace: Path) -> None:
    """Let the sandbox render at once."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")


def fits(name: str, document: object) -> None:
    """Check a document against its schema."""
    schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)


def test_run_and_look_at_it(cli: Cli, manifest: Write, workspace: Path) -> None:
    """A run renders everything, says so, and every other command agrees; a second run sends nothing."""
    path = manifest(3)
    called = cli("run", path, "--sandbox", "--yes")
    assert called.code == 0, called
    assert "3 tasks to buy for about 165 credits in the sandbox" in called.err
    assert "spring: 3 done; 165 credits spent in all, 0 held" in called.out
    assert "next: nothing is left to do" in called.out
    assert len(list((workspace / "renders-sandbox").rglob("*.mp4"))) == 3
    assert not (workspace / "renders").exists()
    assert "\x1b" not in called.err
    assert "\r" not in called.err

    again = cli("run", path, "--sandbox", "--json")
    assert again.code == 0
    document = again.document()
    fits("run", document)
    assert document["next"] == "nothing is left to do"
    assert "nothing to buy" in again.err

    for name, arguments in {
        "status": ("status",),
        "tasks": ("tasks",),
        "show": ("show", "t1"),
        "credits": ("credits",),
        "plan": ("plan", path),
        "run": ("report",),
        "models": ("models",),
    }.items():
        called = cli(*arguments, "--sandbox", "--json")
        assert called.code == 0, called
        fits(name, called.document())
    assert "99,835 credits on the server" in cli("credits", "--sandbox").out


def test_tasks_and_report(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Tasks are listed by state, id and manifest, as a table, CSV and JSON lines; the report writes files whole."""
    cli("run", manifest(3), "--sandbox", "--yes", "--max-tasks", "2")
    assert cli("tasks", "--sandbox", "--state", "pending").out.count("t3") == 1
    assert "t1" not in cli("tasks", "--sandbox", "--only", "t[23]").out
    assert "known: spring" in cli("tasks", "--sandbox", "--manifest", "other").err
    assert cli("tasks", "--sandbox", "--limit", "1").out.count("\n") == 2
    rows = list(csv.DictReader(io.StringIO(cli("tasks", "--sandbox", "--format", "csv").out)))
    assert [row["state"] for row in rows] == ["done", "done", "pending"]
    lines = cli("tasks", "--sandbox", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["task"] for line in lines] == ["t1", "t2", "t3"]

    called = cli("report", "--sandbox", "--csv", "all.csv", "--jsonl", "-", "--run", "1")
    assert called.code == 0
    assert "2 rows written to all.csv" in called.err
    assert len(called.out.splitlines()) == 2
    assert (workspace / "all.csv").read_text(encoding="utf-8").count("\n") == 3
    assert not list(workspace.glob("*.part"))


def test_report_that_cannot_be_written(cli: Cli, manifest: Write) -> None:
    """A report that cannot be written, or two on one stream, are refused in words."""
    cli("run", manifest(1), "--sandbox", "--yes")
    assert "cannot be written" in cli("report", "--sandbox", "--csv", "no/such/folder.csv").err
    assert "No space left" in cli("report", "--sandbox", "--csv", "/dev/full").err
    assert "cannot be written" in cli("report", "--sandbox", "--csv", ".").err
    assert "only one document" in cli("report", "--sandbox", "--csv", "-", "--jsonl", "-").err
    assert "only one document" in cli("report", "--sandbox", "--csv", "-", "--json").err
    assert cli("report", "--sandbox", "--run", "9").code == 2


def test_show_a_misspelt_task(cli: Cli, manifest: Write) -> None:
    """A misspelt task id gets suggestions."""
    cli("run", manifest(2), "--sandbox", "--yes")
    called = cli("show", "t11", "--sandbox")
    assert called.code == 2
    assert "did you mean t1?" in called.err
    assert "next: batchgen show --help" in called.err


def test_stopped_early(cli: Cli, manifest: Write) -> None:
    """A run that stops at a limit exits 3 and says how to go on."""
    path = manifest(3)
    for limit in (("--max-tasks", "1"), ("--budget", "60")):
        called = cli("run", path, "--sandbox", "--yes", *limit)
        assert called.code == 3, called
        assert f"next: batchgen run {path} --sandbox goes on with" in called.out
    assert cli("run", path, "--sandbox", "--yes", "--only", "t3").code == 0


def test_some_failed(cli: Cli, manifest: Write) -> None:
    """Failed tasks give exit 1; the summary names them and why; --retry-failed asks again."""
    path = manifest(2)
    called = cli("run", path, "--sandbox", "--yes", "--faults", "fail=1,render=0.05")
    assert called.code == 1, called
    assert "spring/t1: failed, " in called.out
    assert "failed for good" in called.err
    assert f"batchgen run {path} --sandbox --retry-failed asks again" in called.out
    assert cli("run", path, "--sandbox", "--yes").code == 1
    assert cli("run", path, "--sandbox", "--yes", "--retry-failed").code == 0


def test_in_doubt(cli: Cli, manifest: Write, workspace: Path) -> None:
    """With `on_lost_answer: hold` a lost answer waits for a person: exit 7, the credits stay held."""
    (workspace / "batchgen.yaml").write_text(QUICK + "on_lost_answer: hold\n", encoding="utf-8")
    called = cli("run", manifest(1), "--sandbox", "--yes", "--faults", "drop_after=1")
    assert called.code == 7, called
    assert "55 held" in called.out
    assert "next: look t1 up at the vendor, then batchgen resolve t1 --manifest spring --sandbox --accepted TASK_ID" in called.out
    assert "0 of 1 done, 1 failed or blocked, 0 credits spent, 55 held" in called.err


def test_busy_ledger(cli: Cli, manifest: Write, workspace: Path) -> None:
    """While another run holds the ledger a second one exits 4 and says who holds it; readers do not wait."""
    path = manifest(2)
    cli("run", path, "--sandbox", "--yes", "--max-tasks", "1")
    place = str(workspace / ".batchgen/sandbox/ledger.sqlite3")
    with Store.open(place, SANDBOX_ADDRESS) as ledger, ledger.lock(command="run", at=time.time()):
        called = cli("run", path, "--sandbox", "--yes")
        assert called.code == 4, called
        assert str(os.getpid()) in called.err
        assert cli("status", "--sandbox").code == 0


def test_resume(cli: Cli, manifest: Write, workspace: Path) -> None:
    """`resume` goes on from the ledger although the manifest file is gone."""
    path = manifest(3)
    cli("run", path, "--sandbox", "--yes", "--budget", "60")
    (workspace / path).unlink()
    called = cli("resume", "--sandbox", "--json")
    assert called.code == 3, called
    fits("run", called.document())


def test_sandbox_needs_right_faults(cli: Cli, manifest: Write, workspace: Path) -> None:
    """A misspelt fault is refused before anything is written."""
    called = cli("run", manifest(1), "--sandbox", "--faults", "fial=1")
    assert called.code == 2
    assert "fail" in called.err
    assert not (workspace / ".batchgen").exists()


@pytest.mark.parametrize("example", ["minimal", "references"])
def test_examples_run_as_they_are(cli: Cli, example: str) -> None:
    """The small examples of the repository run in the sandbox as they are."""
    called = cli("run", str(ROOT / f"manifests/{example}.yaml"), "--sandbox", "--yes")
    assert called.code == 0, called


def test_init_runs_as_it_is(cli: Cli) -> None:
    """What `init` writes runs in the sandbox as it is."""
    cli("init")
    called = cli("run", "manifests/first.yaml", "--sandbox", "--yes")
    assert called.code == 0, called
    assert "first: 6 done" in called.out


def test_hostile_prompt(cli: Cli, workspace: Path) -> None:
    """A prompt's marks reach files exactly and the terminal never raw."""
    prompt = "=cmd()\u202eevil \U0001f600"
    text = f'version: 1\nname: h\ntasks:\n  - {{id: a, model: kling-2-6, prompt: "{prompt}"}}\n'
    (workspace / "h.yaml").write_text(text, encoding="utf-8")
    assert cli("run", "h.yaml", "--sandbox", "--yes").code == 0
    assert json.loads(cli("tasks", "--sandbox", "--format", "jsonl").out)["prompt"] == prompt
    (row,) = csv.DictReader(io.StringIO(cli("tasks", "--sandbox", "--format", "csv").out))
    assert row["prompt"].startswith("'=cmd()")
    for command in (("show", "a"), ("tasks",), ("status",), ("tasks", "--format", "csv")):
        assert "\u202e" not in cli(*command, "--sandbox").out
