"""`plan --out FILE` and `run --plan FILE`: exactly that, once, or refused in words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.cli.calling import ROOT, Called, Cli

Write = Callable[..., str]
QUICK = "sandbox: {faults: render=0.05, poll: {first: 0.05, every: 0.05}}\n"
PICTURES = ROOT / "manifests/assets"


@pytest.fixture(autouse=True)
def quick(workspace: Path) -> None:
    """Let the sandbox render at once."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")


def write(workspace: Path, tasks: str, more: str = "") -> str:
    """Write a manifest of these tasks, with a picture beside it."""
    (workspace / "a.png").write_bytes((PICTURES / "vase.png").read_bytes())
    (workspace / "m.yaml").write_text(f"version: 1\nname: m\n{more}defaults: {{model: kling-2-6}}\ntasks:\n{tasks}", encoding="utf-8")
    return "m.yaml"


THREE = "  - {id: a, prompt: one, references: [a.png]}\n  - {id: b, prompt: two}\n  - {id: c, prompt: three}\n"


def states(cli: Cli) -> dict[str, str]:
    """Return every task's state."""
    rows = [json.loads(line) for line in cli("tasks", "--sandbox", "--format", "jsonl").out.splitlines()]
    return {row["task"]: row["state"] for row in rows}


def refused(called: Called, *said: str) -> None:
    """Check that a run was refused, with these words and a way out, and that nothing was sent."""
    assert called.code == 2, called
    for words in (*said, "Nothing was sent", "next: batchgen plan m.yaml --out "):
        assert words in called.err


def test_does_exactly_that_once(cli: Cli, workspace: Path) -> None:
    """A plan is kept as its schema says, a run does it, and a second run with it is refused."""
    planned = cli("plan", write(workspace, THREE), "--sandbox", "--out", "tonight.plan")
    assert planned.code == 0, planned
    assert "kept in tonight.plan: 3 tasks for at most 165 credits" in planned.err
    assert "next: batchgen run --plan tonight.plan --sandbox" in planned.out
    schema = json.loads((ROOT / "schemas/kept-plan.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads((workspace / "tonight.plan").read_text(encoding="utf-8")))
    assert not (workspace / ".batchgen").exists()

    assert "next: batchgen run --plan" in cli("run", "--plan", "tonight.plan", "--sandbox", "--dry-run").out
    called = cli("run", "--plan", "tonight.plan", "--sandbox")
    assert called.code == 0, called
    assert "3 tasks to buy for at most 165 credits, as planned, in the sandbox" in called.err
    assert set(states(cli).values()) == {"done"}
    refused(cli("run", "--plan", "tonight.plan", "--sandbox"), "was used already, by run 1 of")


@pytest.mark.parametrize("limit", [("--budget", "120"), ("--max-tasks", "2")])
def test_only_what_it_buys(cli: Cli, workspace: Path, limit: tuple[str, str]) -> None:
    """A plan that a budget ends after two tasks buys those two, also when one of them fails and gives its credits back."""
    cli("plan", write(workspace, THREE, "retries: 0\n"), "--sandbox", "--out", "p", *limit)
    assert cli("run", "--plan", "p", "--sandbox", "--faults", "fail=1,render=0.05").code == 1
    assert states(cli) == {"a": "failed", "b": "failed", "c": "pending"}
    assert cli("resume", "--sandbox").code == 1
    assert states(cli)["c"] == "pending"


def test_only_the_tasks_that_it_named(cli: Cli, workspace: Path) -> None:
    """A plan made with --only buys no other task."""
    cli("plan", write(workspace, THREE), "--sandbox", "--out", "p", "--only", "[bc]")
    assert cli("run", "--plan", "p", "--sandbox").code == 0
    assert states(cli) == {"a": "pending", "b": "done", "c": "done"}


def test_refuses_what_changed(cli: Cli, workspace: Path) -> None:
    """A plan is refused if its manifest, its limits, a reference or a price changed, with what did."""
    path = write(workspace, THREE)
    cli("plan", path, "--sandbox", "--out", "p")
    write(workspace, THREE.replace("two", "2"))
    refused(cli("run", "--plan", "p", "--sandbox"), "the manifest m has changed")
    write(workspace, THREE, "budget: {total: 100}\n")
    refused(cli("run", "--plan", "p", "--sandbox"), "the manifest m has other budgets or limits")
    write(workspace, THREE)
    (workspace / "a.png").write_bytes((PICTURES / "mug.png").read_bytes())
    refused(cli("run", "--plan", "p", "--sandbox"), "the reference ", "a.png has changed")
    write(workspace, THREE)
    (workspace / "batchgen.yaml").write_text(QUICK + "prices: {kling-2-6: 60}\n", encoding="utf-8")
    refused(cli("run", "--plan", "p", "--sandbox"), "was 55 credits and is 60")
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    refused(cli("run", "--plan", "p"), "it was made for sandbox, and this run is for http")
    refused(cli("run", "--plan", "p", "--sandbox", "--ledger", "other.sqlite3"), "another ledger")
    assert cli("run", "--plan", "p", "--sandbox").code == 0


def test_refuses_what_another_run_did(cli: Cli, workspace: Path) -> None:
    """A plan is refused once another run has done a part of it."""
    path = write(workspace, THREE)
    cli("plan", path, "--sandbox", "--out", "p")
    cli("run", path, "--sandbox", "--only", "a")
    refused(cli("run", "--plan", "p", "--sandbox"), "another run has worked on the manifest m since")


def test_a_refusal_names_commands_that_work(cli: Cli, workspace: Path) -> None:
    """What a plan and its refusal say to do next is copied: it has the ledger, the budget and the tasks that were asked for."""
    where, file = ("--ledger=led ger.sqlite3", "--sandbox"), "to {night}.plan"
    planned = cli("plan", write(workspace, THREE), *where, "--budget", "120", "--only", "[ab]", "--out", file)
    run = planned.out.partition("next: ")[2]
    assert cli(*shlex.split(run)[1:]).code == 0
    used = cli(*shlex.split(run)[1:]).err.partition("next: ")[2]
    again, _, then = used.partition("; then: ")
    flags = "--ledger 'led ger.sqlite3' --sandbox"
    assert again == f"batchgen plan m.yaml --budget 120 --only '[ab]' --out '{file}' {flags}"
    assert then == run
    write(workspace, THREE.replace("two", "2"))
    assert "1 task for at most 55 credits" in cli(*shlex.split(again)[1:]).err
    assert cli(*shlex.split(then)[1:]).code == 0
    assert f"next: batchgen status {flags}" in cli("control", "pause", *where).err


def test_refuses_a_wrong_file(cli: Cli, workspace: Path) -> None:
    """A plan that was edited, cut, or is none is refused; so is one that is not there, and options that contradict it."""
    cli("plan", write(workspace, THREE), "--sandbox", "--out", "p")
    text = (workspace / "p").read_text(encoding="utf-8")
    for wrong, said in (
        (text.replace('"credits": 165', '"credits": 999'), "was changed after it was written"),
        (text[:200], "is no plan, or only a part of one"),
        ("[" * 100_000, "is no plan"),
        ('{"document": "batchgen.plan/1"}', "is no plan that this version of batchgen wrote"),
    ):
        (workspace / "wrong").write_text(wrong, encoding="utf-8")
        called = cli("run", "--plan", "wrong", "--sandbox")
        assert called.code == 2
        assert said in called.err
    assert "cannot be read" in cli("run", "--plan", "none", "--sandbox").err
    assert "leave out MANIFEST, --budget" in cli("run", "m.yaml", "--plan", "p", "--budget", "3", "--sandbox").err
    assert "cannot be written" in cli("plan", "m.yaml", "--sandbox", "--out", "no/such/p").err


def test_plan_says_why(cli: Cli, workspace: Path) -> None:
    """The plan says what of a task has changed, warns of files that hold something else, and names the command to run next."""
    path = write(workspace, THREE)
    cli("run", path, "--sandbox")
    assert "next: nothing is left to do" in cli("plan", path, "--sandbox").out
    write(workspace, THREE.replace("two}", "two!, params: {duration: 10}}"))
    (workspace / "a.png").write_bytes((PICTURES / "mug.png").read_bytes())
    planned = cli("plan", path, "--sandbox", "--only", "[ab]", "--budget", "500").out
    assert "a: the content of a.png differs from the last time" in planned
    assert "b: the prompt differs; duration was not given and is 10" in planned
    assert "warning   references changed: a.png" in planned
    assert "warning   price unknown" in planned
    assert f"next: batchgen run {path} --budget 500 --only '[ab]' --sandbox" in planned
