"""Visits to the disk: those that gather while one is under way are made together, in one thread.

What group commit is for rows, this is for names: a folder is synced once for all that changed in it. More threads would
not be faster, only in each other's way: a visit is a row of short system calls, and Python's lock changes hands at each.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from batchgen.media.part import sync_folder

T = TypeVar("T")
Found_co = TypeVar("Found_co", covariant=True)

Steps = Generator[Path | None, None, T]
"""What a visit does: after each change on the disk it yields the folder whose names must be durable before it goes on, or
None where that is so already; it returns what it found. Nothing of another visit is done while it yields None."""


class _Visit(Generic[Found_co]):
    def __init__(self, steps: Steps[Found_co]) -> None:
        self.steps = steps
        self.folder: Path | None = None  # to be synced
        self.over = False
        self._result: Found_co
        self._error: Exception | None = None

    def advance(self, error: OSError | None = None) -> None:
        """Go on until a folder must be synced, or to the end; `error` is why the last one could not be."""
        self.folder = None
        try:
            if error is not None:
                self.folder = self.steps.throw(error)
            while self.folder is None:
                self.folder = next(self.steps)
        except StopIteration as done:
            self.over, self._result = True, done.value
        except Exception as broken:  # noqa: BLE001  # it belongs to whoever made this visit, and not to the others
            self.over, self._error = True, broken

    def result(self) -> Found_co:
        """Return what the visit found; raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Visits:
    """Makes visits to the disk, one row of them at a time."""

    def __init__(self) -> None:
        self._waiting: list[_Visit[object]] = []
        self._one = anyio.Lock(fast_acquire=True)

    async def make(self, steps: Steps[T]) -> T:
        """Go through a visit's steps, with those of others who wait. Raises what the steps raise."""
        visit = _Visit(steps)
        self._waiting.append(visit)
        try:
            async with self._one:
                if not visit.over:
                    row, self._waiting = self._waiting, []
                    await to_thread.run_sync(_together, row)
        except BaseException:
            if visit in self._waiting:
                self._waiting.remove(visit)
            raise
        return visit.result()


def _together(row: list[_Visit[object]]) -> None:
    """Bring each visit to where it needs a folder synced, sync each folder once, and so on until all are over."""
    for visit in row:
        visit.advance()
    while row := [visit for visit in row if not visit.over]:
        failed: dict[Path, OSError] = {}
        folders = {visit.folder for visit in row if visit.folder}
        for folder in folders:
            try:
                sync_folder(folder)
            except OSError as error:
                failed[folder] = error
        for visit in row:
            assert visit.folder is not None
            visit.advance(failed.get(visit.folder))
