"""The page, written piece by piece: however many tasks there are, only a few hundred of them are in memory.

The Content-Security-Policy names the one script and the one style by their SHA-256. So a prompt that found a way into the markup after
all could still run nothing, load nothing and send nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import count
from typing import TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import batchgen
from batchgen.core.facts import RunFacts, TaskQuery
from batchgen.core.states import TaskState
from batchgen.report.page.cards import Dealer, Poster, retry_command, script_json
from batchgen.report.page.charts import Limits, charts_of
from batchgen.report.page.night import Night, find_night
from batchgen.report.page.source import Source
from batchgen.report.status import what_next
from batchgen.report.text import When, clean, counted, number, span
from batchgen.report.views import MANY, View

SCRIPTS = ("make.js", "data.js", "media.js", "cards.js", "details.js", "trouble.js", "sheet.js", "start.js")
"""Joined in this order into one script; each file is one concern."""
STYLES = ("page.css", "sheet.css", "details.css", "night.css", "print.css")
FEW_PIECES = 200
"""Pieces of the template that are written together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page is about. `folder` is the link to the outputs' folder, `run` the run that it is limited to, if any."""

    view: View
    when: When
    limits: Limits
    folder: str
    run: int | None = None
    poster: Poster | None = None


def write_page(source: Source, asked: Asked, stream: TextIO) -> int:
    """Write the page. Returns the number of tasks on it."""
    view = asked.view
    counter = count()
    dealer = Dealer(asked.when, view.flags, {part.name: part.path for part in view.manifests}, asked.poster)
    tasks = source.tasks(TaskQuery(run=asked.run, removed=True))
    lines = (line for line, _ in zip(dealer.lines(tasks), counter, strict=False))
    template = _environment().get_template("page.html")
    pieces = template.stream(**_head(source, asked), tasks=map(Markup, lines))  # script_json has escaped them
    pieces.enable_buffering(FEW_PIECES)
    stream.writelines(pieces)
    return next(counter)


def _environment() -> Environment:
    """Return the templates, which escape whatever they are given and fail on what they are not."""
    return Environment(
        loader=PackageLoader("batchgen.report.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _head(source: Source, asked: Asked) -> dict[str, object]:
    """Return all that the template needs but the tasks."""
    view = asked.view
    runs = source.runs(MANY)
    night = find_night(source, runs, view.run if asked.run else None)
    script, style = _joined(SCRIPTS), _joined(STYLES)
    return {
        "policy": policy(script, style),
        "script": Markup(script),  # noqa: S704  our own file
        "style": Markup(style),  # noqa: S704  our own file
        "version": batchgen.__version__,
        "title": _title(view, asked.when),
        "lead": _lead(view),
        "figures": list(_figures(view, night)),
        "charts": charts_of(night, asked.limits, asked.when) if night else (),
        "night": _night_words(night, asked.when) if night else "",
        "manifests": view.manifests,
        "states": list(TaskState),
        "next": what_next(view),
        "about": Markup(script_json(_about(asked))),  # noqa: S704  script_json has escaped it
    }


def _about(asked: Asked) -> dict[str, object]:
    """Return what the script must know beside the tasks."""
    view = asked.view
    return {
        "folder": asked.folder,
        "run": asked.run,
        "retry": {part.name: retry_command(part.path, view.flags) for part in view.manifests},
    }


def policy(script: str, style: str) -> str:
    """Return the Content-Security-Policy: this script, this style, files from here, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src 'self' file: data:",  # data: for the posters inside the page
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _joined(names: tuple[str, ...]) -> str:
    folder = resources.files("batchgen.report.page") / "assets"
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
    return f'"use strict";\n{{\n{text}}}\n' if names is SCRIPTS else text


# ---------------------------------------------------------------- the words at the top


def _title(view: View, when: When) -> str:
    """Return the day of the run."""
    if view.run is None:
        return "Nothing was run yet"
    day = when(view.run.started_at)
    return f"{day:%A}, {day.day} {day:%B %Y}"


def _lead(view: View) -> str:
    """Say how the run ended."""
    run = view.run
    if run is None:
        return "The ledger is empty. The next run fills this page."
    begun = f"Run {run.id}" if run.asked.command == "run" else f"Run {run.id} ({clean(run.asked.command)})"
    if run.ended_at is None:
        return f"{begun} has not ended: process {run.pid} on {clean(run.host)} works on it, or was killed."
    return f"{begun} took {span(run.ended_at - run.started_at)}: {_reason(run)}."


def _reason(run: RunFacts) -> str:
    return clean(run.reason).rstrip(".") or f"exit {run.exit_code}"


def _figures(view: View, night: Night | None) -> Iterator[tuple[str, str, str]]:
    """Yield what, how much, and what that means."""
    money = view.money
    if view.manifests:
        done = sum(part.by_state.get(TaskState.DONE, 0) for part in view.manifests)
        yield "Tasks done", number(done), f"of {number(sum(sum(part.by_state.values()) for part in view.manifests))} in all"
    if night:
        yield "Renders this night", number(len(night.rendered)), f"of {counted(len(night.submitted), 'attempt')}"
        spent = number(round(night.spent[-1])) if night.spent else "0"
        yield "Credits this night", spent, f"{number(round(night.held[-1] if night.held else 0))} held"
    yield "Credits this month", number(money.captured_month), f"{number(money.held_month)} held"
    yield "Credits in all", number(money.captured), f"{number(money.held)} held"


def _night_words(night: Night, when: When) -> str:
    """Name the night that the charts show."""
    oldest, begun, over = night.runs[-1], when(night.begun), when(night.over)
    more = f" with {counted(len(night.runs) - 1, 'run')} that resumed it" if len(night.runs) > 1 else ""
    end = f"{over:%H:%M}" if over.date() == begun.date() else f"{over:%d %b %H:%M}"
    return f"Run {oldest.id}{more}, {begun:%d %b %H:%M} to {end}, times in {when(night.begun).tzname() or 'local time'}"
