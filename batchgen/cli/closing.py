"""The end of `run` and `resume`: the summary, out of the ledger, and the exit code."""

from __future__ import annotations

import time

from batchgen import app
from batchgen.cli.screen import Screen
from batchgen.cli.where import advice_for
from batchgen.core.messages import Ended
from batchgen.errors import ExitCode
from batchgen.report.status import run_document, summary_text
from batchgen.report.views import look_back
from batchgen.settings import Settings


def conclude(screen: Screen, settings: Settings, ended: Ended, *, flags: str, quiet: bool = False) -> ExitCode:
    """Tell what the run did, and return its exit code. `quiet` keeps the summary of a run that did everything to itself."""
    screen.wipe()
    # From here on the code is certain, even if nobody reads the summary.
    screen.code = ended.code
    if quiet and ended.code is ExitCode.DONE and not screen.json:
        return ended.code
    with app.reading(settings) as ledger:
        view = look_back(ledger, settings.calendar(time.time()), advice_for(settings, flags))
    outputs = str(settings.outputs)
    screen.document(run_document(view, outputs)) if screen.json else screen.out(summary_text(view, settings.local, outputs))
    return ended.code
