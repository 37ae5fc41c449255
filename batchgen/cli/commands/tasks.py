"""`batchgen tasks`: list tasks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import Whole, facts, said, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, refuse_unknown, settings_for, where
from batchgen.core.facts import TaskFacts, TaskQuery
from batchgen.core.states import TaskState
from batchgen.errors import ExitCode, UsageError
from batchgen.report.rows import write_csv, write_jsonl
from batchgen.report.tasks import task_lines, tasks_document


class Options(Where):
    """What the command line says."""

    states: tuple[str, ...]
    manifest: str
    only: str
    removed: bool
    limit: int | None
    form: str


@click.command("tasks", epilog=closing("batchgen tasks --state failed --format csv", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.option("--state", "states", multiple=True, type=click.Choice([state.value for state in TaskState]), help="Only these; repeatable.")
@click.option("--manifest", default="", metavar="NAME", callback=said, help="Only those of this manifest.")
@click.option("--only", default="", metavar="GLOB", callback=said, help="Only those whose id matches.")
@click.option("--removed", is_flag=True, help="Also those that left their manifest.")
@click.option("--limit", type=Whole(min=1), metavar="N", help="At most so many.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", help="How; a table by default.")
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """List tasks with their state, credits and files, in the manifests' order."""
    if screen.json and options["form"] != "table":
        raise UsageError("--json and --format are two answers to one question; give one of them")
    settings = settings_for(screen, options)
    wanted = TaskQuery(
        manifest=options["manifest"],
        states=tuple(TaskState(state) for state in options["states"]),
        only=options["only"],
        removed=options["removed"],
        limit=options["limit"],
    )
    with app.reading(settings) as ledger:
        refuse_unknown(ledger, options["manifest"])
        _write(screen, ledger.tasks(wanted), options["form"])
    return ExitCode.DONE


def _write(screen: Screen, tasks: Iterator[TaskFacts], form: str) -> None:
    """Write the tasks as they are read."""
    if form == "csv":
        write_csv(tasks, sys.stdout)
    elif form == "jsonl":
        write_jsonl(tasks, sys.stdout)
    else:
        for line in tasks_document(tasks) if screen.json else task_lines(tasks):
            sys.stdout.write(line + "\n")
    sys.stdout.flush()
