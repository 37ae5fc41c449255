"""A server that is busy for ever: the run ends with a word, and nothing is bought, lost or bought twice afterwards."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from batchgen.core.answers import Verdict
from batchgen.core.messages import AskBalance, AskStatus, SendCreate, SendUpload
from batchgen.core.policy import AccountBudget, Policy
from batchgen.core.states import TaskState
from batchgen.errors import ExitCode
from tests.core.world import LATENCY, START, Stage, World, a_book, bad, drive, reference, some_tasks

LOST = bad(Verdict.LOST, "timeout")
KEEP = Policy(requests_per_minute=6000.0, account=AccountBudget(keep_balance=10))
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


@pytest.mark.parametrize("kind", [SendUpload, SendCreate, AskStatus, AskBalance])
def test_pauses_double(kind: type) -> None:
    """A question without an answer is asked again after 1, 2, 4, 8 seconds at most; the time in which its answer was lost not counted."""
    world = World().script(kind, *[LOST] * 4)
    drive(a_book(some_tasks(1, reference())), world, KEEP, Stage(dice=lambda: 1.0))
    pauses = [after - before - LATENCY for before, after in pairwise(world.times(kind)[:5])]
    assert pauses == pytest.approx([1.0, 2.0, 4.0, 8.0], abs=0.05)


@pytest.mark.parametrize("kind", [AskStatus, AskBalance])
def test_pauses_start_over(kind: type) -> None:
    """After an answer the next trouble is a first one."""
    world = World(render_time=60.0).script(kind, LOST, LOST, None, LOST)
    drive(a_book(some_tasks(4, reference())), world, replace(KEEP, in_flight=1), Stage(dice=lambda: 1.0))
    first, _, _, lost, again, *_ = world.times(kind)
    assert lost > first + 5.0
    assert again - lost - LATENCY == pytest.approx(1.0, abs=0.05)


@pytest.mark.usefixtures("in_tokyo")
@pytest.mark.parametrize("kind", [SendUpload, SendCreate, AskStatus])
def test_a_run_does_not_wait_for_hours(kind: type) -> None:
    """Whatever there is left to do, buying or only looking, the run ends and tells from when on, to the minute, in UTC."""
    world = World().script(kind, bad(Verdict.BUSY, "rate_limited", retry_after=7200.0))
    run = drive(a_book(some_tasks(1, reference())), world)
    assert run.now < START + 60.0
    assert run.ended is not None
    assert run.ended.reason == "the service asks that nothing be sent before 2027-01-15 10:01 UTC"
