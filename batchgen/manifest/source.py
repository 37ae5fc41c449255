"""Opens text files that may be anything, and hands their bytes on in blocks that are proven to be text.

A manifest may be a gigabyte without a newline, a picture, UTF-16 or a named pipe that never answers. So files are checked to be
regular before they are opened, and each block is checked before a parser sees it; memory stays flat whatever comes.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from batchgen.errors import Problem
from batchgen.manifest.problems import Refused
from batchgen.manifest.sniff import describe

BLOCK = 1 << 16

LONGEST_LINE = 1 << 20
"""Bytes of one line. The longest prompt that a model takes is 20,000 characters."""

LONGEST_PART = 1 << 22
"""Bytes between two tokens of YAML: no scalar may be larger. The parser would hold it whole."""

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def open_regular(path: str, shown_as: str) -> BinaryIO:
    """Open a file for reading. Raises Refused if it is missing, no regular file, or may not be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - opening first would wait on a named pipe for ever
            kind = "a folder" if Path(path).is_dir() else "not a regular file"
            raise Refused(Problem(shown_as, 0, 0, "", f"is {kind}", "name a file"))
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise Refused(Problem(shown_as, 0, 0, "", "there is no such file")) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Refused(Problem(shown_as, 0, 0, "", f"cannot be read: {reason}")) from error


class Source:
    """A text file as a stream of UTF-8 bytes.

    `read` never raises for what is in the file: it keeps the `trouble` and says that the file ends, because exceptions do not pass
    through the C parser whole. Whoever takes events looks at `trouble` first, and sets `since_event`, the bytes read since the last
    one, back to 0.
    """

    def __init__(self, path: str, shown_as: str) -> None:
        """Open `path`; problems call it `shown_as`. Raises Refused if that cannot be done."""
        self.path = path
        self.shown_as = shown_as
        self.trouble: Problem | None = None
        self._file = open_regular(path, shown_as)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._lines = 1
        self._line_bytes = 0
        self.since_event = 0
        self._started = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, _size: int = -1) -> bytes:
        """Return the next block, or nothing at the end of the file or of what can be used of it."""
        if self.trouble:
            return b""
        try:
            block = self._file.read(BLOCK)
        except OSError as error:
            return self._stop(f"cannot be read: {error.strerror}")
        if not self._started:
            block = self._start(block)
        return b"" if self.trouble else self._checked(block)

    def _start(self, block: bytes) -> bytes:
        self._started = True
        if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return self._stop("is UTF-16, not UTF-8", "save it as UTF-8")
        if block.removeprefix(codecs.BOM_UTF8):
            return block.removeprefix(codecs.BOM_UTF8)
        return self._stop("is empty", "a manifest has at least version, name and tasks")

    def _checked(self, block: bytes) -> bytes:
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            self._lines += error.object[: error.start].count(b"\n")
            what = describe(error.object) if self._lines == 1 else ""
            return self._stop(f"is {what}, not text" if what else "is not UTF-8 text", "save it as UTF-8")
        bad = _NOT_TEXT.search(text)
        if bad:
            self._lines += text.count("\n", 0, bad.start())
            return self._stop(f"has a control character (U+{ord(bad[0]):04X})", "remove it; a manifest is plain text")
        return self._measured(block)

    def _measured(self, block: bytes) -> bytes:
        longest = max(self._line_bytes + block.find(b"\n"), *(len(line) for line in block.split(b"\n")))
        breaks = block.count(b"\n")
        self._line_bytes = len(block) - block.rfind(b"\n") - 1 if breaks else self._line_bytes + len(block)
        self.since_event += len(block)
        if max(longest, self._line_bytes) > LONGEST_LINE:
            return self._stop(
                f"has a line of more than {LONGEST_LINE:,} bytes", "put the rows into a CSV or JSON lines file and use foreach"
            )
        if self.since_event > LONGEST_PART:
            return self._stop(f"has a value of more than {LONGEST_PART:,} bytes", "is a quote or bracket left open?")
        self._lines += breaks
        return block

    def _stop(self, wrong: str, right: str = "") -> bytes:
        self.trouble = Problem(self.shown_as, self._lines, 0, "", wrong, right)
        return b""


def line_of(path: str, number: int) -> str:
    """Return line `number` (from 1) of a file for a hint, as far as it can be had; never raises for the file's sake."""
    try:
        with Path(path).open("rb") as file:
            for _ in range(number - 1):
                file.readline(LONGEST_LINE)
            return file.readline(LONGEST_LINE).decode("utf-8", "replace")
    except OSError:
        return ""
