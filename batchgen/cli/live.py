"""The live view: draws a run's pulse on the terminal, from a thread of its own.

A thread, because a terminal may stop taking letters (Ctrl-S, a sleeping laptop at the other end of ssh): then the view
waits and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread

from batchgen.cli.paint import Painter
from batchgen.cli.screen import CALM, LEAVE
from batchgen.core.messages import Glimpse, Step
from batchgen.core.model import Instant
from batchgen.report.live import Room, live_lines
from batchgen.report.pulse import Pulse
from batchgen.report.text import When

STILL = 1.0
"""Seconds after which a frame is drawn although nothing happened: the clock in it goes on."""


class LiveView:
    """Feed it steps; it draws until it is closed."""

    def __init__(self, painter: Painter, pulse: Pulse, when: When, *, wall: Callable[[], Instant], clock: Callable[[], float]) -> None:
        """`wall` is the time of day, `clock` is the pulse's."""
        self._painter = painter
        self._pulse = pulse
        self._when = when
        self._wall = wall
        self._clock = clock
        self._changed = True
        self._lock = Lock()
        self._over = Event()
        self._thread = Thread(target=self._draw_on, name="live view", daemon=True)
        self._thread.start()

    def take(self, step: Step, glimpse: Glimpse, now: float) -> None:
        """Take a step; it is shown with the next frame."""
        with self._lock:
            self._pulse.take(step, glimpse, now)
            self._changed = True

    def close(self) -> None:
        """Stop drawing, and leave the terminal as it was."""
        self._over.set()
        self._thread.join(LEAVE)
        if not self._thread.is_alive():
            self._painter.wipe()

    def _draw_on(self) -> None:
        drawn_at, size = -STILL, None
        while not self._over.wait(CALM):
            now = self._clock()
            due = self._changed or now - drawn_at >= STILL or size != self._painter.size
            if due:
                self._draw(now)
                drawn_at, size = now, self._painter.size

    def _draw(self, now: float) -> None:
        with self._lock:
            self._changed = False
            facts = self._pulse.facts(now)
        size = self._painter.size
        # The last column and row stay free: a letter in the one, and a line's end in the other, would scroll the screen.
        room = Room(max(1, size.columns - 1), max(1, size.lines - 1))
        self._painter.draw(live_lines(facts, room=room, now=self._wall(), when=self._when, letters=self._painter.letters))
