"""How fast a run goes and when it may end, out of its steps: what the live view and the log's line a minute show.

The numbers that people act on are queries over the ledger; these are for looking on, and start anew with each run.
The end is the latest of two: when the rate lets the last task out, and when the renders before it make room. A budget
that allows fewer tasks than are left ends it sooner. Which of the three it is, is the reason that is shown.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from batchgen.core.messages import (
    AskBalance,
    AskStatus,
    AttemptMoved,
    BudgetLeft,
    CheckUpload,
    Controlled,
    Glimpse,
    SendCreate,
    SendUpload,
    Step,
    Submitted,
    TaskMoved,
)
from batchgen.core.model import Credits, Instant
from batchgen.core.states import AttemptState, TaskEvent, TaskState
from batchgen.report.log import ATTEMPT_FAILED, Event, Level, event_of
from batchgen.report.text import counted, number, span

REQUESTS_OVER = 60.0
TASKS_OVER = 300.0
"""Seconds over which requests and finished tasks are counted: the vendor counts requests by the minute, tasks come in waves."""
SETTLED = 5.0
"""Seconds before a rate is said at all; before that it would be a guess from one or two tasks."""
LAST = 5
"""How many of the last failures are shown."""
PINNED = 3
"""How many of them are work that is lost, however much trouble came since that the run deals with itself."""
SLOWED = 0.9
"""Below this share of the limit the run is called slowed down; a way back up that is nearly over is not worth words."""
RATED = (SendUpload, CheckUpload, SendCreate, AskStatus, AskBalance)
ENDED = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.BLOCKED})


@dataclass(frozen=True, slots=True)
class Ending:
    """When the run may be over, in seconds from now, and what it waits for longest."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class PulseFacts:
    """A run at one moment. The rates are None while it is too young for one."""

    glimpse: Glimpse
    total: int
    waiting: int
    seconds: float  # since the beginning
    tasks_per_minute: float | None
    requests_per_minute: float | None
    ending: Ending | None
    troubles: tuple[Event, ...]  # the last few, oldest first
    slowed_from: float = 0.0  # the limit in requests a minute, while a 429 keeps the run well below it; else 0


@dataclass(slots=True)
class Counted:
    """How many of something in the last `over` seconds."""

    over: float
    total: int = 0
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0

    def add(self, now: float, count: int) -> None:
        """Count some now."""
        if count:
            self._recent.append((now, count))
            self._sum += count
            self.total += count

    def per_minute(self, now: float, age: float) -> float | None:
        """Return the rate; None while the run is younger than SETTLED."""
        while self._recent and self._recent[0][0] <= now - self.over:
            self._sum -= self._recent.popleft()[1]
        return None if age < SETTLED else self._sum * 60.0 / min(self.over, age)


class Pulse:
    """Feed it every step; ask it for the facts as often as you like. Times are seconds of one clock that never runs back."""

    def __init__(self, total: int, began: float) -> None:
        """`total` is how many tasks the run has to do something for."""
        self._total = total
        self._began = began
        self._glimpse = Glimpse()
        self._requests = Counted(REQUESTS_OVER)
        self._tasks = Counted(TASKS_OVER)
        self._submitted = 0
        self._price: Credits = 0  # of the last submission
        self._accepted: dict[str, Instant] = {}
        self._render: float | None = None  # seconds, a moving average
        self._manifests: set[str] = set()
        self._troubles: deque[Event] = deque(maxlen=LAST)
        self._lost: deque[Event] = deque(maxlen=LAST)
        self._limit = 0.0  # the highest rate since a person last changed it

    def take(self, step: Step, glimpse: Glimpse, now: float) -> None:
        """Take a step that was committed and started."""
        self._glimpse = glimpse
        retuned = any(isinstance(record, Controlled) for record in step.records)
        self._limit = glimpse.per_minute if retuned else max(self._limit, glimpse.per_minute)
        self._requests.add(now, sum(isinstance(request, RATED) for request in step.requests))
        ended = 0
        for record in step.records:
            match record:
                case Submitted():
                    self._submitted += 1
                    self._price = record.hold
                    self._manifests.add(record.manifest)
                case AttemptMoved():
                    self._attempt(record)
                case TaskMoved():
                    ended += record.after in ENDED
                    if record.after in {TaskState.FAILED, TaskState.BLOCKED}:
                        self._lose(event_of(record))
                    elif record.event is TaskEvent.RETURNED:
                        self._calm(event_of(record))
        self._tasks.add(now, ended)

    def _attempt(self, record: AttemptMoved) -> None:
        if record.after is AttemptState.ACCEPTED:
            self._accepted[record.key] = record.at
            return
        began = self._accepted.pop(record.key, None)
        if record.after is AttemptState.SUCCEEDED and began is not None:
            took = record.at - began
            self._render = took if self._render is None else 0.9 * self._render + 0.1 * took
        if record.fault is not None and record.after is not AttemptState.SUBMITTING:
            event = event_of(record)
            if event.level is not Level.INFO:
                self._troubles.append(event)

    def _lose(self, event: Event) -> None:
        """Keep the end of a task in place of its last attempt's, which says the same once more."""
        self._lost.append(event)
        if self._troubles and _of(self._troubles[-1]) == _of(event):
            self._troubles.pop()

    def _calm(self, event: Event) -> None:
        """Say of a failure that its task is not lost: nobody needs to get up for it."""
        if self._troubles and _of(self._troubles[-1]) == _of(event):
            trouble = self._troubles.pop()
            words = trouble.message.replace(ATTEMPT_FAILED, f"{ATTEMPT_FAILED}, it is pending again", 1)
            self._troubles.append(replace(trouble, message=words))

    def _worst(self) -> tuple[Event, ...]:
        """Return the last failures; of work that is lost at least PINNED, if there are so many."""
        lost = list(self._lost)[-max(PINNED, LAST - len(self._troubles)) :]
        room = LAST - len(lost)
        return tuple(sorted([*list(self._troubles)[len(self._troubles) - room :], *lost], key=lambda event: event.at))

    def facts(self, now: float) -> PulseFacts:
        """Return the run at this moment."""
        glimpse, age = self._glimpse, now - self._began
        in_flight = glimpse.submitting + glimpse.rendering
        over = glimpse.saved + glimpse.failed
        waiting = max(0, self._total - over - in_flight - glimpse.downloading)
        return PulseFacts(
            glimpse=glimpse,
            total=self._total,
            waiting=waiting,
            seconds=age,
            tasks_per_minute=self._tasks.per_minute(now, age) if self._tasks.total else None,
            requests_per_minute=self._requests.per_minute(now, age),
            ending=self._ending(waiting, in_flight),
            troubles=self._worst(),
            slowed_from=self._limit if glimpse.per_minute < SLOWED * self._limit else 0.0,
        )

    # ---------------------------------------------------------------- the end

    def _ending(self, waiting: int, in_flight: int) -> Ending | None:
        glimpse, render = self._glimpse, self._render
        if glimpse.stopping or glimpse.lagging or (glimpse.waiting_for and not in_flight):
            return None
        if not waiting + in_flight:
            return Ending(0.0, "the last files are being fetched") if glimpse.downloading else None
        if render is None or not glimpse.per_minute:
            return None
        budget, affordable = self._affordable()
        to_buy = 0 if glimpse.waiting_for else waiting if affordable is None else min(waiting, affordable)
        by_rate = to_buy * self._requests_each() * 60.0 / glimpse.per_minute + render
        by_renders = (to_buy / max(1, glimpse.places) + 1) * render
        seconds = max(by_rate, by_renders)
        if affordable is not None and affordable < waiting:
            return Ending(seconds, f"then the budget {budget} is used up, with {counted(waiting - affordable, 'task')} left")
        if by_rate > by_renders:
            return Ending(seconds, f"the rate of {glimpse.per_minute:.0f} requests a minute")
        at_once = f", {number(glimpse.places)} at once" if to_buy and glimpse.places else ""
        return Ending(seconds, f"a render takes about {span(render)}{at_once}")

    def _affordable(self) -> tuple[str, int | None]:
        """Return the budget that allows the fewest tasks more, and how many; None if none is known to bind."""
        if not self._price:
            return "", None
        # With several manifests nobody can say here whose turn the rest is, so that only the account's budgets are certain.
        mine = self._manifests if len(self._manifests) == 1 else frozenset[str]()
        counts: list[tuple[int, BudgetLeft]] = [(b.left // self._price, b) for b in self._glimpse.budgets if b.manifest in {"", *mine}]
        if not counts:
            return "", None
        fewest, budget = min(counts, key=lambda pair: pair[0])
        return budget.name, fewest

    def _requests_each(self) -> float:
        """Requests that a task takes: one to buy and at least one to look, more when renders are long."""
        seen = self._requests.total / self._submitted if self._submitted else 0.0
        return max(2.0, seen)


def _of(event: Event) -> tuple[object, object]:
    """Return the task that an event is about."""
    return event.facts.get("manifest"), event.facts.get("task")
