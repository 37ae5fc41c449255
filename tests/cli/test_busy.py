"""The line that says how far the check of the manifests has come, on a real pseudo-terminal."""

from __future__ import annotations

import signal
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from threading import enumerate as enumerate_threads

import pytest

from batchgen.cli.busy import busy
from batchgen.cli.screen import Screen
from batchgen.manifest import Sight
from batchgen.manifest.references import SMALL
from tests.cli.glass import Glass
from tests.cli.test_live import pieces, terminal, watch

HELD = """
import sys
from pathlib import Path
from threading import Event

def hold(event, arguments):
    if event == "open" and str(arguments[0]).endswith("last.png"):
        while not Path("go").exists():
            Event().wait(0.02)

sys.addaudithook(hold)
from batchgen.__main__ import entry
sys.argv[0] = "batchgen"
sys.exit(entry())
"""
"""A disk that gives one file only when the test says so."""


@pytest.mark.parametrize(
    ("command", "end"),
    [(("validate",), "m.yaml"), (("plan", "--sandbox"), "next: "), (("run", "--sandbox", "--dry-run"), "next: ")],
)
def test_a_check_that_takes_long_says_how_far_it_is(workspace: Path, command: tuple[str, ...], end: str) -> None:
    """The line goes when the check is over, and the result stands alone."""
    (workspace / "first.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(24))
    (workspace / "last.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(25))
    entry = "{{id: {0}, prompt: p, references: [{0}.png]}}"
    tasks = f"[{entry.format('first')}, {entry.format('last')}]"
    (workspace / "m.yaml").write_text(f"version: 1\nname: m\ndefaults: {{model: qwen-image}}\ntasks: {tasks}\n", encoding="utf-8")
    glass = Glass(80)
    with terminal(*command, "m.yaml", cwd=workspace, columns=80, program=(sys.executable, "-c", HELD)) as (process, other):
        watch(other, glass, lambda lines: lines == ["checking m.yaml: 1 task, 1 file"])
        (workspace / "go").touch()
        for piece in pieces(other):
            glass.feed(piece)
        assert process.wait(60) == 0
    assert end in "\n".join(glass.lines)
    assert "checking" not in "\n".join((*glass.gone, *glass.lines))


def test_an_interrupted_check_waits_for_no_film(workspace: Path) -> None:
    """A file that is being read, and will be for long, keeps nobody from the shell."""
    (workspace / "last.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(SMALL))
    tasks = "[{id: a, prompt: p}, {id: b, prompt: p, references: [last.png]}]"
    (workspace / "m.yaml").write_text(f"version: 1\nname: m\ndefaults: {{model: qwen-image}}\ntasks: {tasks}\n", encoding="utf-8")
    glass = Glass(80)
    with terminal("validate", "m.yaml", cwd=workspace, columns=80, program=(sys.executable, "-c", HELD)) as (process, other):
        watch(other, glass, lambda lines: lines[0].startswith("checking m.yaml"))
        process.send_signal(signal.SIGINT)
        for piece in pieces(other):
            glass.feed(piece)
        assert process.wait(60) == 130
    assert glass.lines[-1] == "next: batchgen validate m.yaml"


class Tty(StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("terminal_kind", "quiet", "json_log", "drawn"),
    [("xterm", False, False, True), ("xterm", True, False, False), ("xterm", False, True, False), ("dumb", False, False, False)],
)
def test_who_is_told(terminal_kind: str, *, quiet: bool, json_log: bool, drawn: bool) -> None:
    """Whoever asked for silence, a log of JSON and a terminal that cannot draw are told nothing."""
    screen = Screen(json_log=json_log, environ={"TERM": terminal_kind})
    with redirect_stderr(Tty()), busy(screen, quiet=quiet) as sight:
        assert sight == Sight()
        assert ("busy" in {thread.name for thread in enumerate_threads()}) is drawn
