"""Whatever a person can get wrong: no traceback ever, and each message says what, what it means, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.calling import Called, Cli, in_a_process

Write = Callable[..., str]


def assert_clear(called: Called, said: str, code: int = 2) -> None:
    """Three sentences: what happened, what it means for money and work, one command."""
    assert called.code == code, called
    assert said in called.err, called
    assert "Traceback" not in called.out + called.err
    *_, means, do = called.err.splitlines()
    assert "othing" in means, means
    assert do.startswith("next: "), do


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("validate", "gone.yaml"), "gone.yaml"),
        (("validate", "empty"), "empty"),
        (("validate", "picture.png"), "picture.png"),
        (("validate", "broken.yaml"), "broken.yaml:3"),
        (("validate", "list.yaml"), "list.yaml:1"),
        (("validate", "nothing.yaml"), "nothing.yaml"),
        (("validate", "binary.yaml"), "binary.yaml"),
        (("validate", "loop.yaml"), "loop.yaml"),
        (("validate", "/dev/zero"), "not a regular file"),
        (("run", "--plan", "pipe", "--sandbox"), "not a regular file"),
        (("validate", ""), "it is empty; is a variable of the shell not set?"),
        (("plan", "spring.yaml", "--only", ""), "it is empty"),
        (("plan", "spring.yaml", "--only", "zzz*"), "matches the id of no task; ids here are such as t1, t2"),
        (("run", "spring.yaml", "--sandbox", "--only", "zzz*"), "matches the id of no task"),
        (("run", "spring.yaml", "--until", "25:00"), "time of day"),
        (("run", "spring.yaml", "--until", "soon"), "time of day"),
        (("run", "spring.yaml", "--budget", "-5"), "--budget"),
        (("run", "spring.yaml", "--budget", "lots"), "--budget"),
        (("run", "spring.yaml", "--budget", "9" * 40), "--budget"),
        (("run", "spring.yaml", "--max-tasks", "none"), "--max-tasks"),
        (("run", "spring.yaml", "--max-duration", "-1h"), "--max-duration"),
        (("run", "spring.yaml", "--max-duration", "6"), "write 6h for hours, 6m for minutes or 6s for seconds"),
        (("run", "--plan", "gone.plan", "--sandbox"), "gone.plan"),
        (("run", "--plan", "spring.yaml", "--sandbox"), "spring.yaml"),
        (("run", "--plan", "picture.png", "--sandbox"), "picture.png"),
        (("run", "--plan", "empty", "--sandbox"), "empty"),
        (("run",), "MANIFEST"),
        (("run", "spring.yaml", "--sandbox", "--ledger", "no/such/place.sqlite3"), "does not exist"),
        (("status", "--ledger", "picture.png"), "picture.png"),
        (("status", "--ledger", "nosuchdb://x/y"), "nosuchdb"),
        (("report", "--sandbox", "--run", "0"), "--run"),
        (("report", "--sandbox", "--html", ""), "it is empty"),
        (("init", "picture.png"), "picture.png"),
        (("models", "kling-9", "--offline"), "kling-9"),
        (("schema", "nonsense"), "nonsense"),
        (("completion", "tcsh"), "tcsh"),
        (("sandbox", "--port", "99999"), "--port"),
        (("selftest", "--seed", "-1"), "--seed"),
        (("control", "jump"), "jump"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else "",
)
def test_wrong_file_or_value(cli: Cli, manifest: Write, arguments: tuple[str, ...], said: str) -> None:
    """A file that is missing, empty, another kind of thing; a value that is none: exit 2, nothing sent."""
    manifest(2)
    Path("empty").mkdir()
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\xff\xfe")
    Path("broken.yaml").write_text("version: 1\nname: [\n", encoding="utf-8")
    Path("list.yaml").write_text("- 1\n", encoding="utf-8")
    Path("nothing.yaml").touch()
    Path("loop.yaml").symlink_to("loop.yaml")
    os.mkfifo("pipe")
    Path("binary.yaml").write_bytes(b"\xff\xfe\0\0name")

    assert_clear(cli(*arguments), said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "t9", "--sandbox"), "t9"),
        (("show", "t1", "--manifest", "sprnig", "--sandbox"), "did you mean spring?"),
        (("tasks", "--manifest", "sprnig", "--sandbox"), "did you mean spring?"),
        (("fetch", "--manifest", "sprnig", "--sandbox"), "it has spring"),
        (("resolve", "t9", "--resend", "--sandbox"), "t9"),
        (("resolve", "t1", "--sandbox"), "--accepted"),
        (("control", "budget", "-5", "--sandbox"), "-5"),
        (("status", "--watch", "0", "--sandbox"), "--watch"),
        (("report", "--run", "77", "--sandbox"), "77"),
        (("report", "--csv", "no/such/x.csv", "--sandbox"), "x.csv"),
        (("report", "--html", ".", "--sandbox"), "."),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else "",
)
def test_what_the_ledger_does_not_know(cli: Cli, manifest: Write, arguments: tuple[str, ...], said: str) -> None:
    """An unknown task, manifest or run is said with what was meant; nothing is changed."""
    cli("run", manifest(1), "--sandbox", "--yes")

    assert_clear(cli(*arguments), said)


def test_forgotten_sandbox(cli: Cli, manifest: Write) -> None:
    """Whoever ran in the sandbox and leaves --sandbox out is told where the ledger is; advice names the ledger that was asked for."""
    none = cli("status", "--sandbox")
    assert_clear(none, "no ledger yet")
    assert none.err.endswith("next: batchgen plan MANIFEST --sandbox\n")
    assert "add --sandbox" not in cli("tasks").err
    cli("run", manifest(1), "--sandbox", "--yes")

    for words in (("status",), ("resume",), ("resolve", "t1", "--resend"), ("show", "t1"), ("report",), ("fetch",), ("control", "pause")):
        assert_clear(cli(*words), "the sandbox has one: add --sandbox to see it")
    assert "`batchgen tasks --state blocked --sandbox` lists" in cli("resolve", "t1", "--resend", "--sandbox").err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("requests_per_minute: 0\n", "requests_per_minute"),
        ("in_flight: many\n", "in_flight"),
        ("budget: {per_day: -1}\n", "per_day"),
        ("keep_balance: 1.5\n", "keep_balance"),
        ("timezone: Mars/Olympus\n", "timezone"),
        ("replay_window: soon\n", "replay_window"),
        ("prices: {kling-62: 5}\n", "kling"),
        ("on_lost_answer: shrug\n", "on_lost_answer"),
        ("ledger: [a]\n", "ledger"),
        ("notify: {urls: [], events: [party]}\n", "party"),
        ("ping: ftp://example.com\n", "ping"),
        ("sandbox: {price: free}\n", "price"),
        ("- a list\n", "batchgen.yaml:1"),
        ("a: b: c\n", "batchgen.yaml:1"),
    ],
)
def test_wrong_settings(cli: Cli, manifest: Write, text: str, said: str) -> None:
    """A wrong value in batchgen.yaml is told with its place before anything runs."""
    path = manifest(1)
    Path("batchgen.yaml").write_text(text, encoding="utf-8")

    called = cli("run", path, "--sandbox")

    assert_clear(called, said)
    assert "batchgen.yaml:1" in called.err
    assert not Path(".batchgen").exists()


NOBODY = 65534


@pytest.fixture
def as_nobody(workspace: Path) -> Iterator[None]:
    """The rest of the test as a user who may not read everything, also if the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (workspace, *workspace.parents):
        if folder.owner() == "root" and str(folder).startswith("/tmp/pytest"):  # noqa: S108  where pytest keeps its folders
            folder.chmod(0o755)
    os.chown(workspace, NOBODY, NOBODY)
    for path in workspace.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("as_nobody")
def test_no_permission(cli: Cli, manifest: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be read or written is named, whichever file it is."""
    path = manifest(1)
    for name in ("secret.yaml", "secret.plan", "secret.key"):
        Path(name).touch(mode=0)
    Path("shut").mkdir(mode=0o500)
    Path("locked").mkdir(mode=0)

    assert_clear(cli("validate", "secret.yaml"), "secret.yaml")
    assert_clear(cli("validate", "locked"), "locked")
    assert_clear(cli("run", "--plan", "secret.plan", "--sandbox"), "secret.plan")
    assert_clear(cli("init", "shut/new"), "shut")
    assert_clear(cli("plan", path, "--out", "shut/x.plan"), "shut/x.plan")
    assert_clear(cli("run", path, "--sandbox", "--ledger", "shut/x.sqlite3"), "shut/x.sqlite3")
    assert_clear(cli("run", path, "--sandbox", "--log-file", "shut/x.log"), "shut/x.log")
    monkeypatch.setenv("RIVYA_API_KEY_FILE", "secret.key")
    assert_clear(cli("credits"), "secret.key", code=5)


def test_unreadable_settings_file(cli: Cli, manifest: Write) -> None:
    """A `batchgen.yaml` that is a link to nowhere is not taken for none: that would be another workspace, with another ledger."""
    path = manifest(1)
    Path("batchgen.yaml").symlink_to("batchgen.yaml")

    assert_clear(cli("validate", path), "batchgen.yaml")


@pytest.mark.parametrize("environ", ["LANG=C", "LANG=C PYTHONUTF8=0 PYTHONIOENCODING=ascii", "TERM=dumb", "COLUMNS=1"])
@pytest.mark.parametrize("pipe", ["", "| head -1", "| true"])
def test_poor_surroundings(workspace: Path, environ: str, pipe: str) -> None:
    """Prompts with emoji under LANG=C, a dumb terminal, a reader that goes away: a run ends with 0 and without a traceback."""
    text = "version: 1\nname: spring\ndefaults: {model: kling-2-6}\ntasks:\n  - {id: hero, prompt: 'A \U0001f984 \u202e run'}\n"
    (workspace / "spring.yaml").write_text(text, encoding="utf-8")
    for words in (("plan", "spring.yaml", "--sandbox"), ("run", "spring.yaml", "--sandbox", "--yes"), ("tasks", "--sandbox")):
        called = in_a_process(*words, redirect=pipe, cwd=workspace, environ=environ)
        assert called.code == 0, called
        assert "Traceback" not in called.out + called.err
        assert "\u202e" not in called.out + called.err


def test_the_cause_is_told_under_verbose(cli: Cli, manifest: Write) -> None:
    """--verbose adds what lies behind the words, as a chain of causes down to the first; without it there is none of that."""
    manifest(1)
    Path("kept.plan").write_text("{", encoding="utf-8")

    plain, verbose = cli("run", "--plan", "kept.plan", "--sandbox"), cli("run", "--plan", "kept.plan", "--sandbox", "--verbose")

    assert plain.code == verbose.code == 2
    assert "Error" not in plain.err
    assert "direct cause of the following exception" in verbose.err
    assert "JSONDecodeError" in verbose.err
    assert verbose.err.endswith(plain.err)
