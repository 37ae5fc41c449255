"""Keeps checked tasks from the check to their adoption, so that each row of a manifest is looked at once.

What was checked is what is adopted, also if a file changes in between. Small manifests stay in memory, others go into a file
without a name in the system's folder for such (`TMPDIR`), which is gone with the process, however that ends.
"""

from __future__ import annotations

import marshal
import tempfile
import weakref
from collections.abc import Iterator

from batchgen.core.written import Ready
from batchgen.errors import UsageError

IN_MEMORY = 1 << 22
"""Bytes; some ten thousand tasks."""


class Spool:
    """Checked tasks, in their order. Chunks are added, then read as often as wanted."""

    def __init__(self) -> None:
        """Start empty."""
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - lives as long as this object
        weakref.finalize(self, self._file.close)
        self._chunks: list[tuple[int, int]] = []  # offset, length
        self._end = 0
        self.count = 0

    def add(self, rows: list[Ready]) -> None:
        """Keep a chunk. Raises UsageError if there is no room for it."""
        data = marshal.dumps(rows)
        try:
            self._file.seek(self._end)
            self._file.write(data)
        except OSError as error:
            wrong = f"the checked tasks cannot be kept in {tempfile.gettempdir()}: {error.strerror}"
            raise UsageError(f"{wrong}; make room, or name another folder in TMPDIR") from error
        self._chunks.append((self._end, len(data)))
        self._end += len(data)
        self.count += len(rows)

    def chunks(self) -> Iterator[list[Ready]]:
        """Yield the tasks, chunk by chunk."""
        for offset, length in self._chunks:
            self._file.seek(offset)
            chunk: list[Ready] = marshal.loads(self._file.read(length))  # noqa: S302 - written by this object, into a file without a name
            yield chunk

    def rows(self) -> Iterator[Ready]:
        """Yield the tasks."""
        for chunk in self.chunks():
            yield from chunk
