"""Visits to the disk: those that gather while one is under way are made together, in one thread.

What group commit is for rows, this is for names: a folder is synced once for all that changed in it, and their files side by
side, which a disk takes in one go. More threads for the rest would not be faster, only in each other's way: it is a row of short
system calls, and Python's lock changes hands at each.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from batchgen.media.part import Steps, Unsynced, sync

AT_ONCE = 8
"""Files that are synced side by side: as many as are fetched at once. A disk writes them in little more time than one."""

T = TypeVar("T")
Found_co = TypeVar("Found_co", covariant=True)


class _Visit(Generic[Found_co]):
    def __init__(self, steps: Steps[Found_co]) -> None:
        self.steps = steps
        self.unsynced: Unsynced | None = None
        self.over = False
        self._result: Found_co
        self._error: Exception | None = None

    def advance(self, error: OSError | None = None) -> None:
        """Go on until something must be synced, or to the end; `error` is why the last could not be."""
        self.unsynced = None
        try:
            if error is not None:
                self.unsynced = self.steps.throw(error)
            while self.unsynced is None:
                self.unsynced = next(self.steps)
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

    def __init__(self, sync: Callable[[Unsynced], None] = sync) -> None:
        """Close them when they are no longer needed. `sync` makes a change durable."""
        self._sync = sync
        self._syncing = ThreadPoolExecutor(AT_ONCE, "sync")
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
                    await to_thread.run_sync(self._together, row)
        except BaseException:
            if visit in self._waiting:
                self._waiting.remove(visit)
            raise
        return visit.result()

    def close(self) -> None:
        """Let the threads go."""
        self._syncing.shutdown(wait=False)  # nothing is under way: whoever makes a visit waits for it

    def _together(self, row: list[_Visit[object]]) -> None:
        """Bring each visit to where something must be synced, sync it all, and so on until all are over."""
        for visit in row:
            visit.advance()
        while row := [visit for visit in row if not visit.over]:
            failed = self._sync_all({visit.unsynced for visit in row if visit.unsynced is not None})
            for visit in row:
                assert visit.unsynced is not None
                visit.advance(failed.get(visit.unsynced))

    def _sync_all(self, changed: set[Unsynced]) -> dict[Unsynced, OSError]:
        """Make changes durable, each once; return those for which that failed."""
        errors = map(self._error, changed) if len(changed) == 1 else self._syncing.map(self._error, changed)
        return {unsynced: error for unsynced, error in zip(changed, errors, strict=True) if error}

    def _error(self, unsynced: Unsynced) -> OSError | None:
        try:
            self._sync(unsynced)
        except OSError as error:
            return error
        return None
