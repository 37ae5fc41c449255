"""Budgets, prices, places in flight, canaries and breakers: what must not be bought, and how a run ends because of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from batchgen.core.answers import Answer, Balance, Render, RenderStatus, Verdict
from batchgen.core.messages import AskBalance, AskStatus, DiskTrouble, Download, FetchDue, SendCreate, SendUpload, StopAsked, StopReason
from batchgen.core.model import Budget, Manifest, Spec, StopAfter
from batchgen.core.policy import AccountBudget, Policy, Quote
from batchgen.core.pricing import price_key
from batchgen.core.states import TaskState
from batchgen.errors import ExitCode
from tests.core.book import Book
from tests.core.test_engine_purchases import code
from tests.core.world import (
    FAST,
    START,
    Run,
    Stage,
    World,
    a_book,
    a_task,
    bad,
    dies_at,
    drive,
    failed_render,
    reference,
    some_tasks,
    trouble,
)

SLOW = replace(FAST, requests_per_minute=60.0)


def used(run: Run) -> int:
    """Return the most that was committed or held at any commit."""
    return max(credits for _, credits in run.budgets)


@pytest.mark.parametrize(
    ("budget", "policy"),
    [
        (Budget(total=22), FAST),
        (Budget(per_run=22), FAST),
        (Budget(per_day=22), FAST),
        (Budget(), replace(FAST, run_budget=22)),
        (Budget(), replace(FAST, account=AccountBudget(per_day=22))),
        (Budget(), replace(FAST, account=AccountBudget(per_month=22))),
    ],
)
def test_no_budget_is_exceeded(budget: Budget, policy: Policy) -> None:
    """Each budget is used as far as whole tasks fit, and no further; exit 3 names it."""
    run = drive(a_book(some_tasks(9), Manifest("m", "m", budget)), World(), policy)
    assert used(run) == 20
    assert len(run.world.bought) == 4
    assert code(run) is ExitCode.STOPPED_EARLY
    assert run.ended is not None
    assert "22 credits" in run.ended.reason


def test_a_refund_is_spent_again_also_in_the_last_step() -> None:
    """A budget of one task, a first render that fails: the retry is bought, at any rate of requests."""
    for policy in (FAST, SLOW, replace(FAST, requests_per_minute=7.0)):
        world = World().script(AskStatus, lambda r: failed_render(r.task_id))
        run = drive(a_book(some_tasks(1), Manifest("m", "m", Budget(total=5))), world, policy)
        assert code(run) is ExitCode.DONE
        assert len(run.book.of("t0")) == 2


def test_a_day_ends_during_a_run() -> None:
    """per_day allows the same again on the next day; what is in flight belongs to the day of its hold."""
    budget = Manifest("m", "m", Budget(per_day=10))
    midnight = START - START % 86400 + 86400
    run = drive(a_book(some_tasks(9), budget), World(render_time=50.0), SLOW, Stage(now=midnight - 30.0))
    assert len(run.world.bought) == 4
    assert code(run) is ExitCode.STOPPED_EARLY


def test_the_next_run_goes_on_where_a_budget_stopped() -> None:
    """per_run allows a new run the same again; total does not."""
    for budget, bought in ((Budget(per_run=10), 4), (Budget(total=10), 2)):
        run = drive(a_book(some_tasks(9), Manifest("m", "m", budget)))
        run.book.run = 2
        drive(run.book, run.world)
        assert len(run.world.bought) == bought


def test_budgets_of_two_manifests_hold_together() -> None:
    """--budget counts all manifests of the run; each manifest's own counts only itself."""
    tasks = [*some_tasks(9), *(replace(t, id=f"n{t.position}", manifest="n") for t in some_tasks(9))]
    book = a_book(tasks, Manifest("m", "m", Budget(total=10)), Manifest("n", "n"))
    run = drive(book, World(), replace(FAST, run_budget=40))
    spent = [sum(a.used for t in tasks if t.manifest == name for a in run.book.of(t.id)) for name in "mn"]
    assert spent == [10, 30]


def test_keep_balance() -> None:
    """Nothing is bought that would leave less on the server than keep_balance; the balance is asked for first."""
    policy = replace(FAST, account=AccountBudget(keep_balance=90))
    world = World()
    world.always[AskBalance] = lambda _: Answer(Verdict.OK, Balance(107 - 5 * len(world.bought)))
    run = drive(a_book(some_tasks(9)), world, policy)
    assert len(world.bought) == 3
    assert world.times(AskBalance)[0] <= world.times(SendCreate)[0]
    assert code(run) is ExitCode.STOPPED_EARLY
    assert run.ended is not None
    assert "keep_balance 90" in run.ended.reason


def test_keep_balance_never_asks_more_than_attempts_end() -> None:
    """One question at the start and at most one for each attempt that ended."""
    world = World(balance=100)
    run = drive(a_book(some_tasks(9)), world, replace(FAST, account=AccountBudget(keep_balance=90)))
    assert len(world.sent(AskBalance)) <= 1 + len(world.bought)
    assert code(run) is ExitCode.DONE, "the balance of this server never falls"


# ---------------------------------------------------------------- prices


def test_the_first_task_of_an_unseen_price_goes_alone() -> None:
    """Nothing of its model follows before its reserved_credits is known: a surprise costs at most one task."""
    world = World(price=50, latency=3.0)
    run = drive(a_book(some_tasks(9), Manifest("m", "m", Budget(total=60))), world)
    assert len(world.bought) == 1
    assert used(run) == 50
    assert code(run) is ExitCode.STOPPED_EARLY


def test_a_price_that_rose_since_the_last_run_costs_one_surprise() -> None:
    """What an earlier run saw is confirmed by one task alone, so a budget is not exceeded by all that would have been in flight."""
    seen = Stage(prices={"kling-2-6?": 5})
    run = drive(a_book(some_tasks(9), Manifest("m", "m", Budget(total=60))), World(price=50, latency=3.0), FAST, seen)
    assert used(run) == 50
    assert code(run) is ExitCode.STOPPED_EARLY


def test_a_price_that_rose_is_believed_of_no_other_params() -> None:
    """Once one price of a model proves too low, each of its others goes alone again."""
    tasks = [a_task(f"t{n}", position=n, params={"duration": str(n % 3)}) for n in range(9)]
    seen = Stage(prices={f"kling-2-6?duration={n}": 5 for n in range(3)})
    world = World(price=50, latency=3.0)
    drive(a_book(tasks), world, FAST, seen)
    sent = [(at, json.loads(request.body)["params"]["duration"]) for at, request in world.log if isinstance(request, SendCreate)]
    first = [min(at for at, duration in sent if duration == str(n)) for n in range(3)]
    assert first[1] >= first[0] + 3.0
    assert first[2] >= first[1] + 3.0


def test_a_price_is_confirmed_even_if_the_server_does_not_say_what_it_reserves() -> None:
    """There would be nothing to wait for but the end of a render: the others follow once one was accepted."""
    world = World(render_time=500.0, latency=1.0)

    def silent(request: SendCreate) -> Answer[object]:
        render = world.buy(START, request.key, request.body).value
        assert isinstance(render, Render)
        return Answer(Verdict.OK, replace(render, reserved=None))

    world.always[SendCreate] = silent
    run = drive(a_book(some_tasks(3)), world, FAST, Stage(prices={"kling-2-6?": 5}))
    times = world.times(SendCreate)
    assert START + 1.0 <= times[1] <= times[2] < START + 5.0
    assert code(run) is ExitCode.DONE


def test_what_an_earlier_run_bought_confirms_no_price() -> None:
    """A repeat is answered with what the purchase cost when it was made: the first new purchase goes alone all the same."""
    world = World(latency=3.0)
    died = drive(a_book(some_tasks(9)), world, FAST, Stage(die=dies_at(2, "sent"), prices={"kling-2-6?": 5}))
    (key,) = died.book.attempts
    world.price = 50
    drive(died.book, world, FAST, Stage(now=START + 60.0))
    sent = [(at, request.key) for at, request in world.log if isinstance(request, SendCreate)]
    bought = [at for at, sent_key in sent if sent_key != key]
    assert [sent_key for _, sent_key in sent].count(key) == 2
    assert bought[1] >= bought[0] + 3.0


def test_a_server_that_does_not_say_what_it_reserves() -> None:
    """Without reserved_credits, or with 0, the price is known at the end: until then tasks go one by one, and 0 is no price."""
    for reserved in (None, 0):
        world = World()
        queued = [Answer(Verdict.OK, Render(f"x{n}", RenderStatus.QUEUED, reserved=reserved, final=0)) for n in range(4)]
        world.script(SendCreate, *queued)
        done = iter(range(99))
        world.always[AskStatus] = lambda r, d=done: Answer(
            Verdict.OK, Render(r.task_id, RenderStatus.SUCCEEDED, reserved=0, final=30, urls=(f"https://media.example/{next(d)}",))
        )
        run = drive(a_book(some_tasks(4), Manifest("m", "m", Budget(total=70))), world)
        times = world.times(SendCreate)
        assert times[1] > world.times(AskStatus)[0]
        assert len(times) == 2, "30 + 30 of 70"
        assert used(run) == 60


def test_different_prices_of_one_model_are_found_one_after_another() -> None:
    """One surprise at a time for each model; another model does not wait."""
    tasks = [a_task(f"t{n}", position=n, params={"duration": str(n)}) for n in range(3)]
    tasks.append(a_task("z", position=3, model="z-image"))
    world = World(latency=1.0)
    drive(a_book(tasks), world)
    ordered = world.times(SendCreate)
    assert ordered[1] < START + 1.0, "the other model"
    assert ordered[2] >= START + 1.0
    assert ordered[3] >= START + 2.0


def test_parked_tasks_go_on_when_the_finder_of_the_price_is_left() -> None:
    """An attempt that this run leaves does not keep the others of its price waiting for ever."""
    world = World(render_time=1.0)
    world.script(SendCreate, Answer(Verdict.OK, Render("slow", RenderStatus.QUEUED)))
    real = world.look
    world.always[AskStatus] = lambda r: Answer(
        Verdict.OK, Render("slow", RenderStatus.PROCESSING) if r.task_id == "slow" else real(START + 99999.0, r.task_id)
    )
    run = drive(a_book(some_tasks(3)), world)
    assert run.book.states == {"t0": TaskState.RENDERING, "t1": TaskState.DONE, "t2": TaskState.DONE}
    assert code(run) is ExitCode.STOPPED_EARLY


def test_a_stated_price_is_held_even_if_the_last_one_was_lower() -> None:
    """Never less is held than the settings state."""

    def stated(spec: Spec) -> Quote:
        return Quote(price_key(spec.model, spec.params), 8, stated=True)

    run = drive(a_book(some_tasks(3)), World(), FAST, Stage(quoter=stated))
    assert [a.first_hold for a in run.book.attempts.values()] == [8, 8, 8]
    assert [a.used for a in run.book.attempts.values()] == [5, 5, 5]


# ---------------------------------------------------------------- the reason


@pytest.mark.parametrize(
    ("bad_uploads", "bad_renders", "reason"),
    [(0, 1, "1 task failed"), (0, 2, "2 tasks failed"), (1, 1, "1 task failed, 1 task is blocked"), (2, 0, "2 tasks are blocked")],
)
def test_the_reason_counts_what_there_is(bad_uploads: int, bad_renders: int, reason: str) -> None:
    """What did not happen is not told."""
    tasks = [a_task(f"b{n}", reference("a"), position=n) for n in range(bad_uploads)]
    tasks += [a_task(f"f{n}", position=bad_uploads + n) for n in range(bad_renders)]
    world = World()
    world.always[SendUpload] = lambda _: bad(Verdict.INVALID)
    world.always[AskStatus] = lambda r: failed_render(r.task_id)
    run = drive(a_book(tasks, Manifest("m", "m", retries=0)), world)
    assert run.ended is not None
    assert run.ended.reason == reason


# ---------------------------------------------------------------- places


def most_in_flight(run: Run, life: float) -> int:
    """Return the most creates within any `life` seconds: that many were on the server at once."""
    return most_in_flight_at(run.world.times(SendCreate), life)


def most_in_flight_at(times: list[float], life: float) -> int:
    """Return the most of these instants within any `life` seconds."""
    return max(sum(at <= other < at + life for other in times) for at in times)


@pytest.mark.parametrize(("policy", "manifest"), [(replace(FAST, in_flight=3), None), (FAST, 3)])
def test_places_in_flight(policy: Policy, manifest: int | None) -> None:
    """Never more tasks on the server than in_flight allows, of the run and of each manifest."""
    run = drive(a_book(some_tasks(20), Manifest("m", "m", in_flight=manifest)), World(), policy)
    assert most_in_flight(run, 20.0) == 3
    assert code(run) is ExitCode.DONE


def test_an_attempt_in_doubt_gives_back_one_place() -> None:
    """The others go on one by one."""
    run = drive(a_book(some_tasks(4)), World().script(SendCreate, bad(Verdict.CONFLICT)), replace(FAST, in_flight=1))
    first, *others = run.world.times(SendCreate)
    assert others[0] > first
    assert most_in_flight_at(others, 20.0) == 1


def test_manifests_take_turns() -> None:
    """Two manifests share the places evenly."""
    tasks = [*some_tasks(20), *(replace(t, id=f"n{t.position}", manifest="n") for t in some_tasks(20, model="z"))]
    run = drive(a_book(tasks, Manifest("m", "m"), Manifest("n", "n")), World(), replace(FAST, in_flight=4))
    first = [
        run.book.tasks[run.book.attempts[r.key].row].task.manifest for r in run.world.sent(SendCreate)[:10] if isinstance(r, SendCreate)
    ]
    assert set(first[:2]) == {"m", "n"}
    assert 4 <= first.count("m") <= 6


def without_end(world: World, *tasks: str) -> World:
    """Let the renders of some prompts never end."""
    real = world.look

    def look(request: AskStatus) -> Answer[object]:
        bought = next(b for b in world.bought.values() if b.task_id == request.task_id)
        stuck = any(f'"prompt of {task}"'.encode() in bought.body for task in tasks)
        return Answer(Verdict.OK, Render(request.task_id, RenderStatus.PROCESSING) if stuck else real(bought.at + 99.0, request.task_id))

    world.always[AskStatus] = look
    return world


def test_a_place_that_another_manifest_never_gives_back() -> None:
    """Renders that outlast render_timeout keep their places: the run ends, says so, and exits 3."""
    tasks = [*some_tasks(2), replace(a_task("n0", model="z"), manifest="n")]
    book = a_book(tasks, Manifest("m", "m"), Manifest("n", "n"))
    run = drive(book, without_end(World(), "t0", "t1", "n0"), replace(FAST, in_flight=1))
    assert code(run) is ExitCode.STOPPED_EARLY
    assert list(run.book.states.values()).count(TaskState.PENDING) == 2


def test_fewer_places_than_an_earlier_run_took() -> None:
    """in_flight lowered to 2 while 10 are on the server for ever: the run ends."""
    world = without_end(World(), *(f"t{n}" for n in range(30)))
    run = drive(a_book(some_tasks(30)), world)
    assert code(run) is ExitCode.STOPPED_EARLY
    run.book.manifests["m"] = Manifest("m", "m", in_flight=2)
    again = drive(run.book, world, FAST, Stage(now=run.now))
    assert code(again) is ExitCode.STOPPED_EARLY
    assert len(world.bought) == 10


# ---------------------------------------------------------------- when to stop


def test_until() -> None:
    """Nothing is submitted from that instant on; what is in flight is finished; exit 3."""
    run = drive(a_book(some_tasks(60)), World(), replace(SLOW, until=START + 20.0))
    assert max(run.world.times(SendCreate)) < START + 20.0
    assert set(run.book.states.values()) == {TaskState.DONE, TaskState.PENDING}
    assert code(run) is ExitCode.STOPPED_EARLY


def test_until_in_the_past() -> None:
    """A finished manifest is exit 0 also then; one with work left is exit 3 and sends nothing."""
    late = replace(FAST, until=START - 1.0)
    done = drive(a_book(some_tasks(2))).book
    assert code(drive(done, World(), late)) is ExitCode.DONE
    assert code(drive(a_book([]), World(), late)) is ExitCode.DONE
    run = drive(a_book(some_tasks(2)), World(), late)
    assert code(run) is ExitCode.STOPPED_EARLY
    assert run.world.sent(SendCreate) == []


def test_max_tasks() -> None:
    """So many submissions and no more; if that was all there was, exit 0, also at the end of a whole page."""
    assert code(drive(a_book(some_tasks(9)), World(), replace(FAST, max_tasks=4))) is ExitCode.STOPPED_EARLY
    assert code(drive(a_book(some_tasks(4)), World(), replace(FAST, max_tasks=4))) is ExitCode.DONE
    run = drive(a_book(some_tasks(200)), World(), replace(FAST, max_tasks=200, in_flight=200))
    assert code(run) is ExitCode.DONE
    assert len(run.world.bought) == 200


def test_only() -> None:
    """Tasks that the glob does not mean are left alone."""
    run = drive(a_book(some_tasks(9)), World(), FAST, Stage(only="t[12]"))
    assert [t for t, s in run.book.states.items() if s is TaskState.DONE] == ["t1", "t2"]
    assert code(run) is ExitCode.DONE


def test_canaries_go_first() -> None:
    """Nothing beyond the canaries leaves before they are rendered; later runs know that they were."""
    book = a_book(some_tasks(9), Manifest("m", "m", canary=2))
    run = drive(book)
    times = run.world.times(SendCreate)
    assert times[2] > START + run.world.render_time
    book.adopt([replace(t, id=f"x{t.position}", position=t.position + 20) for t in some_tasks(4)])
    again = World()
    drive(book, again)
    assert most_in_flight(Run(book, again, run.engine), 20.0) == 4


def test_a_canary_that_fails_stops_its_manifest() -> None:
    """Exit 1, the rest stays pending."""
    world = World()
    world.always[AskStatus] = lambda r: failed_render(r.task_id)
    run = drive(a_book(some_tasks(9), Manifest("m", "m", canary=2, retries=0)), world)
    assert len(world.bought) == 2
    assert list(run.book.states.values()).count(TaskState.PENDING) == 7
    assert code(run) is ExitCode.SOME_FAILED
    assert run.ended is not None
    assert "canary" in run.ended.reason


def test_a_canary_that_never_ends_does_not_stall() -> None:
    """The canary is left to the next run and so is the rest."""
    run = drive(a_book(some_tasks(9), Manifest("m", "m", canary=1)), without_end(World(), "t0"))
    assert code(run) is ExitCode.STOPPED_EARLY
    assert len(run.world.bought) == 1


def test_five_first_refusals_stop_the_manifest() -> None:
    """It is the manifest that is wrong: the rest stays pending, exit 1."""
    world = World()
    world.always[SendCreate] = lambda _: bad(Verdict.INVALID, "validation_failed")
    run = drive(a_book(some_tasks(99)), world, replace(FAST, in_flight=1))
    assert len(world.sent(SendCreate)) == 5
    assert list(run.book.states.values()).count(TaskState.PENDING) == 94
    assert code(run) is ExitCode.SOME_FAILED


def test_five_refusals_after_an_accepted_submission_do_not() -> None:
    """Then they were not the first five."""
    world = World().script(SendCreate, None, *[bad(Verdict.INVALID)] * 5)
    run = drive(a_book(some_tasks(30)), world)
    assert list(run.book.states.values()).count(TaskState.DONE) == 25


def failing(count: int) -> World:
    """Let nine renders succeed and then some fail."""
    return World(render_time=0.0).script(AskStatus, *[None] * 9, *[lambda r: failed_render(r.task_id)] * count)


@pytest.mark.parametrize(
    ("rule", "fails", "stopped"),
    [(StopAfter(3, 1.0), 3, True), (StopAfter(4, 1.0), 3, False), (StopAfter(99, 0.5), 11, True), (StopAfter(99, 0.5), 10, False)],
)
def test_stop_after(rule: StopAfter, fails: int, stopped: bool) -> None:
    """Failures in a row, or more than a share of at least 20, stop the manifest: exit 1 and the rest pending."""
    book = a_book(some_tasks(40), Manifest("m", "m", retries=0, stop_after=rule, in_flight=1))
    run = drive(book, failing(fails))
    assert code(run) is ExitCode.SOME_FAILED
    assert (TaskState.PENDING in run.book.states.values()) is stopped


def test_a_stopped_manifest_buys_nothing_of_a_page_that_comes_late() -> None:
    """A page that was being read when the breaker fell is not bought."""
    world = World(render_time=0.0)
    world.always[AskStatus] = lambda r: failed_render(r.task_id)
    book = a_book(some_tasks(400), Manifest("m", "m", retries=0, stop_after=StopAfter(150, 1.0)))
    pages = iter([0.0, 60.0, 60.0])

    def delay(request: object) -> float:
        return next(pages) if isinstance(request, FetchDue) else 0.1

    run = drive(book, world, replace(FAST, in_flight=50), Stage(delay=delay))
    assert len(world.bought) < 200
    assert code(run) is ExitCode.SOME_FAILED
    stopped_at = next(at for at, r in world.log if isinstance(r, FetchDue) and r.after > 0)
    assert max(world.times(SendCreate)) < stopped_at + 60.0


def test_a_stopped_manifest_does_not_stop_another() -> None:
    """The other manifest is finished; the code tells of the broken one."""
    tasks = [*some_tasks(9), *(replace(t, id=f"n{t.position}", manifest="n") for t in some_tasks(3, model="z"))]
    world = World()
    world.always[SendCreate] = lambda r: bad(Verdict.INVALID) if b"kling" in r.body else world.buy(START, r.key, r.body)
    world.render_time = 0.0
    run = drive(a_book(tasks, Manifest("m", "m"), Manifest("n", "n")), world, replace(FAST, in_flight=2))
    assert [run.book.states[f"n{n}"] for n in range(3)] == [TaskState.DONE] * 3
    assert code(run) is ExitCode.SOME_FAILED
    assert run.ended is not None
    assert "manifest m was stopped" in run.ended.reason


def test_manifests_that_are_only_finished() -> None:
    """A manifest that this run does not ask for has its renders finished, and nothing bought, not even a retry."""
    died = drive(a_book(some_tasks(9)), World(), FAST, Stage(die=lambda n, _: "sent" if n == 8 else ""))
    bought = len(died.world.bought)
    died.world.script(AskStatus, lambda r: failed_render(r.task_id))
    run = drive(died.book, died.world, FAST, Stage(now=died.now, finish_only=frozenset("m")))
    assert len(died.world.bought) == bought
    assert code(run) is ExitCode.DONE
    assert run.world.sent(FetchDue)[1:] == []


# ---------------------------------------------------------------- pages and codes


def test_long_manifests_go_page_by_page() -> None:
    """Every task of 450 is bought once, whatever is retried while a page is being read."""
    world = World(render_time=0.0).script(AskStatus, *[None, None, lambda r: failed_render(r.task_id)] * 50)
    run = drive(a_book(some_tasks(450), Manifest("m", "m", in_flight=60, retries=50)), world, replace(FAST, in_flight=60))
    assert code(run) is ExitCode.DONE
    assert len(world.bought) == 500
    assert all(r.limit <= 200 for r in world.sent(FetchDue) if isinstance(r, FetchDue))


def test_exit_codes_in_order_of_weight() -> None:
    """Undelivered (6) before in doubt (7) before a broken manifest (1) before work left (3) before failures (1)."""
    conflict, invalid, silence = bad(Verdict.CONFLICT), bad(Verdict.INVALID), bad(Verdict.MISSING)

    def ends(*, created: Mapping[str, Answer[object]], most: int | None = None, gone: bool = False, rule: int = 10) -> ExitCode:
        world = World(render_time=0.0)

        def create(request: SendCreate) -> Answer[object]:
            said = next((reply for task, reply in created.items() if f'"prompt of {task}"'.encode() in request.body), None)
            return said or world.buy(START, request.key, request.body)

        world.always[SendCreate] = create
        world.always[Download] = trouble(DiskTrouble.REFUSED) if gone else lambda _: None
        book = a_book(some_tasks(5), Manifest("m", "m", stop_after=StopAfter(rule, 1.0)))
        return code(drive(book, world, replace(FAST, max_tasks=most)))

    both = {"t0": conflict, "t1": invalid}
    assert ends(created=both, most=4, gone=True) is ExitCode.UNAVAILABLE
    assert ends(created=both, most=4) is ExitCode.IN_DOUBT
    assert ends(created={"t1": invalid}, most=4, rule=1) is ExitCode.SOME_FAILED
    assert ends(created={"t1": invalid}, most=4) is ExitCode.STOPPED_EARLY
    assert ends(created={"t1": silence}) is ExitCode.SOME_FAILED
    assert ends(created={}) is ExitCode.DONE


def test_an_empty_run() -> None:
    """No manifests, no tasks, nothing to do: exit 0; a signal at once: its code."""
    assert code(drive(Book([]))) is ExitCode.DONE
    stopped = drive(a_book(some_tasks(3)), World(), FAST, Stage(inject={0.0: StopAsked(StopReason.INTERRUPT)}))
    assert code(stopped) is ExitCode.INTERRUPTED


def test_the_glimpse_tells_what_is_waited_for() -> None:
    """Watchers see counts, and in words why nothing is submitted."""
    book = a_book(some_tasks(3), Manifest("m", "m", Budget(total=5)))
    died = drive(book, World(), FAST, Stage(die=lambda n, _: "sent" if n == 6 else ""))
    glimpse = died.engine.glimpse()
    assert (glimpse.rendering, glimpse.held) == (1, 5)
    assert "total of m" in glimpse.waiting_for


def test_the_glimpse_has_the_uploads_the_rate_and_the_budgets() -> None:
    """Whoever watches sees what is in the air, how fast it may go, how much may be in flight and spent, and that it stops."""
    book = a_book(some_tasks(2, reference()), Manifest("m", "m", Budget(total=50), in_flight=3))
    run = drive(book, World(), FAST, Stage(die=lambda _, step: "sent" if any(isinstance(r, SendUpload) for r in step.requests) else ""))
    seen = run.engine.glimpse()
    assert (seen.uploading, seen.places, seen.stopping) == (1, 3, False)
    assert seen.per_minute == pytest.approx(6000.0)
    assert [(left.name, left.limit, left.used) for left in seen.budgets] == [("total of m", 50, 0)]
    run.engine.step(run.now, [StopAsked(StopReason.INTERRUPT)])
    assert run.engine.glimpse().stopping


def test_time_never_runs_back() -> None:
    """A clock that jumps back changes nothing for the engine."""
    book = a_book(some_tasks(1))
    died = drive(book, World(), FAST, Stage(die=lambda n, _: "sent" if n == 3 else ""))
    step = died.engine.step(START - 5000.0, [])
    assert step.wake_at is None or step.wake_at >= START
