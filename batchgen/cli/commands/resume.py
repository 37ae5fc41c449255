"""`batchgen resume`: go on with everything unfinished."""

from __future__ import annotations

from typing import Unpack

import anyio
import click

from batchgen import app
from batchgen.cli.asking import lasting
from batchgen.cli.closing import conclude
from batchgen.cli.group import RUN_CODES, closing
from batchgen.cli.options import Watched, facts, talk, watched
from batchgen.cli.progress import watching
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, faults, flags_of, settings_for, where
from batchgen.core.states import UNFINISHED
from batchgen.errors import ExitCode
from batchgen.report.views import look


class Options(Where, Watched):
    """What the command line says."""

    faults: str | None
    max_duration: float | None


@click.command("resume", epilog=closing("batchgen resume", *RUN_CODES))
@lasting
@faults
@where
@watched
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Go on with everything unfinished in the ledger, as the last run was asked to.

    The manifests are not read: what they wanted is in the ledger, also if the files are gone. Never asks.
    """
    settings = settings_for(screen, options, faults=options["faults"])
    with app.reading(settings) as ledger:
        unfinished = look(ledger, settings.calendar(0)).total(*UNFINISHED)
    with watching(screen, settings.local, options, total=unfinished) as progress:
        ended = anyio.run(lambda: app.resume(settings, watch=progress, max_duration=options["max_duration"]))
        progress.over(ended)
    return conclude(screen, settings, ended, flags=flags_of(options), quiet=options["quiet"])
