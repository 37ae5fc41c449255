"""A line for whoever waits at a terminal: how far the check of the manifests has come, before there is a run to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from batchgen.cli.screen import CALM, LEAVE, Screen
from batchgen.manifest import Sight
from batchgen.report.text import clean, counted

if TYPE_CHECKING:
    from batchgen.cli.paint import Painter

PATIENCE = 1.0
"""Seconds for which nothing is said: most checks are over by then."""


@contextmanager
def busy(screen: Screen, *, quiet: bool) -> Iterator[Sight]:
    """Show how far a check has come, until it is over or has failed. Only a terminal is told, from a thread as in `cli.live`."""
    sight = Sight()
    if quiet or screen.json_log or not screen.draws:
        yield sight
        return
    over = Event()
    thread = Thread(target=_draw_on, args=(screen.painter, sight, over), name="busy", daemon=True)
    thread.start()
    try:
        yield sight
    finally:
        over.set()
        thread.join(LEAVE)
        if not thread.is_alive():
            screen.wipe()


def _draw_on(painter: Painter, sight: Sight, over: Event) -> None:
    pause = PATIENCE
    while not over.wait(pause):
        painter.draw([[(_words(sight), "")]])
        pause = CALM


def _words(sight: Sight) -> str:
    done = counted(sight.tasks, "task") + (f", {counted(sight.files, 'file')}" if sight.files else "")
    if sight.manifest:
        return f"checking {clean(sight.manifest)}: {done}"
    return f"{done} checked; reading the ledger" if sight.tasks else "reading the ledger"
