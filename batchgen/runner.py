"""The loop around the engine: read events, step, commit, and only then start what the step asks for.

Two rules:

1. No request starts before the commit that knows about it is durable.
2. While a commit is on its way, events gather; the next step takes them all. That is group commit, and the ledger has
   one writer at a time without a queue of its own.

Deliberately absent: decisions, retries, the rate. The engine has them, so that they can be simulated.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from batchgen.core.answers import Answer, Render, taken
from batchgen.core.engine import STOPS, Engine
from batchgen.core.messages import (
    Answered,
    ApiRequest,
    AskBalance,
    AskStatus,
    CheckUpload,
    ControlAsked,
    Download,
    Ended,
    Event,
    FetchDue,
    Request,
    SendCreate,
    SendUpload,
    StopAsked,
    StopReason,
)
from batchgen.core.model import Instant
from batchgen.core.ports import LEFT, Api, Clock, Ledger, Media, Watch

DRAIN = 8.0
"""Seconds that what is in the air may take to land after a signal.

Kubernetes kills after 30, systemd after 90, `docker stop` after 10.
"""

LISTEN = 0.75
"""Seconds between two looks at what a person says from another shell: with a commit and a step it is obeyed within two."""

SIGNALS = {signal.SIGINT: StopReason.INTERRUPT, signal.SIGTERM: StopReason.TERMINATE}

T = TypeVar("T")


@dataclass(slots=True)
class Runner:
    """Drives one run to its end. All of the outside comes in through the ports."""

    engine: Engine
    ledger: Ledger
    api: Api
    media: Media
    clock: Clock
    watch: Watch
    run_id: int
    _writer: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    _stopping: StopReason | None = None
    _send: MemoryObjectSendStream[Event] = field(init=False)
    _events: MemoryObjectReceiveStream[Event] = field(init=False)
    _work: TaskGroup = field(init=False)

    def __post_init__(self) -> None:
        """Make the mailbox; it has no limit, since each request puts one event into it and requests are limited."""
        self._send, self._events = anyio.create_memory_object_stream[Event](math.inf)

    async def drive(self) -> Ended:
        """Run until the engine says that it is over, or a second signal or the drain's deadline ends it.

        Raises what the ledger raises: then nothing of that step was sent.
        """
        with _signals() as signals:
            return await self._drive(signals)

    async def _drive(self, signals: AsyncIterator[signal.Signals] | None) -> Ended:
        ended: Ended | None = None
        try:
            with self._send, self._events:
                async with anyio.create_task_group() as self._work:
                    self._work.start_soon(self._hear_signals, signals)
                    self._work.start_soon(self._hear_controls)
                    ended = await self._loop()
                    self._work.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from group
        if ended is None:
            ended = STOPS[self._stopping or StopReason.TERMINATE]
        with anyio.CancelScope(shield=True):
            await self._in_writer(partial(self.ledger.end_run, self.run_id, ended, self.clock.now()))
        return ended

    async def _loop(self) -> Ended:
        events: list[Event] = []
        while True:
            step = self.engine.step(self.clock.now(), events)
            if step.records:
                with anyio.CancelScope(shield=True):
                    await self._in_writer(partial(self.ledger.commit, self.run_id, step.records))
            for request in step.requests:
                self._work.start_soon(self._perform, request)
            self.watch(step, self.engine.glimpse())
            if step.ended is not None:
                return step.ended
            events = await self._gather(step.wake_at)

    async def _gather(self, wake_at: Instant | None) -> list[Event]:
        """Wait for an event or until `wake_at`, then take everything that has come."""
        events: list[Event] = []
        patience = math.inf if wake_at is None else max(0.0, wake_at - self.clock.now())
        with anyio.move_on_after(patience):
            events.append(await self._events.receive())
        while self._events.statistics().current_buffer_used:
            events.append(self._events.receive_nowait())
        return events

    # ---------------------------------------------------------------- requests

    async def _perform(self, request: Request) -> None:
        match request:
            case FetchDue():
                event: Event = await self._in_writer(partial(self.ledger.due, request))
            case Download():
                event = await self.media.save(request, self.ledger.owner)
            case _:
                sent_at = self.clock.now()
                self.engine.sent(sent_at)
                LEFT.set(lambda: self.engine.left(sent_at, self.clock.now()))
                event = Answered(request, await self._call(request), sent_at)
        await self._send.send(event)

    async def _call(self, request: ApiRequest) -> Answer[object]:
        answer: Answer[object]
        match request:
            case SendUpload():
                answer = await self.api.upload(request)
            case CheckUpload(upload=upload):
                answer = await self.api.file(upload.file_id)
            case SendCreate(key=key, body=body):
                answer = await self._vouched(key, await self.api.create(body, key))
            case AskStatus(task_id=task_id):
                answer = await self.api.status(task_id)
            case AskBalance():
                answer = await self.api.balance()
        return answer

    async def _vouched(self, key: str, answer: Answer[Render]) -> Answer[Render]:
        """Look whether a purchase was answered with the render of another attempt, also of one that ended long ago.

        In the writer thread: one thread more that takes turns at Python's lock costs more than the query.
        """
        if answer.value is None:
            return answer
        bearer = await self._in_writer(partial(self.ledger.bearer, answer.value.task_id))
        return answer if bearer in {None, key} else taken(answer.value.task_id, str(bearer))

    async def _in_writer(self, call: Callable[[], T]) -> T:
        """Call the ledger in the one writer thread."""
        return await anyio.to_thread.run_sync(call, limiter=self._writer)

    # ---------------------------------------------------------------- signals

    async def _hear_signals(self, signals: AsyncIterator[signal.Signals] | None) -> None:
        """The first signal asks the engine to stop; the second, or the deadline, ends what is in the air."""
        if signals is None:
            return
        async for number in signals:
            if self._stopping is not None:
                break
            self._stopping = SIGNALS[number]
            await self._send.send(StopAsked(self._stopping))
            self._work.start_soon(self._deadline)
        self._work.cancel_scope.cancel()

    async def _hear_controls(self) -> None:
        """Read what a person says from another shell, about once a second, as `batchgen control` wrote it into the ledger."""
        newest = 0
        while True:
            await anyio.sleep(LISTEN)
            for control in await self._in_writer(partial(self.ledger.controls, self.run_id, newest)):
                newest = control.id
                await self._send.send(ControlAsked(control))

    async def _deadline(self) -> None:
        await anyio.sleep(DRAIN)
        self._work.cancel_scope.cancel()


@contextmanager
def _signals() -> Iterator[AsyncIterator[signal.Signals] | None]:
    """Hear the signals from before the first step until the run's end is in the ledger; none in a script's thread: they are the main one's.

    Puts the handlers back that were there before: anyio leaves the system's own, under which SIGTERM kills without a word.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def settle(engine: Engine, ledger: Ledger, now: Instant) -> Ended:
    """End a run that has nothing to do, without a key, a connection or a thread."""
    events: list[Event] = []
    while True:
        step = engine.step(now, events)
        if step.ended is not None:
            return step.ended
        events = [ledger.due(request) for request in step.requests if isinstance(request, FetchDue)]


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group that is no group: the one that made the others be cancelled."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(slots=True)
class SystemClock:
    """Wall time at the start, monotonic time from there: it never jumps while the process lives.

    `not_before` is the ledger's newest instant, so that a wall clock that was set back does not make the past young again.
    """

    not_before: Instant = 0.0
    wall: Callable[[], float] = field(kw_only=True)
    monotonic: Callable[[], float] = field(kw_only=True)
    _offset: float = field(init=False)

    def __post_init__(self) -> None:
        """Anchor."""
        self._offset = max(self.wall(), self.not_before) - self.monotonic()

    def now(self) -> Instant:
        """Seconds since the epoch, UTC."""
        return self.monotonic() + self._offset
