"""The live view, on real pseudo-terminals of several widths and on a pretend glass."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from batchgen.cli.paint import Painter
from batchgen.report.live import PLAIN
from tests.cli.glass import Glass
from tests.processes.program import finish_renders

Write = Callable[..., str]
BATCHGEN = (sys.executable, "-m", "batchgen")
QUICK = "sandbox: {faults: render=0.6, poll: {first: 0.1, every: 0.1}}\n"
HELD = "sandbox: {faults: stall=1, poll: {first: 0.1, every: 0.1, slowest: 0.1}}\n"
"""Nothing is rendered until the test says so: however slow the machine is, it shows everything in flight for long enough."""
ACCOUNT = Path(".batchgen/sandbox/account.sqlite3")
ESCAPE = "\x1b"


def resize(end: int, columns: int, rows: int = 24) -> None:
    """Give a terminal a size."""
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def terminal(
    *arguments: str, cwd: Path, columns: int, program: Sequence[str] = BATCHGEN, **environ: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start batchgen on a terminal of its own; give the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    resize(ours, columns)
    settled = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": os.environ["PATH"], **environ}
    process = subprocess.Popen(
        [*program, *arguments], cwd=cwd, env=settled, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def pieces(end: int, seconds: float = 60) -> Iterator[str]:
    """Yield what is written to a terminal until its other end is closed."""
    while True:
        if not select.select([end], [], [], seconds)[0]:
            pytest.fail("the terminal fell silent")
        try:
            yield os.read(end, 65536).decode()
        except OSError:  # Linux says EIO where the other end was closed
            return


def watch(end: int, glass: Glass, seen: Callable[[list[str]], bool]) -> None:
    """Feed the glass until it shows what is looked for."""
    for piece in pieces(end):
        glass.feed(piece)
        if seen(glass.lines):
            return
    pytest.fail(f"never seen; at the end there was {glass.lines}")


@pytest.mark.parametrize("columns", [20, 80])
def test_live(manifest: Write, workspace: Path, columns: int) -> None:
    """On a terminal the run is drawn in place, fits the width, and leaves nothing behind but the money line and the summary."""
    (workspace / "batchgen.yaml").write_text(HELD, encoding="utf-8")
    glass, wide = Glass(columns), 0
    with terminal("run", manifest(8), "--sandbox", "--yes", cwd=workspace, columns=columns) as (process, end):

        def held(lines: list[str]) -> bool:
            return any("8 rendering" in line for line in lines) and any("440 held" in line for line in lines)

        watch(end, glass, held)
        drawn = "\n".join(glass.lines)
        finish_renders(workspace / ACCOUNT)
        for piece in pieces(end):
            glass.feed(piece)
            wide = max(wide, *map(len, glass.lines))
        assert process.wait(60) == 0
    assert "0 of 8 done" in drawn
    assert "╍" in drawn  # the bar: everything is in flight
    assert wide <= columns
    whole = "".join((*glass.gone, *glass.lines))
    assert "spring: 8 done; 440 credits spent" in whole.replace("\n", "")
    assert "nothing is left to do" in whole
    for left in ("waiting", "rendering", "━", "╍", "held up"):
        assert left not in whole
    if columns == 80:
        assert "tasks    " in drawn


def test_resize(manifest: Write, workspace: Path) -> None:
    """After a resize the view fits the new width, and is there once."""
    (workspace / "batchgen.yaml").write_text(HELD, encoding="utf-8")
    with terminal("run", manifest(3), "--sandbox", "--yes", cwd=workspace, columns=100) as (process, end):
        watch(end, Glass(100), lambda lines: any("3 rendering" in line for line in lines))
        resize(end, 30)
        narrow = Glass(30)
        watch(end, narrow, lambda lines: any(line == "3 rendering" for line in lines) and any("held" in line for line in lines))
        assert sum("of 3 done" in line for line in narrow.lines) == 1
        assert process.poll() is None


def test_no_colour(manifest: Write, workspace: Path) -> None:
    """With NO_COLOR nothing is coloured; bold and dim are no colours."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    for environ, coloured in ({"NO_COLOR": "1"}, False), ({}, True):
        path = manifest(2, name="coloured" if coloured else "plain")
        with terminal("run", path, "--sandbox", "--yes", cwd=workspace, columns=80, **environ) as (_, end):
            text = "".join(pieces(end))
        assert bool(re.search(r"\x1b\[[\d;]*3\d", text)) is coloured


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_terminal_that_draws_nothing(manifest: Write, workspace: Path, term: str) -> None:
    """A terminal that cannot move its cursor gets plain lines."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    with terminal("run", manifest(1), "--sandbox", "--yes", cwd=workspace, columns=80, TERM=term) as (process, end):
        text = "".join(pieces(end))
        assert process.wait(60) == 0
    assert ESCAPE not in text
    assert "0 of 1 done" in text


def test_ctrl_c(manifest: Write, workspace: Path) -> None:
    """Ctrl-C says that the run ends as soon as what is in the air has landed, and leaves a summary with what to do."""
    (workspace / "batchgen.yaml").write_text(HELD, encoding="utf-8")
    with terminal("run", manifest(2), "--sandbox", "--yes", cwd=workspace, columns=80) as (process, end):
        glass = Glass(80)
        watch(end, glass, lambda lines: any("2 rendering" in line for line in lines))
        process.send_signal(signal.SIGINT)
        for piece in pieces(end):
            glass.feed(piece)
        assert process.wait(60) == 130
    assert any(line.startswith("next: batchgen resume --sandbox") for line in glass.lines)
    assert not re.search("[━╍─]", "".join(glass.lines))


def test_poor_encoding(manifest: Write, workspace: Path) -> None:
    """A terminal without line letters gets a bar of plain ones; emoji in a prompt disturb neither the view nor the render."""
    (workspace / "batchgen.yaml").write_text(HELD, encoding="utf-8")
    poor = {"LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    path = workspace / manifest(2)
    path.write_text(path.read_text(encoding="utf-8").replace("Clip number 1", "\U0001f680 takes off"), encoding="utf-8")
    with terminal("run", path.name, "--sandbox", "--yes", cwd=workspace, columns=40, **poor) as (process, end):
        glass = Glass(40)
        watch(end, glass, lambda lines: any("2 rendering" in line for line in lines))
        assert any(re.fullmatch(r"[#=-]{39}", line) for line in glass.lines)
        finish_renders(workspace / ACCOUNT)
        "".join(pieces(end))
        assert process.wait(60) == 0


# ---------------------------------------------------------------- the painter alone


def painted(environ: dict[str, str], *, encoding: str = "utf-8") -> tuple[Painter, Callable[[], str]]:
    """A painter on a pretend stream, and what it wrote since the last look."""
    raw = Raw()
    stream = TextIOWrapper(cast("BinaryIO", raw), encoding=encoding, errors="backslashreplace", write_through=True)
    return Painter(stream, environ), raw.taken


class Raw(StringIO):
    """Bytes as a terminal takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = b""

    def write(self, data: str) -> int:
        """Take bytes, whatever StringIO's signature says."""
        self.bytes += cast("bytes", data)
        return len(data)

    def taken(self) -> str:
        """Return what came since the last look."""
        said, self.bytes = self.bytes.decode(), b""
        return said


def test_blocks_replace_each_other() -> None:
    """A shorter block leaves nothing of a longer one; lines above it stay."""
    painter, written = painted({"COLUMNS": "20", "LINES": "10"})
    glass = Glass(20, 10)
    painter.draw([[("one", "")], [("two", "bold")], [("three", "red")]])
    painter.above("a line")
    painter.draw([[("four", "")]])
    glass.feed(written())
    assert glass.lines == ["a line", "four"]
    painter.wipe()
    painter.wipe()
    glass.feed(written())
    assert glass.lines == ["a line"]


def test_long_and_many_lines() -> None:
    """Lines are cut to the width, wide letters counted as two; of more lines than rows the first ones are shown."""
    painter, written = painted({"COLUMNS": "10", "LINES": "4"})
    glass = Glass(10, 4)
    painter.draw([[("\u5b57" * 20, "")], *([(str(n) * 30, "")] for n in range(9))])
    glass.feed(written())
    assert glass.lines[0] == "\u5b57" * 4 + "\u2026"
    assert [line[0] for line in glass.lines[1:3]] == ["0", "1"]
    assert not glass.gone


def test_letters_that_the_encoding_lacks_are_spelt_out() -> None:
    """An emoji in a server's message is told as its number, and the line still fits."""
    painter, written = painted({"COLUMNS": "30", "LINES": "4"}, encoding="ascii")
    glass = Glass(30, 4)
    painter.draw([[("no \U0001f3ac for you, not today", "red")]])
    glass.feed(written())
    assert glass.lines == ["no \\U0001f3ac for you, not to"]


def test_a_full_screen_is_taken_away_row_by_row() -> None:
    """Tmux keeps a screen in its history that is cleared as a whole: a wiped view would be found there for ever."""
    painter, written = painted({"COLUMNS": "20", "LINES": "3"})
    glass = Glass(20, 3)
    painter.draw([[("one", "")], [("two", "")]])
    glass.feed(written())
    painter.wipe()
    wiped = written()
    glass.feed(wiped[: wiped.rindex("\x1b[J")])
    assert glass.lines == [""]


def test_markup_is_text() -> None:
    """What looks like rich's markup or an emoji code in a message is shown as it is."""
    painter, written = painted({"COLUMNS": "60", "LINES": "4"})
    painter.draw([[("[bold]:smile: [/x]", "red")]])
    assert "[bold]:smile: [/x]" in written()


def test_size_of_no_terminal() -> None:
    """Where nobody knows the size, 80 by 24 is taken; nonsense in COLUMNS changes nothing."""
    assert painted({})[0].size == (80, 24)
    assert painted({"COLUMNS": "wide"})[0].size == (80, 24)
    assert painted({}, encoding="ascii")[0].letters is PLAIN
