"""`status --watch`: the ledger looked at again and again, until the run has ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.calling import Cli, in_a_process
from tests.cli.glass import Glass
from tests.cli.test_live import HELD, pieces, terminal, watch

Write = Callable[..., str]
BATCHGEN = (sys.executable, "-m", "batchgen")


@contextmanager
def running(path: str, workspace: Path, cli: Cli) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own, with everything in flight for as long as the block goes on."""
    (workspace / "batchgen.yaml").write_text(HELD, encoding="utf-8")
    with subprocess.Popen([*BATCHGEN, "run", path, "--sandbox", "--quiet"], cwd=workspace, env={}) as process:
        try:
            while not (workspace / ".batchgen/sandbox/ledger.sqlite3").exists() or not all_rendering(cli):
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def all_rendering(cli: Cli) -> bool:
    """True once every task is in flight: the first of a new price goes alone, and the others follow it."""
    listed = cli("tasks", "--sandbox").out
    return "rendering" in listed and "pending" not in listed


def watched(process: subprocess.Popen[bytes], workspace: Path, *options: str) -> list[str]:
    """Watch a run without a terminal, stop it after the first line, and return all lines."""
    command = [*BATCHGEN, "status", "--sandbox", "--watch", "0.2", *options]
    with subprocess.Popen(command, cwd=workspace, env={}, stdout=subprocess.PIPE, text=True) as looking:
        assert looking.stdout is not None
        first = looking.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest = looking.stdout.read()
        assert looking.wait(60) == 0
    return (first + rest).splitlines()


def test_until_the_run_has_ended(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Without a terminal there is a line each time, and the whole status once the run has ended."""
    with running(manifest(2), workspace, cli) as process:
        lines = watched(process, workspace)
    assert "run 1: 2 rendering; 0 credits spent, 110 held" in lines[0]
    assert any("exit 143: terminated by SIGTERM" in line for line in lines)
    assert lines[-1] == "next: batchgen resume --sandbox goes on with 2 unfinished tasks"


def test_a_run_that_was_killed(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Watching a run ends also when its process is gone, and says so; before that nobody is told to resume it."""
    with running(manifest(2), workspace, cli) as process:
        going = cli("status", "--sandbox")
        assert f"goes on: process {process.pid}" in going.out
        assert "next: nothing to do: it goes on; batchgen status --sandbox --watch follows it" in going.out
        process.send_signal(signal.SIGKILL)
        process.wait()
        called = cli("status", "--sandbox", "--watch")
    assert called.code == 0
    assert f"did not end: process {process.pid} on" in called.out
    assert "next: batchgen resume --sandbox" in called.out


def test_on_a_terminal(cli: Cli, manifest: Write, workspace: Path) -> None:
    """On a terminal the status is drawn in place; Ctrl-C ends the looking on, and not the run."""
    with running(manifest(2), workspace, cli) as process:
        with terminal("status", "--sandbox", "--watch", "0.2", cwd=workspace, columns=20) as (looking, end):
            glass = Glass(20)
            watch(end, glass, lambda lines: any("spent" in line for line in lines) and any("spring/t1: rend" in line for line in lines))
            looking.send_signal(signal.SIGINT)
            for piece in pieces(end):
                glass.feed(piece)
            assert looking.wait(60) == 130
        assert glass.lines == [""]
        assert process.poll() is None


def test_as_documents(cli: Cli, manifest: Write, workspace: Path) -> None:
    """With --json there is one document a line."""
    with running(manifest(1), workspace, cli) as process:
        documents = [json.loads(line) for line in watched(process, workspace, "--json")]
    assert len(documents) > 1
    assert {document["document"] for document in documents} == {"batchgen.status/1"}
    assert (documents[0]["run"]["exit_code"], documents[-1]["run"]["exit_code"]) == (None, 143)


def test_into_a_closed_pipe(cli: Cli, manifest: Write, workspace: Path) -> None:
    """A reader that has seen enough is no error."""
    with running(manifest(1), workspace, cli):
        assert in_a_process("status", "--sandbox", "--watch", "0.2", redirect="| head -1", cwd=workspace).err == ""


@pytest.mark.parametrize("seconds", ["0", "0.01", "x"])
def test_wrong_interval(cli: Cli, seconds: str) -> None:
    """An interval that nobody could see is refused."""
    called = cli("status", f"--watch={seconds}")
    assert called.code == 2
    assert "--watch" in called.err
