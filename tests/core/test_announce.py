"""What the end of a run is to those who are told of it."""

from __future__ import annotations

import pytest

from batchgen.core.announce import Announce, Occasion, occasion_of
from batchgen.core.messages import Ended
from batchgen.core.steering import DRAINED
from batchgen.core.submissions import MAX_TASKS, UNTIL
from batchgen.errors import ExitCode


@pytest.mark.parametrize(
    ("code", "reason", "occasion"),
    [
        (ExitCode.DONE, "", Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, UNTIL, Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, f"{MAX_TASKS} 5 is reached", Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, DRAINED, Occasion.SUCCESS),
        (ExitCode.STOPPED_EARLY, "the account has too few credits", Occasion.BUDGET),
        (ExitCode.IN_DOUBT, "", Occasion.IN_DOUBT),
        (ExitCode.SOME_FAILED, "", Occasion.FAILURE),
        (ExitCode.KEY_REFUSED, "", Occasion.FAILURE),
        (ExitCode.TERMINATED, "", Occasion.FAILURE),
    ],
)
def test_occasion(code: ExitCode, reason: str, occasion: Occasion) -> None:
    """An end that was asked for is a success, also with work left."""
    assert occasion_of(Ended(code, reason)) is occasion


@pytest.mark.parametrize("told", [{"urls": ("json://x",)}, {"ping": "https://x"}, {"metrics": "m.prom"}])
def test_silence(told: dict[str, object]) -> None:
    """One address is enough to break it; no repr shows one that may hold a token."""
    plan = Announce(**told)  # type: ignore[arg-type] # one field each
    assert Announce().silent
    assert not plan.silent
    assert "https" not in repr(plan)
    assert "json" not in repr(plan)
