"""`batchgen resolve`: a person decides about an attempt in doubt."""

from __future__ import annotations

from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import said, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, flags_of, settings_for, where
from batchgen.core.resolve import Decision
from batchgen.errors import ExitCode, UsageError
from batchgen.report.text import clean, number

SAID = {
    Decision.ACCEPTED: "The next run looks at that render and fetches it; its credits stay held until then.",
    Decision.NOT_ACCEPTED: "Its credits are released, and the task is due again: the next run buys it under a new key.",
    Decision.RESEND: "The next run repeats the same request with the same key; a vendor that has forgotten the key sells it a second time.",
}


class Options(Where):
    """What the command line says."""

    task: str
    manifest: str
    accepted: str | None
    not_accepted: bool
    resend: bool


@click.command(
    "resolve", epilog=closing("batchgen resolve hero --accepted task_2f6a", ExitCode.DONE, ExitCode.WRONG_INPUT, ExitCode.LEDGER_BUSY)
)
@click.argument("task")
@click.option("--accepted", metavar="TASK_ID", help="The vendor has it, under this task id.")
@click.option("--not-accepted", is_flag=True, help="The vendor does not have it, and charged nothing.")
@click.option("--resend", is_flag=True, help="Not found out: repeat the same request with the same key.")
@click.option("--manifest", default="", metavar="NAME", callback=said, help="The task of this manifest, if several have one of that id.")
@where
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Say what became of an attempt in doubt; `batchgen show TASK` tells what to look up at the vendor first.

    Nothing is sent: the next run goes on from what was said.
    """
    decision = _decision(options)
    task_id = (options["accepted"] or "").strip()
    settings = settings_for(screen, options)
    doubt = app.decide(settings, options["task"], options["manifest"], decision, task_id=task_id)
    screen.out(f"{clean(options['task'])}, attempt {doubt.attempt.number}, {number(doubt.attempt.held)} credits: {decision}.")
    screen.out(SAID[decision])
    screen.out(f"next: batchgen resume{flags_of(options)}")
    return ExitCode.DONE


def _decision(options: Options) -> Decision:
    """Return the one decision that was given."""
    given = {
        Decision.ACCEPTED: options["accepted"] is not None,
        Decision.NOT_ACCEPTED: options["not_accepted"],
        Decision.RESEND: options["resend"],
    }
    chosen = [decision for decision, said in given.items() if said]
    if len(chosen) != 1:
        raise UsageError("say exactly one of --accepted TASK_ID, --not-accepted, --resend")
    return chosen[0]
