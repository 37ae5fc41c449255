"""The two streams: results go to stdout, talk goes to stderr.

A terminal may get a block of lines that is drawn again and again at its bottom (`cli.paint`); whoever has none (cron, a
pipe, TERM=dumb) gets whole plain lines only. Under `--log-format json` everything on stderr is one JSON object a line.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from batchgen.errors import ExitCode
from batchgen.report.text import iso, to_json

if TYPE_CHECKING:
    from batchgen.cli.paint import Painter

CALM = 0.25
"""Seconds between two frames of what is drawn: faster is flicker."""
LEAVE = 2.0
"""Seconds that a thread which draws may take to end; one that hangs in a stopped terminal is left behind."""


@dataclass(slots=True)
class Screen:
    """Where a command speaks. `code` is what the process shall say if the reader of its results goes away (`| head`)."""

    json: bool = False
    verbose: bool = False
    json_log: bool = False  # --log-format json: talk is an event of the log too
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    code: ExitCode = ExitCode.DONE
    _painter: Painter | None = None

    @property
    def asks(self) -> bool:
        """True if somebody sits there who can answer."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def draws(self) -> bool:
        """True if lines on stderr can be drawn over."""
        return self.draws_on(sys.stderr)

    def draws_on(self, stream: TextIO) -> bool:
        """True if lines on a stream can be drawn over."""
        return stream.isatty() and self.environ.get("TERM", "dumb") not in {"dumb", "unknown", ""}

    @property
    def painter(self) -> Painter:
        """Return what draws on the terminal behind stderr."""
        if self._painter is None:
            self._painter = self.painter_of(sys.stderr)
        return self._painter

    def painter_of(self, stream: TextIO) -> Painter:
        """Return what draws on the terminal behind a stream."""
        # Imported here so that a command without a live view does not pay for it.
        from batchgen.cli.paint import Painter  # noqa: PLC0415

        return Painter(stream, self.environ)

    def out(self, text: str) -> None:
        """Write a result. Raises BrokenPipeError if its reader is gone."""
        self.wipe()
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def document(self, document: object) -> None:
        """Write a JSON document as the result."""
        self.out(to_json(document, indent=2))

    def say(self, text: str) -> None:
        """Talk. Never raises: a log that cannot be written must not end a run that has paid for something."""
        if self.json_log:
            said = {"at": iso(time.time()), "level": "info", "event": "said", "message": text}
            self.line(to_json(said))
        else:
            self.line(text)

    def line(self, text: str) -> None:
        """Write a line to stderr as it is. Never raises."""
        if self._painter is not None:
            self._painter.above(text)
            return
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except BrokenPipeError:
            abandon_unwritable_stderr()
        except (OSError, ValueError):
            return  # the disk behind it may have room again for the next line

    def wipe(self) -> None:
        """Take away what was drawn."""
        if self._painter is not None:
            self._painter.wipe()


def settle_streams() -> None:
    """Let no output fail for a character that the terminal's encoding lacks (it is spelt out), nor for a closed stream (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  open as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon_unwritable_stdout() -> None:
    """Abandon stdout if it cannot be written (a full disk): else Python would try again at its exit, and exit with 120."""
    _abandon_unwritable(sys.stdout)


def abandon_unwritable_stderr() -> None:
    """The same for stderr: a log that nobody reads any more changes no exit code."""
    _abandon_unwritable(sys.stderr)


def _abandon_unwritable(stream: TextIO) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        _abandon(stream)


def abandon_stdout() -> None:
    """Send what is still buffered nowhere, so that Python says nothing about a broken pipe when it exits."""
    _abandon(sys.stdout)


def _abandon(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
