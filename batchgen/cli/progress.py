"""What is said while a run goes on: to a terminal one calm line, to a log a line a minute and one for each event worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic

from batchgen.cli.screen import Screen
from batchgen.core.answers import Fault
from batchgen.core.messages import AttemptMoved, Glimpse, Noted, Record, Step, TaskMoved
from batchgen.core.model import Instant
from batchgen.core.states import AttemptState, TaskState
from batchgen.report.text import When, clean, number

CALM = 0.2
"""Seconds between two rewritings of the line: faster is flicker."""
LOGGED = 60.0
"""Seconds between two lines in a log: a night is some hundred lines."""
REPEATED = 60.0
"""Seconds for which the same kind of trouble is not told again: an outage would fill the log."""


_BECAME: Mapping[str, str] = {
    TaskState.BLOCKED: "is blocked",
    AttemptState.REFUSED: "was refused",
    AttemptState.IN_DOUBT: "is in doubt",
}


class Progress:
    """A `core.ports.Watch`: called after each step; never blocks for longer than a write to stderr takes, never raises."""

    def __init__(self, screen: Screen, when: When, *, total: int, clock: Callable[[], float] = monotonic) -> None:
        self._screen = screen
        self._when = when
        self._total = total
        self._clock = clock
        self._next = 0.0
        self._told: dict[str, float] = {}

    def __call__(self, step: Step, glimpse: Glimpse) -> None:
        """Take a step that was committed and started."""
        now = self._clock()
        for record in step.records:
            for kind, at, line in _worth_telling(record):
                self._tell(kind, f"{self._stamp(at)} {line}", now)
        if now < self._next and step.ended is None:
            return
        if self._screen.rewrites:
            self._screen.rewrite(progress_line(glimpse, self._total))
            self._next = now + CALM
        else:
            self._screen.say(progress_line(glimpse, self._total))
            self._next = now + LOGGED

    def _tell(self, kind: str, line: str, now: float) -> None:
        """Say a line, unless the same kind was told a moment ago."""
        if kind and now < self._told.get(kind, now):
            return
        self._told[kind] = now + REPEATED
        self._screen.say(line)

    def _stamp(self, at: Instant) -> str:
        """Return the time of day in the account's zone."""
        return self._when(at).strftime("%H:%M:%S")


def progress_line(glimpse: Glimpse, total: int) -> str:
    """Return the run in one line."""
    parts = [f"{number(glimpse.saved)} of {number(total)} done" if total else f"{number(glimpse.saved)} done"]
    in_flight = (("uploading", glimpse.uploading), ("submitting", glimpse.submitting), ("rendering", glimpse.rendering))
    parts += [f"{number(count)} {word}" for word, count in (*in_flight, ("downloading", glimpse.downloading)) if count]
    parts += [f"{number(glimpse.failed)} failed"] if glimpse.failed else []
    parts.append(f"{number(glimpse.captured)} credits spent, {number(glimpse.held)} held")
    parts += [f"submitting nothing: {clean(glimpse.waiting_for)}"] if glimpse.waiting_for else []
    return ", ".join(parts)


def _worth_telling(record: Record) -> Iterator[tuple[str, Instant, str]]:
    """Yield what a log should say about a record: a kind (empty: told every time), its instant, the line."""
    if isinstance(record, TaskMoved) and record.after in {TaskState.FAILED, TaskState.BLOCKED}:
        yield "", record.at, f"a task {_BECAME.get(record.after, 'failed for good')}: {clean(record.note) or 'see batchgen tasks'}"
    elif isinstance(record, AttemptMoved) and record.fault is not None and record.after is not AttemptState.SUBMITTING:
        yield "", record.at, f"an attempt {_BECAME.get(record.after, record.after)}: {_said(record.fault)}"
    elif isinstance(record, AttemptMoved) and record.fault is not None:
        yield record.fault.code, record.at, f"an answer was lost, the same request is repeated: {_said(record.fault)}"
    elif isinstance(record, Noted) and record.fault is not None:
        yield record.fault.code, record.at, f"{clean(record.event)}: {_said(record.fault)}"


def _said(fault: Fault) -> str:
    """Return an error in the server's words."""
    words = f"{clean(fault.code)}: {clean(fault.message[:300])}"
    return f"{words} (requestId {clean(fault.request_id)})" if fault.request_id else words
