"""`--log-file`: the run's log in a file that only its owner reads, because it names tasks and carries the server's words.

It is appended to, line by line, so that `tail -f` and a rotation by copying work. A log that can no longer be written (a
full disk) never ends a run that has paid for something: it says so once, and the run goes on.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from batchgen.errors import UsageError

MODE = 0o600
START = 64
"""Bytes that tell a text from a database or a picture."""
WIDER = 0o077
"""What others may do with a file; taken away from a log that is there already."""


class LogFile:
    """A log, open for appending. Close it, or use it as a context manager."""

    def __init__(self, place: Path) -> None:
        """Open the file, or make it. Raises UsageError, before anything is sent, if that cannot be done."""
        self.trouble = ""  # why it can no longer be written
        self._place = place
        try:
            _refuse_bytes(place)
            # Without O_NONBLOCK a pipe that nobody reads would keep the run from ever beginning.
            self._handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, MODE)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"the log {place} cannot be written: {said}; name another file with --log-file") from error
        os.set_blocking(self._handle, True)
        self._keep_private()

    def _keep_private(self) -> None:
        """Take a file that is there already from everybody else; a device or another's file stays as it is."""
        with suppress(OSError):
            found = os.fstat(self._handle)
            if stat.S_ISREG(found.st_mode) and found.st_mode & WIDER:
                os.fchmod(self._handle, stat.S_IMODE(found.st_mode) & ~WIDER)

    def write(self, line: str) -> bool:
        """Append a line. Returns False once, when it fails for the first time; never raises."""
        if self.trouble:
            return True
        data = (line + "\n").encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError as error:
            self.trouble = f"the log {self._place} can no longer be written: {error.strerror}; the run goes on, its ledger knows every step"
            return False
        return True

    def close(self) -> None:
        """Close it; what a disk says only now changes nothing any more."""
        with suppress(OSError):
            os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuse_bytes(place: Path) -> None:
    """Raise UsageError for a file that is there and no text, such as the ledger; OSError if it cannot be read."""
    if place.is_file():
        with place.open("rb") as file:
            if b"\0" in file.read(START):
                raise UsageError(f"the log {place} is there and no text, so it stays as it is; name another file with --log-file")
