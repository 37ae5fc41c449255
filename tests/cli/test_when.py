"""What the README's table of what to do when says about money is true."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Cli

Write = Callable[..., str]
LEDGER = Path(".batchgen/sandbox/ledger.sqlite3")
AFTER_THREE = "99,835 credits on the server"
"""What three renders leave of the sandbox's 100,000 credits."""


def test_a_lost_ledger(cli: Cli, manifest: Write) -> None:
    """Without its ledger a run asks for the same purchases again, and the server, which remembers them, charges nothing."""
    path = manifest(3)
    assert cli("run", path, "--sandbox", "--yes").code == 0
    for file in LEDGER.parent.glob("ledger.sqlite3*"):
        file.unlink()

    assert cli("run", path, "--sandbox", "--yes").code == 0

    assert AFTER_THREE in cli("credits", "--sandbox").out


def test_a_ledger_from_a_backup(cli: Cli, manifest: Write) -> None:
    """A ledger restored from before a purchase, also of an edited task, asks for that very purchase."""
    path = manifest(2)
    cli("run", path, "--sandbox", "--yes", "--only", "t1")
    assert cli("ledger", "backup", "early.bak", "--sandbox").code == 0
    manifest(3)
    cli("run", path, "--sandbox", "--yes")
    for file in LEDGER.parent.glob("ledger.sqlite3*"):
        file.unlink()
    shutil.copyfile("early.bak", LEDGER)

    assert cli("run", path, "--sandbox", "--yes").code == 0

    assert AFTER_THREE in cli("credits", "--sandbox").out
    assert cli("ledger", "check", "--sandbox", "--quiet").code == 0


def test_a_run_that_ended_at_its_limit(cli: Cli, manifest: Write) -> None:
    """`resume` keeps to the limits of the run that ended; what its end advises goes on without them."""
    path = manifest(3)
    ended = cli("run", path, "--sandbox", "--yes", "--budget", "55")
    assert (ended.code, f"next: batchgen run {path} --sandbox goes on with 2 unfinished tasks" in ended.out) == (3, True), ended
    assert cli("resume", "--sandbox").code == 3
    assert "99,945 credits on the server" in cli("credits", "--sandbox").out

    assert cli("run", path, "--sandbox", "--yes").code == 0

    assert AFTER_THREE in cli("credits", "--sandbox").out


def test_a_manifest_that_has_spent_its_total(cli: Cli, manifest: Write) -> None:
    """What the run's end and `status` advise is true: run again it buys nothing, and with as much as they say it buys one more."""
    path = manifest(3, more="budget: {total: 100}\n")
    advice = f"next: raise budget.total in {path} to 110 or more, then: batchgen run {path} --sandbox goes on with 2 unfinished tasks"
    for _ in range(2):
        ended = cli("run", path, "--sandbox", "--yes")
        assert (ended.code, advice in ended.out) == (3, True), ended
        assert advice in cli("status", "--sandbox").out
        assert advice.partition(" goes on")[0] in cli("plan", path, "--sandbox").out
        assert "99,945 credits on the server" in cli("credits", "--sandbox").out
    manifest(3, more="budget: {total: 110}\n")
    assert cli("run", path, "--sandbox", "--yes").code == 3
    assert "99,890 credits on the server" in cli("credits", "--sandbox").out


def test_a_moved_workspace(cli: Cli, manifest: Write, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved whole, a workspace goes on where it stopped: nothing that is done is bought or fetched again."""
    path = manifest(3)
    assert cli("run", path, "--sandbox", "--yes", "--max-tasks", "1").code == 3
    moved = workspace.with_name("moved")
    workspace.rename(moved)
    monkeypatch.chdir(moved)

    assert "0 were missing or damaged" in cli("fetch", "--sandbox").out
    assert cli("run", path, "--sandbox", "--yes").code == 0

    assert AFTER_THREE in cli("credits", "--sandbox").out


def test_advice_from_another_folder(cli: Cli, manifest: Write, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was started in another folder is gone on with from the workspace, and from a folder in it."""
    inside = workspace / "launch" / "notes"
    inside.mkdir(parents=True)
    (workspace / "launch" / "batchgen.yaml").write_text("in_flight: 5\n", encoding="utf-8")
    Path(manifest(2)).rename(workspace / "launch" / "spring.yaml")
    stopped = cli("run", "launch/spring.yaml", "--sandbox", "--yes", "--budget", "55")
    assert stopped.code == 3
    assert "batchgen run launch/spring.yaml --sandbox" in stopped.out
    for folder, path in ((inside.parent, "spring.yaml"), (inside, "../spring.yaml")):
        monkeypatch.chdir(folder)
        assert f"batchgen run {path} --sandbox" in cli("status", "--sandbox").out
