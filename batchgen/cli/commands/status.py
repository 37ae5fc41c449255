"""`batchgen status`: counts by state, and credits; with --watch until the run has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import Fraction, facts, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, advice_for, flags_of, settings_for, where
from batchgen.errors import ExitCode, Terminated
from batchgen.report.status import status_document, status_line, status_text
from batchgen.report.text import to_json
from batchgen.report.views import View, look
from batchgen.settings import Settings

EVERY = 2.0
"""Seconds between two looks, unless said otherwise."""
OFTENEST = 0.2
"""Five times a second: more is flicker, and reads that nobody sees."""
A_DAY = 86_400.0


class Options(Where):
    """What the command line says."""

    watch: float | None


@click.command("status", epilog=closing("batchgen status --watch", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.option(
    "--watch",
    is_flag=False,
    flag_value=EVERY,
    type=Fraction(min=OFTENEST, max=A_DAY),
    metavar="[SECONDS]",
    help="Look again every so many seconds (2) until the run has ended; without a terminal a line each time.",
)
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Count tasks by state, and credits spent and held; say what is in flight and what to do next.

    Never waits for a run that is going on.
    """
    settings = settings_for(screen, options)
    every = options["watch"]
    if every is not None:
        return watch(screen, settings, every, flags=flags_of(options))
    with app.reading(settings) as ledger:
        held = ledger.held  # asked first: a run that ends in between has then written its end
        view = look(ledger, settings.calendar(time.time()), advice=advice_for(settings, flags_of(options)), running=held)
    screen.document(status_document(view)) if screen.json else screen.out(status_text(view, settings.local))
    return ExitCode.DONE


def watch(screen: Screen, settings: Settings, every: float, *, flags: str) -> ExitCode:
    """Tell the status again and again, from the ledger alone, until the run has ended or whoever looks has seen enough."""
    painter = screen.painter_of(sys.stdout) if screen.draws_on(sys.stdout) and not screen.json else None
    try:
        for view, over in _looks(settings, every, flags):
            if screen.json:
                screen.out(to_json(status_document(view)))
            elif over or painter is None:
                if painter is not None:
                    painter.wipe()
                screen.out(status_text(view, settings.local) if over else status_line(view, settings.local, time.time()))
            else:
                painter.draw([[(line, "")] for line in status_text(view, settings.local).splitlines()])
    except KeyboardInterrupt as signal:
        # Looking on was all that was interrupted: the run goes on.
        if painter is not None:
            painter.wipe()
        return ExitCode.TERMINATED if isinstance(signal, Terminated) else ExitCode.INTERRUPTED
    return ExitCode.DONE


def _looks(settings: Settings, every: float, flags: str) -> Iterator[tuple[View, bool]]:
    """Yield the ledger's state, at once and then every so many seconds; True goes with the last, when nobody works on it any more."""
    with app.reading(settings) as ledger:
        while True:
            held = ledger.held
            view = look(ledger, settings.calendar(time.time()), advice=advice_for(settings, flags), running=held)
            over = view.run is None or view.run.ended_at is not None or not held
            yield view, over
            if over:
                return
            time.sleep(every)
