"""What cron calls says nothing when all is well, since whatever is said is mailed to somebody; what is wrong is said all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Called, Cli

Write = Callable[..., str]
LEDGER = Path(".batchgen/sandbox/ledger.sqlite3")


@pytest.mark.parametrize(
    "command",
    [
        ("validate", "spring.yaml"),
        ("plan", "spring.yaml", "--sandbox"),
        ("plan", "spring.yaml", "--sandbox", "--out", "kept.plan"),
        ("run", "spring.yaml", "--sandbox"),
        ("resume", "--sandbox"),
        ("fetch", "--sandbox"),
        ("report", "--sandbox", "--html", "night.html"),
        ("report", "--sandbox"),
        ("ledger", "check", "--sandbox"),
        ("ledger", "backup", "night.bak", "--sandbox"),
    ],
    ids=" ".join,
)
def test_silent_when_all_is_well(cli: Cli, manifest: Write, command: tuple[str, ...]) -> None:
    """Each command of a nightly job keeps silent under --quiet, and speaks without it."""
    cli("run", manifest(1), "--sandbox", "--yes")

    assert cli(*command, "--quiet") == Called(0, "", "")
    for left in ("kept.plan", "night.bak"):
        Path(left).unlink(missing_ok=True)
    loud = cli(*command)
    assert loud.code == 0
    assert loud.out + loud.err


def test_trouble_is_said(cli: Cli, manifest: Write) -> None:
    """Under --quiet whatever is wrong is still said, with the exit code of its kind."""
    cli("run", manifest(1), "--sandbox", "--yes")
    Path("taken.bak").touch()

    for command in (("validate", "gone.yaml"), ("plan", "gone.yaml"), ("ledger", "backup", "taken.bak", "--sandbox")):
        called = cli(*command, "--quiet")
        assert called.code == 2
        assert "next: " in called.err


def test_a_broken_invariant_is_said(cli: Cli, manifest: Write) -> None:
    """A quiet `ledger check` names what is broken, and nothing that holds."""
    cli("run", manifest(1), "--sandbox", "--yes")
    with sqlite3.connect(LEDGER) as ledger:
        for (guard,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {guard}")
        ledger.execute("UPDATE tasks SET state = 'pending'")
    ledger.close()

    called = cli("ledger", "check", "--sandbox", "--quiet")

    assert called.code == 1
    assert "BROKEN" in called.out
    assert "holds" not in called.out


def test_a_backup_is_whole_or_not_there(cli: Cli, manifest: Write) -> None:
    """An older backup is never overwritten, and one that cannot be written leaves nothing that looks like one."""
    cli("run", manifest(1), "--sandbox", "--yes")
    assert cli("ledger", "backup", "night.bak", "--sandbox").code == 0
    kept = Path("night.bak").read_bytes()

    assert "exists already" in cli("ledger", "backup", "night.bak", "--sandbox").err
    assert Path("night.bak").read_bytes() == kept
    assert cli("ledger", "backup", "no/such/folder.bak", "--sandbox").code == 2
    assert [path.name for path in Path().glob("*.bak*")] == ["night.bak"]
    assert cli("ledger", "check", "--ledger", "night.bak", "--sandbox").code == 0
