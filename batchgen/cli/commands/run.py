"""`batchgen run`: from manifests to renders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import anyio
import click

from batchgen import app
from batchgen.cli.asking import Asked, asked_of, asking
from batchgen.cli.closing import conclude
from batchgen.cli.group import RUN_CODES, closing
from batchgen.cli.options import Watched, facts, manifests, talk, watched
from batchgen.cli.progress import watching
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, faults, flags_of, settings_for, where
from batchgen.core.forecast import PlanFacts
from batchgen.errors import ExitCode
from batchgen.report.plan import money_line, plan_document, plan_text, work_left
from batchgen.settings import Settings


class Options(Where, Asked, Watched):
    """What the command line says."""

    yes: bool
    dry_run: bool
    faults: str | None


@click.command("run", epilog=closing("batchgen run manifests/ --yes --budget 5500", *RUN_CODES))
@manifests
@asking
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what a run would do, as `plan` does, and end.")
@faults
@where
@watched
@facts
@talk
@click.pass_obj
def command(screen: Screen, manifests: tuple[Path, ...], **options: Unpack[Options]) -> ExitCode:
    """Render what the manifests want and the ledger lacks.

    On a terminal it shows what that will cost and asks, unless --yes. Run it again after any failure: nothing is paid twice.
    """
    settings = settings_for(screen, options, manifests, faults=options["faults"])
    checked = app.check(manifests)
    asked = asked_of(checked, options, settings)
    plan = app.plan(checked, settings, asked)
    if options["dry_run"]:
        screen.document(plan_document(plan)) if screen.json else screen.out(plan_text(plan))
        return ExitCode.DONE
    if not agreed(screen, plan, settings, yes=options["yes"], quiet=options["quiet"]):
        return ExitCode.STOPPED_EARLY
    with watching(screen, settings.local, options, total=work_left(plan)) as progress:
        ended = anyio.run(lambda: app.run(checked, settings, asked, watch=progress))
        progress.over(ended)
    return conclude(screen, settings, ended, flags=flags_of(options), quiet=options["quiet"])


def agreed(screen: Screen, plan: PlanFacts, settings: Settings, *, yes: bool, quiet: bool) -> bool:
    """Show the money line; on a terminal, ask. True if the run shall go ahead."""
    place = "in the sandbox, which costs nothing" if settings.sandbox else f"at {settings.address}"
    asks = screen.asks and not yes and bool(plan.to_buy)
    if asks or not quiet:
        screen.say(f"{money_line(plan)} {place}")
    if not asks:
        return True
    if click.confirm("Go ahead?", err=True):
        return True
    screen.say("Nothing was sent and nothing was bought.")
    return False
