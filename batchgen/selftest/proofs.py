"""One function for each promise: it tries to break it, and says what it saw."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from batchgen.errors import ExitCode
from batchgen.selftest.witness import Moment
from batchgen.selftest.workshop import Job, Workshop, working

CUT = "render=0.1,drop_before=0.05,drop_after=0.1,5xx=0.05,html=0.03,garbage=0.05,cut=0.2,fail=0.05"
"""A bad night: every sixth answer is lost after the work was done, and every fifth download is cut."""

REACH = 14
"""Commits and requests among which one is drawn: each run gets somewhere before it dies."""

RESUMPTIONS = 8
"""Runs in which what is left must be finished. One is enough unless a service with faults is away for long."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is tried."""

    kills: int  # of each kind: at commits, and at requests
    cut: Job
    rate: Job

    @property
    def seconds(self) -> float:
        """The window in which the server counts requests in the proof of the rate."""
        return 2.0


FULL = Size(8, Job(clips=5, stills=11, faults=CUT), Job(clips=0, stills=24, rate=300, faults="render=0.1,rate=10,window=2"))
QUICK = Size(2, Job(clips=2, stills=4, faults=CUT), Job(clips=0, stills=8, rate=300, faults="render=0.1,rate=10,window=2"))


@dataclass(frozen=True, slots=True)
class Proof:
    """What a promise came to."""

    promise: str
    holds: bool
    saw: str


def prove(size: Size, seed: int) -> Iterator[Proof]:
    """Try every promise; yields each as it is done."""
    dice = Random(seed)  # noqa: S311 - a seed that replays, no secret
    proofs: tuple[Callable[[Size, Random], Proof], ...] = (_killed, _cut, _budget, _finished, _rate)
    for proof in proofs:
        yield proof(size, dice)


def _killed(size: Size, dice: Random) -> Proof:
    """Kill runs at their commits and at their requests, until enough have died; each workspace is then finished and its bill looked at."""
    kills: Counter[str] = Counter()
    bought, wrong = 0, ""
    job = Job()
    while min(kills["commit"], kills["request"]) < size.kills and not wrong:
        with working(job) as shop:
            code = _die_until_done(shop, kills, size.kills, dice)
            bill = shop.bill() if code == ExitCode.DONE else None
            wrong = bill.trouble(job.tasks) if bill else f"the last run ended with {code}: {shop.said[-300:].strip()}"
            bought += bill.bought if bill else 0
    died = f"{kills['commit']} kills at commits, {kills['request']} at requests; of {bought} renders none was bought twice or lost"
    return Proof("never pays twice, loses nothing (SIGKILL)", not wrong, wrong or died)


def _die_until_done(shop: Workshop, kills: Counter[str], wanted: int, dice: Random) -> int:
    """Kill and start again until a run ends by itself, or enough have died; return how the last one ended."""
    while min(kills["commit"], kills["request"]) < wanted:
        kind = "commit" if kills["commit"] <= kills["request"] else "request"
        kill = shop.killed_at_commit if kind == "commit" else shop.killed_at_request
        code = kill(dice.randint(1, REACH), dice.choice(list(Moment)))
        if code != -signal.SIGKILL:
            return code
        kills[kind] += 1
    return _finish(shop)


def _finish(shop: Workshop) -> int:
    code = shop.run()
    for _ in range(RESUMPTIONS):
        if code not in {ExitCode.UNAVAILABLE, ExitCode.STOPPED_EARLY}:
            break
        code = shop.run()
    return code


def _cut(size: Size, dice: Random) -> Proof:
    """Lose answers after the work was done, break JSON, cut downloads."""
    promise = "never pays twice (lost answers, cut downloads)"
    job = Job(size.cut.clips, size.cut.stills, faults=f"{size.cut.faults},seed={dice.randint(1, 10**6)}")
    with working(job) as shop:
        code = _finish(shop)
        if code != ExitCode.DONE:
            return Proof(promise, holds=False, saw=f"the run ended with {code}: {shop.said[-300:].strip()}")
        bill = shop.bill()
    wrong = bill.trouble(job.tasks)
    saw = f"{bill.sent} requests, of {bill.bought} purchases none twice, {bill.charged} credits charged and {bill.booked} booked"
    return Proof(promise, not wrong, wrong or saw)


def _budget(_size: Size, dice: Random) -> Proof:
    """Give a run less than it wants."""
    job, budget = Job(clips=0, stills=9), dice.randint(2, 7)
    with working(job) as shop:
        code, bill = shop.run("--budget", str(budget)), shop.bill()
    holds = code == ExitCode.STOPPED_EARLY and bill.charged == bill.booked <= budget
    return Proof("never overspends (--budget)", holds, f"budget {budget}: {bill.charged} credits charged, exit {code}")


def _finished(_size: Size, _dice: Random) -> Proof:
    """Run a finished manifest again."""
    with working(Job(clips=1, stills=3)) as shop:
        first, before = shop.run(), shop.bill()
        again, after = shop.run(), shop.bill()
    holds = first == again == ExitCode.DONE and before == after
    return Proof(
        "a finished manifest is a no-op",
        holds,
        f"{after.sent - before.sent} requests, {after.charged - before.charged} credits, exit {again}",
    )


def _rate(size: Size, _dice: Random) -> Proof:
    """Let the server count requests over a sliding window, and refuse what is too much."""
    with working(size.rate) as shop:
        code = shop.run()
        most, bill = shop.witness.most_in(size.seconds), shop.bill()
    allowed = round(size.rate.rate / 60 * size.seconds)
    holds = code == ExitCode.DONE and bill.refused == 0 and most <= allowed
    saw = f"{bill.sent} requests, at most {most} in any {size.seconds:g} s of {allowed} allowed, {bill.refused} answers 429"
    return Proof("holds the rate", holds, saw if code == ExitCode.DONE else f"{saw}, exit {code}: {shop.said[-200:].strip()}")
