"""Random nights: any answer to any request, deaths at any step; the run always ends and the books always balance.

The driver and the book assert the rest: no stall, no busy loop, invariants 1 to 5, 7 and 8 at every commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.core.answers import Answer, Balance, Fault, Render, RenderStatus, Verdict
from batchgen.core.messages import (
    AskBalance,
    AskStatus,
    CheckUpload,
    DiskTrouble,
    Download,
    Downloaded,
    Event,
    Request,
    SendCreate,
    SendUpload,
    Step,
    StopAsked,
    StopReason,
)
from batchgen.core.model import Budget, Manifest, StopAfter
from batchgen.core.policy import AccountBudget, OnLostAnswer, Policy
from batchgen.core.states import AttemptState, TaskState
from batchgen.errors import ExitCode
from tests.core.book import Book
from tests.core.world import START, Run, Stage, World, a_book, a_task, bad, drive, reference

NIGHTS = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
DICE = st.randoms(use_true_random=True)


@dataclass(slots=True)
class Chaos:
    """Draws what happens."""

    dice: Random
    share: float  # of requests that go wrong
    world: World

    def arm(self) -> World:
        """Make the world answer at random."""
        wrong: dict[type, Callable[..., object]] = {
            SendCreate: self.create,
            AskStatus: self.status,
            SendUpload: self.refusal,
            CheckUpload: self.refusal,
            AskBalance: self.balance,
            Download: self.download,
        }
        for kind, reply in wrong.items():
            self.world.always[kind] = lambda request, reply=reply: reply(request) if self.dice.random() < self.share else None
        return self.world

    def refusal(self, _: object = None) -> Answer[object]:
        """Draw an answer that is not OK."""
        common = [Verdict.LOST, Verdict.UNSENT, Verdict.BUSY, Verdict.INVALID, Verdict.MISSING]
        rare = [Verdict.DISABLED, Verdict.KEY, Verdict.FUNDS, Verdict.CONFLICT]
        verdict = self.dice.choice(common if self.dice.random() < 0.9 else rare)
        return bad(verdict, retry_after=self.dice.choice([None, None, 3.0, 120.0]))

    def create(self, request: SendCreate) -> Answer[object]:
        """Do the work and lose the answer, or answer strangely, or refuse."""
        match self.dice.randrange(3):
            case 0:
                self.world.buy(START, request.key, request.body)
                return bad(Verdict.LOST)
            case 1 if request.key not in self.world.bought:
                bought = self.world.buy(START, request.key, request.body).value
                assert isinstance(bought, Render)
                status = self.dice.choice(list(RenderStatus))
                urls = ("https://media.example/x",) if self.dice.random() < 0.5 else ()
                reserved = self.dice.choice([None, 0, 3, 5, 5, 9])
                return Answer(Verdict.OK, replace(bought, status=status, urls=urls, reserved=reserved, error=None))
            case _:
                return self.refusal()

    def status(self, request: AskStatus) -> Answer[object]:
        """Answer strangely or refuse."""
        if self.dice.random() < 0.5:
            return self.refusal()
        urls = tuple(f"https://media.example/{n}" for n in range(self.dice.randrange(4)))
        credits = self.dice.choice([None, 0, 3, 5, 9])
        status = self.dice.choice(list(RenderStatus))
        error = Fault("generation_failed", "no") if status is RenderStatus.FAILED and self.dice.random() < 0.5 else None
        return Answer(Verdict.OK, Render(request.task_id, status, self.dice.choice([None, 5, 9]), credits, urls, error, "odd"))

    def balance(self, _: AskBalance) -> Answer[object]:
        """Say anything about the balance."""
        return Answer(Verdict.OK, Balance(self.dice.randrange(60))) if self.dice.random() < 0.5 else self.refusal()

    def download(self, request: Download) -> Downloaded:
        """Fail."""
        kinds = [DiskTrouble.GONE, DiskTrouble.CUT, DiskTrouble.CUT, DiskTrouble.REFUSED]
        kind = DiskTrouble.DISK if self.dice.random() < 0.03 else self.dice.choice(kinds)
        return Downloaded(request, trouble=kind, message=str(kind), retry_after=self.dice.choice([None, 20.0]))

    def delay(self, request: Request) -> float:
        """Answer late, sometimes very late."""
        return self.dice.choice([0.0, 0.05, 0.3, 0.3, 2.0, 40.0])


def draw_policy(dice: Random) -> Policy:
    """Draw settings."""
    maybe: list[int | None] = [None, None, 0, 12, 40]
    return Policy(
        requests_per_minute=dice.choice([6.0, 60.0, 600.0, 6000.0]),
        in_flight=dice.choice([1, 2, 10]),
        account=AccountBudget(dice.choice(maybe), dice.choice(maybe), dice.choice(maybe)),
        run_budget=dice.choice(maybe),
        on_lost_answer=dice.choice(list(OnLostAnswer)),
        render_timeout=dice.choice([100.0, 7200.0]),
        downloads=dice.choice([1, 6]),
        until=dice.choice([None, None, START + 60.0]),
        max_tasks=dice.choice([None, None, 5]),
    )


def draw_book(dice: Random) -> Book:
    """Draw one or two manifests of a few tasks that share a few references."""
    names = "mn"[: dice.choice([1, 1, 2])]
    manifests = [
        Manifest(
            name,
            name,
            Budget(*(dice.choice([None, None, 20, 60]) for _ in range(3))),
            dice.choice([None, None, 1, 3]),
            canary=dice.choice([0, 0, 2]),
            retries=dice.choice([0, 2]),
            stop_after=StopAfter(dice.choice([2, 10]), 0.5),
        )
        for name in names
    ]
    tasks = [
        a_task(
            f"{name}{n}",
            *(reference(c) for c in dice.sample("abc", dice.choice([0, 0, 1, 2]))),
            position=n,
            manifest=name,
            model=dice.choice(["kling-2-6", "z-image"]),
            params={"duration": dice.choice(["5", "5", "10"])},
        )
        for name in names
        for n in range(dice.randrange(1, 9))
    ]
    return a_book(tasks, *manifests)


def died(dice: Random) -> Callable[[int, Step], str]:
    """Draw where the process dies."""
    last, where = dice.randrange(1, 60), dice.choice(["before", "after", "sent"])
    return lambda step, _: where if step == last else ""


def edit(book: Book, dice: Random) -> None:
    """Change a task, take one out, let one come back."""
    row = dice.choice(list(book.tasks.values()))
    match dice.randrange(3):
        case 0:
            book.adopt([replace(row.task, spec=replace(row.task.spec, prompt=f"edited {dice.random()}"))])
        case 1:
            row.wanted = False
        case _:
            row.wanted = True


def check_end(run: Run) -> None:
    """A run that says that all is done has left nothing."""
    assert run.ended is not None
    states = {t.state for t in run.book.tasks.values() if t.wanted}
    if run.ended.code is ExitCode.DONE:
        assert states <= {TaskState.DONE}
    if run.ended.code is ExitCode.SOME_FAILED and "was stopped" not in run.ended.reason:
        assert states <= {TaskState.DONE, TaskState.FAILED, TaskState.BLOCKED}
    in_doubt = sum(a.state is AttemptState.IN_DOUBT for a in run.book.attempts.values())
    if in_doubt and run.ended.code in {ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.STOPPED_EARLY}:
        raise AssertionError("attempts in doubt are told by the exit code")


def check_charges(run: Run) -> None:
    """Each purchase of the server is one that the ledger knows, with the bytes that it knows."""
    for key, bought in run.world.bought.items():
        assert run.book.attempts[key].body == bought.body


@NIGHTS
@given(DICE, st.sampled_from([0.0, 0.1, 0.3, 0.9]))
def test_every_night_ends(dice: Random, share: float) -> None:
    """Whatever the server answers, the run ends, with a code that tells the truth."""
    chaos = Chaos(dice, share, World(files=dice.choice([1, 3]), render_time=dice.choice([0.0, 20.0, 500.0]), price=dice.choice([3, 5, 9])))
    stop: dict[float, Event] = {dice.uniform(0.0, 99.0): StopAsked(StopReason.TERMINATE)} if dice.random() < 0.1 else {}
    run = drive(draw_book(dice), chaos.arm(), draw_policy(dice), Stage(dice=dice.random, delay=chaos.delay, inject=stop))
    check_end(run)
    check_charges(run)


@NIGHTS
@given(DICE, st.sampled_from([0.0, 0.1, 0.3]))
def test_every_week_ends(dice: Random, share: float) -> None:
    """Runs that die anywhere, edits between them, and in the end a quiet night in which everything is finished."""
    chaos = Chaos(dice, share, World(files=dice.choice([1, 2])))
    book, now = draw_book(dice), START
    for _ in range(dice.randrange(1, 4)):
        run = drive(book, chaos.arm(), draw_policy(dice), Stage(now=now, dice=dice.random, delay=chaos.delay, die=died(dice)))
        check_charges(run)
        now = run.now + dice.choice([0.0, 60.0, 90000.0])
        edit(book, dice)
        book.run += 1
    chaos.world.always.clear()
    book.manifests = {name: Manifest(name, name) for name in book.manifests}
    last = drive(book, chaos.world, replace(Policy(), requests_per_minute=600.0), Stage(now=now))
    check_end(last)
    assert last.ended is not None
    assert last.ended.code in {ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.IN_DOUBT}
    check_charges(last)


@NIGHTS
@given(DICE)
def test_no_budget_is_exceeded_while_prices_are_as_quoted(dice: Random) -> None:
    """Committed plus held stays within every budget at every commit, whatever fails and whatever is lost."""
    limit = dice.choice([5, 12, 23, 40])
    chaos = Chaos(dice, 0.3, World(price=5))
    chaos.arm()
    chaos.world.always[AskStatus] = lambda _: bad(Verdict.LOST) if dice.random() < 0.3 else None
    chaos.world.always[SendCreate] = lambda _: chaos.refusal() if dice.random() < 0.3 else None
    policy = replace(draw_policy(dice), run_budget=limit, account=AccountBudget())
    run = drive(draw_book(dice), chaos.world, policy, Stage(dice=dice.random, delay=chaos.delay))
    assert all(used <= limit for _, used in run.budgets)
