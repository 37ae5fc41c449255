"""What is said while a run goes on.

To a terminal: the live view. To a log: a line a minute and one for each event worth waking for; with --verbose, and under
`--log-format json`, one for every event. To `--log-file` the same, whatever the terminal shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic

from batchgen.cli.live import LiveView
from batchgen.cli.logfile import LogFile
from batchgen.cli.options import Watched
from batchgen.cli.screen import Screen
from batchgen.core.messages import Ended, Glimpse, Step
from batchgen.core.model import Instant
from batchgen.errors import ExitCode
from batchgen.report.live import progress_event, progress_line
from batchgen.report.log import Event, Level, event_of
from batchgen.report.pulse import Pulse
from batchgen.report.text import When, counted, to_json

LOGGED = 60.0
"""Seconds between two lines in a log: a night is some hundred lines."""
REPEATED = 60.0
"""Seconds for which the same kind of trouble is not told again: an outage would fill the log."""


class Progress:
    """A `core.ports.Watch`: called after each step; never raises, and writes no more than a few lines."""

    def __init__(
        self,
        log: Log,
        when: When,
        *,
        total: int,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], Instant] = time.time,
    ) -> None:
        """`total` is how many tasks the run has to do something for, 0 where it finds that out as it goes.

        `clock` counts seconds, `wall` is the time of day.
        """
        self._log = log
        self._when = when
        self._clock = clock
        self._wall = wall
        self._pulse = Pulse(total, clock())
        self._view: LiveView | None = None
        self._next = 0.0
        log.tell(Event("began", Level.INFO, wall(), f"{counted(total, 'task')} to do" if total else "begun", {"tasks": total}))

    def view(self, screen: Screen) -> None:
        """Show the live view from now on."""
        self._view = LiveView(screen.painter, self._pulse, self._when, wall=self._wall, clock=self._clock)

    def __call__(self, step: Step, glimpse: Glimpse) -> None:
        """Take a step that was committed and started."""
        now = self._clock()
        if self._view is not None:
            self._view.take(step, glimpse, now)
        else:
            self._pulse.take(step, glimpse, now)
        if not self._log.listened:
            return
        for record in step.records:
            self._log.tell(event_of(record), now)
        if now >= self._next or step.ended is not None:
            facts, at = self._pulse.facts(now), self._wall()
            self._log.tell(progress_event(facts, at, progress_line(facts, at, self._when)), always=True)
            self._next = now + LOGGED

    def over(self, ended: Ended) -> None:
        """Tell the log how the run ended."""
        level = Level.INFO if ended.code in {ExitCode.DONE, ExitCode.STOPPED_EARLY} else Level.ERROR
        facts = {"exit_code": int(ended.code), "reason": ended.reason}
        self._log.tell(Event("ended", level, self._wall(), f"exit {int(ended.code)}: {ended.reason or ended.code.meaning}", facts))

    def close(self) -> None:
        """Take the live view away."""
        if self._view is not None:
            self._view.close()


class Log:
    """Where events go: to stderr, to a file, to both or nowhere; as text or as JSON."""

    def __init__(self, screen: Screen, when: When, *, on_screen: bool, file: LogFile | None, json: bool) -> None:
        """`on_screen` is False where a live view, or --quiet, keeps the log off stderr."""
        self._screen = screen
        self._when = when
        self._on_screen = on_screen
        self._file = file
        self._json = json
        self._told: dict[str, float] = {}

    @property
    def listened(self) -> bool:
        """True if anybody reads it."""
        return self._on_screen or self._file is not None

    def tell(self, event: Event, now: float = 0.0, *, always: bool = False) -> None:
        """Write an event, if it is worth it (`always`: it is). `now` decides what was told a moment ago."""
        if not self.listened:
            return
        if not (always or self._json or self._screen.verbose):
            if event.level is Level.INFO or (event.repeats and now < self._told.get(event.repeats, now)):
                return
            self._told[event.repeats] = now + REPEATED
        line = to_json(event.document()) if self._json else f"{self._stamp(event.at)} {event.message}"
        if self._on_screen:
            self._screen.line(line)
        if self._file is not None and not self._file.write(line if self._json else f"{self._day(event.at)} {line}"):
            self._screen.say(self._file.trouble)

    def _stamp(self, at: Instant) -> str:
        """Return the time of day in the account's zone."""
        return self._when(at).strftime("%H:%M:%S")

    def _day(self, at: Instant) -> str:
        return self._when(at).strftime("%Y-%m-%d")


@contextmanager
def watching(screen: Screen, when: When, watched: Watched, *, total: int) -> Iterator[Progress]:
    """Give what watches a run, as the options ask for it. Raises UsageError for a log that cannot be written."""
    json = watched["log_format"] == "json"
    live = screen.draws and not screen.json_log and not watched["quiet"]
    with ExitStack() as stack:
        file = None if watched["log_file"] is None else stack.enter_context(LogFile(watched["log_file"]))
        on_screen = not watched["quiet"] and (not live or screen.verbose)
        progress = Progress(Log(screen, when, on_screen=on_screen, file=file, json=json), when, total=total)
        stack.callback(progress.close)
        if live:
            progress.view(screen)
        yield progress
