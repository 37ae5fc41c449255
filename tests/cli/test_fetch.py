"""What is paid and lost on disk is fetched again, and nothing is bought by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.ledger import Store
from batchgen.sandbox.account import Account
from batchgen.settings import SANDBOX_ADDRESS
from tests.cli.calling import Cli
from tests.cli.test_progress import fits_the_log
from tests.cli.test_run import QUICK, fits

Write = Callable[..., str]


@pytest.fixture(autouse=True)
def quick(workspace: Path) -> None:
    """Let the sandbox render at once."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")


def bought(workspace: Path) -> int:
    """Count the sandbox's purchases."""
    with Account(workspace / ".batchgen" / "sandbox" / "account.sqlite3") as account:
        tasks = account.books()["tasks"]
        assert isinstance(tasks, list)
        return len(tasks)


def test_as_a_log(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Under `--log-format json` every line of a fetch is an event as its schema says."""
    assert cli("run", manifest(2), "--sandbox", "--yes").code == 0
    (workspace / "renders-sandbox" / "spring" / "t2.mp4").unlink()
    called = cli("fetch", "--sandbox", "--log-format", "json")
    told = [(one["event"], one["file"]) for one in fits_the_log(called.err) if one["event"] in {"lost", "saved"}]
    assert fits_the_log(called.err)[0]["message"] == "begun"
    assert told == [("lost", "spring/t2.mp4"), ("saved", "spring/t2.mp4")]
    assert "2 files looked at" in called.out
    assert "1 was missing or damaged" in called.out


def test_missing_and_damaged_files_come_back(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Each file is whole again under its name; the damaged one is set aside; the next look finds nothing to do."""
    renders = workspace / "renders-sandbox" / "spring"
    assert cli("run", manifest(3), "--sandbox", "--yes").code == 0
    before = {path.name: path.read_bytes() for path in renders.glob("*.mp4")}
    (renders / "t1.mp4").unlink()
    (renders / "t2.mp4").write_bytes(b"edited by hand")

    said = cli("fetch", "--sandbox", "--json")
    assert said.code == 0
    fits("fetch", said.document())
    assert [(lost["path"], lost["was"]) for lost in said.document()["lost"]] == [  # type: ignore[attr-defined]  # fits has looked
        ("spring/t1.mp4", "missing"),
        ("spring/t2.mp4", "damaged"),
    ]
    assert {name: (renders / name).read_bytes() for name in before} == before
    assert b"edited by hand" in {path.read_bytes() for path in renders.glob("t2*.mp4")}
    again = cli("fetch", "--sandbox")
    assert (again.code, "3 files looked at" in again.out, "every file of the renders that tasks have now is in its place" in again.out) == (
        0,
        True,
        True,
    )
    assert bought(workspace) == 3
    assert cli("ledger", "check", "--sandbox").code == 0
    with Store.open(workspace / ".batchgen/sandbox/ledger.sqlite3", SANDBOX_ADDRESS, read_only=True) as ledger:
        assert ledger.runs()[0].asked.command == "fetch"


def test_only_what_was_asked_for(cli: Cli, manifest: Write, workspace: Path) -> None:
    """--only and --manifest leave the rest as it is."""
    renders = workspace / "renders-sandbox" / "spring"
    assert cli("run", manifest(3), "--sandbox", "--yes").code == 0
    for path in renders.glob("*.mp4"):
        path.unlink()
    assert cli("fetch", "--sandbox", "--only", "t[12]", "--manifest", "spring", "--quiet").code == 0
    assert sorted(path.name for path in renders.glob("*.mp4")) == ["t1.mp4", "t2.mp4"]
    unknown = cli("fetch", "--sandbox", "--manifest", "autumn")
    assert (unknown.code, "it has spring" in unknown.err) == (2, True)


def test_what_a_fetch_did_not_get_the_next_run_gets(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Links that are dead end a fetch with exit 6; `resume` finishes it, and asks for nothing that the last run did not."""
    path = manifest(2)
    assert cli("run", path, "--sandbox", "--yes").code == 0
    (workspace / "renders-sandbox" / "spring" / "t1.mp4").unlink()
    failed = cli("fetch", "--sandbox", "--faults", "links=0.000001,render=0.05")
    assert (failed.code, "Traceback" in failed.err) == (6, False), failed
    assert failed.out.endswith("; nothing was bought\nnext: batchgen status --sandbox says what is left and what to do\n"), failed
    assert cli("resume", "--sandbox").code == 0
    assert (workspace / "renders-sandbox" / "spring" / "t1.mp4").exists()
    assert bought(workspace) == 2


def test_nothing_is_bought_for_what_is_in_flight(cli: Cli, manifest: Write, workspace: Path) -> None:
    """A task that is still pending stays so."""
    path = manifest(3)
    assert cli("run", path, "--sandbox", "--yes", "--max-tasks", "1").code == 3
    (workspace / "renders-sandbox" / "spring" / "t1.mp4").unlink()
    assert cli("fetch", "--sandbox").code == 0
    assert bought(workspace) == 1


def test_without_a_run(cli: Cli, workspace: Path) -> None:
    """No ledger, no file: said in words, with exit 2, and no ledger is made."""
    said = cli("fetch", "--sandbox")
    assert (said.code, "Traceback" in said.err) == (2, False), said


def test_what_left_the_manifest_is_paid_too(cli: Cli, manifest: Write, workspace: Path) -> None:
    """A render of a task that was cut from its manifest is fetched again like any other."""
    assert cli("run", manifest(2), "--sandbox", "--yes").code == 0
    assert cli("run", manifest(1), "--sandbox", "--yes").code == 0
    render = workspace / "renders-sandbox" / "spring" / "t2.mp4"
    before = render.read_bytes()
    render.unlink()
    assert cli("fetch", "--sandbox").code == 0
    assert (render.read_bytes(), bought(workspace)) == (before, 2)
