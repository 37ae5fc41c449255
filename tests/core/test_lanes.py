"""A lane's pages, canaries and breakers, by themselves."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.lanes import PAGE, Lane
from batchgen.core.messages import DueArrived, FetchDue
from batchgen.core.model import DueTask, Manifest, StopAfter
from tests.core.world import a_task


def due(row: int) -> DueTask:
    """Make a due task whose position is its row."""
    return DueTask(row, a_task(f"t{row}", position=row), "f")


def page(request: FetchDue, rows: list[int], size: int) -> DueArrived:
    """Read a page of at most `size` from the rows that are pending."""
    found = sorted(row for row in rows if row > request.after)[:size]
    return DueArrived(request, tuple(map(due, found)), found[-1] if found else request.after, len(found) < size)


def a_lane(**header: object) -> Lane:
    """Make a lane."""
    return Lane(Manifest("m", "m", **header))  # type: ignore[arg-type]  # named as the Manifest's own


@given(st.integers(0, 60), st.integers(1, 7), st.data())
def test_no_task_is_lost_or_taken_twice(count: int, size: int, data: st.DataObject) -> None:
    """Pages read at any moment, tasks submitted, ended, failed for good and given back meanwhile: each is ended exactly once."""
    lane, pending, flying, ended = a_lane(), list(range(count)), list[DueTask](), list[int]()
    resumed = [pending.pop(data.draw(st.integers(0, len(pending) - 1))) for _ in range(min(count, 3))]
    for row in resumed:
        lane.hold(row)
        flying.append(due(row))
    reading: DueArrived | None = None

    def submit() -> None:
        if lane.due:
            task = lane.due.popleft()
            pending.remove(task.row)
            flying.append(task)

    def end() -> None:
        if flying:
            task = flying.pop(0)
            ended.append(task.row)
            lane.let_go(task.row)

    def give_back() -> None:
        if flying:
            task = flying.pop()
            pending.append(task.row)
            lane.again(task)

    moves: list[Callable[[], None]] = [submit, submit, end, give_back]
    for _ in range(data.draw(st.integers(0, 200))):
        request = lane.fetch()
        if request:
            reading = page(request, pending, size)  # what the ledger says now; it arrives later
        data.draw(st.sampled_from(moves))()
        if reading and data.draw(st.booleans()):
            lane.arrived(reading)
            reading = None
    while not (lane.drained and not flying):
        request = lane.fetch()
        reading = page(request, pending, size) if request else reading
        if reading:
            lane.arrived(reading)
            reading = None
        submit()
        end()
    assert sorted(ended) == list(range(count))


def test_the_next_page_is_read_before_the_present_one_ends() -> None:
    """One page at a time, and the next as soon as half a page is left."""
    lane = a_lane()
    request = lane.fetch()
    assert request is not None
    assert (request.after, request.limit) == (-1, PAGE)
    assert lane.fetch() is None
    assert lane.reading
    lane.arrived(page(request, list(range(PAGE * 2)), PAGE))
    assert lane.fetch() is None
    while len(lane.due) >= PAGE // 2:
        lane.due.popleft()
    following = lane.fetch()
    assert following is not None
    assert following.after == PAGE - 1
    assert not lane.drained
    lane.arrived(page(following, list(range(PAGE)), PAGE))
    lane.due.clear()
    assert lane.drained
    assert lane.fetch() is None


def test_a_stopped_lane_takes_no_page() -> None:
    """It is drained, asks for nothing, and what arrives late is not taken; the first reason stands."""
    lane = a_lane()
    request = lane.fetch()
    assert request is not None
    assert list(lane.stop("first", broken=True)) == []
    lane.arrived(page(request, [0, 1], PAGE))
    assert not lane.due
    assert lane.drained
    assert lane.fetch() is None
    lane.stop("second")
    assert (lane.stopped, lane.broken) == ("first", True)


def test_places() -> None:
    """The manifest's own limit, less what is in flight."""
    assert a_lane().places() is None
    lane = a_lane(in_flight=2)
    lane.in_flight = 3
    assert lane.places() == -1


def test_canaries() -> None:
    """While canaries are out, nothing else leaves; a canary that failed stops the manifest."""
    lane = a_lane(canary=2)
    assert not lane.canary_waits
    lane.in_flight = 2
    assert lane.canary_waits
    lane.succeeded()
    lane.in_flight = 1
    assert lane.canary_waits
    assert "canary" in lane.failed(refused=False)
    lane.succeeded()
    lane.in_flight = 9
    assert not lane.canary_waits
    assert lane.failed(refused=False) == ""


def test_failures_in_a_row() -> None:
    """A success starts the count again."""
    lane = a_lane(stop_after=StopAfter(2, 1.0))
    assert lane.failed(refused=False) == ""
    lane.succeeded()
    assert lane.failed(refused=False) == ""
    assert "2 tasks in a row" in lane.failed(refused=False)


def test_the_share_of_failures() -> None:
    """More than the share, of at least twenty."""
    lane = a_lane(stop_after=StopAfter(99, 0.5))
    for _ in range(9):
        lane.succeeded()
    said = [lane.failed(refused=False) for _ in range(11)]
    assert said[:-1] == [""] * 10
    assert "11 of 20" in said[-1]


def test_the_first_five_refusals() -> None:
    """Only if they are the first five submissions, all refused, none accepted."""
    lane = a_lane()
    assert [bool(lane.failed(refused=True)) for _ in range(6)] == [False] * 4 + [True, False]
    accepted = a_lane()
    accepted.accepted = 1
    assert not any(accepted.failed(refused=True) for _ in range(6))
    mixed = a_lane()
    mixed.failed(refused=False)
    assert not any(mixed.failed(refused=True) for _ in range(6))
