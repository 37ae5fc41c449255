"""What several commands ask for. Imports nothing heavy, because every command imports this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def talk(function: F) -> F:
    """Add `--verbose`; `main` looks for it."""
    return click.option("--verbose", is_flag=True, expose_value=False, help="Show tracebacks.")(function)


def facts(function: F) -> F:
    """Add `--json`; `main` looks for it and tells the screen."""
    return click.option("--json", is_flag=True, expose_value=False, help="Print one JSON document on stdout.")(function)


def manifests(function: F) -> F:
    """Add `MANIFEST...`."""
    kind = click.Path(path_type=Path)
    return click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=kind)(function)
