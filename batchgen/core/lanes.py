"""A lane is one manifest's way through a run: its due tasks, its places in flight, and what stops it.

A lane holds one page of due tasks at a time, so memory does not grow with the manifest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from batchgen.core.messages import DueArrived, FetchDue
from batchgen.core.model import DueTask, Manifest
from batchgen.core.stops import Refusal

PAGE = 200
"""Tasks read from the ledger at once."""

SHARE_FLOOR = 20
"""Ended tasks before a share of failures says anything."""

FIRST_REFUSALS = 5
"""If so many first submissions are all refused as invalid, it is the manifest that is wrong."""


@dataclass(slots=True)
class Lane:
    """One manifest's state within a run."""

    manifest: Manifest
    only: str = ""
    cut: int | None = None  # the position from which on a kept plan buys nothing
    due: deque[DueTask] = field(default_factory=deque)
    ready: deque[DueTask] = field(default_factory=deque)  # references are on the server
    waiting: int = 0  # tasks that wait for an upload or for a price
    in_flight: int = 0
    stopped: str = ""  # why nothing more of this manifest is submitted in this run
    broken: bool = False  # stopped by its own failures
    held_back: Refusal | None = None  # the budget that says no as long as nothing is released
    failures: int = 0
    successes: int = 0
    in_a_row: int = 0
    first_refusals: int = 0
    accepted: bool = False  # the server took a submission of this run
    rendered_before: int = 0  # tasks of this manifest that earlier runs rendered
    _after: int = -1
    _fetching: bool = False
    _exhausted: bool = False
    _rows: set[int] = field(default_factory=set)  # tasks that this lane, its uploads or its flights hold
    _returned: set[int] = field(default_factory=set)  # those that came back and are not ready yet
    _gone: set[int] = field(default_factory=set)  # those let go while a page was being read: the page may be older

    # -- the page

    def fetch(self) -> FetchDue | None:
        """Ask for the next page once the present one runs low."""
        if self._fetching or self._exhausted or self.stopped or len(self.due) + len(self.ready) + self.waiting >= PAGE // 2:
            return None
        self._fetching = True
        self._gone.clear()
        return FetchDue(self.manifest.name, self._after, PAGE, self.only)

    def arrived(self, page: DueArrived) -> None:
        """Take a page. Tasks that are held already, or were let go while it was read, are not taken twice."""
        self._fetching = False
        self._exhausted = page.last
        self._after = page.after
        for due in page.tasks:
            if self.cut is not None and due.task.position >= self.cut:
                self._exhausted = True
                return
            if not self.stopped and due.row not in self._rows and due.row not in self._gone:
                self._rows.add(due.row)
                self.due.append(due)

    def hold(self, row: int) -> None:
        """Note that a task of this lane is in flight from an earlier run."""
        self._rows.add(row)

    def let_go(self, row: int) -> None:
        """Note that this run is finished with a task."""
        self._rows.discard(row)
        if self._fetching:
            self._gone.add(row)

    def again(self, due: DueTask) -> None:
        """Put a task back that is due once more; not one that a kept plan does not buy."""
        if self.cut is not None and due.task.position >= self.cut:
            self.let_go(due.row)
            return
        self._rows.add(due.row)
        self.due.appendleft(due)
        if due.task.spec.references:
            self._returned.add(due.row)  # it may have to wait for them once more
        self.held_back = None  # it may cost less than the one that no budget lets pass

    def stand_ready(self, due: DueTask) -> None:
        """Take a task whose references are on the server.

        One that stood at the head before goes there again: behind one that no budget lets pass it would never be bought.
        """
        if due.row in self._returned:
            self._returned.discard(due.row)
            self.ready.appendleft(due)
        else:
            self.ready.append(due)

    # -- what may be submitted

    @property
    def drained(self) -> bool:
        """True if this lane has nothing left to submit."""
        return bool(self.stopped) or (self._exhausted and not self._fetching and not (self.due or self.ready or self.waiting))

    @property
    def canary_waits(self) -> bool:
        """True while the canaries are out and not yet rendered."""
        rendered = self.rendered_before + self.successes
        return rendered < self.manifest.canary <= rendered + self.in_flight

    @property
    def reading(self) -> bool:
        """True while a page is being read."""
        return self._fetching

    def places(self) -> int | None:
        """How many more may be in flight by the manifest's own limit; None is no limit."""
        return None if self.manifest.in_flight is None else self.manifest.in_flight - self.in_flight

    def stop(self, why: str, *, broken: bool = False) -> Iterable[int]:
        """Submit nothing more in this run; the tasks stay pending. Return the rows that were let go."""
        if not self.stopped:
            self.stopped, self.broken = why, broken
        rows = [due.row for due in (*self.due, *self.ready)]
        self.due.clear()
        self.ready.clear()
        return rows

    # -- how it goes

    def succeeded(self) -> None:
        """Count a render."""
        self.successes += 1
        self.in_a_row = 0

    def failed(self, *, refused: bool) -> str:
        """Count a task that failed for good. Return why the manifest must stop, or ''."""
        self.failures += 1
        self.in_a_row += 1
        self.first_refusals += refused
        rule = self.manifest.stop_after
        if self.rendered_before + self.successes < self.manifest.canary:
            return f"one of its first {self.manifest.canary} tasks (canary) failed"
        ended = self.failures + self.successes
        if refused and not self.accepted and self.first_refusals == FIRST_REFUSALS == ended:
            return f"its first {FIRST_REFUSALS} submissions were all refused as invalid: it is the manifest that is wrong"
        if self.in_a_row >= rule.in_a_row:
            return f"{self.in_a_row} tasks in a row failed (stop_after.in_a_row)"
        if ended >= SHARE_FLOOR and self.failures > rule.share * ended:
            return f"{self.failures} of {ended} tasks failed (stop_after.share)"
        return ""
