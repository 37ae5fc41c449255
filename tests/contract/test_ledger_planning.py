"""The ledger's port: the plan becomes tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from batchgen.core.messages import FetchDue, MoneyKind, TaskMoved, UploadForgotten, UploadStored
from batchgen.core.model import Budget, KnownTask, Manifest, StopAfter, Upload
from batchgen.core.plan import Action, plan_task
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.errors import LedgerConflict, LedgerError
from tests.contract.books import Books


def test_new_tasks_are_pending_and_due_in_order(books: Books) -> None:
    """A planned task comes back from the ledger as it was planned."""
    assert [due.task for due in books.due()] == [books.task(n) for n in range(3)]
    assert [due.fingerprint for due in books.due()] == [books.task(n).spec.fingerprint for n in range(3)]
    known = books.store.known("spring", ["t1", "nobody"])
    assert known == {"t1": KnownTask("t1", TaskState.PENDING, books.task(1).spec.fingerprint, None, "spring/t1", 1, wanted=True)}


def test_an_unchanged_manifest_writes_nothing(books: Books) -> None:
    """Adopting the same tasks again leaves every row of every table as it was."""
    books.finish(0)
    before = books.rows()
    books.adopt([books.task(n) for n in range(3)])
    assert books.rows() == before


def test_a_changed_pending_task_gets_its_new_spec(books: Books) -> None:
    """A pending task stays pending and is due with what the manifest says now."""
    books.adopt([books.edited(books.task(0), "a blue hat"), books.task(1), books.task(2)])
    due = books.due()[0]
    assert (due.task.spec.prompt, due.fingerprint) == ("a blue hat", due.task.spec.fingerprint)
    assert [event.event for event in books.history("t0").events] == ["changed"]


def test_a_changed_done_task_is_due_again(books: Books) -> None:
    """A done task whose fingerprint changes is renewed, and the log says so."""
    books.finish(0)
    books.adopt([books.edited(books.task(0), "a blue hat"), books.task(1), books.task(2)])
    history = books.history("t0")
    assert (history.task.state, history.events[-1].event, history.events[-1].before) == (TaskState.PENDING, "renewed", "done")


def test_attempts_are_counted_by_what_they_bought(books: Books) -> None:
    """`attempts` are all of a task's, `alike` those at the fingerprint that it has now: also when that comes back."""
    tasks = [books.task(n) for n in range(3)]
    changed = [books.edited(tasks[0], "a blue hat"), *tasks[1:]]
    books.finish(0)
    books.adopt(changed)
    assert [(due.attempts, due.alike) for due in books.due()] == [(1, 0), (0, 0), (0, 0)]
    books.submit(0)
    (live,) = books.open().live
    assert (live.due.attempts, live.due.alike) == (2, 1)
    books.adopt(tasks)
    (live,) = books.open().live
    assert (live.due.attempts, live.due.alike) == (2, 1), "the one that was finished, not the one in flight"
    assert [broken for broken in books.store.check() if broken.invariant == 3] == []


def test_asking_again_forgets_failures(books: Books) -> None:
    """A failed task stays failed until it is asked for again; then its failures count from zero and its attempts go on."""
    books.give_up(0)
    tasks = [books.task(n) for n in range(3)]
    books.adopt(tasks)
    assert books.history("t0").task.state is TaskState.FAILED
    books.adopt(tasks, retry_failed=True)
    due = books.due()[0]
    assert (due.task.id, due.attempts, due.failures) == ("t0", 1, 0)


def test_an_edit_in_flight_waits(books: Books) -> None:
    """A rendering task takes the new spec and keeps its state; its attempt keeps what was bought."""
    _, key = books.submit(0)
    books.adopt([books.edited(books.task(0), "a blue hat"), books.task(1), books.task(2)])
    (live,) = books.open().live
    assert (live.key, live.fingerprint, live.task_state) == (key, books.task(0).spec.fingerprint, TaskState.RENDERING)
    assert live.due.task.spec.prompt == "a blue hat"
    assert live.due.fingerprint == live.due.task.spec.fingerprint != live.fingerprint


def test_an_attempt_in_doubt_keeps_its_task_as_it_was(books: Books) -> None:
    """Nobody knows yet what was bought, so a blocked task's fingerprint does not change under the person who looks."""
    row, key = books.submit(0)
    doubt = replace(books.accepted(key), event=AttemptEvent.DOUBTED, after=AttemptState.IN_DOUBT, task_id=None, reserved=None)
    books.write(doubt, TaskMoved(row, TaskEvent.BLOCKED, TaskState.RENDERING, TaskState.BLOCKED, books.at, note="in doubt"))
    books.adopt([books.edited(books.task(0), "a blue hat"), books.task(1), books.task(2)])
    known = books.store.known("spring", ["t0"])["t0"]
    assert (known.state, known.live, known.fingerprint) == (TaskState.BLOCKED, AttemptState.IN_DOUBT, books.task(0).spec.fingerprint)
    assert books.open().in_doubt == 1


def test_a_moved_reference_is_found_at_its_new_place(books: Books) -> None:
    """A file's path is no part of the fingerprint, but the next upload reads from the new one."""
    task = books.task(0)
    moved = replace(task, spec=replace(task.spec, references=(replace(task.spec.references[0], path="/new/shoe.png"),)))
    books.adopt([moved, books.task(1), books.task(2)])
    assert books.due()[0].task.spec.references[0].path == "/new/shoe.png"
    assert books.history("t0").events == ()


def test_a_task_that_left_is_not_due_until_it_returns(books: Books) -> None:
    """Leaving and returning are in the log; what left is kept."""
    books.adopt([books.task(0), books.task(2)])
    assert [due.task.id for due in books.due()] == ["t0", "t2"]
    assert (books.store.manifests()[0].removed, books.store.wanted("spring")) == (1, 2)
    books.adopt([books.task(n) for n in range(3)])
    assert [due.task.id for due in books.due()] == ["t0", "t1", "t2"]
    assert [event.event for event in books.history("t1").events] == ["removed", "returned_to_manifest"]


def test_inserting_a_task_above_moves_the_others(books: Books) -> None:
    """The order in which tasks are due is the manifest's order now."""
    first = replace(books.task(9), position=0)
    books.adopt([first, *(replace(books.task(n), position=n + 1) for n in range(3))])
    assert [due.task.id for due in books.due()] == ["t9", "t0", "t1", "t2"]


def test_many_tasks_stream_through(books: Books) -> None:
    """Chunks and pages join without a gap, also when the actions are read from the ledger while they are written."""
    tasks = [books.task(n) for n in range(1203)]

    def actions() -> Iterator[Action]:
        for start in range(0, len(tasks), 100):
            known = books.store.known("spring", [task.id for task in tasks[start : start + 100]])
            yield from (plan_task(task, known.get(task.id)) for task in tasks[start : start + 100])

    books.store.adopt(books.manifest, actions(), run=books.run, at=books.at)
    assert [task.id for task in books.store.leavers("spring", lambda _: False)] == sorted(task.id for task in tasks), "by id"
    assert [due.task.position for due in books.due(after=599, limit=500)] == list(range(600, 1100))


def test_a_plan_that_breaks_off_writes_nothing(books: Books) -> None:
    """An error while the actions are read leaves the ledger as it was."""
    before = books.rows()

    def actions() -> Iterator[Action]:
        yield from (plan_task(books.task(n), None) for n in range(3, 900))
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        books.store.adopt(books.manifest, actions(), run=books.run, at=books.at)
    assert books.rows() == before


def test_an_outdated_plan_is_refused(books: Books) -> None:
    """A plan made before a task moved is not written over it."""
    known = books.store.known("spring", ["t0"])["t0"]
    books.submit(0)
    before = books.rows()
    with pytest.raises(LedgerConflict, match="t0 changed in the ledger since it was planned"):
        books.store.adopt(books.manifest, [plan_task(books.task(0), known)], run=books.run, at=books.at)
    assert books.rows() == before


def test_a_header_is_kept_whole(books: Books) -> None:
    """The manifest comes back as it was last adopted."""
    header = Manifest("spring", "/new/spring.yaml", Budget(9, None, 3), 4, canary=2, retries=1, stop_after=StopAfter(3, 0.25))
    books.store.adopt(header, [], run=books.run, at=books.at)
    assert books.open().manifests == (header,)


def test_an_unknown_manifest_is_named(books: Books) -> None:
    """Opening a run on a manifest that was never adopted says which one is missing."""
    with pytest.raises(LedgerError, match="no manifest autumn"):
        books.store.open_run(["autumn"], run=books.run, today=books.day, only="")


def test_hostile_text_is_kept(books: Books) -> None:
    """Half a surrogate pair, NUL, right-to-left text and emoji in a prompt come back as they were."""
    prompt = "bad \ud83d half, nul \x00, \u202eright to left, 🦊"
    books.adopt([books.edited(books.task(0), prompt), books.task(1), books.task(2)])
    assert books.due()[0].task.spec.prompt == prompt


def test_a_glob_takes_only_its_tasks_and_reads_on(books: Books) -> None:
    """A page by glob is filled from as far on as needed, and says how far it read."""
    books.adopt([books.task(n) for n in range(700)])
    arrived = books.store.due(FetchDue("spring", -1, 3, "t69?"))
    assert [due.task.id for due in arrived.tasks] == ["t690", "t691", "t692"]
    assert (arrived.after, arrived.last) == (692, False)
    rest = books.store.due(FetchDue("spring", 692, 30, "t69?"))
    assert (len(rest.tasks), rest.last) == (7, True)


def test_known_uploads_come_with_the_page(books: Books) -> None:
    """A page names the uploads that its references have, until the server forgets them."""
    upload = Upload("a" * 64, "https://files.example/a", "file-1", "token", uploaded_at=books.at)
    books.write(UploadStored(upload, books.at))
    assert books.store.due(FetchDue("spring", -1, 3)).uploads == (upload,)
    newer = replace(upload, url="https://files.example/b")
    books.write(UploadForgotten("a" * 64, books.at), UploadStored(newer, books.at))
    assert books.store.uploaded(["a" * 64, "b" * 64]) == {"a" * 64: newer}


def test_a_glob_that_fills_a_page_before_the_last_row_reads_on(books: Books) -> None:
    """A page that is full is the last one only if it holds the last row: else the tasks after it would never be asked for."""
    two, all_of_them = (books.store.due(FetchDue("spring", -1, limit, "t*")) for limit in (2, 3))
    assert ([due.task.id for due in two.tasks], two.after, two.last) == (["t0", "t1"], 1, False)
    assert (len(all_of_them.tasks), all_of_them.last) == (3, True)


def test_the_log_says_which_run_changed_a_task_and_why(books: Books) -> None:
    """The plan's reason, in the words that a person reads."""
    books.finish(0)
    books.adopt([books.edited(books.task(0), "a blue hat"), books.edited(books.task(1), "a blue hat")])
    books.adopt([books.edited(books.task(0), "a blue hat"), books.edited(books.task(1), "a blue hat"), books.task(2)])
    told = [books.history(f"t{n}").events for n in range(3)]
    assert [[event.event for event in events][-n:] for n, events in zip((1, 1, 2), told, strict=True)] == [
        ["renewed"],
        ["changed"],
        ["removed", "returned_to_manifest"],
    ]
    planned = [event for events in told for event in events if event.event in {"renewed", "changed", "removed", "returned_to_manifest"}]
    assert all(event.detail for event in planned)
    assert {event.run for events in told for event in events} == {books.run}


def test_a_task_that_left_is_known_as_such(books: Books) -> None:
    """The plan that brings it back must see that it was gone."""
    books.adopt([books.task(0), books.task(2)])
    known = books.store.known("spring", ["t0", "t1"])
    assert {ident: one.wanted for ident, one in known.items()} == {"t0": True, "t1": False}


def test_a_task_takes_its_new_line_and_its_new_name(books: Books) -> None:
    """With the same content too: the next file is saved under the name that the manifest has now."""
    moved = replace(books.task(0), line=99, output="spring/shoe")
    books.adopt([moved, books.task(1), books.task(2)])
    assert books.due()[0].task == moved


def test_another_content_begins_afresh(books: Books) -> None:
    """No failure and no note of what was wanted before, whether the task was pending or given up."""
    row, key = books.submit(0)
    back = TaskMoved(row, TaskEvent.RETURNED, TaskState.RENDERING, TaskState.PENDING, books.at, note="try again")
    books.write(books.accepted(key), books.failed(key), books.money(key, MoneyKind.RELEASE, 40), back)
    books.give_up(1)
    assert books.due()[0].failures == 1
    books.adopt([books.edited(books.task(0), "a blue hat"), books.edited(books.task(1), "a blue hat"), books.task(2)])
    assert [due.failures for due in books.due()] == [0, 0, 0]
    assert books.history("t1").task.note == ""
