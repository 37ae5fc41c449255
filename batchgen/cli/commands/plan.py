"""`batchgen plan`: what a run would do, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.asking import Asked, asked_of, asking
from batchgen.cli.group import closing
from batchgen.cli.options import facts, manifests, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, settings_for, where
from batchgen.errors import ExitCode
from batchgen.report.plan import plan_document, plan_text


class Options(Where, Asked):
    """What the command line says."""


@click.command("plan", epilog=closing("batchgen plan manifests/", ExitCode.DONE, ExitCode.WRONG_INPUT))
@manifests
@asking
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, manifests: tuple[Path, ...], **options: Unpack[Options]) -> ExitCode:
    """Say what a run would do and why: which tasks, which uploads, how many credits, which budget binds.

    Sends nothing that costs, writes nothing.
    """
    settings = settings_for(screen, options, manifests)
    checked = app.check(manifests)
    plan = app.plan(checked, settings, asked_of(checked, options, settings))
    screen.document(plan_document(plan)) if screen.json else screen.out(plan_text(plan))
    return ExitCode.DONE
