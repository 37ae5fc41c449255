"""Which ledger and which account a command looks at: its settings."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

import click

from batchgen.catalogue import did_you_mean, shown
from batchgen.cli.options import said
from batchgen.cli.screen import Screen
from batchgen.core.address import without_password
from batchgen.core.ports import Ledger
from batchgen.errors import UsageError
from batchgen.report.views import Advice
from batchgen.sandbox.faults import Faults
from batchgen.settings import Flags, Settings, load

F = TypeVar("F", bound=Callable[..., object])


class Where(TypedDict):
    """Which ledger a command looks at."""

    ledger: str | None
    sandbox: bool


def where(function: F) -> F:
    """Add `--ledger` and `--sandbox`."""
    function = click.option("--sandbox", is_flag=True, help="The sandbox: its own ledger, its own renders, no key, no cost.")(function)
    return click.option("--ledger", metavar="LEDGER", callback=said, help="The ledger: a file or a SQLAlchemy URL.")(function)


def faults(function: F) -> F:
    """Add `--faults`."""
    text = "With --sandbox: what it shall do wrong, such as fail=0.1,429=0.05."
    return click.option("--faults", metavar="SPEC", help=text)(function)


def flags_of(where: Where) -> str:
    """Return what a command must be given to look at the same ledger, for advice that can be copied but for a password in it."""
    ledger = f" --ledger {shlex.quote(without_password(where['ledger']))}" if where["ledger"] else ""
    return ledger + (" --sandbox" if where["sandbox"] else "")


def settings_for(screen: Screen, where: Where, paths: Sequence[Path] = (), *, faults: str | None = None) -> Settings:
    """Load the settings of a command. Raises UsageError and ManifestError."""
    if faults and not where["sandbox"]:
        raise UsageError("--faults is for the sandbox only; add --sandbox")
    flags = Flags(ledger=where["ledger"], sandbox=where["sandbox"], faults=faults)
    settings = load(paths, flags, environ=screen.environ, cwd=_here())
    Faults.parse(settings.faults)  # raises UsageError now, and not in the middle of a run
    return settings


def advice_for(settings: Settings, flags: str) -> Advice:
    """Return what the commands that a report advises need, to be copied where it is read."""
    return Advice(flags, os.path.relpath(settings.workspace, _here()))


def refuse_unknown(ledger: Ledger, manifest: str) -> None:
    """Raise UsageError for a manifest's name that the ledger does not know; '' is none."""
    known = [facts.name for facts in ledger.manifests()] if manifest else []
    if manifest and manifest not in known:
        raise UsageError(f"the ledger has no manifest {shown(manifest)}; {did_you_mean(manifest, known) or 'it has none yet'}")


def _here() -> Path:
    """Return the current folder. Raises UsageError if it was deleted meanwhile."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder no longer exists; change into another one") from error
