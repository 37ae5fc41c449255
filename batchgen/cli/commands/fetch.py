"""`batchgen fetch`: download again what is paid and missing or damaged."""

from __future__ import annotations

from typing import Unpack

import anyio
import click

from batchgen import app
from batchgen.cli.group import RUN_CODES, closing
from batchgen.cli.options import Watched, facts, said, talk, watched
from batchgen.cli.progress import watching
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, faults, flags_of, settings_for, where
from batchgen.errors import ExitCode
from batchgen.report.fetched import fetched_document, fetched_text


class Options(Where, Watched):
    """What the command line says."""

    manifest: str
    only: str
    faults: str | None


@click.command("fetch", epilog=closing("batchgen fetch --manifest spring-launch --only 'hero-*'", *RUN_CODES))
@click.option("--manifest", default="", metavar="NAME", callback=said, help="Only this manifest's tasks.")
@click.option("--only", default="", metavar="GLOB", callback=said, help="Only tasks whose id matches, such as 'hero-*'.")
@faults
@where
@watched
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Download again what is paid and missing or damaged on disk; buy nothing.

    Every file of every finished task is compared with the ledger by its size and its SHA-256. What is damaged, or was
    changed by hand, is set aside and never overwritten.
    """
    settings = settings_for(screen, options, faults=options["faults"])
    with watching(screen, settings.local, options, total=0) as progress:
        fetched = anyio.run(lambda: app.fetch(settings, options["manifest"], options["only"], watch=progress))
        progress.over(fetched.ended)
    screen.wipe()
    screen.code = fetched.ended.code
    outputs = str(settings.outputs)
    if screen.json:
        screen.document(fetched_document(fetched.census, fetched.ended, outputs))
    elif not (options["quiet"] and fetched.ended.code is ExitCode.DONE):
        screen.out(fetched_text(fetched.census, fetched.ended, outputs, flags=flags_of(options)))
    return fetched.ended.code
