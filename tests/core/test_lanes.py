"""A lane's pages, canaries and breakers, by themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

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


def is_drained(lane: Lane) -> bool:
    """Ask afresh."""
    return lane.drained


def asked(lane: Lane) -> FetchDue:
    """Return the page that a lane asks for."""
    request = lane.fetch()
    assert request is not None
    return request


@dataclass(slots=True)
class Traffic:
    """A lane's tasks on their way: pending in the ledger, in flight, ended."""

    lane: Lane
    size: int
    pending: list[int]
    flying: list[DueTask] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    reading: DueArrived | None = None

    def submit(self) -> None:
        """Send the next task."""
        if self.lane.due:
            task = self.lane.due.popleft()
            self.pending.remove(task.row)
            self.flying.append(task)

    def end(self) -> None:
        """End the oldest task in flight."""
        if self.flying:
            task = self.flying.pop(0)
            self.ended.append(task.row)
            self.lane.let_go(task.row)

    def give_back(self) -> None:
        """Let the newest task in flight be due again."""
        if self.flying:
            task = self.flying.pop()
            self.pending.append(task.row)
            self.lane.again(task)

    def read(self) -> None:
        """Read a page, if one is wanted; it arrives later."""
        request = self.lane.fetch()
        if request:
            self.reading = page(request, self.pending, self.size)

    def arrive(self) -> None:
        """Let the page arrive."""
        if self.reading:
            self.lane.arrived(self.reading)
            self.reading = None


@given(st.integers(0, 60), st.integers(1, 7), st.data())
def test_no_task_is_lost_or_taken_twice(count: int, size: int, data: st.DataObject) -> None:
    """Pages read at any moment, tasks submitted, ended and given back meanwhile: each is ended exactly once."""
    traffic = Traffic(a_lane(), size, list(range(count)))
    for _ in range(min(count, 3)):
        row = traffic.pending.pop(data.draw(st.integers(0, len(traffic.pending) - 1)))
        traffic.lane.hold(row)
        traffic.flying.append(due(row))
    moves = [traffic.submit, traffic.submit, traffic.end, traffic.give_back, traffic.arrive]
    for _ in range(data.draw(st.integers(0, 200))):
        traffic.read()
        data.draw(st.sampled_from(moves))()
    while not traffic.lane.drained or traffic.flying:
        for move in (traffic.read, traffic.arrive, traffic.submit, traffic.end):
            move()
    assert sorted(traffic.ended) == list(range(count))


def test_the_next_page_is_read_before_the_present_one_ends() -> None:
    """One page at a time, and the next as soon as half a page is left."""
    lane = a_lane()
    request = asked(lane)
    assert (request.after, request.limit) == (-1, PAGE)
    assert lane.fetch() is None
    assert lane.reading
    lane.arrived(page(request, list(range(PAGE * 2)), PAGE))
    assert lane.fetch() is None
    while len(lane.due) >= PAGE // 2:
        lane.due.popleft()
    following = asked(lane)
    assert following.after == PAGE - 1
    assert is_drained(lane) is False
    lane.arrived(page(following, list(range(PAGE)), PAGE))
    lane.due.clear()
    assert is_drained(lane) is True
    assert lane.fetch() is None


def test_a_stopped_lane_takes_no_page() -> None:
    """It is drained, asks for nothing, and what arrives late is not taken; the first reason stands."""
    lane = a_lane()
    request = asked(lane)
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
    lane, waits = a_lane(canary=2), list[bool]()
    for flying, rendered in ((0, 0), (2, 0), (1, 1), (9, 2)):
        lane.in_flight, lane.successes = flying, rendered
        waits.append(lane.canary_waits)
    assert waits == [False, True, True, False]
    assert lane.failed(refused=False) == ""
    lane.successes = 1
    assert "canary" in lane.failed(refused=False)


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
    accepted.accepted = True
    assert not any(accepted.failed(refused=True) for _ in range(6))
    mixed = a_lane()
    mixed.failed(refused=False)
    assert not any(mixed.failed(refused=True) for _ in range(6))
