"""The two streams: results go to stdout, talk goes to stderr.

No colours anywhere, so NO_COLOR has nothing to switch off. A terminal gets one line that is rewritten with a carriage
return; whoever has none (cron, a pipe, TERM=dumb) gets whole lines only.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

from batchgen.errors import ExitCode
from batchgen.report.text import to_json


@dataclass(slots=True)
class Screen:
    """Where a command speaks. `code` is what the process shall say if the reader of its results goes away (`| head`)."""

    json: bool = False
    verbose: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    code: ExitCode = ExitCode.DONE
    _live: int = 0  # columns that the rewritten line takes now

    @property
    def asks(self) -> bool:
        """True if somebody sits there who can answer."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def rewrites(self) -> bool:
        """True if a line on stderr can be rewritten."""
        return sys.stderr.isatty() and self.environ.get("TERM", "dumb") != "dumb"

    def out(self, text: str) -> None:
        """Write a result. Raises BrokenPipeError if its reader is gone."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def document(self, document: object) -> None:
        """Write a JSON document as the result."""
        self.out(to_json(document, indent=2))

    def say(self, text: str) -> None:
        """Talk. Never raises: a log that cannot be written must not end a run that has paid for something."""
        with suppress(OSError, ValueError):
            self.wipe()
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def rewrite(self, text: str) -> None:
        """Put `text` in place of the live line. Never raises."""
        with suppress(OSError, ValueError):
            text = text[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write("\r" + text + " " * (self._live - len(text)))
            sys.stderr.flush()
            self._live = len(text)

    def wipe(self) -> None:
        """Take the live line away."""
        if self._live:
            sys.stderr.write("\r" + " " * self._live + "\r")
            self._live = 0


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
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        abandon_stdout()


def abandon_stdout() -> None:
    """Send what is still buffered nowhere, so that Python says nothing about a broken pipe when it exits."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
