"""`batchgen ledger`: prove the ledger's invariants, copy it while a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import FileName, Quiet, facts, quiet, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, settings_for, where
from batchgen.errors import ExitCode, UsageError
from batchgen.ledger.check import INVARIANTS
from batchgen.report.text import clean, counted


class Checking(Where, Quiet):
    """What `check` is told."""


class Copying(Where, Quiet):
    """What `backup` is told."""

    file: Path


CODES = (ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.WRONG_INPUT)
BROKEN = "a row of the ledger breaks an invariant"


@click.group("ledger", epilog=closing("batchgen ledger check", *CODES, failed=BROKEN))
def command() -> None:
    """Prove the ledger's invariants; copy it while a run goes on."""


@command.command("check", epilog=closing("batchgen ledger check", *CODES, failed=BROKEN))
@where
@quiet
@facts
@talk
@click.pass_obj
def check(screen: Screen, **options: Unpack[Checking]) -> ExitCode:
    """Prove the invariants on the ledger, and name every row that breaks one. Exit 1 if any does.

    It reads only, also while a run goes on.
    """
    broken = app.check_ledger(settings_for(screen, options))
    if screen.json:
        rows = [{"invariant": b.invariant, "row": b.row, "what": b.what} for b in broken]
        screen.document(
            {"document": "batchgen.ledger-check/1", "broken": rows, "invariants": {str(n): said for n, said in INVARIANTS.items()}}
        )
        return ExitCode.SOME_FAILED if broken else ExitCode.DONE
    for nth, said in INVARIANTS.items():
        bad = [b for b in broken if b.invariant == nth]
        if options["quiet"] and not bad:
            continue
        screen.out(f"{nth}  {'BROKEN' if bad else 'holds '}  {said}")
        for b in bad:
            screen.out(f"   {clean(b.row)}: {clean(b.what)}")
    if broken:
        said = f"{counted(len(broken), 'row')} {'breaks' if len(broken) == 1 else 'break'}"
        screen.say(f"{said} an invariant: buy nothing with this ledger before you know why.")
        screen.say("next: copy it (batchgen ledger backup FILE), then restore the newest backup for which `ledger check` holds")
    return ExitCode.SOME_FAILED if broken else ExitCode.DONE


@command.command("backup", epilog=closing("batchgen ledger backup ledger.bak", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.argument("file", type=FileName())
@where
@quiet
@talk
@click.pass_obj
def backup(screen: Screen, **options: Unpack[Copying]) -> ExitCode:
    """Copy the ledger to FILE, consistently, also while a run goes on. FILE must not exist yet."""
    settings = settings_for(screen, options)
    file = options["file"]
    if file.exists():
        raise UsageError(f"{file} exists already, and an older backup is never overwritten; name a file that does not")
    if not file.parent.is_dir():
        # Behind a volume that is not mounted, a folder made here would hold a backup that nobody finds again.
        raise UsageError(f"the folder of {file} does not exist; make it first, or mount it")
    app.backup_ledger(settings, file)
    if not options["quiet"]:
        screen.out(f"copied {clean(settings.ledger)} to {clean(str(file))}")
    return ExitCode.DONE
