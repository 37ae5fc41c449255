"""What several commands ask for. Imports nothing heavy, because every command imports this."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., object])
EMPTY = "it is empty; is a variable of the shell not set?"


class FileName(click.Path):
    """A path as it was typed: whoever opens it says what is wrong with it. An empty one is a mistake, never the current folder."""

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return a path."""
        if value == "":
            self.fail(EMPTY, param, ctx)
        return super().convert(value, param, ctx)


class Whole(click.IntRange):
    """A whole number as a person types it. `int` takes more: the digits of other scripts, `1_0`, and more than the ledger counts to."""

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,18}", value):
            self.fail(f"{value!r} is not a whole number such as 10.", param, ctx)
        return int(super().convert(int(value), param, ctx))


class Fraction(click.FloatRange):
    """A number as a person types it; `float` takes `nan` too, which is in every range."""

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            self.fail(f"{value!r} is not a number such as 2 or 0.5.", param, ctx)
        return float(super().convert(float(value), param, ctx))


def said(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Refuse an option that was given without a value (`--only "$UNSET"`): that is not the same as leaving it out; a callback."""
    if value == "" and context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
        raise click.BadParameter(EMPTY)
    return value


class Quiet(TypedDict):
    """Whether a command that did everything keeps silent."""

    quiet: bool


def quiet(function: F) -> F:
    """Add `--quiet`, for cron: what is said is mailed to somebody."""
    text = "Say nothing unless the exit code is not 0; --json still prints its document."
    return click.option("--quiet", is_flag=True, help=text)(function)


class Watched(Quiet):
    """How a run is told about while it goes on."""

    log_format: str
    log_file: Path | None


def watched(function: F) -> F:
    """Add how a run is told about."""
    options = (
        quiet,
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            help="json: one event a line, as schemas/log.schema.json says; it takes the place of the live view.",
        ),
        click.option(
            "--log-file",
            metavar="FILE",
            type=FileName(),
            help="Append the log to FILE too, which only its owner may read; a terminal keeps its live view.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def talk(function: F) -> F:
    """Add `--verbose`; `main` looks for it."""
    return click.option("--verbose", is_flag=True, expose_value=False, help="Tell every event of a run; show tracebacks.")(function)


def facts(function: F) -> F:
    """Add `--json`; `main` looks for it and tells the screen."""
    return click.option("--json", is_flag=True, expose_value=False, help="Print one JSON document on stdout.")(function)


def manifests(function: F) -> F:
    """Add `MANIFEST...`."""
    return click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=FileName())(function)
