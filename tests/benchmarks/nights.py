"""Nights in a virtual clock, as fast as the engine goes: the real engine, no ledger, a server whose render times are drawn.

Render times are log-normal, 60 s at the 5th and 300 s at the 95th percentile, as videos take. A poll every 6 s from the
start, as vendors' kits do it, is counted for the same renders.
"""

from __future__ import annotations

import heapq
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from batchgen.core.answers import Answer, Render, RenderStatus, Verdict
from batchgen.core.engine import Engine
from batchgen.core.facts import Opening
from batchgen.core.looks import Looks
from batchgen.core.messages import Answered, AskStatus, Download, Downloaded, DueArrived, Event, FetchDue, Request, SendCreate
from batchgen.core.model import DueTask, Manifest, Output, Spec, Task, Upload
from batchgen.core.policy import Given, Policy, PollPolicy, Quote

START = 1_800_000_000.0
MEAN, SPREAD = math.log(math.sqrt(60.0 * 300.0)), math.log(5.0) / 2.0 / 1.6449
LATENCY = 0.1
"""Seconds to an answer."""

OTHERS_EVERY = 6.0
"""Seconds between two polls of the kits that poll at a fixed pace."""


def draw(rng: Random) -> float:
    """Return a render's time in seconds."""
    return math.exp(rng.gauss(MEAN, SPREAD))


def learned(poll: PollPolicy) -> Mapping[str, tuple[int, float, float]]:
    """Return what an earlier night of 300 renders teaches."""
    rng, looks = Random(7), Looks(poll, {})  # noqa: S311 - a simulation
    for _ in range(300):
        took = draw(rng)
        looks.saw("kling?", max(0.0, took - 3.0), took + 3.0)
    return looks.known()


@dataclass(slots=True)
class Night:
    """How a night went. `bound` is the least time: every create and one poll at the full rate, or the last render if that is later."""

    tasks: int
    seconds: float = 0.0
    bound: float = 0.0
    requests: int = 0
    polls: int = 0
    delays: list[float] = field(default_factory=list)
    others_polls: float = 0.0  # of the fixed pace, for the same renders

    @property
    def delay(self) -> float:
        """Median seconds from done to known."""
        return statistics.median(self.delays)


@dataclass(slots=True)
class _Server:
    rng: Random
    night: Night
    done_at: dict[str, float] = field(default_factory=dict)
    took: list[tuple[float, float]] = field(default_factory=list)

    def answer(self, now: float, request: Request) -> Event:
        match request:
            case Download():
                return Downloaded(request, Output(0, f"{request.stem}.mp4", "0" * 64, 1, "video/mp4"))
            case SendCreate(key=key):
                took = draw(self.rng)
                self.done_at[key] = now + took
                self.took.append((now, took))
                self.night.others_polls += math.ceil(took / OTHERS_EVERY)
                return Answered(request, Answer(Verdict.OK, Render(key, RenderStatus.QUEUED, reserved=1, final=0)), now)
            case AskStatus(task_id=key):
                self.night.polls += 1
                return Answered(request, Answer(Verdict.OK, self._look(now, key)), now)
            case _:
                raise AssertionError(request)

    def _look(self, now: float, key: str) -> Render:
        if now < self.done_at[key]:
            return Render(key, RenderStatus.PROCESSING, reserved=1)
        self.night.delays.append(now - self.done_at[key])
        return Render(key, RenderStatus.SUCCEEDED, reserved=1, final=1, urls=("https://m/x",))


def compose(_spec: Spec, _uploads: Mapping[str, Upload], key: str) -> bytes:
    """Write a body that sidecars can be made of."""
    return b'{"params":{}}' if key else b""


def page(request: FetchDue, tasks: int) -> DueArrived:
    """Read a page of a manifest of so many equal tasks."""
    begin = request.after + 1
    end = min(tasks, begin + request.limit)
    spec = Spec("kling", "x", {}, ())
    due = tuple(DueTask(n + 1, Task("m", f"t{n}", spec, f"m/t{n}", n), "f" * 64) for n in range(begin, end))
    return DueArrived(request, due, end - 1, last=end == tasks)


def simulate(tasks: int, per_minute: float, *, in_flight: int, poll: PollPolicy | None = None, seed: int = 1) -> Night:
    """Run a night of `tasks` renders to its end in virtual time."""
    night, poll = Night(tasks), poll or PollPolicy()
    server = _Server(Random(seed), night)  # noqa: S311 - a simulation
    policy = Policy(requests_per_minute=per_minute, in_flight=in_flight, poll=poll, downloads=10_000, replay_window=1e9, render_timeout=1e9)
    given = Given(lambda _: Quote("kling?", 1), compose, lambda _: "2027-01-15", lambda: 0.5)
    opening = Opening((Manifest("m", "m.yaml"),), prices={"kling?": 1}, render_times=learned(poll))
    engine, now, serial = Engine(opening, policy, given), START, 0
    coming: list[tuple[float, int, Event]] = []
    events: list[Event] = []
    while True:
        step = engine.step(now, events)
        for request in step.requests:
            serial += 1
            if isinstance(request, FetchDue):
                heapq.heappush(coming, (now, serial, page(request, tasks)))
                continue
            night.requests += not isinstance(request, Download)
            delay = 0.0 if isinstance(request, Download) else LATENCY
            heapq.heappush(coming, (now + delay, serial, server.answer(now + delay / 2.0, request)))
        if step.ended is not None:
            break
        now = max(now, min(at for at in (step.wake_at, coming[0][0] if coming else None) if at is not None))
        events = []
        while coming and coming[0][0] <= now:
            events.append(heapq.heappop(coming)[2])
    night.seconds = now - START
    night.bound = _bound(tasks, per_minute, [took for _, took in server.took])
    return night


def _bound(tasks: int, per_minute: float, took: list[float]) -> float:
    """The least time in which nobody could do it faster, who did not know how long renders take.

    Either every request at the full rate, or each render begun at the full rate in the order in which it was.
    """
    interval = 60.0 / per_minute
    return max(2 * tasks * interval, *(n * interval + seconds for n, seconds in enumerate(took)))
