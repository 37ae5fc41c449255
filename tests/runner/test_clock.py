"""Time: it never runs back, neither within a process nor from one run to the next."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from batchgen.core.facts import RunAsked
from batchgen.core.messages import Ended
from batchgen.errors import ExitCode
from batchgen.runner import SystemClock
from tests.runner.place import Place, empty_ledger


@dataclass
class Hands:
    """A clock's hands, moved by the test."""

    at: float

    def __call__(self) -> float:
        """Tell the time."""
        return self.at


def test_wall_clock_that_jumps() -> None:
    """Once started, the clock follows monotonic time: a wall clock that is set back or forth changes nothing."""
    wall, monotonic = Hands(1_800_000_000.0), Hands(50.0)
    clock = SystemClock(wall=wall, monotonic=monotonic)
    for jump in (-86_400.0, 86_400.0, 0.0):
        wall.at += jump
        monotonic.at += 1.0
        assert clock.now() == pytest.approx(1_800_000_000.0 + monotonic.at - 50.0, abs=1e-3)


@pytest.mark.parametrize("jump", [-3600.0, -86_400.0 * 365])
def test_wall_clock_set_back_between_runs(place: Place, jump: float) -> None:
    """A run that starts before the newest instant of the ledger goes on from there, so that no hold and no window becomes young again."""
    with empty_ledger(place.settings) as ledger:
        begun = ledger.begin_run(RunAsked("run"), resumes=None, at=1_800_000_000.0)
        ledger.end_run(begun.id, Ended(ExitCode.DONE, ""), 1_800_000_100.0)
        clock = SystemClock(ledger.newest(), wall=Hands(1_800_000_100.0 + jump), monotonic=Hands(7.0))
        assert clock.now() >= 1_800_000_100.0


def test_wall_clock_ahead(place: Place) -> None:
    """A wall clock that is right, or ahead, is believed."""
    with empty_ledger(place.settings) as ledger:
        ledger.begin_run(RunAsked("run"), resumes=None, at=1_800_000_000.0)
        clock = SystemClock(ledger.newest(), wall=Hands(1_800_000_500.0), monotonic=Hands(7.0))
        assert clock.now() == pytest.approx(1_800_000_500.0, abs=1e-3)
