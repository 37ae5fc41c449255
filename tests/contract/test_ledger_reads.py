"""The ledger's port: what a run starts from, and what people ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.core.facts import MoneyFacts, RunAsked, Spending, TaskQuery
from batchgen.core.messages import Ended, MoneyKind, OutputLost, TaskMoved
from batchgen.core.model import Manifest
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode, LedgerError
from batchgen.ledger import Store
from tests.contract.books import Books


def test_live_attempts_are_those_with_work_left(books: Books) -> None:
    """Submitting, accepted, and rendered with files missing; not done, failed or in doubt."""
    books.adopt([books.task(n) for n in range(6)])
    books.finish(0)
    books.give_up(1)
    row, doubted = books.submit(2)
    doubt = replace(books.accepted(doubted), event=AttemptEvent.DOUBTED, after=AttemptState.IN_DOUBT, task_id=None, reserved=None)
    books.write(doubt, TaskMoved(row, TaskEvent.BLOCKED, TaskState.RENDERING, TaskState.BLOCKED, books.at))
    _, submitting = books.submit(3)
    _, accepted = books.submit(4)
    books.write(books.accepted(accepted))
    _, rendered = books.render(5)
    books.write(books.output(rendered, "spring/t5-1.mp4", index=1))
    opening = books.open()
    assert {one.key: one.state.value for one in opening.live} == {rendered: "succeeded", submitting: "submitting", accepted: "accepted"}
    assert {one.key: one.saved for one in opening.live} == {rendered: {1}, submitting: frozenset(), accepted: frozenset()}
    files = next(one for one in opening.live if one.key == rendered)
    assert (files.urls, files.final, files.task_id) == (books.succeeded("").urls, 35, f"task-{rendered}")
    counted = (opening.rendered, opening.failed, opening.blocked, opening.in_doubt, opening.bought)
    assert counted == ({"spring": 2}, 1, 1, 1, 6)


def test_work_in_flight_outlives_the_manifest(books: Books) -> None:
    """A live attempt of a task that left the manifest is still there, and marked so."""
    _, key = books.submit(0)
    books.adopt([books.task(1), books.task(2)])
    (live,) = books.open().live
    assert (live.key, live.wanted) == (key, False)


def test_spending_has_the_scopes_of_budgets(books: Books) -> None:
    """Captured plus held, by manifest, run, day and month; a release gives back."""
    books.finish(0)  # 35
    books.day = "2026-11-24"
    books.begin()
    books.submit(1)  # 40
    other = replace(books, manifest=Manifest("autumn", "/m/autumn.yaml"), day="2026-12-01")
    other.adopt([other.task(0)])
    other.submit(0, hold=7)
    spending = books.open(today="2026-11-24").spending
    assert spending == Spending(
        total={"spring": 75, "autumn": 7},
        run={"spring": 40, "autumn": 7},
        day={"spring": 40},
        account_day=40,
        account_month=75,
        today="2026-11-24",
    )
    assert books.store.preview([books.manifest], today="2026-12-01").spending.account_month == 7


def test_a_resumed_run_counts_on(books: Books) -> None:
    """A run that resumes another belongs to the same root, whose credits and attempts count."""
    first = books.run
    books.submit(0)
    books.begin(resumes=first)
    again = books.begin(resumes=books.run)
    facts = books.store.runs()[0]
    assert (facts.id, facts.root) == (again, first)
    opening = books.open()
    assert (opening.spending.run, opening.bought, opening.live[0].this_run) == ({"spring": 40}, 1, True)
    books.begin()
    opening = books.open()
    assert (opening.spending.run, opening.bought, opening.live[0].this_run) == ({}, 0, False)


def test_the_last_price_seen_counts(books: Books) -> None:
    """Prices are the newest reserved_credits by price key."""
    for number, reserved in enumerate((40, 44)):
        _, key = books.submit(number)
        books.write(books.accepted(key, reserved))
    books.submit(2)
    assert books.open().prices == {"kling-2-6/5": 44}


def test_a_price_is_also_seen_at_the_end(books: Books) -> None:
    """A server that never says what it reserves says what a render took; one that reserved nothing, or too little, is not believed."""
    _, key = books.submit(0)
    books.write(books.accepted(key, None))
    assert books.open().prices == {}
    books.write(books.succeeded(key))
    assert books.open().prices == {"kling-2-6/5": 35}
    _, key = books.submit(1)
    books.write(books.accepted(key, 0))
    assert books.open().prices == {"kling-2-6/5": 35}, "0 is no price"
    _, key = books.submit(2)
    books.write(books.accepted(key, 30), books.succeeded(key))
    assert books.open().prices == {"kling-2-6/5": 35}, "it took more than it had reserved"


def test_the_newest_instant(books: Books) -> None:
    """The clock of a later run is told how far time had come."""
    books.at += 3600.5
    books.submit(0)
    assert books.store.newest() == books.at


def test_runs_tell_how_they_were_asked_for(books: Books) -> None:
    """A run's facts come back whole, newest first, ended or not."""
    asked = RunAsked(
        "run", ("spring", "autumn"), "hero-*", retry_failed=True, budget=9, max_tasks=3, until=books.at + 60, cuts=(("spring", 4),)
    )
    begun = books.store.begin_run(asked, resumes=None, at=books.at)
    assert (begun.asked, begun.ended_at, begun.exit_code) == (asked, None, None)
    stops = (Stop(StopKind.TOTAL, "spring", "spring", 75, 75, 55), Stop(StopKind.UNTIL, "autumn"))
    books.store.end_run(begun.id, Ended(ExitCode.STOPPED_EARLY, "the budget is used up", stops), books.at + 9)
    newest, older = books.store.runs(5)
    assert (newest.stops, older.stops) == (stops, ())
    assert (newest.id, newest.exit_code, newest.reason, newest.ended_at) == (begun.id, 3, "the budget is used up", books.at + 9)
    assert (older.id, older.ended_at) == (books.run, None)


def test_runs_that_are_not_there(books: Books) -> None:
    """Ending, resuming or opening an unknown run is an error and writes nothing."""
    before = books.rows()
    with pytest.raises(LedgerError, match="no run 99"):
        books.store.end_run(99, Ended(ExitCode.DONE, ""), books.at)
    with pytest.raises(LedgerError, match="no run 99"):
        books.begin(resumes=99)
    with pytest.raises(LedgerError, match="no run 99"):
        books.store.open_run(["spring"], run=99, today=books.day, only="")
    assert books.rows() == before


def test_manifests_and_money(books: Books) -> None:
    """Counts by state and credits are sums over the rows."""
    books.finish(0)
    books.day = "2026-11-24"
    books.submit(1)
    (facts,) = books.store.manifests()
    assert facts.by_state == {TaskState.DONE: 1, TaskState.RENDERING: 1, TaskState.PENDING: 1}
    assert (facts.captured, facts.held, facts.removed) == (35, 40, 0)
    assert books.store.money("2026-11-24") == MoneyFacts(35, 40, 0, 40, 35, 40)


def test_tasks_by_state_glob_run_and_limit(books: Books) -> None:
    """Every filter of a listing, alone and together."""
    books.finish(0)
    first = books.run
    books.begin()
    books.submit(1)
    books.adopt([books.task(0), books.task(1)])

    def listed(query: TaskQuery) -> list[str]:
        return [task.id for task in books.store.tasks(query)]

    assert listed(TaskQuery()) == ["t0", "t1"]
    assert listed(TaskQuery(removed=True)) == ["t0", "t1", "t2"]
    assert listed(TaskQuery(states=(TaskState.DONE,))) == ["t0"]
    assert listed(TaskQuery(only="t[!0]", removed=True)) == ["t1", "t2"]
    assert listed(TaskQuery(run=first)) == ["t0"]
    assert listed(TaskQuery(run=books.run)) == ["t1"]
    assert listed(TaskQuery(manifest="autumn")) == []
    assert listed(TaskQuery(limit=1)) == ["t0"]


def test_a_run_that_only_saved_a_file_lists_its_task(books: Books) -> None:
    """A file fetched by a later run belongs to that run's report too."""
    row, key = books.render(0)
    books.begin()
    books.write(books.output(key, "spring/t0.mp4"), books.saved(row))
    assert [task.id for task in books.store.tasks(TaskQuery(run=books.run))] == ["t0"]


def test_a_listing_shows_the_latest_attempt(books: Books) -> None:
    """A task is listed with its newest attempt and the credits of all of them."""
    row, first = books.submit(0)
    back = TaskMoved(row, TaskEvent.RETURNED, TaskState.RENDERING, TaskState.PENDING, books.at)
    books.write(books.accepted(first), books.failed(first), books.money(first, MoneyKind.RELEASE, 40), back)
    _, second = books.submit(0)
    task = next(books.store.tasks(TaskQuery()))
    assert task.latest
    assert (task.attempts, task.held, task.captured, task.latest.key, task.latest.number) == (2, 40, 0, second, 2)
    assert (task.references, task.model, task.params, task.line) == (("shoe.png",), "kling-2-6", {"duration": "5"}, 10)


def test_a_listing_given_up_half_way(books: Books) -> None:
    """Whoever stops reading gives the connection back (the fixture counts them)."""
    books.adopt([books.task(n) for n in range(1200)])
    listing = books.store.tasks(TaskQuery())
    assert next(listing).id == "t0"
    listing.close()  # type: ignore[attr-defined]  # the port promises an iterator, this one is a generator


def test_a_long_listing(books: Books) -> None:
    """Pages join without a gap."""
    books.adopt([books.task(n) for n in range(1100)])
    assert [task.line for task in books.store.tasks(TaskQuery())] == list(range(10, 1110))


def test_the_same_id_in_two_manifests(books: Books) -> None:
    """A task's history is asked for by id, and by manifest where the id is not enough."""
    other = replace(books, manifest=Manifest("autumn", "/m/autumn.yaml"))
    other.adopt([other.task(0)])
    assert [found.task.manifest for found in books.store.history("t0")] == ["autumn", "spring"]
    assert [found.task.manifest for found in books.store.history("t0", "spring")] == ["spring"]
    assert books.store.history("nobody") == ()


def test_readers_see_what_is_committed(books: Books, place: str) -> None:
    """A report reads beside a run, without waiting and without writing."""
    with Store.open(place, None, read_only=True) as reader:
        assert reader.money(books.day).held == 0
        books.submit(0)
        assert (reader.money(books.day).held, reader.address) == (40, "sandbox")


def test_a_run_can_be_resumed_once_its_tasks_are_there(books: Books) -> None:
    """Marked on the run itself and on no other; a run that resumes it has its tasks as well."""
    first = books.run
    again = books.begin(resumes=first)
    books.store.adopted(first)
    marked = books.begin(resumes=first)
    fresh = books.begin()
    assert {run.id: run.adopted for run in books.store.runs(9)} == {first: True, again: False, marked: True, fresh: False}
    assert [run.id for run in books.store.runs(2)] == [fresh, marked]


def test_manifests_are_told_by_name_with_all_that_left_them(books: Books) -> None:
    """In the order of names, not of their coming; what left is counted in every state; one without purchases has no credits."""
    books.finish(0)
    books.adopt([books.task(2)])
    other = replace(books, manifest=Manifest("autumn", "/m/autumn.yaml"))
    other.adopt([other.task(0)])
    assert [(facts.name, facts.removed, facts.captured, facts.held) for facts in books.store.manifests()] == [
        ("autumn", 0, 0, 0),
        ("spring", 2, 35, 0),
    ]
    assert [facts.by_state for facts in books.store.manifests()] == [{TaskState.PENDING: 1}, {TaskState.PENDING: 1}]
    assert (books.store.wanted("spring"), books.store.wanted("autumn")) == (1, 1)


def test_tasks_are_listed_in_the_order_of_their_manifests(books: Books) -> None:
    """By manifest, then by position, whenever they came into the ledger."""
    books.adopt([replace(books.task(n), position=2 - n) for n in range(3)])
    other = replace(books, manifest=Manifest("autumn", "/m/autumn.yaml"))
    other.adopt([other.task(0), other.task(1)])
    listed = [f"{task.manifest}/{task.id}" for task in books.store.tasks(TaskQuery())]
    assert listed == ["autumn/t0", "autumn/t1", "spring/t2", "spring/t1", "spring/t0"]


def test_an_attempt_is_told_with_the_files_that_are_there(books: Books) -> None:
    """In the order of the results, whenever each was saved; without one that was lost; with the server's own name of the task."""
    _, key = books.render(0)
    books.write(
        books.output(key, "spring/t0-1.mp4", index=1), books.output(key, "spring/t0-0.mp4"), books.output(key, "spring/t0-2.mp4", 2)
    )
    books.write(OutputLost(key, 2, "spring/t0-2.mp4", "missing", books.at))
    (attempt,) = books.history().attempts
    assert [output.path for output in attempt.outputs] == ["spring/t0-0.mp4", "spring/t0-1.mp4"]
    assert attempt.task_id == f"task-{key}"


def test_what_a_run_starts_from_is_what_was_asked(books: Books) -> None:
    """Its glob; and before it is asked for, a preview knows the prices."""
    _, key = books.submit(0)
    books.write(books.accepted(key))
    assert books.open(only="hero-*").only == "hero-*"
    assert books.store.preview([books.manifest], today=books.day).prices == {"kling-2-6/5": 40}


def test_the_end_of_a_run_is_an_instant_too(books: Books) -> None:
    """Time does not run back behind it; a ledger in which nothing ever happened has none."""
    books.store.end_run(books.run, Ended(ExitCode.DONE, "done"), books.at + 7200)
    assert books.store.newest() == books.at + 7200


def test_nothing_ever_happened(store: Store) -> None:
    """An instant before all others, so that any clock goes on from it."""
    assert store.newest() == 0.0


def test_a_session_that_the_server_ended_is_replaced(books: Books, place: str) -> None:
    """After a restart of the database a run that goes on reads with a new session; a file has none."""
    assert books.store.runs()
    with Store.open(place, None) as other, other._opened.writing.begin() as connection:
        if connection.dialect.name == "postgresql":
            others = "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")  # noqa: S608 - our own words
    assert books.store.runs()[0].id == books.run
