"""Real processes: cron's empty environment, a terminal, signals, a served sandbox."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.calling import Cli, in_a_process
from tests.processes.program import finish_renders

Write = Callable[..., str]
BATCHGEN = (sys.executable, "-m", "batchgen")


def test_empty_environment(manifest: Write, workspace: Path) -> None:
    """Under `env -i`, without a terminal, a run goes ahead without asking, in whole plain lines."""
    called = in_a_process("run", manifest(2), "--sandbox", cwd=workspace)
    assert called.code == 0, called
    assert "2 done" in called.out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", called.out + called.err)


def test_a_report_into_a_pipe_by_its_name(manifest: Write, workspace: Path) -> None:
    """/dev/stdout is written as it is: there is no file to replace."""
    in_a_process("run", manifest(2), "--sandbox", cwd=workspace)
    called = in_a_process("report", "--sandbox", "--csv", "/dev/stdout", cwd=workspace, redirect="| cat")
    assert (called.code, called.out.count("spring,t")) == (0, 2), called


@contextmanager
def terminal(*arguments: str, cwd: Path, term: str = "xterm") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start batchgen on a terminal of its own; give the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    environ = {"TERM": term, "COLUMNS": "100"}
    process = subprocess.Popen([*BATCHGEN, *arguments], cwd=cwd, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(end: int, said: str, seconds: float = 60) -> str:
    """Read from a terminal until `said` was said, or all of it."""
    text = ""
    while said not in text:
        if not select.select([end], [], [], seconds)[0]:
            pytest.fail(f"never said {said!r}, but {text!r}")
        try:
            piece = os.read(end, 4096)
        except OSError:  # Linux says EIO where the other end was closed
            break
        text += piece.decode()
    return text


@pytest.mark.parametrize(("answer", "code", "said"), [("y", 0, "2 done"), ("n", 3, "Nothing was sent"), ("", 3, "Nothing was sent")])
def test_terminal_asks(manifest: Write, workspace: Path, answer: str, code: int, said: str) -> None:
    """On a terminal a run shows the money line and asks; no is the answer to nothing."""
    with terminal("run", manifest(2), "--sandbox", cwd=workspace) as (process, end):
        text = read_until(end, "[y/N]")
        assert "2 tasks to buy for about 110 credits" in text
        os.write(end, answer.encode() + b"\n")
        text = read_until(end, "\0")
        assert said in text
        assert process.wait(60) == code


def test_terminal_that_cannot_rewrite(manifest: Write, workspace: Path) -> None:
    """With TERM=dumb no line is rewritten; --yes does not ask."""
    with terminal("run", manifest(1), "--sandbox", "--yes", cwd=workspace, term="dumb") as (process, end):
        text = read_until(end, "\0")
        assert "[y/N]" not in text
        assert "\r" not in text.replace("\r\n", "\n")
        assert process.wait(60) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(cli: Cli, manifest: Write, workspace: Path, number: signal.Signals, code: int) -> None:
    """A signal drains the run, which says how to go on; `resume` finishes it, and nothing is paid twice."""
    path = manifest(2)
    slow = [*BATCHGEN, "run", path, "--sandbox", "--faults", "stall=1"]  # no render ends before the signal, on any machine
    with subprocess.Popen(slow, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}) as process:
        while not (workspace / ".batchgen/sandbox/ledger.sqlite3").exists() or "rendering" not in cli("tasks", "--sandbox").out:
            assert process.poll() is None
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"next: batchgen resume --sandbox" in out
    finish_renders(workspace / ".batchgen/sandbox/account.sqlite3")
    assert cli("resume", "--sandbox").code == 0
    assert "99,890 credits on the server" in cli("credits", "--sandbox").out


def test_served_sandbox(cli: Cli, manifest: Write, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sandbox` serves the API, and says what to set so that other commands use it; a wrong key exits 5."""
    command = [*BATCHGEN, "sandbox", "--port", "0"]
    with subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={}) as process:
        assert process.stdout is not None
        try:
            for setting in process.stdout.readline().removeprefix("export ").split():
                monkeypatch.setenv(*setting.split("=", 1))
            (workspace / "batchgen.yaml").write_text("requests_per_minute: 6000\npoll: {first: 0.2, every: 0.2}\n", encoding="utf-8")
            assert cli("run", manifest(1), "--yes").code == 0
            assert (workspace / "renders").exists()
            assert '"from_server": true' in cli("models", "--json").out
            monkeypatch.setenv("RIVYA_API_KEY", "rvya_sk_of_somebody_else")
            called = cli("credits")
            assert called.code == 5
            assert "api_key_invalid" in called.err
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert process.returncode == 0
