"""The attempts in flight: which there are, and whose turn it is.

An attempt's bytes are made once, before `launch`, and every repeat sends those. Nothing here builds a second body.
What the answers mean is in `landings`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from batchgen.core import states
from batchgen.core.desk import Desk
from batchgen.core.facts import LiveAttempt
from batchgen.core.lanes import Lane
from batchgen.core.live import Live, take_over
from batchgen.core.messages import AskStatus, AttemptMoved, Download, SendCreate, Submitted, TaskMoved
from batchgen.core.model import Credits, DueTask, Instant
from batchgen.core.policy import Quote
from batchgen.core.sidecar import sidecar
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState


class Flights:
    """All live attempts of a run, their timers and their queues."""

    def __init__(self, desk: Desk) -> None:
        """Begin with none; `resume` and `launch` add."""
        self._desk = desk
        self._lives: dict[str, Live] = {}
        self._timers: list[tuple[Instant, int, str]] = []
        self._scheduled = 0
        self._sends: deque[str] = deque()
        self._polls: deque[str] = deque()
        self._downloads: deque[tuple[str, int]] = deque()
        self.airborne = 0  # API requests about attempts that have no answer yet
        self.transferring = 0  # downloads in the air

    # ---------------------------------------------------------------- beginning

    def resume(self, fact: LiveAttempt, lane: Lane) -> None:
        """Take over an attempt from an earlier run."""
        live = take_over(fact, lane)
        self._lives[live.key] = live
        lane.hold(live.due.row)
        lane.in_flight += live.in_flight
        if not live.reserved and live.in_flight:
            self._desk.prices.probe(live.price_key, live.key)
        self.schedule(live, self._desk.now)

    def launch(self, due: DueTask, lane: Lane, quote: Quote, body: bytes, key: str) -> SendCreate:
        """Write an attempt and its hold, and return the request that buys it."""
        desk = self._desk
        live = Live(
            lane=lane,
            due=due,
            wanted=True,
            key=key,
            number=due.attempts + 1,
            fingerprint=due.fingerprint,
            body=body,
            state=AttemptState.SUBMITTING,
            task_state=states.advance_task(TaskState.PENDING, TaskEvent.SUBMITTED),
            submitted_at=desk.now,
            hold=quote.credits,
            price_key=quote.key,
            day=desk.calendar(desk.now),
            this_run=True,
        )
        desk.write(
            Submitted(
                row=due.row,
                key=key,
                number=live.number,
                fingerprint=live.fingerprint,
                body=body,
                hold=live.hold,
                price_key=live.price_key,
                day=live.day,
                at=desk.now,
                manifest=due.task.manifest,
                task=due.task.id,
            )
        )
        desk.prices.probe(live.price_key, key)
        desk.budgets.hold(lane.manifest.name, live.hold, live.day)
        desk.purse.hold(live.hold)
        self._lives[key] = live
        lane.in_flight += 1
        return self._send(live)

    # ---------------------------------------------------------------- turns

    def get(self, key: str) -> Live:
        """Return the attempt with this key."""
        return self._lives[key]

    def schedule(self, live: Live, at: Instant) -> None:
        """Ask about an attempt at `at`, and not before."""
        live.wake_at = at
        self._scheduled += 1
        heapq.heappush(self._timers, (at, self._scheduled, live.key))

    def wake(self) -> None:
        """Move every attempt whose time has come into the queue for its next request."""
        while self._timers and self._timers[0][0] <= self._desk.now:
            at, _, key = heapq.heappop(self._timers)
            live = self._lives.get(key)
            if live is None or live.wake_at != at or live.left:
                continue
            live.wake_at = None
            (self._sends if live.state is AttemptState.SUBMITTING else self._polls).append(key)

    @property
    def next_wake(self) -> Instant | None:
        """When the next timer rings, if any."""
        return self._timers[0][0] if self._timers else None

    def to_repeat(self) -> list[Live]:
        """Return the attempts whose create is about to be repeated."""
        return [live for key in self._sends if (live := self._lives.get(key)) is not None and not live.left]

    def pop_send(self) -> Live | None:
        """Take the next attempt whose create is to be repeated."""
        return self._pop(self._sends)

    def repeat(self, live: Live) -> SendCreate:
        """Send the same bytes again."""
        self.move(live, AttemptEvent.REPEATED)
        return self._send(live)

    def next_poll(self) -> AskStatus | None:
        """Return the next render to look at, or None."""
        live = self._pop(self._polls)
        if live is None:
            return None
        self._ask(live)
        return AskStatus(live.key, live.task_id)

    def _pop(self, queue: deque[str]) -> Live | None:
        while queue:
            live = self._lives.get(queue.popleft())
            if live is not None and not live.left and not live.asking:
                return live
        return None

    def _send(self, live: Live) -> SendCreate:
        self._ask(live)
        return SendCreate(live.key, live.body)

    def _ask(self, live: Live) -> None:
        live.asking = True
        live.sent_at = self._desk.now
        self.airborne += 1

    def landed(self, key: str) -> Live:
        """Take note that a request about an attempt was answered."""
        live = self._lives[key]
        live.asking = False
        self.airborne -= 1
        return live

    # ---------------------------------------------------------------- downloads

    def want_files(self, live: Live) -> None:
        """Queue every result that is not on disk yet."""
        for index in range(len(live.urls)):
            if index not in live.saved:
                live.fetching += 1
                self._downloads.append((live.key, index))

    def next_download(self) -> Download | None:
        """Return the next file to fetch, or None."""
        if not self._downloads or self.transferring >= self._desk.policy.downloads:
            return None
        key, index = self._downloads.popleft()
        live = self._lives[key]
        self.transferring += 1
        facts = {"task_id": live.task_id, "attempt": live.number, "credits": live.final}
        times = {"submitted_at": live.submitted_at, "accepted_at": live.accepted_at, "rendered_at": live.ended_at}
        document = sidecar(live.body, manifest=live.lane.manifest.name, task=live.due.task.id, facts=facts, times=times)
        return Download(key, index, live.urls[index], live.due.task.output, live.number, live.due.task.spec.model, document)

    # ---------------------------------------------------------------- moves and ends

    def move(self, live: Live, event: AttemptEvent, **fields: object) -> None:
        """Move an attempt along its table and write it down."""
        after = states.advance_attempt(live.state, event)
        task = live.due.task
        named = {"manifest": task.manifest, "task": task.id, **fields}
        self._desk.write(AttemptMoved(live.key, event, live.state, after, self._desk.now, **named))  # type: ignore[arg-type]  # named as the record's own
        live.state = after

    def move_task(self, live: Live, event: TaskEvent, note: str) -> None:
        """Move an attempt's task along its table and write it down."""
        after = states.advance_task(live.task_state, event)
        task = live.due.task
        self._desk.write(TaskMoved(live.due.row, event, live.task_state, after, self._desk.now, note, task.id, task.manifest))
        live.task_state = after

    def leave(self, live: Live, why: str) -> None:
        """Do nothing more about an attempt in this run; the ledger keeps it for the next."""
        live.left = live.left or why
        self._desk.prices.found(live.price_key, live.key)  # nobody waits in this run for what it would have cost

    def remove(self, live: Live) -> None:
        """Forget an attempt that needs nothing more."""
        del self._lives[live.key]

    @property
    def open_holds(self) -> Credits:
        """Credits held by attempts whose end is not known."""
        return sum(live.hold for live in self._lives.values() if live.in_flight)

    @property
    def at_work(self) -> bool:
        """True while this run still has something to do about some attempt."""
        return any(not live.left for live in self._lives.values())

    def lives(self) -> Iterable[Live]:
        """All attempts, for counting."""
        return self._lives.values()
