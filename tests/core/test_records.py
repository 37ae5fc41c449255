"""What the engine writes down of what the server said: the record of each event, whole, with the facts that it came with.

The next run knows of this one only what its records hold. Each of these tests fails if a fact is left out of its record.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import cast

import pytest

from batchgen.core.answers import Answer, Fault, Render, RenderStatus, Verdict
from batchgen.core.messages import (
    AskBalance,
    AskStatus,
    AttemptMoved,
    DiskTrouble,
    Displaced,
    Download,
    Downloaded,
    MoneyKind,
    MoneyMoved,
    Noted,
    OutputSaved,
    Record,
    SendCreate,
    SendUpload,
    Step,
    Submitted,
    TaskMoved,
)
from batchgen.core.model import Output, Reference
from batchgen.core.policy import AccountBudget, OnLostAnswer, Policy, Quote
from batchgen.core.pricing import price_key
from batchgen.core.states import AttemptEvent, TaskEvent
from tests.core.world import FAST, START, Reply, Run, Stage, World, a_book, bad, drive, failed_render, reference, says, some_tasks, trouble

HOLD = Policy(requests_per_minute=6000.0, on_lost_answer=OnLostAnswer.HOLD)
KEEP = Policy(requests_per_minute=6000.0, account=AccountBudget(keep_balance=10))


def written(world: World, policy: Policy = FAST, *refs: Reference, price: int = 5) -> tuple[Run, list[Record]]:
    """Drive a run of one task, and return its records too."""
    records: list[Record] = []

    def watch(_: int, step: Step) -> str:
        records.extend(step.records)
        return ""

    stage = Stage(die=watch, quoter=lambda spec: Quote(price_key(spec.model, spec.params), price))
    return drive(a_book(some_tasks(1, *refs)), world, policy, stage), records


def moves(records: list[Record], event: AttemptEvent) -> list[AttemptMoved]:
    """Return the attempts' moves by an event."""
    return [r for r in records if isinstance(r, AttemptMoved) and r.event is event]


def test_a_render_is_written_down_as_the_server_told_it() -> None:
    """Accepted with its id and what was reserved; finished with what it cost and where its results are."""
    queued = Answer(Verdict.OK, Render("task_x", RenderStatus.QUEUED, reserved=7, final=0))
    world = World().script(SendCreate, queued)
    world.always[AskStatus] = says(RenderStatus.SUCCEEDED, reserved=7, final=6, urls=("https://media.example/x",))
    _, records = written(world)
    (accepted,), (succeeded,) = moves(records, AttemptEvent.ACCEPTED), moves(records, AttemptEvent.SUCCEEDED)
    assert (accepted.task_id, accepted.reserved) == ("task_x", 7)
    assert (succeeded.final, succeeded.urls) == (6, ("https://media.example/x",))
    named = [(r.manifest, r.task) for r in records if isinstance(r, Submitted | AttemptMoved | TaskMoved)]
    assert named == [("m", "t0")] * 5, "whoever watches is told whose each move is"


@pytest.mark.parametrize(
    ("kind", "reply", "event", "policy"),
    [
        (SendCreate, bad(Verdict.INVALID), AttemptEvent.REFUSED, FAST),
        (SendCreate, bad(Verdict.LOST), AttemptEvent.ANSWER_LOST, FAST),
        (SendCreate, bad(Verdict.LOST), AttemptEvent.DOUBTED, HOLD),
        (SendCreate, bad(Verdict.CONFLICT), AttemptEvent.DOUBTED, FAST),
    ],
)
def test_what_went_wrong_is_written_with_the_servers_own_words(
    kind: type, reply: Answer[object], event: AttemptEvent, policy: Policy
) -> None:
    """A person who must decide, and the vendor's support, need the code, the message and the request's id."""
    _, records = written(World().script(kind, reply), policy)
    (moved,) = moves(records, event)
    assert moved.fault == reply.fault
    assert moved.lost is (event is AttemptEvent.ANSWER_LOST)


def test_a_failed_render_is_written_with_its_reason_and_what_it_kept() -> None:
    """Both are the server's; a refund in a later run is counted from what was kept."""
    _, records = written(World().script(AskStatus, lambda r: failed_render(r.task_id, 2)))
    (failed,) = moves(records, AttemptEvent.FAILED)
    assert (failed.final, failed.fault) == (2, Fault("generation_failed", "it failed"))


def test_a_render_that_the_server_forgot_is_doubted_with_its_words() -> None:
    """What the server said when asked for it is kept for whoever must decide."""
    world = World()
    world.always[AskStatus] = lambda _: bad(Verdict.MISSING, "not_found")
    _, records = written(world)
    (doubted,) = moves(records, AttemptEvent.DOUBTED)
    assert doubted.fault is not None
    assert doubted.fault.code == "not_found"
    looks = world.times(AskStatus)
    assert min(b - a for a, b in pairwise(looks)) >= FAST.poll.slowest, "asked at the slowest pace meanwhile"


UNKNOWN = [bad(Verdict.MISSING)] * 99


@pytest.mark.parametrize(
    ("kind", "replies", "policy", "why"),
    [
        (SendCreate, [bad(Verdict.LOST)], HOLD, "the answer to its purchase was lost, and on_lost_answer says to ask a person"),
        (SendCreate, [bad(Verdict.CONFLICT)], FAST, "the server knows its key with another request (idempotency_conflict)"),
        (
            SendCreate,
            [bad(Verdict.LOST), bad(Verdict.INVALID)],
            FAST,
            "an earlier answer was lost, and now the server refuses the same request: it may have been bought",
        ),
        (AskStatus, UNKNOWN, FAST, "the server accepted it as task_0, but does not know it any more (another account's key?)"),
    ],
)
def test_why_a_person_must_look(kind: type, replies: list[Answer[object]], policy: Policy, why: str) -> None:
    """What is written with the task is all that the person has to go by."""
    run, _ = written(World().script(kind, *replies), policy)
    assert run.book.tasks[1].note == f"in doubt: {why}"


def test_what_made_room_for_a_result_is_written_with_it() -> None:
    """A file that was moved aside is found again by the ledger's word."""
    output, displaced = Output(0, "m/t0.mp4", "0" * 64, 10, "video/mp4"), Displaced("m/t0.mp4", "m/t0.a1.mp4")
    world = World().script(Download, lambda r: Downloaded(r, output, displaced, message="saved aside"))
    run, records = written(world)
    (key,) = run.book.attempts
    assert [(r.key, r.output, r.displaced) for r in records if isinstance(r, OutputSaved)] == [(key, output, displaced)]
    assert [(n.key, n.detail) for n in run.book.notes if n.event == "saved_aside"] == [(key, "saved aside")]


@pytest.mark.parametrize(
    ("kind", "reply", "event", "detail"),
    [
        (AskStatus, says(RenderStatus.UNKNOWN, said="paused"), "unknown_status", "paused"),
        (AskStatus, bad(Verdict.BUSY, "busy"), "answer_busy", ""),
        (Download, trouble(DiskTrouble.CUT), "download_cut", "it is cut"),
        (Download, trouble(DiskTrouble.REFUSED), "undelivered", "it is refused"),
    ],
)
def test_a_note_names_its_attempt_and_says_what_came(kind: type, reply: Reply, event: str, detail: str) -> None:
    """`show` of a task finds the note by the attempt's key."""
    run, records = written(World().script(kind, reply))
    (key,) = run.book.attempts
    (note,) = [r for r in records if isinstance(r, Noted) and r.event == event]
    assert (note.key, note.detail) == (key, detail)
    assert note.fault == (reply.fault if isinstance(reply, Answer) else None)


@pytest.mark.parametrize(
    ("kind", "reply", "event", "detail"),
    [
        (SendUpload, bad(Verdict.LOST, "timeout"), "upload_lost", "ref.png"),
        (SendUpload, bad(Verdict.INVALID, "no_image"), "upload_refused", "ref.png"),
        (AskBalance, bad(Verdict.LOST, "timeout"), "balance_lost", ""),
        (AskBalance, None, "balance", "1000000"),
        (AskStatus, bad(Verdict.BUSY, "busy"), "slow_down", ""),
    ],
)
def test_a_note_about_no_attempt_says_what_came(kind: type, reply: Answer[object] | None, event: str, detail: str) -> None:
    """The log has the server's own words for each upload, each balance and each 429, and what it was about."""
    run, records = written(World().script(kind, reply), KEEP, reference())
    note = next(r for r in records if isinstance(r, Noted) and r.event == event)
    assert note.key == ""
    assert note.fault == (reply.fault if reply else None)
    assert note.detail == detail or (event == "slow_down" and START < float(note.detail) < run.now)


def test_a_blocked_task_is_named() -> None:
    """Whoever watches is told whose reference was refused."""
    _, records = written(World().script(SendUpload, bad(Verdict.INVALID, "no_image")), FAST, reference())
    (moved,) = [r for r in records if isinstance(r, TaskMoved)]
    assert (moved.event, moved.task, moved.manifest) == (TaskEvent.BLOCKED, "t0", "m")
    assert "ref.png was refused: no_image" in moved.note


@pytest.mark.parametrize(
    ("price", "reserved", "refused", "moved"),
    [
        (5, 5, False, [(MoneyKind.CAPTURE, 5)]),
        (5, 6, False, [(MoneyKind.HOLD, 1), (MoneyKind.CAPTURE, 6)]),
        (5, 5, True, [(MoneyKind.RELEASE, 5)]),
        (0, 0, False, [(MoneyKind.CAPTURE, 0)]),
    ],
)
def test_each_hold_is_closed_by_what_it_became(price: int, reserved: int, refused: bool, moved: list[tuple[MoneyKind, int]]) -> None:
    """A credit more is held too, what cost nothing is only released, and a hold of nothing is closed as well."""
    world = World(price=reserved).script(SendCreate, bad(Verdict.INVALID) if refused else None)
    _, records = written(world, price=price)
    assert [(r.kind, r.credits) for r in records if isinstance(r, MoneyMoved)] == moved


def test_a_sidecar_has_the_attempts_facts_and_times() -> None:
    """Whoever finds the file alone learns the render's id, its attempt, its price and its times, under these names for ever."""
    world = World()
    run, _ = written(world)
    (asked,) = world.sent(Download)
    document = json.loads(cast("Download", asked).sidecar)
    (attempt,) = run.book.attempts.values()
    assert (document["task_id"], document["attempt"], document["credits"]) == (attempt.task_id, 1, 5)
    assert "" < document["submitted_at"] < document["accepted_at"] < document["rendered_at"]


@pytest.mark.parametrize("kind", [AskStatus, AskBalance, SendUpload])
def test_a_retry_after_of_any_question_is_honoured(kind: type) -> None:
    """A question that the server was too busy for is asked again when it said, not before."""
    world = World().script(kind, bad(Verdict.LOST, "unavailable", retry_after=45.0))
    drive(a_book(some_tasks(1, reference())), world, KEEP)  # a 503 slows nothing else down
    first, second, *_ = world.times(kind)
    assert second - first >= 45.0


@pytest.mark.parametrize(("reserved", "final", "cost"), [(3, None, 3), (None, None, 5), (3, 1, 1)])
def test_a_failure_that_says_nothing_kept_what_was_reserved(reserved: int | None, final: int | None, cost: int) -> None:
    """The server cannot have kept more than it reserved, also where more was held (5)."""
    queued = Answer(Verdict.OK, Render("task_x", RenderStatus.QUEUED, reserved=reserved, final=0))
    world = World().script(SendCreate, queued).script(AskStatus, lambda r: failed_render(r.task_id, final))
    run, _ = written(world)
    assert run.book.of("t0")[0].money[MoneyKind.CAPTURE] == cost


@pytest.mark.parametrize(("reserved", "final", "cost"), [(3, None, 3), (3, 0, 3), (7, None, 7)])
def test_a_success_that_does_not_say_its_price_cost_what_was_reserved(reserved: int, final: int | None, cost: int) -> None:
    """Less than the hold (5) as well as more."""
    queued = Answer(Verdict.OK, Render("task_x", RenderStatus.QUEUED, reserved=reserved, final=0))
    world = World().script(SendCreate, queued)
    world.always[AskStatus] = says(RenderStatus.SUCCEEDED, final=final, urls=("https://media.example/x",))
    run, _ = written(world)
    assert run.book.of("t0")[0].money[MoneyKind.CAPTURE] == cost


def test_the_next_run_settles_by_what_the_server_reserved() -> None:
    """A render accepted before a crash costs what was reserved then, if its end does not say; the rest of the hold is given back."""
    queued = Answer(Verdict.OK, Render("task_x", RenderStatus.QUEUED, reserved=3, final=0))
    world = World().script(SendCreate, queued)
    world.always[AskStatus] = says(RenderStatus.SUCCEEDED, urls=("https://media.example/x",))
    died = drive(a_book(some_tasks(1)), world, FAST, Stage(die=_once_accepted))
    drive(died.book, world)
    assert died.book.of("t0")[0].money == {MoneyKind.HOLD: 5, MoneyKind.CAPTURE: 3, MoneyKind.RELEASE: 2}


def _once_accepted(_: int, step: Step) -> str:
    return "after" if moves(list(step.records), AttemptEvent.ACCEPTED) else ""
