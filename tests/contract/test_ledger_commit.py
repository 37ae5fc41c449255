"""The ledger's port: records become rows, all of them or none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.core.answers import Fault
from batchgen.core.messages import (
    AttemptMoved,
    Displaced,
    MoneyKind,
    Noted,
    Record,
    TaskMoved,
)
from batchgen.core.model import DueTask, Output
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.errors import IllegalMove, LedgerConflict
from tests.contract.books import Books


def refused(books: Books, *records: Record, match: str = "nothing was written") -> None:
    """Commit a harmless note and then `records`; all must be refused and nothing written."""
    before = books.rows()
    with pytest.raises(LedgerConflict, match=match):
        books.write(Noted("harmless", books.at), *records)
    assert books.rows() == before


def test_a_whole_life(books: Books) -> None:
    """From submission to disk, the ledger tells attempt, credits, file and every move."""
    _, key = books.finish(0)
    history = books.history("t0")
    (attempt,) = history.attempts
    assert (attempt.key, attempt.number, attempt.state, attempt.body) == (key, 1, AttemptState.SUCCEEDED, b'{"prompt":"x"}')
    assert (attempt.submitted_at, attempt.accepted_at, attempt.ended_at) == (books.at, books.at, books.at)
    assert (attempt.held, attempt.captured, attempt.released, attempt.reserved, attempt.final) == (0, 35, 5, 40, 35)
    assert attempt.outputs == (Output(0, "spring/t0.mp4", "b" * 64, 1000, "video/mp4"),)
    assert (history.task.state, history.task.captured, history.task.latest) == (TaskState.DONE, 35, attempt)
    told = [(event.event, event.before, event.after, event.attempt) for event in history.events]
    assert told == [
        ("submitted", "pending", "rendering", None),
        ("submitted", "", "submitting", 1),
        ("accepted", "submitting", "accepted", 1),
        ("succeeded", "accepted", "succeeded", 1),
        ("rendered", "rendering", "rendered", None),
        ("output_saved", "", "", 1),
        ("saved", "rendered", "done", None),
    ]


def test_a_commit_may_hold_a_whole_life(books: Books) -> None:
    """Records of one commit may build on each other, in their order."""
    due = books.due()[0]
    record = books.submission(due)
    key, row = record.key, due.row
    books.write(
        record,
        books.accepted(key),
        books.failed(key),
        books.money(key, MoneyKind.RELEASE, 40),
        TaskMoved(row, TaskEvent.RETURNED, TaskState.RENDERING, TaskState.PENDING, books.at),
        books.submission(replace(due, attempts=1, alike=1)),
    )
    assert [attempt.state for attempt in books.history("t0").attempts] == [AttemptState.FAILED, AttemptState.SUBMITTING]


def test_a_submission_holds_its_credits(books: Books) -> None:
    """The attempt, its exact bytes and its hold are there together, and the task is no longer due."""
    books.submit(0, hold=70)
    (live,) = books.open().live
    assert (live.body, live.hold, live.state, live.number) == (b'{"prompt":"x"}', 70, AttemptState.SUBMITTING, 1)
    assert [due.task.id for due in books.due()] == ["t1", "t2"]
    assert books.store.money(books.day).held == 70


def test_twenty_submissions_in_one_commit(books: Books) -> None:
    """Each attempt of a commit gets its own hold and event."""
    books.adopt([books.task(n) for n in range(20)])
    books.write(*(books.submission(due, hold=10 + due.task.position) for due in books.due()))
    live = books.open().live
    assert [(one.due.task.position, one.hold) for one in live] == [(n, 10 + n) for n in range(20)]


def test_a_task_is_submitted_once(books: Books) -> None:
    """The second submission of the same due task is refused."""
    due = books.due()[0]
    books.write(books.submission(due))
    refused(books, replace(books.submission(due), key="bg-other"))
    refused(books, books.submission(due), match="used before, with the same body")
    refused(books, replace(books.submission(due), body=b"{}"), match="used before, with another body")


def test_the_same_key_twice_in_one_commit(books: Books) -> None:
    """Two tasks cannot share a client_request_id."""
    one, two, _ = (books.submission(due) for due in books.due())
    refused(books, one, replace(two, key=one.key))


def test_what_is_bought_is_what_is_wanted(books: Books) -> None:
    """A submission of an outdated fingerprint is refused."""
    refused(books, replace(books.submission(books.due()[0]), fingerprint="0" * 64))


def test_attempts_are_numbered_without_gaps(books: Books) -> None:
    """A submission must carry the next number."""
    refused(books, replace(books.submission(books.due()[0]), number=2))


def test_a_task_that_is_not_there(books: Books) -> None:
    """Records of unknown tasks and attempts are refused."""
    due = books.due()[0]
    refused(books, books.submission(DueTask(999, due.task, due.fingerprint)))
    refused(books, books.accepted("bg-unknown"), match="no attempt bg-unknown")
    refused(books, TaskMoved(999, TaskEvent.BLOCKED, TaskState.PENDING, TaskState.BLOCKED, books.at))


def test_a_move_names_the_state_it_expects(books: Books) -> None:
    """A move from a state in which the row is not is refused, with everything beside it."""
    row, key = books.submit(0)
    refused(books, books.succeeded(key))
    refused(books, TaskMoved(row, TaskEvent.GIVEN_UP, TaskState.PENDING, TaskState.FAILED, books.at))


def test_a_move_must_be_in_the_tables(books: Books) -> None:
    """A move that core.states lacks raises and changes nothing; so does a wrong result of one that it has."""
    row, key = books.finish(0)
    before = books.rows()
    with pytest.raises(IllegalMove):
        books.write(AttemptMoved(key, AttemptEvent.FAILED, AttemptState.SUCCEEDED, AttemptState.FAILED, books.at))
    with pytest.raises(IllegalMove):
        books.write(TaskMoved(row, TaskEvent.SUBMITTED, TaskState.DONE, TaskState.RENDERING, books.at))
    with pytest.raises(LedgerConflict, match="not in the tables"):
        books.write(TaskMoved(row, TaskEvent.RENEWED, TaskState.DONE, TaskState.FAILED, books.at))
    assert books.rows() == before


def test_credits_are_closed_once_and_whole(books: Books) -> None:
    """Holds equal captures plus releases, and after that no money moves."""
    _, key = books.submit(0)
    refused(books, books.money(key, MoneyKind.RELEASE, 39), match="differ by 1 credits")
    refused(books, books.money(key, MoneyKind.CAPTURE, 41))
    refused(books, books.money(key, MoneyKind.CAPTURE, 40), books.money(key, MoneyKind.RELEASE, 1))
    books.write(books.money(key, MoneyKind.CAPTURE, 30), books.money(key, MoneyKind.RELEASE, 10))
    refused(books, books.money(key, MoneyKind.HOLD, 1), match="settled before")
    refused(books, books.money(key, MoneyKind.RELEASE, 0), match="settled before")


def test_a_dearer_render_is_held_before_it_is_captured(books: Books) -> None:
    """A further hold makes room for a capture above the first one."""
    _, key = books.submit(0)
    books.write(books.money(key, MoneyKind.HOLD, 15), books.money(key, MoneyKind.CAPTURE, 55))
    facts = books.store.money(books.day)
    assert (facts.captured, facts.held) == (55, 0)


def test_failures_count_until_the_task_is_due_afresh(books: Books) -> None:
    """A failed attempt counts; a refused one and a lost answer do not."""
    row, key = books.submit(0)
    lost = AttemptMoved(key, AttemptEvent.ANSWER_LOST, AttemptState.SUBMITTING, AttemptState.SUBMITTING, books.at, lost=True)
    books.write(lost)
    assert books.open().live[0].lost == 1
    back = TaskMoved(row, TaskEvent.RETURNED, TaskState.RENDERING, TaskState.PENDING, books.at, note="try again")
    books.write(books.accepted(key), books.failed(key), books.money(key, MoneyKind.RELEASE, 40), back)
    _, second = books.submit(0)
    fault = Fault("reference_gone", "no such file", "req-2", 400)
    no = AttemptMoved(second, AttemptEvent.REFUSED, AttemptState.SUBMITTING, AttemptState.REFUSED, books.at, fault=fault)
    books.write(no, books.money(second, MoneyKind.RELEASE, 40), back)
    due = books.due()[0]
    assert (due.attempts, due.failures) == (2, 1)
    assert [attempt.fault.code for attempt in books.history("t0").attempts if attempt.fault] == ["provider_error", "reference_gone"]
    assert books.history("t0").task.note == "try again"


def test_superseded_is_due_afresh(books: Books) -> None:
    """A task whose manifest changed while it rendered is pending again, with no failures."""
    row, key = books.render(0)
    books.adopt([books.edited(books.task(0), "a blue hat"), books.task(1), books.task(2)])
    books.write(books.output(key, "spring/t0.mp4"), TaskMoved(row, TaskEvent.SUPERSEDED, TaskState.RENDERED, TaskState.PENDING, books.at))
    assert next((due.task.spec.prompt, due.failures) for due in books.due()) == ("a blue hat", 0)


def test_an_output_is_found_by_its_path(books: Books) -> None:
    """The owner of a path is known by content and attempt; any other file is not ours."""
    books.finish(0)
    assert books.store.owner("spring/t0.mp4") == ("b" * 64, 1)
    assert books.store.owner("spring/holiday.mp4") is None


def test_an_older_output_makes_room(books: Books) -> None:
    """The displaced file keeps its row under its new name, in the same commit that takes the old name."""
    books.finish(0)
    books.adopt([books.edited(books.task(0), "a blue hat"), books.task(1), books.task(2)])
    row, key = books.render(0)
    new = replace(books.output(key, "spring/t0.mp4"), displaced=Displaced("spring/t0.mp4", "spring/t0.a1.mp4"))
    books.write(new, books.saved(row))
    assert (books.store.owner("spring/t0.a1.mp4"), books.store.owner("spring/t0.mp4")) == (("b" * 64, 1), ("b" * 64, 2))


def test_displacing_what_is_not_there(books: Books) -> None:
    """A rename of an output that the ledger lacks is refused."""
    _, key = books.render(0)
    refused(books, replace(books.output(key, "spring/t0.mp4"), displaced=Displaced("spring/x.mp4", "spring/x.a1.mp4")))


def test_a_file_fetched_again_keeps_its_row(books: Books) -> None:
    """A second save of the same result replaces what is known of it."""
    _, key = books.finish(0)
    again = books.output(key, "spring/t0.mp4")
    books.write(replace(again, output=replace(again.output, sha256="c" * 64, size=7)))
    assert books.history("t0").attempts[0].outputs == (Output(0, "spring/t0.mp4", "c" * 64, 7, "video/mp4"),)


def test_two_outputs_cannot_share_a_path(books: Books) -> None:
    """A path belongs to one output."""
    books.finish(0)
    _, key = books.render(1)
    refused(books, books.output(key, "spring/t0.mp4"), match="refused a write")


def test_a_note_moves_nothing(books: Books) -> None:
    """A note is in the log of its attempt, with the server's words whole, however hostile."""
    _, key = books.submit(0)
    fault = Fault("weird", "half \ud800 and nul \x00", "req-9", 503)
    books.write(Noted("poll_failed", books.at, key=key, fault=fault, detail="x"))
    told = books.history("t0").events[-1].fault
    assert told == Fault("weird", "half \\ud800 and nul \\x00", "req-9", 503)


def test_slowing_down_outlives_the_run(books: Books) -> None:
    """The instant before which nothing may be asked is there for the next run."""
    books.write(Noted("slow_down", books.at, detail=repr(books.at + 30.5)), Noted("slow_down", books.at, detail=repr(books.at + 60.25)))
    assert books.open().not_before == books.at + 60.25


def test_nothing_to_commit(books: Books) -> None:
    """A step without records writes nothing."""
    before = books.rows()
    books.write()
    assert books.rows() == before
