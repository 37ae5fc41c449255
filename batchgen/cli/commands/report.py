"""`batchgen report`: what a run did; as a page to look at, or as CSV, JSON lines, JUnit XML or Parquet for other programs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import Quiet, Whole, facts, quiet, said, talk
from batchgen.cli.placing import bytes_place, text_place
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, advice_for, flags_of, settings_for, where
from batchgen.core.facts import TaskQuery
from batchgen.core.ports import Ledger
from batchgen.errors import ExitCode, UsageError
from batchgen.report.junit import write_junit
from batchgen.report.rows import write_csv, write_jsonl
from batchgen.report.status import run_document, summary_text
from batchgen.report.text import counted
from batchgen.report.views import MANY, View, find_run, look
from batchgen.settings import Settings


class Options(Where, Quiet):
    """What the command line says."""

    html_file: str | None
    embed: bool
    csv_file: str | None
    jsonl_file: str | None
    junit_file: str | None
    parquet_file: str | None
    run_id: int | None


CSV_BEGINS, JSONL_BEGINS, PARQUET_BEGINS = "manifest,task,", '{"manifest": ', b"PAR1"
JUNIT_BEGINS = '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="batchgen"'
PAGE_BEGINS = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy"'
"""How each of our files begins: it takes the place of one like it and of no other. Whoever changes one goes on taking the older: a cron
job writes tonight's page over the one that an older batchgen wrote."""


@click.command("report", epilog=closing("batchgen report --html report.html", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    callback=said,
    help="Write a page with every render to look at. It links to the renders beside it.",
)
@click.option("--embed", is_flag=True, help="With --html: put a still picture of each render inside the page. Needs the extra media.")
@click.option("--csv", "csv_file", metavar="FILE", callback=said, help="Write one row per task as CSV; - is stdout.")
@click.option("--jsonl", "jsonl_file", metavar="FILE", callback=said, help="Write one JSON object per task and line; - is stdout.")
@click.option("--junit", "junit_file", metavar="FILE", callback=said, help="Write one test case per task as JUnit XML; - is stdout.")
@click.option(
    "--parquet", "parquet_file", metavar="FILE", callback=said, help="Write one row per task as Parquet. Needs the extra parquet."
)
@click.option("--run", "run_id", type=Whole(min=1), metavar="ID", help="Only tasks of this run.")
@where
@quiet
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """Tell what the newest run did (or run ID), what it cost, what failed and why.

    With --html it is a page with every render. With the others it is one row per task: prompt, params, references,
    credits, ids, times, files, errors.
    """
    _check(screen, options)
    settings = settings_for(screen, options)
    with app.reading(settings) as ledger:
        find_run(ledger.runs(MANY), options["run_id"])
        for file, rows in _written(ledger, settings, options):
            if not options["quiet"]:
                screen.say(f"{rows} written to {'stdout' if file == '-' else file}")
        if screen.json or not (_files(options) or options["quiet"]):
            view, outputs = _view(ledger, settings, options), str(settings.outputs)
            if screen.json:
                screen.document(run_document(view, outputs))
            else:
                screen.out(summary_text(view, settings.local, outputs, host=socket.gethostname()))
    return ExitCode.DONE


def _files(options: Options) -> list[str]:
    """Return the files that are asked for."""
    named = (options["html_file"], options["csv_file"], options["jsonl_file"], options["junit_file"], options["parquet_file"])
    return [file for file in named if file]


def _check(screen: Screen, options: Options) -> None:
    """Refuse what cannot be done before anything is written. Raises UsageError."""
    if _files(options).count("-") + screen.json > 1:
        raise UsageError("only one document fits on stdout; give the other one a file")
    if options["html_file"] == "-":
        raise UsageError("--html needs a file: its links to the renders begin at the folder that it is in")
    if options["parquet_file"] == "-":
        raise UsageError("--parquet needs a file: it is no text")
    if options["embed"] and not options["html_file"]:
        raise UsageError("--embed puts pictures into a page; say which with --html FILE")
    if options["embed"]:
        _needs("av", "--embed", "media")
    if options["parquet_file"]:
        _needs("pyarrow", "--parquet", "parquet")


def _needs(module: str, option: str, extra: str) -> None:
    """Raise UsageError if a module is not installed, naming the extra that has it."""
    if find_spec(module) is None:
        raise UsageError(f"{option} needs {module}, which is not installed; install it with: pip install 'batchgen[{extra}]'")


def _written(ledger: Ledger, settings: Settings, options: Options) -> Iterator[tuple[str, str]]:
    """Write the files that are asked for, and yield each with what is in it."""
    query = TaskQuery(run=options["run_id"], removed=True)
    texts = (
        (options["csv_file"], write_csv, CSV_BEGINS),
        (options["jsonl_file"], write_jsonl, JSONL_BEGINS),
        (options["junit_file"], write_junit, JUNIT_BEGINS),
    )
    for file, write, begins in texts:
        if file:
            with text_place(file, begins) as stream:
                rows = write(ledger.tasks(query), stream)
            yield file, counted(rows, "row")
    if file := options["parquet_file"]:
        yield file, counted(_write_parquet(ledger, query, file), "row")
    if file := options["html_file"]:
        yield file, f"a page with {counted(_write_page(ledger, settings, options), 'task')}"


def _write_parquet(ledger: Ledger, query: TaskQuery, file: str) -> int:
    """Write Parquet. Returns the number of rows."""
    # Imported here because pyarrow is an extra, and slow to import.
    from batchgen.report.parquet import write_parquet  # noqa: PLC0415

    with bytes_place(file, PARQUET_BEGINS) as stream:
        return write_parquet(ledger.tasks(query), stream)


def _write_page(ledger: Ledger, settings: Settings, options: Options) -> int:
    """Write the page. Returns the number of tasks on it."""
    # Imported here because Jinja2 is slow to import, and PyAV, an extra, is slower still.
    from batchgen.report.page import Asked, Limits, folder_link, write_page  # noqa: PLC0415

    file = options["html_file"] or ""
    poster = None
    if options["embed"]:
        from batchgen.report.page.posters import posters  # noqa: PLC0415

        poster = posters(settings.outputs)
    asked = Asked(
        view=_view(ledger, settings, options),
        when=settings.local,
        limits=Limits(settings.requests_per_minute, settings.in_flight),
        folder=folder_link(settings.outputs, Path(file)),
        run=options["run_id"],
        poster=poster,
    )
    with text_place(file, PAGE_BEGINS) as stream:
        return write_page(ledger, asked, stream)


def _view(ledger: Ledger, settings: Settings, options: Options) -> View:
    return look(ledger, settings.calendar(time.time()), run=options["run_id"], advice=advice_for(settings, flags_of(options)))
