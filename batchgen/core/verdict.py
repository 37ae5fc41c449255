"""How a run that was not stopped from outside has ended: the most urgent thing first."""

from __future__ import annotations

from collections.abc import Iterable

from batchgen.core.desk import Desk
from batchgen.core.lanes import Lane
from batchgen.core.messages import Ended
from batchgen.errors import ExitCode


def verdict(desk: Desk, lanes: Iterable[Lane]) -> Ended:
    """Return the exit code, its reason in words, and what work was left by as data."""
    code, reason = _most_urgent(desk, lanes)
    return Ended(code, reason, tuple(desk.stops))


def _most_urgent(desk: Desk, lanes: Iterable[Lane]) -> tuple[ExitCode, str]:
    if desk.undelivered:
        return ExitCode.UNAVAILABLE, desk.undelivered
    if desk.in_doubt:
        return ExitCode.IN_DOUBT, f"{desk.in_doubt} attempt{'s are' if desk.in_doubt != 1 else ' is'} in doubt"
    for lane in lanes:
        if lane.broken:
            return ExitCode.SOME_FAILED, f"manifest {lane.manifest.name} was stopped: {lane.stopped}"
    if desk.work_left:
        return ExitCode.STOPPED_EARLY, desk.work_left
    if desk.failed or desk.blocked:
        return ExitCode.SOME_FAILED, _counted(desk)
    return ExitCode.DONE, "everything asked for is done"


def _counted(desk: Desk) -> str:
    parts = []
    if desk.failed:
        parts.append(f"{desk.failed} task{'s' * (desk.failed != 1)} failed")
    if desk.blocked:
        parts.append(f"{desk.blocked} task{'s are' if desk.blocked != 1 else ' is'} blocked")
    return ", ".join(parts)
