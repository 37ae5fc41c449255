"""huey: a queue in SQLite and its consumer with threads, in one process. Started again, the consumer goes on with its queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from huey import SqliteHuey

from tests.benchmarks.peers.errand import asked

QUIET_FOR = 5
"""How often in a row nothing must be waiting or running before the work is over."""


def main() -> None:
    """Put every task into the queue once, and work until it is empty."""
    said = asked()
    logging.getLogger("huey").addHandler(logging.FileHandler(said.folder / "huey.log"))
    path = said.folder / "huey.db"
    begun = path.exists()
    queue = SqliteHuey("renders", filename=str(path))

    def task(priority: int, errand: Callable[..., object]) -> Any:  # noqa: ANN401 - huey's own
        return queue.task(priority=priority, retries=10, retry_delay=1, name=errand.__name__)(errand)

    limited = queue.rate_limit("api", int(said.rate * 2), 1) if said.rate else lambda errand: errand
    buy, done, fetch = task(0, limited(said.buy)), task(1, limited(said.done)), task(2, said.fetch)
    if not begun:
        for name in said.names:
            queue.enqueue(buy.s(name).then(done).then(fetch, name))
    consumer = queue.create_consumer(
        workers=said.in_flight, worker_type="thread", initial_delay=0.01, max_delay=0.1, check_worker_health=False
    )
    consumer.start()
    quiet = 0
    while quiet < QUIET_FOR:
        time.sleep(0.02)
        busy = queue.pending_count() or queue.scheduled_count() or queue._tasks_in_flight
        quiet = 0 if busy else quiet + 1
    consumer.stop(graceful=True)


if __name__ == "__main__":
    main()
