"""The rate over restarts, pauses that are too long to wait for, looks that yield to purchases, and the order of a night's end."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from batchgen.core.answers import Verdict
from batchgen.core.desk import Desk
from batchgen.core.engine import REMEMBER, Engine
from batchgen.core.flights import Flights
from batchgen.core.lanes import Lane
from batchgen.core.looks import RENDER_TIMES, Looks
from batchgen.core.messages import AskStatus, Download, FetchDue, SendCreate
from batchgen.core.model import Budget, Manifest
from batchgen.core.policy import AccountBudget, Given, Policy
from batchgen.core.pricing import Prices
from batchgen.core.retry import LONGEST_WAIT
from batchgen.errors import ExitCode
from tests.core.book import Book, calendar
from tests.core.test_engine_purchases import code
from tests.core.world import FAST, LATENCY, START, Stage, World, a_book, a_task, bad, base_price, compose, drive, no_dice, some_tasks

KNOWN = {"kling-2-6?": (100, 4.9, 0.24)}
"""Renders take 134 s, 60 to 300."""


def engine(book: Book, policy: Policy = FAST, **opening: object) -> Engine:
    """Make an engine whose opening says more than the book's."""
    changed = replace(book.opening(START), **opening)  # type: ignore[arg-type]  # the fields' own names
    return Engine(changed, policy, Given(base_price, compose, calendar, no_dice))


def begun(book: Book, policy: Policy = FAST, **opening: object) -> tuple[Engine, list[object]]:
    """Start an engine and hand it every page; return it with the requests that follow."""
    made = engine(book, policy, **opening)
    requests: list[object] = []
    step = made.step(START, [])
    while fetches := [r for r in step.requests if isinstance(r, FetchDue)]:
        step = made.step(START, [book.due(request) for request in fetches])
        requests += [r for r in step.requests if not isinstance(r, FetchDue)]
    return made, requests


def test_a_restart_keeps_its_distance() -> None:
    """The first request leaves one interval after the last of the run before, and not at once."""
    made, requests = begun(a_book(some_tasks(1)), Policy(requests_per_minute=60.0), last_request_by=START)
    assert not requests
    assert [type(r) for r in made.step(START + 1.05, []).requests] == [SendCreate]


def test_a_request_counts_from_when_it_left() -> None:
    """A commit that took half a second does not let the next request come too early."""
    tasks = [a_task("t0", position=0), a_task("t1", position=1, model="z-image")]
    made, requests = begun(a_book(tasks), Policy(requests_per_minute=60.0))
    assert len(requests) == 1
    made.sent(START + 0.4)
    made.left(START + 0.4, START + 0.5)
    assert not made.step(START + 1.2, []).requests
    assert made.step(START + 1.52, []).requests


@pytest.mark.parametrize("verdict", [Verdict.BUSY, Verdict.LOST])
@pytest.mark.parametrize("wait", [LONGEST_WAIT + 600.0, 315e6])
def test_a_pause_too_long_to_wait_for_ends_the_run(wait: float, verdict: Verdict) -> None:
    """A Retry-After of more than an hour, also of a 503, ends the run with exit 6 and says until when; the next one obeys it too."""
    world = World().script(SendCreate, bad(verdict, "rate_limited", wait))
    run = drive(a_book(some_tasks(3)), world)
    assert code(run) is ExitCode.UNAVAILABLE
    assert run.ended is not None
    assert "nothing be sent before 20" in run.ended.reason
    assert run.now < START + 60.0
    again = drive(run.book, world, stage=Stage(now=run.now + 60.0))
    assert code(again) is ExitCode.UNAVAILABLE
    assert not world.bought
    later = drive(run.book, world, stage=Stage(now=run.now + 12 * 3600.0 + 60.0))
    assert code(later) is ExitCode.DONE
    assert len(world.bought) == 3


def test_a_finished_manifest_does_not_mind_a_pause() -> None:
    """What sends nothing waits for nothing."""
    book = a_book([])
    book.not_before = START + 86_400.0
    assert code(drive(book)) is ExitCode.DONE


def test_an_hour_is_waited_for() -> None:
    """A Retry-After up to an hour is slept through."""
    world = World().script(SendCreate, bad(Verdict.BUSY, "rate_limited", 3000.0))
    run = drive(a_book(some_tasks(1)), world)
    assert code(run) is ExitCode.DONE
    assert world.times(SendCreate)[1] >= START + 3000.0


def test_purchases_go_before_looks_that_may_be_wasted() -> None:
    """While something is left to buy, a render is looked at only once it is nearly surely done; but then it has its turn."""
    world = World(render_time=130.0)
    policy = Policy(requests_per_minute=60.0, in_flight=1000)
    run = drive(a_book(some_tasks(600)), world, policy, Stage(render_times=KNOWN))
    assert code(run) is ExitCode.DONE
    creates, looks = world.times(SendCreate), world.times(AskStatus)
    assert sum(at < creates[-1] for at in looks) > 10
    assert min(looks) > START + 300.0
    assert len(looks) < 1.05 * 600


def test_what_was_learned_is_written_down() -> None:
    """With a transaction that is due anyway; the newest has it all."""
    book = a_book(some_tasks(12))
    run = drive(book, World(render_time=90.0), Policy(requests_per_minute=600.0))
    assert code(run) is ExitCode.DONE
    notes = [note for note in book.notes if note.event == RENDER_TIMES]
    assert 1 <= len(notes) <= 4
    assert json.loads(notes[-1].detail)["kling-2-6?"][0] >= 10
    assert 85.0 < math.exp(json.loads(notes[-1].detail)["kling-2-6?"][1]) < 100.0, "seconds"


def test_what_was_learned_is_written_once_a_minute_and_at_the_end() -> None:
    """Not with every commit: a run of ten thousand renders would write as many notes as it has renders."""
    book = a_book(some_tasks(20))
    run = drive(book, World(render_time=90.0), replace(FAST, in_flight=10, requests_per_minute=30.0))
    assert code(run) is ExitCode.DONE
    notes = [note for note in book.notes if note.event == RENDER_TIMES]
    assert 2 <= len(notes) <= 2 + (run.now - START) / REMEMBER
    assert notes[-1].at == run.now, "the end has it all"
    assert drive(a_book(some_tasks(1)), World(render_time=90.0)).book.noted(RENDER_TIMES) == 1


def test_a_run_that_has_done_everything_does_not_wait_for_the_rate() -> None:
    """It ends with its last file, also where the next request could leave only in a minute."""
    world = World()
    run = drive(a_book(some_tasks(1)), world, Policy(requests_per_minute=1.0))
    assert code(run) is ExitCode.DONE
    assert run.now == world.times(Download)[-1] + LATENCY


MIXED = {"a?": (50, 3.0, 0.1), "b?": (50, 5.0, 0.1)}


def order(policy: Policy = FAST, **header: object) -> list[str]:
    """Return the models in the order of their purchase, where b's renders take longer than a's and prices are known."""
    tasks = [a_task(f"t{n}", position=n, model="ab"[n % 2]) for n in range(6)]
    book = a_book(tasks, Manifest("m", "m.yaml", **header))  # type: ignore[arg-type]  # the Manifest's own names
    world = World()
    drive(book, world, replace(policy, in_flight=100), Stage(render_times=MIXED, prices={"a?": 5, "b?": 5}))
    return [str(json.loads(request.body)["model"]) for request in world.sent(SendCreate) if isinstance(request, SendCreate)]


def test_the_longest_renders_go_first() -> None:
    """Where every task will be bought anyway, so that the night ends early; but each model's price is confirmed by one task alone."""
    assert "".join(order()) == "babbaa"


@pytest.mark.parametrize(
    ("policy", "header"),
    [
        (Policy(max_tasks=6), {}),
        (Policy(until=START + 9e6), {}),
        (Policy(account=AccountBudget(keep_balance=1)), {}),
        (FAST, {"budget": Budget(total=29)}),
        (FAST, {"canary": 2}),
    ],
)
def test_the_order_stands_where_it_decides_something(policy: Policy, header: dict[str, object]) -> None:
    """With a limit that may leave tasks out, or canaries, tasks are bought in the manifest's order."""
    assert "".join(order(policy, **header)).startswith("abab")


def test_a_render_that_was_left_loses_its_turn() -> None:
    """What was queued for a look and then left to the next run is passed over."""
    book = a_book(some_tasks(2))
    drive(book, World(), FAST, Stage(die=lambda n, _: "sent" if n == 6 else ""))
    desk = Desk.__new__(Desk)
    desk.prices, desk.looks, desk.now = Prices(base_price, {}), Looks(FAST.poll, {}), START
    flights, lane = Flights(desk), Lane(book.manifests["m"])
    for fact in book.opening(START).live:
        flights.resume(fact, lane)
    first, second = flights.lives()
    flights.wake()
    flights.leave(first)
    assert flights.next_poll(sure=False) == AskStatus(second.key, second.task_id)
