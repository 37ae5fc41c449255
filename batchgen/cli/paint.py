"""Draws a block of lines at the bottom of a terminal, again and again in the same place.

Rich gives colours and knows how wide letters are; the cursor is moved here, because rich's own live display takes it that
the terminal keeps its width: after a resize it leaves pieces of the old block behind. How a terminal wraps old lines anew
differs, and when it tells its new size too, so that after a resize the screen is cleared and drawn afresh. A frame is one
write and the cursor stays visible, so that nothing flickers and a killed process leaves a terminal as it should be.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import StringIO
from threading import Lock
from typing import TYPE_CHECKING, Final, TextIO

from batchgen.report.live import PLAIN, Letters, Line

if TYPE_CHECKING:
    from rich.console import Console

FALLBACK: Final = os.terminal_size((80, 24))
"""For a terminal that does not know its own size."""


class Painter:
    """Owns the bottom of the terminal behind `stream`. Safe to call from several threads; never raises for a terminal that is gone."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "ascii"
        self._environ = environ
        self._drawn = 0  # lines that are on the screen
        self._at: os.terminal_size | None = None  # when they were drawn
        self._lock = Lock()
        self._console: Console | None = None

    @property
    def size(self) -> os.terminal_size:
        """Return columns and rows as they are now."""
        with suppress(OSError, ValueError):
            size = os.get_terminal_size(self._stream.fileno())
            if size.columns and size.lines:
                return size
        with suppress(KeyError, ValueError):
            return os.terminal_size((int(self._environ["COLUMNS"]), int(self._environ.get("LINES", FALLBACK.lines))))
        return FALLBACK

    @property
    def letters(self) -> Letters:
        """Return what bars are drawn with, as far as the encoding has it."""
        letters = Letters()
        return letters if self._encodable(letters.full + letters.empty + letters.dot) else PLAIN

    def draw(self, lines: Sequence[Line]) -> None:
        """Put these lines in place of those drawn before; what does not fit is left out from the end."""
        with self._lock:
            size = self.size
            rendered = [self._render(line, max(1, size.columns - 1)) for line in lines[: max(1, size.lines - 1)]]
            start = self._up() if size == self._at or self._at is None else "\x1b[2J\x1b[H"
            self._at = size
            frame = start + "".join(f"{text}\x1b[K\n" for text in rendered) + "\x1b[J"
            self._drawn = len(rendered)  # before they are: Ctrl-C may come in between, and then they must be wiped
            self._write(frame)

    def above(self, text: str) -> None:
        """Write whole lines above the block, which the next `draw` puts back below them."""
        with self._lock:
            self._write(f"{self._erased()}{text}\n")
            self._drawn = 0

    def wipe(self) -> None:
        """Take the block away."""
        with self._lock:
            if self._drawn:
                self._write(self._erased())
                self._drawn = 0

    def _up(self) -> str:
        """Return what moves the cursor to the block's first row."""
        return f"\r\x1b[{self._drawn}A" if self._drawn else "\r"

    def _erased(self) -> str:
        """Return what takes the block away. Row by row, because tmux keeps a full screen that is cleared at once in its history."""
        return "\r" + "\x1b[K\x1b[A" * self._drawn + "\x1b[K\x1b[J" if self._drawn else ""

    def _write(self, text: str) -> bool:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
            return True
        return False

    def _encodable(self, text: str) -> bool:
        try:
            text.encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def _render(self, line: Line, columns: int) -> str:
        """Return a line as the terminal wants it, no wider than `columns` cells."""
        # Imported here because rich takes 0.1 s, and only a live view needs it.
        from rich.text import Text  # noqa: PLC0415

        fit = ((text.encode(self._encoding, "backslashreplace").decode(self._encoding), style) for text, style in line)
        text = Text.assemble(*fit, no_wrap=True, end="")
        text.truncate(columns, overflow="ellipsis" if self._encodable("\u2026") else "crop")
        console = self._styles()
        with console.capture() as captured:
            console.print(text, end="", width=columns, overflow="ignore", crop=False)
        return captured.get()

    def _styles(self) -> Console:
        """Return what turns styles into escape sequences: colours as far as TERM, COLORTERM and NO_COLOR allow."""
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415  as above

            # An emoji code or markup in a prompt is text, nothing else.
            self._console = Console(
                file=StringIO(),
                force_terminal=True,
                force_jupyter=False,
                emoji=False,
                markup=False,
                highlight=False,
                legacy_windows=False,
                _environ=dict(self._environ),
            )
        return self._console
