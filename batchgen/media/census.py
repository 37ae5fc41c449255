"""Are the files that the ledger knows still there, and still what was saved?

Only the render that a task has now is looked at: older ones, that an edit of the manifest displaced, are the user's to keep.
"""

from __future__ import annotations

from pathlib import Path

from batchgen.core.facts import TaskQuery
from batchgen.core.losses import Census, Loss
from batchgen.core.model import Output
from batchgen.core.ports import Ledger
from batchgen.core.states import AttemptState
from batchgen.errors import Unavailable
from batchgen.media.part import hash_of
from batchgen.media.place import Shelf
from batchgen.media.trouble import Trouble, of_disk

MISSING = "missing"
DAMAGED = "damaged"


def look_for(outputs: Path, output: Output) -> str:
    """Say what is wrong with a file: '' if it is whole, MISSING, or DAMAGED (its size or its SHA-256 differs from the ledger's).

    Blocking, at the speed of the disk: every byte is read where the size is right. Raises Unavailable if it cannot be read.
    """
    try:
        path = Shelf(outputs).path(output.path)
        if not path.is_file():
            return MISSING
        whole = path.stat().st_size == output.size and hash_of(path) == output.sha256
    except Trouble as error:
        raise Unavailable(str(error)) from error
    except OSError as error:
        raise Unavailable(str(of_disk(error))) from error
    return "" if whole else DAMAGED


def take_census(ledger: Ledger, outputs: Path, wanted: TaskQuery) -> Census:
    """Look at every file of these tasks; memory grows with what is lost only. Raises Unavailable if one cannot be read."""
    files, losses = 0, list[Loss]()
    for task in ledger.tasks(wanted):
        attempt = task.latest
        if attempt is None or attempt.state is not AttemptState.SUCCEEDED:
            continue
        files += len(attempt.outputs)
        lost = tuple((output, why) for output in attempt.outputs if (why := look_for(outputs, output)))
        if lost:
            losses.append(Loss(task, lost))
    return Census(files, tuple(losses))
