"""A server that is busy for ever: the run ends with a word, and nothing is bought, lost or bought twice afterwards."""

from __future__ import annotations

import pytest

from batchgen.core.answers import Verdict
from batchgen.core.messages import SendCreate
from batchgen.core.policy import Policy
from batchgen.core.states import TaskState
from batchgen.errors import ExitCode
from tests.core.world import START, Stage, World, a_book, bad, drive, some_tasks

ONE_A_SECOND = Policy(requests_per_minute=60.0, in_flight=10)


@pytest.mark.parametrize("after", [None, 0.0, 60.0])
def test_429_for_ever(after: float | None) -> None:
    """After 15 minutes without one good answer the run says so, still within its rate; the next one buys each task once."""
    world = World()
    world.always[SendCreate] = lambda _: bad(Verdict.BUSY, "rate_limited", retry_after=after)
    run = drive(a_book(some_tasks(20)), world, ONE_A_SECOND, Stage(dice=lambda: 0.5))
    assert run.ended is not None
    assert run.ended.code is ExitCode.UNAVAILABLE
    assert 900.0 < run.now - START < 1100.0
    assert len(world.sent(SendCreate)) <= 1 + (run.now - START)
    assert len(world.bought) == 0
    world.always.clear()
    later = drive(run.book, world, ONE_A_SECOND, Stage(now=run.now + 3600.0))
    assert later.ended is not None
    assert later.ended.code is ExitCode.DONE
    assert set(later.book.states.values()) == {TaskState.DONE}
    assert len(world.bought) == 20
