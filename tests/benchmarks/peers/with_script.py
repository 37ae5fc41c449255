"""The script that anyone writes in an afternoon: a pool of threads, and what has a file is not done again.

It needs no installation, so it also proves the peers' harness where nothing may be installed.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.peers.errand import Asked, asked, patiently


class Pace:
    """Starts a task at most so often."""

    def __init__(self, said: Asked) -> None:
        self._said, self._next, self._lock = said, time.monotonic(), threading.Lock()

    def do(self, name: str) -> None:
        """Do a task in its turn."""
        if (self._said.folder / "out" / name).exists():
            return
        with self._lock:
            self._next = max(self._next, time.monotonic()) + (1 / self._said.rate if self._said.rate else 0.0)
            turn = self._next
        time.sleep(max(0.0, turn - time.monotonic()))
        self._said.finish(name, patiently(lambda: self._said.buy(name)))


def main() -> None:
    """Do every task."""
    said = asked()
    with ThreadPoolExecutor(said.in_flight) as pool:
        list(pool.map(Pace(said).do, said.names))


if __name__ == "__main__":
    main()
