"""Help, suggestions, and the one place where errors become words and exit codes."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

import click
import pytest

from batchgen import __version__
from batchgen.cli.group import COMMANDS
from batchgen.cli.main import called_by
from batchgen.cli.trouble import trouble_of
from batchgen.core.steering import VALUED, ControlKind
from batchgen.errors import (
    BatchgenError,
    ExitCode,
    IllegalMove,
    KeyRefused,
    LedgerBusy,
    LedgerConflict,
    LedgerError,
    ManifestError,
    NoLedger,
    NoRun,
    PlanRefused,
    Problem,
    Unavailable,
    UsageError,
)
from tests.cli.calling import Called, Cli, in_a_process


def test_help(cli: Cli) -> None:
    """Without arguments, with -h and with --help the commands are listed."""
    from_none, short, long = cli(), cli("-h"), cli("--help")
    assert from_none == short == long
    for name, words in COMMANDS.items():
        assert name in str(long)
        assert words[:30] in str(long)


def test_help_imports_nothing_heavy() -> None:
    """The list of commands is shown without loading HTTP, database, YAML, schemas or rich."""
    heavy = ("httpx2", "sqlalchemy", "yaml", "rich", "jsonschema", "anyio", "starlette")
    script = (
        "import sys\nfrom batchgen.cli.main import main\n"
        "for argv in (['--help'], ['--version'], ['init', '--help'], ['nonsense']):\n    main(argv)\n"
        f"found = sorted(set({heavy!r}) & set(sys.modules))\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_validate_imports_little(workspace: Path, manifest: Callable[..., str]) -> None:
    """A right manifest is found right with YAML alone: no database, no HTTP, no schema library, no rich."""
    heavy = ("httpx2", "sqlalchemy", "rich", "jsonschema", "jsonschema_rs", "anyio", "starlette", "jinja2")
    script = (
        "import sys\nfrom batchgen.cli.main import main\n"
        f"assert main(['validate', {manifest(3)!r}]) == 0\n"
        f"found = sorted(set({heavy!r}) & set(sys.modules))\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=workspace)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_of_each_command(cli: Cli, name: str) -> None:
    """Each command's help has an example and its exit codes."""
    text = str(cli(name, "--help"))
    assert "Example:" in text
    assert f"batchgen {name}" in text
    assert "Exit codes:" in text
    assert ExitCode.DONE.meaning in text


@pytest.mark.parametrize("name", ["", *COMMANDS, "control budget", "ledger check", "ledger backup"])
def test_help_fits_a_common_terminal(cli: Cli, name: str) -> None:
    """No line is longer than 80 columns, but for a command to copy."""
    text = cli(*name.split(), "--help").out
    assert [line for line in text.splitlines() if len(line) > 80 and not line.startswith("    batchgen ")] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "1  finished, but some tasks failed for good"),
        (("selftest",), "1  a promise did not hold on this machine"),
        (("ledger", "check"), "1  a row of the ledger breaks an invariant"),
    ],
)
def test_what_1_means(cli: Cli, words: tuple[str, ...], said: str) -> None:
    """Where no task is rendered, exit code 1 is said in words of its own."""
    assert said in cli(*words, "--help").out


def test_version(cli: Cli) -> None:
    """The version is said on stdout."""
    assert f"batchgen {__version__}" in str(cli("--version"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("valdate",), "did you mean validate?"),
        (("xyzzy",), "there are init, validate"),
        (("run", "m.yaml", "--budegt", "5"), "--budget"),
        (("run",), "Missing argument"),
        (("run", "m.yaml", "--budget", "-1"), "--budget"),
        (("run", "m.yaml", "--budget", "1e3"), "--budget"),
        (("run", "m.yaml", "--max-tasks", "0"), "--max-tasks"),
        (("run", "m.yaml", "--until", "25:00"), "time of day"),
        (("run", "m.yaml", "--until", "٠٦:٣٠"), "time of day"),
        (("run", "m.yaml", "--budget", "٣"), '"٣" is not a whole number of credits'),
        (("run", "m.yaml", "--max-tasks", "٣"), '"٣" is not a whole number'),
        (("run", "m.yaml", "--max-duration", "٣h"), '"٣h" is not a duration'),
        (("control", "rate", "٣"), '"٣" is not a number of requests a minute'),
        (("report", "--run", "٣"), "'٣' is not a whole number"),
        (("tasks", "--limit", "9" * 19), "is not a whole number"),
        (("tasks", "--limit", "0"), "not in the range"),
        (("status", "--watch", "nan"), "'nan' is not a number such as 2 or 0.5"),
        (("status", "--watch", "٢"), "'٢' is not a number"),
        (("sandbox", "--port", "٨٠"), "'٨٠' is not a whole number"),
        (("selftest", "--seed", "1_0"), "'1_0' is not a whole number"),
        (("run", "m.yaml", "--faults", "fail=1"), "add --sandbox"),
        (("tasks", "--state", "lost"), "--state"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_wrong_command_line(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    """A wrong command line says what is wrong, that nothing was sent, and what to do; exit 2."""
    called = cli(*arguments)
    assert "code=2" in str(called)
    assert said in str(called)
    assert "Nothing was sent" in str(called)
    assert "next: batchgen" in str(called)


@pytest.mark.parametrize("kind", ControlKind)
def test_what_is_said_to_a_run_needs_its_number(cli: Cli, kind: ControlKind) -> None:
    """Core says which come with one, and the command line asks for just those; a negative one is a wrong number, and no option."""
    needs = kind in VALUED
    assert ("needs a number" in cli("control", str(kind)).err) is needs
    assert ("takes no number" in cli("control", str(kind), "5").err) is not needs
    assert ("No such option" in cli("control", str(kind), "-5").err) is not needs


RAISED: list[tuple[BaseException, ExitCode, str]] = [
    (UsageError("x"), ExitCode.WRONG_INPUT, "Nothing was sent"),
    (PlanRefused("x"), ExitCode.WRONG_INPUT, "batchgen run --plan FILE"),
    (ManifestError([Problem("a.yaml", 1, 2, "", "x")]), ExitCode.WRONG_INPUT, "correct the file, then: batchgen"),
    (LedgerError("x"), ExitCode.WRONG_INPUT, "left as it is"),
    (LedgerConflict("x"), ExitCode.BUG, "bug in batchgen"),
    (LedgerBusy("x"), ExitCode.LEDGER_BUSY, "batchgen status"),
    (NoLedger("x"), ExitCode.WRONG_INPUT, "batchgen plan MANIFEST"),
    (NoRun("x"), ExitCode.WRONG_INPUT, "batchgen status"),
    (KeyRefused("x"), ExitCode.KEY_REFUSED, "RIVYA_API_KEY"),
    (Unavailable("x"), ExitCode.UNAVAILABLE, "batchgen resume"),
    (IllegalMove("x"), ExitCode.BUG, "bug in batchgen"),
    (KeyboardInterrupt(), ExitCode.INTERRUPTED, "Nothing is lost"),
    (click.Abort(), ExitCode.INTERRUPTED, "Nothing is lost"),
    (click.UsageError("x"), ExitCode.WRONG_INPUT, "--help"),
    (OSError(errno.ENOSPC, "No space left on device", "/d/x"), ExitCode.UNAVAILABLE, "/d/x: No space left"),
    (ZeroDivisionError("x\x1b"), ExitCode.BUG, "report the bug"),
]


@pytest.mark.parametrize(("error", "code", "said"), RAISED, ids=[type(error).__name__ for error, _, _ in RAISED])
def test_errors_in_words(error: BaseException, code: ExitCode, said: str) -> None:
    """Every error says what happened, what it means for money and work, and what to do, with the exit code of its kind."""
    trouble = trouble_of(error, ExitCode.DONE)
    assert trouble.code is code
    assert said in f"{trouble.what}\n{trouble.means}\n{trouble.do}"
    assert all((trouble.what, trouble.means, trouble.do))
    assert "\x1b" not in trouble.what


def test_every_error_has_words() -> None:
    """The table of errors above knows every class of the tree."""

    def below(kind: type[BatchgenError]) -> set[type[BatchgenError]]:
        # A room's own errors (a bad line of a download, say) never leave that room.
        own = [sub for sub in kind.__subclasses__() if sub.__module__ == BatchgenError.__module__]
        return {kind, *(found for sub in own for found in below(sub))}

    assert below(BatchgenError) - {BatchgenError} <= {type(error) for error, _, _ in RAISED}


@pytest.mark.parametrize(
    ("command", "do"),
    [
        ("run", "the same command again, or: batchgen resume --sandbox"),
        ("resume", "batchgen resume --sandbox"),
        ("plan", "batchgen plan 'a b.yaml' --sandbox"),
        ("fetch", "batchgen fetch 'a b.yaml' --sandbox"),
    ],
)
def test_interrupted(command: str, do: str) -> None:
    """What to do then names the ledger that was asked for, and never buys for whoever only looked or fetched."""
    said = called_by([command, "a b.yaml", "--sandbox"])
    assert trouble_of(click.Abort(), ExitCode.DONE, said).do == do


@pytest.mark.parametrize("given", [("--ledger", "{}"), ("--ledger={}",)])
@pytest.mark.parametrize("url", ["postgresql://me:geheim@127.0.0.1:1/db", "postgresql://me@127.0.0.1:1/db?password=geheim"])
@pytest.mark.parametrize("command", [("status",), ("run", "m.yaml", "--yes"), ("plan", "m.yaml"), ("fetch",), ("ledger", "check")])
def test_a_password_is_in_no_words(cli: Cli, workspace: Path, command: tuple[str, ...], url: str, given: tuple[str, ...]) -> None:
    """What is said ends in a log or in the mail of a cron: the ledger's URL is in it, and its password is not."""
    (workspace / "m.yaml").write_text("version: 1\nname: m\ndefaults: {model: kling-2-6}\ntasks: [{id: a, prompt: p}]\n")
    said = cli(*command, *(part.format(url) for part in given))
    assert said.code == 6
    assert "127.0.0.1:1/db" in said.err.splitlines()[-1]
    assert "geheim" not in said.out + said.err


def test_failed_summary_keeps_the_code() -> None:
    """If only the telling failed, the run's own exit code stays."""
    assert trouble_of(OSError("x"), ExitCode.SOME_FAILED).code is ExitCode.SOME_FAILED


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with a bug in it."""

    @click.command("broken")
    @click.option("--json", is_flag=True, expose_value=False)
    @click.option("--verbose", is_flag=True, expose_value=False)
    def command() -> None:
        raise ZeroDivisionError("an unforeseen thing")

    module = ModuleType("batchgen.cli.commands.broken")
    setattr(module, "command", command)  # noqa: B010  a module has no attribute of this name for mypy
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cast("dict[str, str]", COMMANDS), "broken", "Break.")


@pytest.mark.usefixtures("broken")
def test_bug(cli: Cli) -> None:
    """A bug exits 70 with words; the traceback is shown only under --verbose."""
    quiet, verbose = str(cli("broken")), str(cli("broken", "--verbose"))
    assert "code=70" in quiet
    assert "an unforeseen thing" in quiet
    assert "Traceback" not in quiet
    assert "Traceback" in verbose


@pytest.mark.usefixtures("broken")
def test_error_as_json(cli: Cli) -> None:
    """Under --json the last line on stderr is an object with code and message."""
    called = cli("broken", "--json")
    last = json.loads(called.err.splitlines()[-1])
    assert (last["code"], last["exit_code"]) == ("bug", 70)
    assert "unforeseen" in last["message"]


def test_broken_pipe(workspace: Path) -> None:
    """A reader that has seen enough is no error, and nothing is said about it."""
    assert in_a_process("models", "--offline", redirect="| head -1", cwd=workspace).err == ""
    assert in_a_process("models", "--offline", "--json", redirect="| true", cwd=workspace) == Called(0, "", "")


def test_closed_streams(workspace: Path) -> None:
    """Closed streams change nothing."""
    assert in_a_process("models", "--offline", redirect=">&- 2>&-", cwd=workspace).code == 0


def test_poor_encoding(workspace: Path) -> None:
    """A letter that the output's encoding lacks is spelt out and fails nothing."""
    called = in_a_process("validate", "h\u00e9ro\U0001f600.yaml", cwd=workspace)
    assert called.code == 2
    assert "Traceback" not in called.err


def test_a_wrong_manifest_is_tried_again_as_it_was_typed(cli: Cli, workspace: Path) -> None:
    """The command that is named can be copied, whatever is in a name."""
    (workspace / "two  blanks.yaml").write_text("version: 1\n")
    said = cli("run", "two  blanks.yaml", "--sandbox", "--yes")
    assert (said.code, said.err.splitlines()[-1]) == (2, "next: correct the file, then: batchgen run 'two  blanks.yaml' --sandbox --yes")
