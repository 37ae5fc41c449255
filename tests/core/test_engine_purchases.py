"""Buying: what each answer to a create proves, and what follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchgen.core.answers import Answer, Render, RenderStatus, Verdict
from batchgen.core.facts import AttemptFacts
from batchgen.core.messages import AskBalance, AskStatus, MoneyKind, SendCreate, Step, StopAsked, StopReason
from batchgen.core.model import Manifest, client_request_id
from batchgen.core.policy import AccountBudget, OnLostAnswer, Policy
from batchgen.core.resolve import Decision, InDoubt, resolve
from batchgen.core.states import AttemptState, TaskState
from batchgen.errors import ExitCode
from tests.core.book import AttemptRow
from tests.core.world import FAST, START, Run, Stage, World, a_book, a_task, bad, drive, failed_render, some_tasks

LOST = bad(Verdict.LOST, "timeout")
HOLD = Policy(requests_per_minute=6000.0, on_lost_answer=OnLostAnswer.HOLD)


def code(run: Run) -> ExitCode:
    """Return how a run ended."""
    assert run.ended is not None
    return run.ended.code


def lost_after_work(world: World) -> Callable[[SendCreate], Answer[object]]:
    """Do the work, lose the answer."""

    def reply(request: SendCreate) -> Answer[object]:
        world.buy(START, request.key, request.body)
        return LOST

    return reply


def test_a_run_renders_everything() -> None:
    """The plain case: each task is bought once, rendered, saved; every credit is captured."""
    run = drive(a_book(some_tasks(30)))
    assert code(run) is ExitCode.DONE
    assert set(run.book.states.values()) == {TaskState.DONE}
    assert len(run.world.bought) == 30
    assert sum(a.money[MoneyKind.CAPTURE] for a in run.book.attempts.values()) == 150
    assert run.engine.glimpse().captured == 150


def test_a_finished_manifest_is_a_no_op() -> None:
    """The second run sends nothing and exits 0."""
    book = drive(a_book(some_tasks(3))).book
    run = drive(book)
    assert run.world.log[1:] == []
    assert code(run) is ExitCode.DONE


def test_a_lost_answer_is_repeated_with_the_same_bytes() -> None:
    """Lost, unsent and busy answers lead to the same purchase; it is charged once."""
    world = World()
    world.script(SendCreate, lost_after_work(world), bad(Verdict.UNSENT), bad(Verdict.UNSENT), bad(Verdict.BUSY), LOST)
    run = drive(a_book(some_tasks(1)), world)
    assert len(set(map(str, world.sent(SendCreate)))) == 1
    assert len(world.sent(SendCreate)) == 6
    assert len(world.bought) == 1
    assert run.book.of("t0")[0].lost == 2
    assert run.book.states == {"t0": TaskState.DONE}
    assert run.book.noted("answer_unsent") == 0, "the trouble was noted when it began"


def test_retry_after_is_honoured_to_the_letter() -> None:
    """No request at all leaves before the Retry-After of a 429 has passed."""
    world = World().script(SendCreate, None, bad(Verdict.BUSY, "rate_limited", retry_after=17.0))
    run = drive(a_book(some_tasks(5)), world, Policy(requests_per_minute=600.0))
    busy = world.times(SendCreate)[1] + world.latency
    assert [at for at, _ in world.log if busy < at < busy + 17.0] == []
    assert run.book.not_before >= busy + 17.0
    assert code(run) is ExitCode.DONE


def test_an_earlier_runs_retry_after_is_honoured() -> None:
    """The ledger remembers until when nothing may leave."""
    book = a_book(some_tasks(1))
    book.not_before = START + 30.0
    assert min(drive(book).world.times(SendCreate)) >= START + 30.0


def test_a_refusal_fails_the_task_and_charges_nothing() -> None:
    """validation_failed: the server's message is kept, the rest goes on, exit 1."""
    run = drive(a_book(some_tasks(3)), World().script(SendCreate, bad(Verdict.INVALID, "validation_failed")))
    assert run.book.states == {"t0": TaskState.FAILED, "t1": TaskState.DONE, "t2": TaskState.DONE}
    assert run.book.of("t0")[0].used == 0
    assert "validation_failed" in run.book.tasks[1].note
    assert code(run) is ExitCode.SOME_FAILED


@pytest.mark.parametrize("verdict", [Verdict.INVALID, Verdict.MISSING, Verdict.CONFLICT])
def test_a_refusal_after_a_lost_answer_is_no_proof(verdict: Verdict) -> None:
    """The server may refuse the repeat of a purchase that it made: a person must look, and the credits stay held."""
    run = drive(a_book(some_tasks(2)), World().script(SendCreate, LOST, bad(verdict)))
    assert run.book.states == {"t0": TaskState.BLOCKED, "t1": TaskState.DONE}
    attempt = run.book.of("t0")[0]
    assert (attempt.state, attempt.used) == (AttemptState.IN_DOUBT, 5)
    assert code(run) is ExitCode.IN_DOUBT


def test_an_idempotency_conflict_is_never_answered_with_a_new_id() -> None:
    """In doubt at once, also without a lost answer."""
    run = drive(a_book(some_tasks(1)), World().script(SendCreate, bad(Verdict.CONFLICT)))
    assert len(run.book.of("t0")) == 1
    assert "idempotency_conflict" in run.book.tasks[1].note
    assert code(run) is ExitCode.IN_DOUBT


def test_in_doubt_says_so_in_every_later_run() -> None:
    """Until a person resolves it, runs exit 7 and do not touch the task."""
    book = drive(a_book(some_tasks(1)), World().script(SendCreate, bad(Verdict.CONFLICT))).book
    run = drive(book)
    assert run.world.sent(SendCreate) == []
    assert code(run) is ExitCode.IN_DOUBT


def test_one_render_for_two_purchases() -> None:
    """A server that answers with the render of another attempt in flight: the second may be charged, so a person must look."""
    world = World().script(SendCreate, None, Answer(Verdict.OK, Render("task_0", RenderStatus.QUEUED, reserved=5)))
    run = drive(a_book(some_tasks(3)), world)
    first = run.book.of("t0")[0].key
    assert run.book.states == {"t0": TaskState.DONE, "t1": TaskState.BLOCKED, "t2": TaskState.DONE}
    assert run.book.tasks[2].note == f"in doubt: the server accepted it as task_0, which is the render of {first}"
    assert run.engine.glimpse().held == 5


def test_on_lost_answer_hold() -> None:
    """Every lost answer is in doubt at once, and nothing is sent twice."""
    run = drive(a_book(some_tasks(3)), World().script(SendCreate, LOST, LOST), HOLD)
    assert run.book.states == {"t0": TaskState.BLOCKED, "t1": TaskState.BLOCKED, "t2": TaskState.DONE}
    assert len(run.world.sent(SendCreate)) == 3
    assert "on_lost_answer" in run.book.tasks[1].note
    assert run.ended is not None
    assert run.ended.reason == "2 attempts are in doubt"
    assert run.engine.glimpse().held == 10  # whoever watches sees what the ledger still holds


def test_on_lost_answer_hold_after_a_crash() -> None:
    """A crash between the sending and the answer lost that answer: it is not repeated either, unless a person orders it."""
    died = drive(a_book(some_tasks(1)), World(), HOLD, Stage(die=_after_first_submission))
    run = drive(died.book, World(), HOLD)
    assert run.world.sent(SendCreate) == []
    assert code(run) is ExitCode.IN_DOUBT
    why = "the run ended before an answer to its purchase came, and on_lost_answer says to ask a person"
    assert run.book.tasks[1].note == f"in doubt: {why}"


@pytest.mark.parametrize("decision", Decision)
def test_what_a_person_decided_is_done(decision: Decision) -> None:
    """A resolved attempt is looked at, bought anew, or repeated with the same bytes, also where lost answers are held."""
    world = World()
    book = drive(a_book(some_tasks(1)), world.script(SendCreate, lost_after_work(world)), HOLD).book
    attempt = book.of("t0")[0]
    assert attempt.state is AttemptState.IN_DOUBT
    facts = attempt_facts(attempt)
    book.commit(resolve(InDoubt(1, facts), decision, at=START + 90000.0, task_id="task_0"))
    run = drive(book, world, HOLD, Stage(now=START + 90001.0))
    assert code(run) is ExitCode.DONE
    assert len(run.book.of("t0")) == (2 if decision is Decision.NOT_ACCEPTED else 1)
    assert len(world.sent(SendCreate)) == (1 if decision is Decision.ACCEPTED else 2)


def attempt_facts(a: AttemptRow) -> AttemptFacts:
    """Tell an attempt as the ledger does."""
    return AttemptFacts(
        number=a.number,
        key=a.key,
        state=a.state,
        fingerprint=a.fingerprint,
        run=a.run,
        submitted_at=a.submitted_at,
        accepted_at=None,
        ended_at=None,
        task_id=a.task_id,
        held=a.used,
        captured=0,
        released=0,
        reserved=a.reserved,
        final=a.final,
        lost=a.lost,
        fault=None,
        outputs=(),
        body=a.body,
    )


def test_hold_still_repeats_what_certainly_was_not_done() -> None:
    """A 429 or a refused connection is no lost answer."""
    run = drive(a_book(some_tasks(1)), World().script(SendCreate, bad(Verdict.BUSY), bad(Verdict.UNSENT)), HOLD)
    assert code(run) is ExitCode.DONE


def test_the_replay_window() -> None:
    """What was submitted longer ago than replay_window is not repeated but in doubt; its place and the probe are free again."""
    died = drive(a_book(some_tasks(3), Manifest("m", "m", in_flight=1)), World(), FAST, Stage(die=_after_first_submission))
    assert died.book.states["t0"] is TaskState.RENDERING
    run = drive(died.book, World(), FAST, Stage(now=START + 25 * 3600.0))
    assert run.book.states == {"t0": TaskState.BLOCKED, "t1": TaskState.DONE, "t2": TaskState.DONE}
    why = "its outcome is unknown, and the time in which repeating it is safe (replay_window) has passed"
    assert run.book.tasks[1].note == f"in doubt: {why}"
    assert code(run) is ExitCode.IN_DOUBT
    died = drive(a_book(some_tasks(3), Manifest("m", "m", in_flight=1)), World(), FAST, Stage(die=_after_first_submission))
    assert code(drive(died.book, World(), FAST, Stage(now=START + 23 * 3600.0))) is ExitCode.DONE


def _after_first_submission(_: int, step: Step) -> str:
    return "sent" if any(isinstance(r, SendCreate) for r in step.requests) else ""


def test_insufficient_credits_stops_and_tries_once_more() -> None:
    """In flight finishes, then the balance is asked once; with credits back the rest is bought, under new numbers."""
    world = World().script(SendCreate, None, bad(Verdict.FUNDS, "insufficient_credits"), bad(Verdict.FUNDS, "insufficient_credits"))
    run = drive(a_book(some_tasks(4)), world)
    assert code(run) is ExitCode.DONE
    assert len(world.sent(AskBalance)) == 1
    assert world.times(AskBalance)[0] > START + world.render_time
    assert [a.number for a in run.book.of("t1")] == [1, 2]


def test_insufficient_credits_and_none_come_back() -> None:
    """Exit 3 with the rest pending."""
    world = World(balance=4)
    world.always[SendCreate] = lambda _: bad(Verdict.FUNDS, "insufficient_credits")
    run = drive(a_book(some_tasks(4)), world)
    assert set(run.book.states.values()) == {TaskState.PENDING}
    assert code(run) is ExitCode.STOPPED_EARLY
    assert len(world.sent(SendCreate)) <= 10
    rich = World()
    rich.always[SendCreate] = world.always[SendCreate]
    again = drive(a_book(some_tasks(4)), rich)
    assert code(again) is ExitCode.STOPPED_EARLY
    assert len(rich.sent(AskBalance)) == 1, "once"


@pytest.mark.parametrize(("balance", "creates", "ends"), [(5, 2, ExitCode.DONE), (4, 1, ExitCode.STOPPED_EARLY)])
def test_credits_for_exactly_one_more(balance: int, creates: int, ends: ExitCode) -> None:
    """A balance that is the price is enough; with a credit less nothing more is sent for the last task."""
    world = World(balance=balance).script(SendCreate, bad(Verdict.FUNDS, "insufficient_credits"))
    run = drive(a_book(some_tasks(1)), world)
    assert (len(world.sent(SendCreate)), code(run)) == (creates, ends)


def test_insufficient_credits_after_a_lost_answer() -> None:
    """The attempt stays submitting with its hold, and the next run repeats the same bytes."""
    world = World()
    world.script(SendCreate, lost_after_work(world), bad(Verdict.FUNDS))
    run = drive(a_book(some_tasks(1)), world)
    assert run.book.of("t0")[0].state is AttemptState.SUBMITTING
    assert code(run) is ExitCode.STOPPED_EARLY
    again = drive(run.book, world)
    assert code(again) is ExitCode.DONE
    assert len(world.bought) == 1


@pytest.mark.parametrize("answer", [bad(Verdict.INVALID), bad(Verdict.LOST), bad(Verdict.BUSY, retry_after=5.0)])
def test_a_balance_that_is_not_told_is_not_asked_in_a_loop(answer: Answer[object]) -> None:
    """A refusal ends the asking; silence is asked again with growing pauses until the service counts as away."""
    for policy in (FAST, Policy(requests_per_minute=6000.0, account=AccountBudget(keep_balance=10))):
        world = World(balance=0)
        world.always[SendCreate] = lambda _: bad(Verdict.FUNDS)
        world.always[AskBalance] = lambda _: answer
        run = drive(a_book(some_tasks(2)), world, policy, Stage(dice=lambda: 0.9))
        expected = ExitCode.STOPPED_EARLY if answer.verdict is Verdict.INVALID else ExitCode.UNAVAILABLE
        assert code(run) is expected
        assert len(world.sent(AskBalance)) < (5 if answer.verdict is Verdict.INVALID else 250)


def test_a_refused_key_stops_at_once() -> None:
    """Exit 5, whatever is left; nothing more leaves."""
    world = World().script(SendCreate, None, bad(Verdict.KEY, "api_key_revoked"))
    run = drive(a_book(some_tasks(50)), world)
    assert code(run) is ExitCode.KEY_REFUSED
    assert set(run.book.states.values()) <= {TaskState.PENDING, TaskState.RENDERING}
    assert max(world.times(SendCreate)) <= world.times(SendCreate)[1] + world.latency
    assert run.ended is not None
    assert "api_key_revoked" in run.ended.reason


def test_a_key_refused_while_looking() -> None:
    """The paid render stays in the ledger for the next run, which finds it."""
    world = World()
    run = drive(a_book(some_tasks(1)), world.script(AskStatus, bad(Verdict.KEY)))
    assert code(run) is ExitCode.KEY_REFUSED
    assert code(drive(run.book, world)) is ExitCode.DONE
    assert len(world.bought) == 1


def test_a_switched_off_api_is_waited_for_and_then_given_up() -> None:
    """public_api_disabled: growing pauses, exit 6 after 15 minutes; back in time, all goes on."""
    world = World()
    world.always[SendCreate] = lambda _: bad(Verdict.DISABLED, "public_api_disabled")
    run = drive(a_book(some_tasks(3)), world, FAST, Stage(dice=lambda: 0.99))
    assert code(run) is ExitCode.UNAVAILABLE
    assert 900.0 < run.now - START < 1000.0
    assert len(world.sent(SendCreate)) < 60
    back = World().script(SendCreate, *[bad(Verdict.DISABLED)] * 8)
    assert code(drive(a_book(some_tasks(3)), back, FAST, Stage(dice=lambda: 0.99))) is ExitCode.DONE


def test_an_attempt_that_gets_no_answer_is_left_while_the_service_works() -> None:
    """Others are answered, so the run goes on; the attempt stays submitting, exit 6, and the tasks behind its price go out."""
    tasks = [a_task("t0", position=0), a_task("t1", position=1)]
    first = client_request_id("m", "t0", tasks[0].spec.fingerprint, 1)
    world = World(render_time=3000.0)
    world.always[SendCreate] = lambda r: LOST if r.key == first else world.buy(START, r.key, r.body)
    helper = a_task("other", position=0, manifest="n", model="z-image")
    book = a_book([*tasks, helper], Manifest("m", "m"), Manifest("n", "n"))
    run = drive(book, world, FAST, Stage(dice=lambda: 0.9))
    assert run.book.states == {"t0": TaskState.RENDERING, "t1": TaskState.DONE, "other": TaskState.DONE}
    assert code(run) is ExitCode.UNAVAILABLE


def test_failed_renders_are_refunded_and_retried_under_new_ids() -> None:
    """Two retries by default, each with its own number and key; then failed for good."""
    world = World()
    world.always[AskStatus] = lambda r: failed_render(r.task_id)
    run = drive(a_book(some_tasks(1)), world)
    attempts = run.book.of("t0")
    assert [a.number for a in attempts] == [1, 2, 3]
    assert len({a.key for a in attempts}) == 3
    assert [a.used for a in attempts] == [0, 0, 0]
    assert code(run) is ExitCode.SOME_FAILED
    assert run.book.states == {"t0": TaskState.FAILED}


def test_a_failure_may_keep_credits() -> None:
    """What a failed render kept is captured; if the server does not say, all of the hold is, rather than too little."""
    for kept, captured in ((0, 0), (2, 2), (9, 9), (None, 5)):
        world = World()
        world.script(AskStatus, lambda r, kept=kept: failed_render(r.task_id, kept))
        run = drive(a_book(some_tasks(1)), world)
        assert run.book.of("t0")[0].used == captured
        assert run.book.states == {"t0": TaskState.DONE}


def test_an_answer_that_is_final_at_once() -> None:
    """A create may be answered with the finished render or with its failure."""

    def at_once(status: RenderStatus, *urls: str) -> Answer[object]:
        return Answer(Verdict.OK, Render("task_x", status, reserved=5, final=5 * bool(urls), urls=urls))

    world = World().script(SendCreate, at_once(RenderStatus.FAILED), at_once(RenderStatus.SUCCEEDED, "https://media.example/x"))
    run = drive(a_book(some_tasks(1)), world)
    assert [a.state for a in run.book.of("t0")] == [AttemptState.FAILED, AttemptState.SUCCEEDED]
    assert world.sent(AskStatus) == []
    assert code(run) is ExitCode.DONE


def test_an_ok_without_a_value_is_left_alone() -> None:
    """An adapter that breaks its contract loses nothing: the attempt stays submitting."""
    run = drive(a_book(some_tasks(1)), World().script(SendCreate, Answer(Verdict.OK)))
    assert run.book.of("t0")[0].state is AttemptState.SUBMITTING
    assert code(run) is ExitCode.STOPPED_EARLY


def test_the_drain() -> None:
    """After a signal nothing new leaves, what is in the air lands and is written down, and the code tells the signal."""
    for reason, expected in ((StopReason.INTERRUPT, ExitCode.INTERRUPTED), (StopReason.TERMINATE, ExitCode.TERMINATED)):
        world = World(latency=2.0)
        run = drive(a_book(some_tasks(120)), world, Policy(), Stage(inject={30.0: StopAsked(reason)}))
        assert code(run) is expected
        assert max(at for at, _ in world.log) <= START + 30.0
        assert run.now <= START + 30.0 + 2.0
        assert all(a.state is not AttemptState.SUBMITTING for a in run.book.attempts.values())
        assert code(drive(run.book, world, FAST)) is ExitCode.DONE
        assert len(world.bought) == 120
