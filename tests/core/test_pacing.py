"""The rate: never too fast in any window, nearly as fast as allowed, and slower when told."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core.pacing import HEADROOM, LONGEST, SLACK, SLOWEST, Pace
from tests.core.world import START, no_dice, windows

RATES = [0.1, 1.0, 60.0, 90.0, 600.0, 6000.0, 60000.0]


def busy_loop(pace: Pace, count: int, lateness: st.DataObject | None = None, *, late: float = 0.0) -> list[float]:
    """Take as soon as allowed, each time up to `late` seconds too late; return when requests left."""
    now, times = START, list[float]()
    steps = lateness.draw(st.lists(st.floats(0.0, late), min_size=7, max_size=13)) if lateness else [late]
    while len(times) < count:
        now = max(now, pace.next_at) + steps[len(times) % len(steps)]
        while pace.ready(now) and len(times) < count:
            pace.take(now)
            times.append(now)
    return times


@settings(deadline=None)
@given(st.sampled_from(RATES), st.floats(0.0, 2.0), st.data())
def test_never_more_than_n_in_any_window(rate: float, late: float, data: st.DataObject) -> None:
    """In any window of a minute at most N of N a minute, and in any second at most N/60, however late the steps come."""
    times = busy_loop(Pace(rate, 0.0), 3000 if rate > 6000.0 else 400, data, late=late)
    assert max(windows(times, 60.0)) <= max(1.0, rate)
    if rate >= 60.0 and rate % 60.0 == 0.0:
        assert max(windows(times, 1.0)) <= rate / 60.0


@pytest.mark.parametrize("rate", RATES)
def test_uses_nearly_all_of_the_rate(rate: float) -> None:
    """At least 95 % of the rate although each step comes up to 10 ms late."""
    count = 20_000 if rate > 6000.0 else 500
    dice = iter((n * 7919 % 101) / 101 * 0.010 for n in range(10**6))
    pace, now, times = Pace(rate, 0.0), START, list[float]()
    while len(times) < count:
        now = max(now, pace.next_at) + next(dice)
        while pace.ready(now) and len(times) < count:
            pace.take(now)
            times.append(now)
    assert (count - 1) / (times[-1] - times[0]) * 60.0 >= 0.95 * rate


def test_nothing_leaves_before_the_start() -> None:
    """An earlier run's Retry-After holds."""
    pace = Pace(60.0, START + 10.0)
    assert not pace.ready(START + 9.99)
    assert pace.ready(START + 10.0)


def test_no_burst_after_a_rest() -> None:
    """A rate that was not used is not saved up."""
    pace = Pace(60.0, 0.0)
    pace.take(START)
    pace.take(START + 100.0)
    assert not pace.ready(START + 101.0)


@given(st.floats(0.0, 10_000.0))
def test_retry_after_is_honoured_to_the_letter(after: float) -> None:
    """Nothing leaves earlier; the instant is returned for the ledger."""
    pace = Pace(60.0, 0.0)
    until = pace.slow_down(START, no_dice, after=after, sent_at=START - 1.0)
    assert until >= START + after
    assert not pace.ready(START + after - 0.001)
    assert pace.next_at == until


def test_a_burst_of_429s_slows_down_once() -> None:
    """Ten answers to requests that left before the first 429 came are one reason, not ten; a later one is another."""
    pace = Pace(60.0, 0.0)
    for n in range(10):
        pace.slow_down(START + n * 0.01, no_dice, after=None, sent_at=START - 1.0)
    assert pace.factor == 1.5
    pace.slow_down(START + 5.0, no_dice, after=None, sent_at=START + 4.0)
    assert pace.factor == 2.25


def test_a_later_retry_after_of_the_same_burst_counts() -> None:
    """The longest Retry-After of a burst is the one that holds, and a shorter one takes nothing back."""
    pace = Pace(60.0, 0.0)
    pace.slow_down(START, no_dice, after=5.0, sent_at=START - 1.0)
    pace.slow_down(START + 0.1, no_dice, after=30.0, sent_at=START - 1.0)
    assert pace.slow_down(START + 0.2, no_dice, after=1.0, sent_at=START - 1.0) == START + 30.1


def test_after_a_429_each_request_keeps_the_greater_distance() -> None:
    """Half as fast again is what the server asked for: from each request to the next, counted from when it really left."""
    pace = Pace(60.0, 0.0)
    pace.slow_down(START, no_dice, after=None, sent_at=START - 1.0)
    pace.take(START + 100.0)
    assert pace.next_at >= START + 100.0 + 1.5 - SLACK
    pace.sent(START + 101.0)
    assert pace.next_at >= START + 101.0 + 1.5 - SLACK


def test_slowing_down_has_an_end_and_recovers() -> None:
    """The spacing grows at most SLOWEST-fold, and good answers bring the full rate back."""
    pace = Pace(60.0, 0.0)
    for n in range(20):
        pace.slow_down(START + n, no_dice, after=None, sent_at=START + n)
    assert pace.factor == SLOWEST
    for _ in range(200):
        pace.good()
    assert pace.factor == 1.0


def test_pauses_grow_while_nothing_else_is_answered() -> None:
    """Without Retry-After each further 429 pauses longer, up to a minute; a good answer starts over."""

    def pause(pace: Pace, at: float) -> float:
        return pace.slow_down(at, lambda: 0.999, after=None, sent_at=at) - at

    pace = Pace(6000.0, 0.0)
    pauses = [pause(pace, START + n * 100.0) for n in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.1
    assert pauses[-1] == pytest.approx(60.0, rel=0.01)
    pace.good()
    assert pause(pace, START + 2000.0) < 1.1


def test_a_second_is_counted_from_when_requests_left() -> None:
    """A commit that delays what was counted does not let more of them into one second."""
    pace, now, times = Pace(600.0, 0.0), START, list[float]()
    for n in range(200):
        now = max(now, pace.next_at)
        pace.take(now)
        now += 0.04 if n % 37 == 0 else 0.001
        pace.sent(now)
        times.append(now)
    assert max(windows(times, 1.0)) <= 10
    assert (len(times) - 1) / (times[-1] - times[0]) >= 0.97 * 10


def test_bytes_that_leave_late_count_when_they_left() -> None:
    """A busy machine may lose time between a request and its bytes, also so that a later request overtakes it."""
    dice, pace, now, times = Random(1), Pace(600.0, 0.0), START, list[float]()  # noqa: S311 - jitter
    late: list[tuple[float, float]] = []
    while len(times) < 400:
        now = max(now, pace.next_at)
        for one in sorted(late, key=lambda one: one[1]):
            if one[1] <= now:
                pace.left(*one)
                late.remove(one)
        now = max(now, pace.next_at)
        pace.take(now)
        pace.sent(now)
        late.append((now, now + (dice.uniform(0.03, 0.15) if dice.random() < 0.1 else 0.001)))
        times.append(late[-1][1])
    times.sort()
    assert max(windows(times, 1.0)) <= 10
    assert (len(times) - 1) / (times[-1] - times[0]) >= 0.96 * 10


def test_bytes_may_leave_while_others_wait_for_their_commit() -> None:
    """What is about to leave stays the newest."""
    pace = Pace(180.0, 0.0)
    pace.take(START)
    pace.sent(START)
    pace.take(START + 0.4)
    pace.left(START, START + 0.5)
    pace.left(START, START + 9.0)
    pace.sent(START + 0.6)
    pace.take(START + 0.8)
    assert pace.next_at == pytest.approx(START + 0.5 + 3 * pace.interval, abs=1e-6)


def test_what_was_never_counted_is_not_sent() -> None:
    """A request beside the count, as nothing sends it, changes nothing."""
    pace = Pace(60.0, START)
    pace.sent(START)
    assert pace.next_at == START


@pytest.mark.parametrize("rate", RATES)
def test_an_earlier_run_is_gone_on_from(rate: float) -> None:
    """The first request keeps its distance from the last one of an earlier run; a run long ago costs nothing."""
    assert Pace(rate, 0.0, START).next_at - START == pytest.approx(60.0 / rate, rel=0.05)
    assert Pace(rate, 0.0).ready(START)
    assert Pace(rate, START + 1e6, START).next_at == START + 1e6


def test_a_pause_of_years_is_half_a_day() -> None:
    """A server that means more may say it again; what waits to be repeated stays within the replay window."""
    pace = Pace(60.0, 0.0)
    assert pace.slow_down(START, no_dice, after=315e6, sent_at=START) == START + LONGEST


@pytest.mark.parametrize("rate", [30.0, 600.0])
def test_a_new_rate_begins_with_its_distance(rate: float) -> None:
    """However often a person changes it, no request is gained: the next leaves no sooner than one interval after the change."""
    pace = Pace(6.0, 0.0)
    after_a_429 = pace.slow_down(START, no_dice, after=None, sent_at=START)
    pace.take(after_a_429)
    for _ in range(3):
        pace.retune(rate, after_a_429 + 1.0)
    assert pace.next_at == pytest.approx(after_a_429 + 1.0 + 1.5 * 60.0 / rate / HEADROOM, abs=1e-6)
