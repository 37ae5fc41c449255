"""`batchgen run`: from manifests to renders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import anyio
import click

from batchgen import app
from batchgen.cli.asking import Asked, asked_of, asking, options_of, refuse_nothing
from batchgen.cli.busy import busy
from batchgen.cli.closing import conclude
from batchgen.cli.group import RUN_CODES, closing
from batchgen.cli.keeping import made_anew, next_run, read_plan
from batchgen.cli.options import FileName, Watched, facts, talk, watched
from batchgen.cli.progress import watching
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, faults, flags_of, settings_for, where
from batchgen.core.keptplan import KeptPlan
from batchgen.errors import ExitCode, UsageError
from batchgen.report.plan import kept_money_line, money_line, plan_document, plan_text, work_left
from batchgen.settings import Settings


class Options(Where, Asked, Watched):
    """What the command line says."""

    yes: bool
    dry_run: bool
    plan_file: Path | None
    faults: str | None


@click.command("run", epilog=closing("batchgen run manifests/ --yes --budget 5500\nbatchgen run --plan tonight.plan --yes", *RUN_CODES))
@click.argument("manifests", metavar="[MANIFEST...]", nargs=-1, type=FileName())
@asking
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what a run would do, as `plan` does, and end.")
@click.option(
    "--plan",
    "plan_file",
    metavar="FILE",
    type=FileName(),
    help="Do exactly what `plan --out FILE` kept; refuse if anything changed since, or if it was used.",
)
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
    kept = _kept(manifests, options)
    with made_anew(kept, options["plan_file"], flags_of(options)):
        return _run(screen, manifests, options, kept)


def _run(screen: Screen, manifests: tuple[Path, ...], options: Options, kept: KeptPlan | None) -> ExitCode:
    """Do it. Raises PlanRefused for a kept plan that can no longer be done."""
    paths = manifests if kept is None else tuple(Path(part.file) for part in kept.manifests)
    settings = settings_for(screen, options, paths, faults=options["faults"])
    with busy(screen, quiet=options["quiet"]) as sight:
        checked = app.check(paths, settings, sight)
        asked = asked_of(checked, options, settings)
        if kept is not None:
            app.refuse_changed(kept, checked, settings)
            asked = kept.asked(until=asked.until)
        plan = app.plan(checked, settings, asked)
    refuse_nothing(plan, checked, asked.only)
    if options["dry_run"]:
        then = next_run(manifests, options_of(options), options["plan_file"], flags_of(options))
        screen.document(plan_document(plan)) if screen.json else screen.out(plan_text(plan, then, flags=flags_of(options)))
        return ExitCode.DONE
    asks = screen.asks and not options["yes"] and bool(plan.to_buy)
    if not agreed(screen, kept_money_line(kept) if kept else money_line(plan), settings, asks=asks, quiet=options["quiet"]):
        return ExitCode.STOPPED_EARLY
    total = work_left(plan) - (plan.to_buy - kept.buys if kept else 0)
    with watching(screen, settings.local, options, total=total) as progress:
        ended = anyio.run(lambda: app.run(checked, settings, asked, watch=progress, kept=kept))
        progress.over(ended)
    return conclude(screen, settings, ended, flags=flags_of(options), quiet=options["quiet"])


def _kept(manifests: tuple[Path, ...], options: Options) -> KeptPlan | None:
    """Read the plan of --plan. Raises UsageError for what contradicts it, and if there is neither a plan nor a manifest."""
    file = options["plan_file"]
    if file is None:
        if not manifests:
            raise click.UsageError("Missing argument 'MANIFEST...', or --plan FILE", click.get_current_context())
        return None
    given = {"MANIFEST": manifests, "--only": options["only"], "--retry-failed": options["retry_failed"]}
    given |= {"--max-tasks": options["max_tasks"], "--budget": options["budget"]}
    more = [name for name, value in given.items() if value not in {None, "", False, ()}]
    if more:
        raise UsageError(f"the plan {file} says all of that already: leave out {', '.join(more)}, or make a new plan with them")
    return read_plan(file)


def agreed(screen: Screen, line: str, settings: Settings, *, asks: bool, quiet: bool) -> bool:
    """Show the money line; where somebody sits who can answer, ask. True if the run shall go ahead."""
    place = "in the sandbox, which costs nothing" if settings.sandbox else f"at {settings.address}"
    if asks or not quiet:
        screen.say(f"{line} {place}")
    if not asks:
        return True
    if click.confirm("Go ahead?", err=True):
        return True
    screen.say("Nothing was sent and nothing was bought.")
    return False
