"""What several commands ask for. Imports nothing heavy, because every command imports this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


class Watched(TypedDict):
    """How a run is told about while it goes on."""

    quiet: bool
    log_format: str
    log_file: Path | None


def watched(function: F) -> F:
    """Add how a run is told about."""
    options = (
        click.option("--quiet", is_flag=True, help="Say nothing unless the exit code is not 0; --json still prints its document."),
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            help="json: one event a line, as schemas/log.schema.json says; it takes the place of the live view.",
        ),
        click.option(
            "--log-file",
            metavar="FILE",
            type=click.Path(path_type=Path),
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
    kind = click.Path(path_type=Path)
    return click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=kind)(function)
