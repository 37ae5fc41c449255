"""The virtual clock: what happens when. Nothing here takes real time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from batchgen.core.model import Instant

Happening = Callable[[], object]


class Timeline:
    """Happenings in the order of their instants; those of one instant in the order in which they were planned."""

    def __init__(self, now: Instant) -> None:
        self.now = now
        self._heap: list[tuple[Instant, int, Happening]] = []
        self._planned = 0

    def at(self, instant: Instant, happening: Happening) -> None:
        """Plan something."""
        self._planned += 1
        heapq.heappush(self._heap, (max(instant, self.now), self._planned, happening))

    @property
    def next_at(self) -> Instant | None:
        """When the next thing happens."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Go to the next thing, and let it happen."""
        self.now, _, happening = heapq.heappop(self._heap)
        happening()

    def sleep_until(self, instant: Instant) -> None:
        """Let everything up to an instant happen, and go there."""
        while self._heap and self._heap[0][0] <= instant:
            self.step()
        self.now = max(self.now, instant)
