"""`batchgen report`: what a run did; as CSV or JSON lines for other programs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import facts, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, flags_of, settings_for, where
from batchgen.core.facts import TaskQuery
from batchgen.errors import ExitCode, UsageError
from batchgen.report.rows import write_csv, write_jsonl
from batchgen.report.status import run_document, summary_text
from batchgen.report.text import counted
from batchgen.report.views import MANY, find_run, look


class Options(Where):
    """What the command line says."""

    csv_file: str | None
    jsonl_file: str | None
    run_id: int | None


@click.command("report", epilog=closing("batchgen report --run 3 --csv run-3.csv", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.option("--csv", "csv_file", metavar="FILE", help="Write one row per task as CSV; - is stdout.")
@click.option("--jsonl", "jsonl_file", metavar="FILE", help="Write one JSON object per task and line; - is stdout.")
@click.option("--run", "run_id", type=click.IntRange(min=1), metavar="ID", help="Only tasks of this run.")
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Tell what the newest run did (or run ID), what it cost, what failed and why.

    With --csv or --jsonl one row per task is written instead: prompt, params, references, credits, ids, times, files, errors.
    """
    settings = settings_for(screen, options)
    writers = [(options["csv_file"], write_csv), (options["jsonl_file"], write_jsonl)]
    asked = [(file, write) for file, write in writers if file]
    if sum(file == "-" for file, _ in asked) + screen.json > 1:
        raise UsageError("only one document fits on stdout; give the other one a file")
    with app.reading(settings) as ledger:
        find_run(ledger.runs(MANY), options["run_id"])
        for file, write in asked:
            with _place(file) as stream:
                rows = write(ledger.tasks(TaskQuery(run=options["run_id"], removed=True)), stream)
            screen.say(f"{counted(rows, 'row')} written to {'stdout' if file == '-' else file}")
        if screen.json or not asked:
            view = look(ledger, settings.calendar(time.time()), run=options["run_id"], flags=flags_of(options))
            outputs = str(settings.outputs)
            screen.document(run_document(view, outputs)) if screen.json else screen.out(summary_text(view, settings.local, outputs))
    return ExitCode.DONE


@contextmanager
def _place(file: str) -> Iterator[TextIO]:
    """Give a stream for the rows. Raises UsageError if they cannot be written."""
    if file == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with _whole(Path(file).resolve()) as stream:
            yield stream
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error


@contextmanager
def _whole(place: Path) -> Iterator[TextIO]:
    """Let a file appear whole or not at all, so that nobody reads half a report; a device or a pipe is written as it is."""
    if place.exists() and not place.is_file():
        with place.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    part = place.with_name(place.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
