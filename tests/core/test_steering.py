"""What a person says to a run that is going on: pause, go, drain, budget, rate."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from batchgen.core.engine import Engine
from batchgen.core.messages import AskStatus, ControlAsked, Download, FetchDue, SendCreate, SendUpload
from batchgen.core.pacing import HEADROOM, Pace
from batchgen.core.policy import Given
from batchgen.core.steering import DRAINED, PAUSED, Control, ControlKind
from batchgen.errors import ExitCode
from tests.core.book import calendar
from tests.core.world import FAST, START, Run, Stage, World, a_book, base_price, compose, drive, no_dice, reference, some_tasks

SLOW = replace(FAST, in_flight=2)
_ids = count(1)


def says(kind: ControlKind, value: float = 0.0) -> ControlAsked:
    """Make the event of what a person says."""
    return ControlAsked(Control(next(_ids), kind, value))


def code(run: Run) -> ExitCode | None:
    """Return how a run ended."""
    return run.ended.code if run.ended else None


PAUSE, GO, DRAIN = (says(kind) for kind in (ControlKind.PAUSE, ControlKind.GO, ControlKind.DRAIN))


def test_a_pause_buys_nothing_and_finishes_what_is_in_flight() -> None:
    """Between pause and go no purchase leaves; polls and downloads go on; then everything is done."""
    run = drive(a_book(some_tasks(9)), World(), SLOW, Stage(inject={30.0: PAUSE, 200.0: GO}))
    during = [at - START for at in run.world.times(SendCreate) if 30.0 < at - START < 200.0]
    assert not during
    for kind in (AskStatus, Download):
        assert any(30.0 < at - START < 200.0 for at in run.world.times(kind))
    assert (code(run), len(run.world.bought)) == (ExitCode.DONE, 9)
    assert run.book.controls == ["pause", "go"]


def test_a_paused_run_uploads_nothing() -> None:
    """A reference that is not on the server waits for the end of the pause, however often it failed before."""
    tasks = [*some_tasks(2), *some_tasks(4, reference("b"), prompt="with a file")]
    tasks = [replace(task, id=f"n{n}", position=n) for n, task in enumerate(tasks)]
    run = drive(a_book(tasks), World(), SLOW, Stage(inject={0.0: PAUSE, 100.0: GO}))
    assert [at for at in run.world.times(SendUpload) if 1.0 < at - START < 100.0] == []
    assert run.world.times(SendUpload)
    assert code(run) is ExitCode.DONE


def test_a_paused_run_ends_at_its_deadline() -> None:
    """--until ends a run that nobody lets go again; nothing else would wake it."""
    run = drive(a_book(some_tasks(9)), World(), replace(SLOW, until=START + 500.0), Stage(inject={30.0: PAUSE}))
    assert (code(run), run.now) == (ExitCode.STOPPED_EARLY, START + 500.0)
    assert run.ended is not None
    assert "--until" in run.ended.reason


def test_a_paused_run_with_nothing_left_ends() -> None:
    """A pause does not keep a run that has nothing more to buy."""
    assert code(drive(a_book(some_tasks(2)), World(), SLOW, Stage(inject={5.0: PAUSE}))) is ExitCode.DONE


def test_a_paused_run_says_so() -> None:
    """Whoever watches is told why nothing is bought."""
    book = a_book(some_tasks(2))
    engine = Engine(book.opening(START), SLOW, Given(base_price, compose, calendar, no_dice))
    step = engine.step(START, [PAUSE])
    assert [type(request) for request in step.requests] == [FetchDue]
    assert engine.glimpse().waiting_for == PAUSED
    engine.step(START + 1, [DRAIN])
    assert engine.glimpse().waiting_for == DRAINED


def test_a_drain_ends_with_work_left_and_nothing_wrong() -> None:
    """Nothing leaves after it; what is in the air lands; exit 3, and the next run goes on."""
    run = drive(a_book(some_tasks(9)), World(), SLOW, Stage(inject={30.0: DRAIN}))
    assert (code(run), run.ended and run.ended.reason) == (ExitCode.STOPPED_EARLY, DRAINED)
    assert all(at - START <= 30.0 for at, _ in run.world.log)
    run.book.run = 2
    assert code(drive(run.book, run.world, SLOW, Stage(now=run.now + 1))) is ExitCode.DONE
    assert len(run.world.bought) == 9


@pytest.mark.parametrize(("budget", "bought"), [(0, 2), (20, 4), (1000, 9)])
def test_a_budget_replaces_that_of_the_command_line(budget: int, bought: int) -> None:
    """Raised, it buys on; lowered, also below what is spent, it only stops buying."""
    run = drive(a_book(some_tasks(9)), World(), replace(SLOW, run_budget=30), Stage(inject={10.0: says(ControlKind.BUDGET, budget)}))
    assert len(run.world.bought) == bought
    assert code(run) is (ExitCode.DONE if bought == 9 else ExitCode.STOPPED_EARLY)
    assert run.book.controls == [f"budget {budget}"], "as it was typed"


def test_a_rate_counts_from_now() -> None:
    """A run at one request a minute goes on at a hundred a second as soon as it is told to."""
    policy = replace(FAST, requests_per_minute=1.0)
    run = drive(a_book(some_tasks(3)), World(), policy, Stage(inject={10.0: says(ControlKind.RATE, 6000)}))
    assert code(run) is ExitCode.DONE
    assert run.now - START < 60.0


def test_a_rate_does_not_shorten_what_the_server_asked_for() -> None:
    """A Retry-After, and an earlier run's last request, keep their instant."""
    pace = Pace(60.0, not_before=START + 5)
    pace.retune(6000.0, START)
    assert pace.next_at == START + 5
    until = pace.slow_down(START + 6, no_dice, after=30.0, sent_at=START + 6)
    pace.retune(0.1, START + 7)
    pace.retune(6000.0, START + 7)
    assert pace.next_at == until == START + 36
    assert pace.interval == 60.0 / 6000.0 / HEADROOM
