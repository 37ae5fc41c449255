"""`batchgen selftest`: prove the promises on this machine."""

from __future__ import annotations

import secrets
import time

import click

from batchgen.cli.group import closing
from batchgen.cli.options import Whole, facts, talk
from batchgen.cli.screen import Screen
from batchgen.errors import ExitCode
from batchgen.report.text import clean
from batchgen.selftest.proofs import FULL, QUICK, prove

SEEDS = 10**6


@click.command(
    "selftest",
    epilog=closing(
        "batchgen selftest --quick",
        ExitCode.DONE,
        ExitCode.SOME_FAILED,
        ExitCode.UNAVAILABLE,
        failed="a promise did not hold on this machine",
    ),
)
@click.option("--quick", is_flag=True, help="Some seconds instead of about a minute: fewer kills, fewer tasks.")
@click.option("--seed", type=Whole(min=0), metavar="N", help="Draw the same kills and faults again.")
@facts
@talk
@click.pass_obj
def command(screen: Screen, *, quick: bool, seed: int | None) -> ExitCode:
    """Prove the promises on this machine, against the sandbox, in temporary folders.

    Real processes are killed at their commits and at their requests, answers are lost, downloads are cut, a rate is
    held; then the server's bill, the ledger and the files are compared. Needs no key and costs nothing.
    """
    drawn = secrets.randbelow(SEEDS) if seed is None else seed
    begun, proofs = time.monotonic(), []
    for proof in prove(QUICK if quick else FULL, drawn):
        proofs.append(proof)
        line = f"{'holds' if proof.holds else 'BROKEN':<7} {proof.promise}: {clean(proof.saw)}"
        screen.say(line) if screen.json else screen.out(line)
    good = all(proof.holds for proof in proofs)
    if screen.json:
        listed = [{"promise": proof.promise, "holds": proof.holds, "saw": proof.saw} for proof in proofs]
        screen.document({"document": "batchgen.selftest/1", "seed": drawn, "holds": good, "proofs": listed})
    else:
        end = "every promise holds" if good else f"report this, with: batchgen selftest --seed {drawn}{' --quick' if quick else ''}"
        screen.out(f"{end} (seed {drawn}, {time.monotonic() - begun:.0f} s)")
    return ExitCode.DONE if good else ExitCode.SOME_FAILED
