"""`batchgen show`: one task's whole history."""

from __future__ import annotations

from typing import Unpack

import click

from batchgen import app
from batchgen.catalogue import did_you_mean, shown
from batchgen.cli.group import closing
from batchgen.cli.options import facts, said, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, flags_of, refuse_unknown, settings_for, where
from batchgen.core.facts import TaskQuery
from batchgen.core.ports import Ledger
from batchgen.errors import ExitCode, UsageError
from batchgen.report.show import show_document, show_text

COMPARED = 2000
"""Task ids that a misspelt one is compared with; more would make a typing error slow."""


class Options(Where):
    """What the command line says."""

    task: str
    manifest: str


@click.command("show", epilog=closing("batchgen show hero", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.argument("task")
@click.option("--manifest", default="", metavar="NAME", callback=said, help="The task of this manifest, if several have one of that id.")
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Tell one task's whole history: attempts, requests, errors with the server's requestId, credits, files."""
    settings = settings_for(screen, options)
    with app.reading(settings) as ledger:
        refuse_unknown(ledger, options["manifest"])
        histories = ledger.history(options["task"], options["manifest"])
        if not histories:
            raise UsageError(_unknown(ledger, options["task"], options["manifest"]))
    screen.document(show_document(histories)) if screen.json else screen.out(show_text(histories, settings.local, flags=flags_of(options)))
    return ExitCode.DONE


def _unknown(ledger: Ledger, task: str, manifest: str) -> str:
    """Say that there is no such task, and what may have been meant."""
    known = [facts.id for facts in ledger.tasks(TaskQuery(manifest=manifest, removed=True, limit=COMPARED))]
    hint = did_you_mean(task, known) or "the ledger has no tasks yet"
    place = f" in the manifest {shown(manifest)}" if manifest else ""
    return f"the ledger has no task {shown(task)}{place}; {hint}"
