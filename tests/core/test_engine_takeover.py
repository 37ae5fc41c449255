"""What a run makes of the attempts that an earlier one left: their money, their places, their prices and their files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from batchgen.core.answers import Answer, Render, RenderStatus, Verdict
from batchgen.core.engine import Engine
from batchgen.core.facts import LiveAttempt
from batchgen.core.messages import AskStatus, Download, DueArrived, FetchDue, MoneyKind, OutputSaved, Record, Request, SendCreate, Step
from batchgen.core.model import Budget, Manifest, StopAfter
from batchgen.core.policy import Given
from batchgen.core.states import AttemptState, TaskState
from batchgen.errors import ExitCode
from tests.core.book import Book, calendar
from tests.core.test_engine_purchases import LOST, code
from tests.core.world import (
    FAST,
    LATENCY,
    START,
    Halfway,
    Run,
    Stage,
    World,
    a_book,
    a_task,
    bad,
    base_price,
    compose,
    drive,
    failed_render,
    no_dice,
    some_tasks,
)

ONE_BY_ONE = replace(FAST, in_flight=1)


def killed(where: str, *, writes: type[Record] | None = None, sends: type[Request] | None = None, nth: int = 1) -> Halfway:
    """Die at the step that writes the nth record of a type, or sends the nth request of one."""
    seen = 0

    def die(_: int, step: Step) -> str:
        nonlocal seen
        things: Iterable[object] = step.records if writes else step.requests
        seen += sum(isinstance(thing, writes or sends or ()) for thing in things)
        return where if seen >= nth else ""

    return die


def next_night(died: Run, world: World, stage: Stage | None = None, *, in_flight: int = FAST.in_flight) -> Run:
    """Drive the run after one that died, as a run of its own."""
    died.book.run += 1
    world.log.clear()
    return drive(died.book, world, replace(FAST, in_flight=in_flight), replace(stage or Stage(), now=died.now + 60.0))


# ---------------------------------------------------------------- money


def test_what_an_earlier_runs_attempt_holds_more_is_not_this_runs() -> None:
    """The server reserved more than was held, which this run learns: `per_run` counts it where its first hold is (the driver adds up)."""
    world = World(price=7)
    died = drive(a_book(some_tasks(1), Manifest("m", "m", Budget(per_run=50))), world, FAST, Stage(die=killed("sent", sends=SendCreate)))
    run = next_night(died, world)
    (attempt,) = run.book.of("t0")
    assert attempt.money == {MoneyKind.HOLD: 7, MoneyKind.CAPTURE: 7}
    assert [left.used for left in run.engine.glimpse().budgets] == [0]


def test_a_repeat_that_is_lost_and_then_refused_is_in_doubt() -> None:
    """The purchase of the run that died may have been made, whatever is said to its repeats."""
    died = drive(a_book(some_tasks(1)), World(), FAST, Stage(die=killed("sent", sends=SendCreate)))
    run = next_night(died, World().script(SendCreate, LOST, bad(Verdict.INVALID)))
    assert run.book.of("t0")[0].state is AttemptState.IN_DOUBT
    assert run.book.of("t0")[0].used == 5


# ---------------------------------------------------------------- prices


def test_a_price_that_an_earlier_run_did_not_learn_is_waited_for() -> None:
    """The repeat of the purchase that was to find it out goes alone, as the purchase did."""
    world = World()
    died = drive(a_book(some_tasks(3)), world, FAST, Stage(die=killed("sent", sends=SendCreate)))
    run = next_night(died, world)
    first, second, _ = run.world.times(SendCreate)
    assert second >= first + LATENCY
    assert code(run) is ExitCode.DONE


def test_a_render_that_is_only_fetched_keeps_no_price_waiting() -> None:
    """It will never say what it reserved, so the next purchase finds the price out."""
    world = World()

    def silent(request: SendCreate) -> Answer[object]:
        bought = world.buy(START, request.key, request.body)
        assert isinstance(bought.value, Render)
        return replace(bought, value=replace(bought.value, reserved=None))

    world.always[SendCreate] = silent
    world.always[AskStatus] = lambda r: Answer(Verdict.OK, Render(r.task_id, RenderStatus.SUCCEEDED, urls=("https://media.example/x",)))
    died = drive(a_book(some_tasks(3)), world, ONE_BY_ONE, Stage(die=killed("sent", sends=Download)))
    run = next_night(died, world)
    assert code(run) is ExitCode.DONE
    assert len(world.bought) == 3


# ---------------------------------------------------------------- places and failures


def test_failures_of_an_earlier_runs_renders_are_no_refusals() -> None:
    """Five of them, before this run's own purchase is answered, do not say that the manifest is wrong."""
    world = World()
    manifest = Manifest("m", "m", retries=0, stop_after=StopAfter(99, 1.0))
    died = drive(a_book(some_tasks(7), manifest), world, replace(FAST, in_flight=5), Stage(die=killed("sent", sends=AskStatus)))
    assert len(world.bought) == 5
    world.script(AskStatus, *[lambda r: failed_render(r.task_id)] * 5)
    run = next_night(died, world, Stage(delay=lambda r: 99.0 if isinstance(r, SendCreate) else LATENCY), in_flight=5)
    assert list(run.book.states.values()) == [TaskState.FAILED] * 5 + [TaskState.DONE] * 2


@pytest.mark.parametrize("old_fails", [False, True])
def test_a_changed_task_has_all_its_retries(old_fails: bool) -> None:
    """However the render of the old fingerprint ended, the new one may fail as often as the manifest says."""
    world = World()
    died = drive(a_book(some_tasks(1), Manifest("m", "m", retries=1)), world, FAST, Stage(die=killed("sent", sends=AskStatus)))
    died.book.adopt([a_task("t0", prompt="another")])

    def look(request: AskStatus) -> Answer[object]:
        fails = {"task_0": old_fails, "task_1": True}.get(request.task_id, False)
        return failed_render(request.task_id) if fails else Answer(Verdict.OK, world.look(START + 999.0, request.task_id))

    world.always[AskStatus] = look
    run = next_night(died, world)
    assert code(run) is ExitCode.DONE
    assert len(run.book.of("t0")) == 3


def test_an_attempt_that_is_only_asked_for_a_refund_keeps_its_task_from_nobody() -> None:
    """Its task is due again: it is bought in the same run."""
    task = a_task("t0")
    book = a_book([task])
    live = LiveAttempt(
        due=replace(book.due(FetchDue("m", -1, 9, "")).tasks[0], attempts=1, failures=1),
        wanted=True,
        key="bg-1",
        number=1,
        fingerprint=task.spec.fingerprint,
        body=b"{}",
        state=AttemptState.FAILED,
        task_state=TaskState.PENDING,
        submitted_at=START - 99.0,
        hold=5,
        price_key="kling-2-6?",
        day=calendar(START),
        this_run=False,
        task_id="task_1",
        reserved=5,
        final=5,
    )
    engine = Engine(replace(book.opening(START), live=(live,)), FAST, Given(base_price, compose, calendar, no_dice))
    (fetch,) = [request for request in engine.step(START, []).requests if isinstance(request, FetchDue)]
    step = engine.step(START + 1.0, [DueArrived(fetch, (live.due,), 0, last=True)])
    assert [type(request) for request in step.requests] == [SendCreate]


# ---------------------------------------------------------------- files


def test_a_file_that_an_earlier_run_saved_is_not_fetched_again() -> None:
    """Only what is missing of a render is; its document tells when the run learned of the render."""
    world = World(files=2)
    slow = Stage(die=killed("after", writes=OutputSaved), delay=lambda r: 9.0 if isinstance(r, Download) and r.index else LATENCY)
    died = drive(a_book(some_tasks(1)), world, FAST, slow)
    run = next_night(died, world)
    (again,) = [request for request in world.sent(Download) if isinstance(request, Download)]
    assert again.index == 1
    assert json.loads(again.sidecar)["rendered_at"] > json.loads(again.sidecar)["accepted_at"]
    assert code(run) is ExitCode.DONE


# ---------------------------------------------------------------- kept plans


def cut_at(book: Book, position: int, world: World, now: float = START) -> Run:
    """Drive a run whose kept plan ends at a position."""
    return drive(book, world, ONE_BY_ONE, Stage(now=now, cuts={"m": position}))


def test_a_run_ends_where_its_kept_plan_does() -> None:
    """Tasks from the cut on stay pending, and nothing is wrong with the run."""
    run = cut_at(a_book(some_tasks(4)), 2, World())
    assert list(run.book.states.values()) == [TaskState.DONE] * 2 + [TaskState.PENDING] * 2
    assert code(run) is ExitCode.DONE


def test_a_task_at_the_cut_is_not_bought_again() -> None:
    """An earlier run bought it; its render fails in this one, which was not agreed to buy it."""
    world = World()
    died = drive(a_book(some_tasks(1)), world, FAST, Stage(die=killed("sent", sends=AskStatus)))
    world.script(AskStatus, lambda r: failed_render(r.task_id))
    run = cut_at(died.book, 0, world, died.now + 60.0)
    assert run.book.states == {"t0": TaskState.PENDING}
    assert len(world.bought) == 1
