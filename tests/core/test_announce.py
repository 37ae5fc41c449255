"""What the end of a run is to those who are told of it."""

from __future__ import annotations

import pytest

from batchgen.core.announce import Announce, Occasion, occasion_of
from batchgen.core.messages import Ended
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode


@pytest.mark.parametrize(
    ("code", "kinds", "occasion"),
    [
        (ExitCode.DONE, (), Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, (StopKind.UNTIL, StopKind.UNTIL), Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, (StopKind.MAX_TASKS,), Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, (StopKind.DRAIN,), Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, (StopKind.FUNDS,), Occasion.BUDGET),
        (ExitCode.STOPPED_EARLY, (StopKind.UNTIL, StopKind.LATER), Occasion.BUDGET),
        (ExitCode.STOPPED_EARLY, (), Occasion.BUDGET),
        (ExitCode.IN_DOUBT, (), Occasion.IN_DOUBT),
        (ExitCode.SOME_FAILED, (), Occasion.FAILURE),
        (ExitCode.KEY_REFUSED, (), Occasion.FAILURE),
        (ExitCode.TERMINATED, (), Occasion.FAILURE),
    ],
)
def test_occasion(code: ExitCode, kinds: tuple[StopKind, ...], occasion: Occasion) -> None:
    """An end that was asked for is a success, also with work left; whatever its reason says in words."""
    assert occasion_of(Ended(code, "--max-tasks", tuple(map(Stop, kinds)))) is occasion


@pytest.mark.parametrize("told", [{"urls": ("json://x",)}, {"ping": "https://x"}, {"metrics": "m.prom"}])
def test_silence(told: dict[str, object]) -> None:
    """One address is enough to break it; no repr shows one that may hold a token."""
    plan = Announce(**told)  # type: ignore[arg-type] # one field each
    assert Announce().silent
    assert not plan.silent
    assert "https" not in repr(plan)
    assert "json" not in repr(plan)
