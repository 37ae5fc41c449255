"""The rows of the table: each measures and returns what it found beside its goal."""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.policy import PollPolicy
from tests.benchmarks.nights import Night, simulate
from tests.benchmarks.servers import ROOT, Served, serving

SAME_DELAY = PollPolicy(2.5, 5.3, 30.0)
"""Pauses with which the median delay is that of a poll every 6 s: half of that."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is what is measured, in the unit that `what` names; `goal` is its limit."""

    what: str
    found: str
    goal: str
    reached: bool
    how: str


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for one run."""
    made = Path(tempfile.mkdtemp(prefix="batchgen-benchmark-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def work(what: str, server: Served, place: Path, *more: object) -> dict[str, float]:
    """Run `tests.benchmarks.work` in a process of its own and return what it printed."""
    done = subprocess.run(_words(what, server, place, more), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def _words(what: str, server: Served, place: Path, more: Sequence[object]) -> list[str]:
    said = [sys.executable, "-m", "tests.benchmarks.work", what, "--address", server.address, "--folder", str(place)]
    return [*said, *map(str, more)]


# ---------------------------------------------------------------- the rate


def used(stats: dict[str, float], limit: int) -> float:
    """Return the share of a limit (requests a second) that was used between the first and the last request."""
    return (stats["requests"] - 1) / (stats["last_at"] - stats["first_at"]) / limit


def rate(tasks: int, *, fixed: bool = False) -> Row:
    """Use a limit of 10 a second from end to end."""
    kind = "fixed" if fixed else "sliding"
    with serving("--limit", "10", "--window", "1", *(["--fixed"] if fixed else [])) as server, folder() as place:
        work("ours", server, place, "--tasks", tasks, "--rate", 600, "--poll", 0.05)
        stats = server.stats()
    found = used(stats, 10)
    return Row(
        f"share of a {kind} limit of 10/s that is used, {tasks} tasks",
        f"{found:.1%}, {stats['busy']:.0f} answers 429",
        "at least 97%, 0 answers 429",
        reached=found >= 0.97 and not stats["busy"],
        how=f"{stats['requests']:.0f} requests",
    )


def rate_over_a_kill(tasks: int) -> Row:
    """Kill the run in the middle and start it again at once."""
    with serving("--limit", "10", "--window", "1") as server, folder() as place:
        more = ["--tasks", tasks, "--rate", 600, "--poll", 0.05]
        first = subprocess.Popen(_words("ours", server, place, more), cwd=ROOT, stdout=subprocess.DEVNULL)
        while server.stats()["requests"] < tasks:
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = server.stats()
        server.reset()
        work("ours", server, place, *more)
        after = server.stats()
    whole = before["requests"] + after["requests"]
    share = (used(before, 10) * before["requests"] + used(after, 10) * after["requests"]) / whole
    across = whole / 10 / (after["last_at"] - before["first_at"])
    busy, bought = before["busy"] + after["busy"], before["bought"] + after["bought"]
    return Row(
        f"the same, killed with SIGKILL in the middle and started again at once, {tasks} tasks",
        f"{share:.1%}, {busy:.0f} answers 429, {bought:.0f} bought",
        "at least 97%, 0 answers 429",
        reached=share >= 0.97 and not busy and bought == tasks,
        how=f"each run from its first to its last request; {across:.1%} with the time in which Python starts; the server's window goes on",
    )


# ---------------------------------------------------------------- throughput


def throughput(tasks: int, rounds: int) -> tuple[Row, Row, Row]:
    """Buy, look and fetch against the bare loop, in turns; take the median of the ratios."""
    ratios, speeds, commits, parts = [], [], [], []
    with serving() as server:
        for _ in range(rounds):
            with folder() as one, folder() as other:
                bare = work("bare", server, one, "--tasks", tasks)
                ours = work("ours", server, other, "--tasks", tasks)
            ratios.append(ours["seconds"] / bare["seconds"])
            speeds.append((tasks / ours["seconds"], tasks / bare["seconds"], tasks / ours["cpu"]))
            commits.append(ours["commits"] / tasks)
            files = ours["cpu"] - ours["loop"] - ours["ledger"]
            parts.append([spent / tasks * 1e3 for spent in (ours["loop"], ours["ledger"], files, bare["cpu"])])
    ratio, speed = statistics.median(ratios), max(speeds)
    per_task = statistics.median(commits)
    name = f"{tasks} tasks, 20 in flight: create, poll, download of 20 KB"
    return (
        Row(
            f"{name}: tasks a second",
            f"{speed[0]:.0f}",
            "at least 300",
            speed[0] >= 300,
            f"best of {rounds} rounds; bare loop {speed[1]:.0f}/s",
        ),
        Row(
            f"{name}: wall time against a bare loop with the same client",
            f"{ratio:.2f}",
            "at most 1.5",
            ratio <= 1.5,
            f"median of {rounds} rounds; processor time a task: {_split(parts)}",
        ),
        Row("durable commits per bought task, 20 in flight", f"{per_task:.2f}", "at most 2", per_task <= 2.0, f"{tasks} tasks"),
    )


def _split(parts: Sequence[Sequence[float]]) -> str:
    loop, ledger, files, bare = map(statistics.median, zip(*parts, strict=True))
    return f"event loop {loop:.1f} ms, ledger {ledger:.1f} ms, files {files:.1f} ms; bare loop {bare:.1f} ms"


def cost_per_task(few: int, many: int) -> Row:
    """Compare the processor time of a task in a small and in a large run."""
    with serving() as server, folder() as one, folder() as other:
        small = work("ours", server, one, "--tasks", few)["cpu"] / few
        large = work("ours", server, other, "--tasks", many)["cpu"] / many
    ratio = large / small
    what = f"processor time per task, {many} tasks against {few}"
    return Row(what, f"{ratio:.2f}", "at most 1.2", ratio <= 1.2, f"{small * 1e3:.1f} and {large * 1e3:.1f} ms")


# ---------------------------------------------------------------- simulated nights


def polls(tasks: int) -> tuple[Row, Row]:
    """Count polls per render where the rate is free, and where it binds."""
    free = simulate(tasks, 60_000.0, in_flight=50, poll=SAME_DELAY)
    bound = simulate(tasks, 60.0, in_flight=10**6)
    share = free.polls / free.others_polls
    same = free.delay <= 3.05
    return (
        Row(
            "polls per render against a poll every 6 s, same median delay (simulated)",
            f"{share:.2f} (median delay {free.delay:.1f} s against 3.0 s)",
            "at most 0.75",
            reached=share <= 0.75 and same,
            how=f"{free.polls / tasks:.1f} against {free.others_polls / tasks:.1f} polls, {tasks} renders",
        ),
        Row(
            "polls per render where the rate binds (simulated)",
            f"{bound.polls / tasks:.2f}",
            "towards 1",
            bound.polls / tasks <= 1.1,
            f"{tasks} renders at 60 requests a minute",
        ),
    )


def nights(sizes: Sequence[int], rates: Sequence[int]) -> Row:
    """Find the worst ratio of a night's end to its lower bound."""
    found = [(night.seconds / night.bound, night, rate) for size in sizes for rate in rates for night in [_night(size, rate)]]
    worst, night, per_minute = max(found, key=lambda one: one[0])
    return Row(
        f"simulated night, end against lower bound: {sizes[0]} to {sizes[-1]} tasks, {rates[0]} to {rates[-1]} requests a minute",
        f"{worst:.3f} at worst",
        "at most 1.05",
        worst <= 1.05,
        f"worst of {len(found)}: {night.tasks} tasks at {per_minute}/min",
    )


def _night(tasks: int, per_minute: int) -> Night:
    return simulate(tasks, float(per_minute), in_flight=10**6)


# ---------------------------------------------------------------- start-up


def start_up(rounds: int) -> Row:
    """Start `--help` and an empty Python in turns; take the best of each."""
    ours = min(_seconds("-m", "batchgen", "--help") for _ in range(rounds))
    empty = min(_seconds("-c", "pass") for _ in range(rounds))
    return Row(
        "`batchgen --help` against `python -c pass`",
        f"{ours / empty:.1f} times ({ours:.2f} s against {empty:.2f} s)",
        "at most 0.25 s where Python takes 0.02 s: 12.5 times",
        ours / empty <= 12.5,
        f"best of {rounds}",
    )


def _seconds(*words: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun
