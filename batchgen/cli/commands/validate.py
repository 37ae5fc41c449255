"""`batchgen validate`: check manifests offline."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.catalogue import Catalogue
from batchgen.cli.busy import busy
from batchgen.cli.group import closing
from batchgen.cli.options import facts, manifests, quiet, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, settings_for
from batchgen.errors import ExitCode, ManifestError
from batchgen.manifest import check
from batchgen.report.check import checked_document, checked_text, problems_document


@click.command("validate", epilog=closing("batchgen validate manifests/", ExitCode.DONE, ExitCode.WRONG_INPUT))
@manifests
@quiet
@facts
@talk
@click.pass_obj
def command(screen: Screen, manifests: tuple[Path, ...], *, quiet: bool) -> ExitCode:
    """Check manifests offline, and say everything that is wrong with them at once.

    MANIFEST is a file, or a folder whose manifests are all taken.
    """
    settings_for(screen, Where(ledger=None, sandbox=False), manifests)  # batchgen.yaml is checked with them
    try:
        with busy(screen, quiet=quiet) as sight:
            checked = check(manifests, Catalogue.shipped(), keep=False, sight=sight)
    except ManifestError as error:
        if screen.json:
            screen.document(problems_document(error.problems))
        raise
    if screen.json:
        screen.document(checked_document(checked.manifests))
    elif not quiet:
        screen.out(checked_text(checked.manifests))
    return ExitCode.DONE
