"""Slips of the pen on a command line: each is an error with the remedy, where doing nothing, or something else, would look well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Cli

Write = Callable[..., str]


@pytest.mark.parametrize("command", ["run", "plan"])
def test_only_that_matches_nothing(cli: Cli, manifest: Write, command: str) -> None:
    """A run of nothing would exit 0 and look well; the ids that there are help to see the slip."""
    called = cli(command, manifest(2), "--sandbox", "--only", "hero-*", *(["--yes"] if command == "run" else []))
    assert called.code == 2
    assert "--only 'hero-*' matches the id of no task; ids here are such as t1, t2" in called.err
    assert cli("run", manifest(2), "--sandbox", "--yes", "--only", "t1").code == 0
    assert cli("run", manifest(2), "--sandbox", "--yes", "--only", "t1").code == 0, "a finished task is matched too"


@pytest.mark.parametrize(
    "call",
    [
        ("run", ""),
        ("validate", ""),
        ("plan", "spring.yaml", "--only", ""),
        ("plan", "spring.yaml", "--out", ""),
        ("plan", "spring.yaml", "--ledger", ""),
        ("fetch", "--sandbox", "--manifest", ""),
        ("tasks", "--only", ""),
        ("report", "--html", ""),
        ("ledger", "backup", ""),
        ("init", ""),
    ],
    ids=" ".join,
)
def test_an_empty_value(cli: Cli, manifest: Write, call: tuple[str, ...]) -> None:
    """`--only "$UNSET"` is a variable that is not set: it must not mean all tasks, or the current folder."""
    manifest(2)
    called = cli(*call)
    assert called.code == 2
    assert "it is empty; is a variable of the shell not set?" in called.err
    assert "Nothing was sent and nothing was bought." in called.err


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("--budget", "-5"), "-5"),
        (("--budget", "5.5"), "5.5"),
        (("--budget", "many"), "many"),
        (("--max-tasks", "0"), "0"),
        (("--max-tasks", "x"), "x"),
    ],
)
def test_wrong_numbers(cli: Cli, manifest: Write, said: tuple[str, str], words: str) -> None:
    """A number is refused with what would be right, before anything is done."""
    called = cli("run", manifest(2), "--sandbox", "--yes", *said)
    assert called.code == 2
    assert words in called.err
    assert "such as" in called.err
    assert not Path(".batchgen").exists()


def test_a_ledger_in_a_folder_that_is_not_there(cli: Cli, manifest: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new ledger behind a slip of the pen, or in a volume that is not mounted, would know nothing of what was bought before."""
    for call in (("run", manifest(2), "--sandbox", "--yes"), ("status", "--sandbox")):
        called = cli(*call, "--ledger", "not/mounted/ledger.sqlite3")
        assert called.code == 2
        assert "the folder of the ledger not/mounted/ledger.sqlite3 does not exist; make it first, or mount it" in called.err
    monkeypatch.setenv("BATCHGEN_LEDGER", "not/mounted/ledger.sqlite3")
    assert cli("status").code == 2
    assert not Path("not").exists()


def test_an_unknown_manifest(cli: Cli, manifest: Write) -> None:
    """An empty list would say that there are no such tasks."""
    cli("run", manifest(2), "--sandbox", "--yes")
    for call in (("tasks",), ("show", "t1")):
        called = cli(*call, "--sandbox", "--manifest", "sprign")
        assert called.code == 2
        assert 'the ledger has no manifest "sprign"; did you mean spring?' in called.err


def test_a_backup_is_whole_or_not_there(cli: Cli, manifest: Write) -> None:
    """An older one is never overwritten, and what cannot be written leaves nothing behind."""
    cli("run", manifest(2), "--sandbox", "--yes")
    Path("old.bak").write_text("an older one", encoding="utf-8")
    called = cli("ledger", "backup", "old.bak", "--sandbox")
    assert (called.code, Path("old.bak").read_text(encoding="utf-8")) == (2, "an older one")
    assert "never overwritten" in called.err
    called = cli("ledger", "backup", "old.bak/new.bak", "--sandbox")
    assert called.code == 2
    assert cli("ledger", "backup", "new.bak", "--sandbox").code == 0
    assert not list(Path().rglob("*.part"))
    assert cli("ledger", "check", "--ledger", "new.bak", "--sandbox").code == 0


def test_advice_can_be_copied(cli: Cli, manifest: Write) -> None:
    """The command that an error names holds the flags that say which ledger, and repeats what failed, not something that buys."""
    called = cli("control", "pause", "--sandbox", "--ledger", "other.sqlite3")
    assert "--ledger other.sqlite3 --sandbox" in called.err or "batchgen plan MANIFEST" in called.err
    cli("run", manifest(1), "--sandbox", "--yes")
    assert "next: batchgen status --sandbox" in cli("control", "pause", "--sandbox").err


def test_a_group_alone_tells_what_it_has(cli: Cli) -> None:
    """`batchgen ledger` shows its commands as `batchgen` alone shows its own."""
    called = cli("ledger")
    assert called.code == 0
    assert "backup" in called.out
