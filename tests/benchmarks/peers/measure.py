"""What is measured of each tool: its use of a rate limit, its time for many tasks, and what a kill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.peers.cast import Peer, Unavailable, last_line
from tests.benchmarks.rows import folder
from tests.benchmarks.servers import Served, serving

T = TypeVar("T")

IN_FLIGHT = 20
LIMIT = 10
"""Requests a second that the server of the first measure takes."""

SETTLED = 0.5
"""Seconds from the last of 20 purchases to the kill, so that a tool can write down what it was told."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and how many seconds each may take.

    `held` is how many seconds a render runs, or the answer to a purchase is on its way, where a tool is killed.
    """

    rate_tasks: int = 200
    tasks: int = 1000
    seconds: float = 300.0
    cut_tasks: int = 60
    held: float = 1.5


@dataclass(frozen=True, slots=True)
class Used:
    """The share of a limit that was used by requests that passed, how many did not, and how many tasks were bought twice for it."""

    share: float
    busy: int
    again: int


@dataclass(frozen=True, slots=True)
class Cut:
    """What a kill cost: tasks bought twice, and tasks bought without a result in the end."""

    in_flight: int
    again: int
    lost: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool runs: its environment and a folder of its own."""

    peer: Peer
    home: Path
    folder: Path

    @contextmanager
    def started(self, server: Served, tasks: int, *more: object) -> Iterator[subprocess.Popen[bytes]]:
        """Start the tool in a session of its own; whatever is left of that ends with the block."""
        words = [*self.peer.words(self.home), "--address", server.address, "--folder", str(self.folder)]
        words += ["--tasks", str(tasks), "--in-flight", str(IN_FLIGHT), *map(str, more)]
        environ = self.peer.environ(self.home, self.folder)
        with (self.folder / "said.log").open("ab") as log:
            process = subprocess.Popen(
                words, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            kill(process)

    def finish(self, server: Served, tasks: int, seconds: float, *more: object) -> float:
        """Run the tool to its end and return how long it took. Raises Unavailable where it failed or took too long."""
        begun = time.perf_counter()
        with self.started(server, tasks, *more) as process:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise Unavailable(f"not done after {seconds:.0f} s") from None
        if code:
            raise Unavailable(f"exit {code}: {last_line((self.folder / 'said.log').read_text(errors='replace'))}")
        return time.perf_counter() - begun

    def results(self) -> int:
        """Count the tasks that have a result."""
        return sum(1 for _ in self.folder.glob(self.peer.results))


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill all of a session at once, as a machine that loses its power does; GNU parallel's jobs have groups of their own."""
    stopped: set[int] = set()
    while found := _members(process.pid) - stopped:  # first all stand still, so that none hears of another's end
        for pid in sorted(found):
            _send(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        _send(pid, signal.SIGKILL)
    process.wait()


def _send(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def _members(session: int) -> set[int]:
    """Return the processes of a session that are alive."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, theirs, *_ = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(theirs) == session and state not in "ZX":
                found.add(int(path.parent.name))
    return found


def rate(peer: Peer, home: Path, sizes: Sizes) -> Used:
    """Let it use a sliding limit with the setting that it has for it."""
    with serving("--limit", str(LIMIT), "--window", "1") as server, folder() as at:
        place = Place(peer, home, at)
        place.finish(server, sizes.rate_tasks, sizes.seconds, "--rate", LIMIT / peer.requests, "--poll", 0.05)
        stats = server.stats()
        _all_there(place, sizes.rate_tasks)
    passed = stats["requests"] - stats["busy"] - 1
    return Used(passed / (stats["last_at"] - stats["first_at"]) / LIMIT, round(stats["busy"]), round(stats["again"]))


def speed(peer: Peer, home: Path, sizes: Sizes) -> float:
    """Let it do many tasks without any latency, from the start of its process to the end."""
    with serving() as server, folder() as at:
        place = Place(peer, home, at)
        seconds = place.finish(server, sizes.tasks, sizes.seconds)
        _all_there(place, sizes.tasks)
    return seconds


def _all_there(place: Place, tasks: int) -> None:
    if place.results() != tasks:
        raise Unavailable(f"{place.results()} of {tasks} results")


def cut(peer: Peer, home: Path, sizes: Sizes, what: str, *, keys: bool) -> Cut:
    """Kill it in the middle with 20 tasks in flight, start it again, and count. `what` takes its time: `render` or `slow`."""
    more = ["--poll", 0.1, *(["--keys"] if keys else [])]
    with serving(f"--{what}", str(sizes.held)) as server, folder() as at:
        place = Place(peer, home, at)
        with place.started(server, sizes.cut_tasks, *more) as process:
            in_flight = _middle(server, process)
        place.finish(server, sizes.cut_tasks, sizes.seconds, *more)
        stats = server.stats()
        return Cut(in_flight, round(stats["again"]), round(stats["bought"] - stats["again"]) - place.results())


def _middle(server: Served, process: subprocess.Popen[bytes]) -> int:
    """Wait until some tasks are done and 20 are bought and not done; return how many."""
    until = time.monotonic() + 60.0
    flying = 0
    while time.monotonic() < until and process.poll() is None:
        stats = server.stats()
        flying = round(stats["bought"] - stats["downloads"])
        if stats["downloads"] and flying >= IN_FLIGHT:
            time.sleep(SETTLED)
            stats = server.stats()
            return round(stats["bought"] - stats["downloads"])
        time.sleep(0.01)
    raise Unavailable(f"{flying} in flight when it ended or a minute was over")


def tried(measure: Callable[[], T]) -> T | str:
    """Return what was measured, or in words why it was not."""
    try:
        return measure()
    except (Unavailable, OSError) as reason:
        return str(reason)
