"""The ledger's port: a record comes back as it was written, in the log for people and at the opening for the next run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from batchgen.core.answers import Fault
from batchgen.core.facts import FETCH_LATER
from batchgen.core.messages import AttemptMoved, Controlled, Noted, OutputLost, TaskMoved, UploadForgotten, UploadStored
from batchgen.core.messages import MoneyKind as Kind
from batchgen.core.model import Upload
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.core.steering import Control, ControlKind
from batchgen.errors import LedgerConflict
from batchgen.ledger import tables
from tests.contract.books import NOW, Books

DAY = 86_400.0


def test_the_next_run_gets_an_accepted_attempt_whole(books: Books) -> None:
    """What was reserved, when it was accepted and what is held: its price and its patience go on from there."""
    books.at = NOW + 1.0
    _, key = books.submit(0, hold=70)
    books.at = NOW + 5.0
    books.write(books.accepted(key, reserved=60))
    (live,) = books.open().live
    assert (live.submitted_at, live.accepted_at, live.reserved, live.hold) == (NOW + 1.0, NOW + 5.0, 60, 70)
    assert (live.task_id, live.ordered, live.lost) == (f"task-{key}", False, 0)


def test_the_next_run_gets_an_unanswered_attempt_without_what_nobody_said(books: Books) -> None:
    """Not accepted at any instant, nothing reserved, in no task of the server's."""
    books.submit(0)
    (live,) = books.open().live
    assert (live.accepted_at, live.reserved, live.task_id, live.final) == (0.0, None, "", None)


def test_a_repeat_that_a_person_ordered_is_known_as_such_to_the_next_run(books: Books) -> None:
    """Only an order, and only until something has left since: `on_lost_answer: hold` does not doubt it again."""
    row, key = books.submit(0)
    doubted = AttemptMoved(key, AttemptEvent.DOUBTED, AttemptState.SUBMITTING, AttemptState.IN_DOUBT, NOW)
    books.write(doubted, TaskMoved(row, TaskEvent.BLOCKED, TaskState.RENDERING, TaskState.BLOCKED, NOW))
    resent = replace(doubted, event=AttemptEvent.RESENT, before=doubted.after, after=doubted.before, submitted_at=NOW + 9.0)
    books.write(resent, TaskMoved(row, TaskEvent.CONTINUED, TaskState.BLOCKED, TaskState.RENDERING, NOW))
    (live,) = books.open().live
    assert (live.ordered, live.submitted_at) == (True, NOW + 9.0)
    again = AttemptMoved(key, AttemptEvent.REPEATED, AttemptState.SUBMITTING, AttemptState.SUBMITTING, NOW)
    books.write(again)
    assert not books.open().live[0].ordered


def test_a_render_whose_files_must_be_left_alone_is_known_as_such_to_the_next_run(books: Books) -> None:
    """The newest word of their server counts, and for that render only."""
    _, key = books.render(0)
    books.render(1)
    for until in (NOW + 9_000.25, NOW + 7_200.5):
        books.write(Noted(FETCH_LATER, NOW, key=key, detail=repr(until)), Noted("undelivered", NOW, key=key))
    assert {live.key == key: live.not_before for live in books.open().live} == {True: NOW + 7_200.5, False: 0.0}


@pytest.mark.parametrize("event", [AttemptEvent.FOUND_ACCEPTED, AttemptEvent.RESENT])
def test_an_attempt_in_doubt_may_have_another_task_id_than_was_thought(books: Books, event: AttemptEvent) -> None:
    """Said with a slip of the pen and said again, or forgotten by the server and sold anew: the render is not lost for that."""
    row, key = books.submit(0)
    books.write(books.accepted(key))
    doubted = AttemptMoved(key, AttemptEvent.DOUBTED, AttemptState.ACCEPTED, AttemptState.IN_DOUBT, NOW)
    books.write(doubted, TaskMoved(row, TaskEvent.BLOCKED, TaskState.RENDERING, TaskState.BLOCKED, NOW))
    went_on = TaskMoved(row, TaskEvent.CONTINUED, TaskState.BLOCKED, TaskState.RENDERING, NOW)
    if event is AttemptEvent.RESENT:
        books.write(replace(doubted, event=event, before=doubted.after, after=AttemptState.SUBMITTING, submitted_at=NOW), went_on)
        books.write(replace(books.accepted(key), task_id="task_right"))
    else:
        said = replace(doubted, event=event, before=doubted.after, after=AttemptState.ACCEPTED, task_id="task_right")
        books.write(said, went_on)
        assert [line.detail for line in books.history().events if line.event == event] == ["task_right"]
    (live,) = books.open().live
    assert (live.state, live.task_id) == (AttemptState.ACCEPTED, "task_right")
    assert (books.store.bearer("task_right"), books.store.bearer(f"task-{key}")) == (key, None)


def test_a_failed_render_that_kept_credits_is_asked_about_for_a_week(books: Books) -> None:
    """A refund is looked for while it may still come, and no longer; one that kept nothing is not asked about."""
    books.adopt([books.task(0), books.task(1)])
    books.give_up(1)
    row, key = books.submit(0)
    given_up = TaskMoved(row, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, NOW)
    kept = (books.money(key, Kind.CAPTURE, 10), books.money(key, Kind.RELEASE, 30))
    books.write(books.accepted(key))
    books.write(replace(books.failed(key), final=10), *kept, given_up)
    # NOW is 2025-11-13, 02:13 UTC
    assert [(one.key, one.final) for one in books.open(today="2025-11-19").live] == [(key, 10)]
    assert books.open(today="2025-11-21").live == ()


def test_when_an_attempt_was_accepted_and_ended_is_written_once(books: Books) -> None:
    """Each instant by its own move, and by no other."""
    row, key = books.submit(0)
    lost = AttemptMoved(key, AttemptEvent.ANSWER_LOST, AttemptState.SUBMITTING, AttemptState.SUBMITTING, NOW + 1.0, lost=True)
    books.write(lost)
    (attempt,) = books.history().attempts
    assert (attempt.accepted_at, attempt.ended_at) == (None, None)
    books.at = NOW + 2.0
    books.write(books.accepted(key))
    (attempt,) = books.history().attempts
    assert (attempt.accepted_at, attempt.ended_at) == (NOW + 2.0, None)
    books.at = NOW + 3.0
    books.write(books.succeeded(key), books.money(key, Kind.CAPTURE, 40), books.rendered(row))
    (attempt,) = books.history().attempts
    assert (attempt.accepted_at, attempt.ended_at) == (NOW + 2.0, NOW + 3.0)


def test_the_log_keeps_who_did_what_and_why(books: Books) -> None:
    """Each line has its run, its attempt's number, the server's words and ours."""
    row, key = books.submit(0)
    fault = Fault("provider_error", "no luck", "req-1", 200)
    books.write(books.accepted(key), Noted("poll_failed", books.at, key=key, fault=fault, detail="half an answer"))
    given_up = TaskMoved(row, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, books.at, note="provider_error: no luck")
    books.write(books.failed(key), books.money(key, Kind.RELEASE, 40), given_up)
    told = {event.event: event for event in books.history().events}
    noted, failed, left = told["poll_failed"], told[AttemptEvent.FAILED], told[TaskEvent.GIVEN_UP]
    assert (noted.run, noted.attempt, noted.detail, noted.fault) == (books.run, 1, "half an answer", fault)
    assert (failed.run, failed.attempt, failed.fault) == (books.run, 1, fault)
    assert (left.run, left.attempt, left.detail) == (books.run, None, "provider_error: no luck")


def test_a_lost_output_is_in_the_log_and_is_fetched_again(books: Books) -> None:
    """The log says which file and why; the next run does not count it as saved. One that is not there is refused."""
    row, key = books.finish(0)
    stem = books.history().task.output
    missed = TaskMoved(row, TaskEvent.MISSED, TaskState.DONE, TaskState.RENDERED, books.at)
    books.write(OutputLost(key, 0, f"{stem}.mp4", "missing", books.at), missed)
    (line,) = [event for event in books.history().events if event.event == "output_lost"]
    assert (line.run, line.attempt, line.detail) == (books.run, 1, f"{stem}.mp4: missing")
    (live,) = books.open().live
    assert (live.key, live.saved) == (key, frozenset())
    with pytest.raises(LedgerConflict, match=r"no output spring/other\.mp4"):
        books.write(OutputLost(key, 0, "spring/other.mp4", "missing", books.at))


def test_the_log_names_files_uploads_and_orders(books: Books) -> None:
    """What was saved, uploaded, forgotten and ordered, by name; an upload without an instant of the server's has ours."""
    _, key = books.render(0)
    stored = UploadStored(Upload("a" * 64, "https://files.example/a"), books.at)
    with books.store.lock(command="run", at=books.at):
        row = books.store.steer(Control(0, ControlKind.RATE, 0.5), books.at)
    order = Controlled(Control(row, ControlKind.RATE, 0.5), books.at)
    books.write(books.output(key, "spring/t0.mp4"), stored, UploadForgotten("b" * 64, books.at), order)
    with books.store._opened.reading.begin() as connection:
        told = {row.event: row.detail for row in connection.execute(sa.select(tables.events.c.event, tables.events.c.detail))}
    assert [told[event] for event in ("output_saved", "upload_stored", "upload_forgotten")] == ["spring/t0.mp4", "a" * 64, "b" * 64]
    assert told["control_rate"] == str(order.control)
    assert books.store.uploaded(["a" * 64])["a" * 64].uploaded_at == books.at
    books.write(UploadStored(replace(stored.upload, uploaded_at=books.at - 5.0), books.at))
    assert books.store.uploaded(["a" * 64])["a" * 64].uploaded_at == books.at - 5.0


def test_what_a_failed_render_still_keeps_is_less_its_refunds(books: Books) -> None:
    """The next run asks about what has not come back; a refund may come with the closing of its hold."""
    row, key = books.submit(0)
    books.write(books.accepted(key))
    given_up = TaskMoved(row, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, NOW)
    paid = (books.money(key, Kind.CAPTURE, 10), books.money(key, Kind.RELEASE, 30), books.money(key, Kind.REFUND, 4))
    books.write(replace(books.failed(key), final=10), *paid, given_up)
    assert [one.final for one in books.open(today="2025-11-14").live] == [6]


def test_a_free_attempt_holds_nothing(books: Books) -> None:
    """Not one credit, in no doubt, after no instant, and without a task of the server's."""
    books.submit(0, hold=0)
    opening = books.open()
    assert (opening.live[0].hold, opening.in_doubt, opening.not_before) == (0, 0, 0.0)
    assert books.history().attempts[0].task_id == ""
    assert books.store.preview([books.manifest], today=books.day).spending.run == {}
    assert books.store.wanted("nobody") == 0
