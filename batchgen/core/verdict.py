"""How a run that was not stopped from outside has ended: the most urgent thing first."""

from __future__ import annotations

from collections.abc import Iterable

from batchgen.core.desk import Desk
from batchgen.core.lanes import Lane
from batchgen.core.messages import Ended
from batchgen.errors import ExitCode


def verdict(desk: Desk, lanes: Iterable[Lane]) -> Ended:
    """Return the exit code and its reason in words."""
    if desk.undelivered:
        return Ended(ExitCode.UNAVAILABLE, desk.undelivered)
    if desk.in_doubt:
        return Ended(ExitCode.IN_DOUBT, f"{desk.in_doubt} attempts are in doubt")
    for lane in lanes:
        if lane.broken:
            return Ended(ExitCode.SOME_FAILED, f"manifest {lane.manifest.name} was stopped: {lane.stopped}")
    if desk.work_left:
        return Ended(ExitCode.STOPPED_EARLY, desk.work_left)
    if desk.failed or desk.blocked:
        return Ended(ExitCode.SOME_FAILED, f"{desk.failed} tasks failed, {desk.blocked} are blocked")
    return Ended(ExitCode.DONE, "everything asked for is done")
