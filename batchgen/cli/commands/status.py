"""`batchgen status`: counts by state, and credits."""

from __future__ import annotations

import time
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import facts, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, flags_of, settings_for, where
from batchgen.errors import ExitCode
from batchgen.report.status import status_document, status_text
from batchgen.report.views import look


@click.command("status", epilog=closing("batchgen status", ExitCode.DONE, ExitCode.WRONG_INPUT))
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Where]) -> ExitCode:
    """Count tasks by state, and credits spent and held; say what is in flight and what to do next.

    Never waits for a run that is going on.
    """
    settings = settings_for(screen, options)
    with app.reading(settings) as ledger:
        view = look(ledger, settings.calendar(time.time()), flags=flags_of(options))
    screen.document(status_document(view)) if screen.json else screen.out(status_text(view, settings.local))
    return ExitCode.DONE
