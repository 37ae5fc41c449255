"""`batchgen plan`: what a run would do, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.asking import Asked, asked_of, asking, options_of, refuse_nothing
from batchgen.cli.busy import busy
from batchgen.cli.group import closing
from batchgen.cli.keeping import next_run, write_plan
from batchgen.cli.options import FileName, Quiet, facts, manifests, quiet, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, flags_of, settings_for, where
from batchgen.errors import ExitCode
from batchgen.report.plan import kept_line, plan_document, plan_text


class Options(Where, Asked, Quiet):
    """What the command line says."""

    out_file: Path | None


@click.command(
    "plan", epilog=closing("batchgen plan manifests/\nbatchgen plan manifests/ --out tonight.plan", ExitCode.DONE, ExitCode.WRONG_INPUT)
)
@manifests
@asking
@click.option(
    "--out",
    "out_file",
    metavar="FILE",
    type=FileName(),
    help="Keep the plan in FILE: `run --plan FILE` does exactly that, once, or refuses.",
)
@where
@quiet
@facts
@talk
@click.pass_obj
def command(screen: Screen, manifests: tuple[Path, ...], **options: Unpack[Options]) -> ExitCode:
    """Say what a run would do and why: which tasks, which uploads, how many credits, which budget binds.

    Sends nothing that costs, writes nothing but the file of --out.
    """
    settings = settings_for(screen, options, manifests)
    with busy(screen, quiet=options["quiet"]) as sight:
        checked = app.check(manifests, settings, sight)
        asked = asked_of(checked, options, settings)
        plan, file = app.plan(checked, settings, asked), options["out_file"]
    refuse_nothing(plan, checked, asked.only)
    then = next_run(manifests, options_of(options), file, flags_of(options))
    if file is not None:
        kept = app.keep(checked, settings, asked)
        write_plan(file, kept)
        if not options["quiet"]:
            screen.say(kept_line(kept, str(file)))
    if screen.json:
        screen.document(plan_document(plan))
    elif not options["quiet"]:
        screen.out(plan_text(plan, then, flags=flags_of(options)))
    return ExitCode.DONE
