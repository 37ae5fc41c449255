"""The attempts in flight: which there are, and whose turn it is.

An attempt's bytes are made once, before `launch`, and every repeat sends those. Nothing here builds a second body.
What the answers mean is in `landings`.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
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
        self._polls: list[tuple[Instant, int, str]] = []  # a heap, by when a look is hardly wasted any more
        self._downloads: deque[tuple[str, int]] = deque()
        self._unsaved: set[str] = set()  # renders of which files are missing, and that this run has not given up
        self._bearers: dict[str, str] = {}  # keys by the vendor's task id
        self._count = Counter[AttemptState]()
        self.open_holds: Credits = 0  # credits held by attempts whose end is not known
        self.doubted_holds: Credits = 0  # credits that stay held by attempts that came into doubt in this run
        self._at_work = 0  # attempts about which this run still has something to do
        self.airborne = 0  # API requests about attempts that have no answer yet
        self.transferring = 0  # downloads in the air

    # ---------------------------------------------------------------- beginning

    def resume(self, fact: LiveAttempt, lane: Lane) -> Live:
        """Take over an attempt from an earlier run, and return it."""
        live = take_over(fact, lane)
        self._add(live)
        if live.state is not AttemptState.FAILED:  # asked only for a refund: its task may be due, or have another attempt
            lane.hold(live.due.row)
        lane.in_flight += live.in_flight
        if not live.reserved and live.in_flight:
            self._desk.prices.probe(live.price_key, live.key)
        self.schedule(live, max(self._desk.now, live.not_before))
        return live

    def launch(self, due: DueTask, lane: Lane, quote: Quote, body: bytes, key: str) -> SendCreate:
        """Write an attempt and its hold, and return the request that buys it."""
        desk = self._desk
        live = Live(
            lane=lane,
            due=due,
            wanted=True,
            key=key,
            number=due.attempts + 1,
            alike=due.alike + 1,
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
        self._add(live)
        lane.in_flight += 1
        return self._send(live)

    def _add(self, live: Live) -> None:
        self._lives[live.key] = live
        if live.task_id:
            self._bearers[live.task_id] = live.key
        self._at_work += 1
        self._count[live.state] += 1
        self.open_holds += live.hold * live.in_flight

    # ---------------------------------------------------------------- turns

    def get(self, key: str) -> Live:
        """Return the attempt with this key."""
        return self._lives[key]

    def accepted(self, live: Live, task_id: str) -> None:
        """Take note of an attempt's id at the vendor."""
        live.task_id, live.accepted_at = task_id, self._desk.now
        self._bearers[task_id] = live.key

    def bearer(self, task_id: str) -> str | None:
        """Return the key of the live attempt that has this id at the vendor."""
        return self._bearers.get(task_id)

    def schedule(self, live: Live, at: Instant) -> None:
        """Ask about an attempt at `at`, and not before. Called only while no question about it waits for its answer."""
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
            if live.state is AttemptState.SUBMITTING:
                self._sends.append(key)
            else:
                heapq.heappush(self._polls, (self._sure_at(live), self._scheduled, key))

    def _sure_at(self, live: Live) -> Instant:
        """From when on looking at a render is hardly ever wasted. What has ended, or was late before, is looked at at once."""
        if live.state is not AttemptState.ACCEPTED:
            return 0.0
        sure = self._desk.looks.sure(live.price_key, live.accepted_at)
        return 0.0 if live.looked_at >= sure else sure

    @property
    def next_wake(self) -> Instant | None:
        """When the next timer rings, if any."""
        return self._timers[0][0] if self._timers else None

    def to_repeat(self) -> list[Live]:
        """Return the attempts whose create is about to be repeated."""
        return [live for key in self._sends if (live := self._lives.get(key)) is not None and not live.left]

    def pop_send(self) -> Live | None:
        """Take the next attempt whose create is to be repeated."""
        while self._sends:
            live = self._lives.get(self._sends.popleft())
            if live is not None and not live.left:
                return live
        return None

    def repeat(self, live: Live) -> SendCreate:
        """Send the same bytes again."""
        self.move(live, AttemptEvent.REPEATED)
        return self._send(live)

    def next_poll(self, *, sure: bool) -> AskStatus | None:
        """Return the next render to look at, or None; with `sure` only one that is hardly unfinished."""
        while self._polls and (not sure or self._polls[0][0] <= self._desk.now):
            live = self._lives.get(heapq.heappop(self._polls)[2])
            if live is not None and not live.left:
                self._ask(live)
                return AskStatus(live.key, live.task_id)
        return None

    def _send(self, live: Live) -> SendCreate:
        self._ask(live)
        return SendCreate(live.key, live.body)

    def _ask(self, live: Live) -> None:
        live.sent_at = self._desk.now
        self.airborne += 1

    def landed(self, key: str) -> Live:
        """Take note that a request about an attempt was answered."""
        live = self._lives[key]
        self.airborne -= 1
        return live

    # ---------------------------------------------------------------- downloads

    def want_files(self, live: Live) -> None:
        """Queue every result that is not on disk yet."""
        self._unsaved.add(live.key)
        for index in range(len(live.urls)):
            if index not in live.saved:
                live.fetching += 1
                self._downloads.append((live.key, index))

    @property
    def unsaved(self) -> int:
        """Count the paid renders that wait for their files, or for another try."""
        return len(self._unsaved)

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
        self._count[live.state] -= 1
        self._count[after] += 1
        held = live.in_flight
        live.state = after
        self.open_holds += live.hold * (live.in_flight - held)
        self.doubted_holds += live.hold * (after is AttemptState.IN_DOUBT)

    def hold_more(self, live: Live, more: Credits) -> None:
        """Hold more for an attempt."""
        live.hold += more
        self.open_holds += more * live.in_flight

    def move_task(self, live: Live, event: TaskEvent, note: str) -> None:
        """Move an attempt's task along its table and write it down."""
        after = states.advance_task(live.task_state, event)
        task = live.due.task
        self._desk.write(TaskMoved(live.due.row, event, live.task_state, after, self._desk.now, note, task.id, task.manifest))
        live.task_state = after

    def leave(self, live: Live) -> None:
        """Do nothing more about an attempt in this run; the ledger keeps it for the next."""
        self._at_work -= not live.left
        self._unsaved.discard(live.key)
        live.left = True
        self._desk.prices.found(live.price_key, live.key)  # nobody waits in this run for what it would have cost

    def remove(self, live: Live) -> None:
        """Forget an attempt that needs nothing more. It is in flight no longer, so no hold of it is open."""
        del self._lives[live.key]
        self._bearers.pop(live.task_id, None)
        self._unsaved.discard(live.key)
        self._at_work -= not live.left
        self._count[live.state] -= 1

    @property
    def at_work(self) -> bool:
        """True while this run still has something to do about some attempt."""
        return self._at_work > 0

    def count(self, state: AttemptState) -> int:
        """Count the attempts in a state."""
        return self._count[state]

    def lives(self) -> Iterable[Live]:
        """All attempts, for tests."""
        return self._lives.values()
