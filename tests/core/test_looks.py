"""Looks at renders: learned from what others took, never too close, never too wide, and cheap."""

from __future__ import annotations

import math
import statistics
from random import Random

import pytest

from batchgen.core.looks import ENOUGH, KINDS, MEMORY, Kind, Looks
from batchgen.core.policy import PollPolicy
from tests.core.world import START

POLL = PollPolicy(2.5, 5.0, 30.0)
MEAN, SPREAD = math.log(math.sqrt(60.0 * 300.0)), math.log(5.0) / 2.0 / 1.645
"""Log-normal with 60 s at the 5th and 300 s at the 95th percentile."""


def learned(count: int = 200) -> Looks:
    """Learn from exact times."""
    rng, looks = Random(1), Looks(POLL, {})  # noqa: S311 - a pretend service
    for _ in range(count):
        took = math.exp(rng.gauss(MEAN, SPREAD))
        looks.saw("m?x=1", took - 1.0, took + 1.0)
    return looks


def test_an_unknown_kind_is_looked_at_by_the_settings() -> None:
    """First after `first`; then every `every`, slower with age, never slower than `slowest` nor closer than `first`."""
    looks = Looks(POLL, {})
    assert looks.first("m?", START) == START + 2.5
    assert looks.next("m?", START, START + 3.0) == START + 8.0
    assert looks.next("m?", START, START + 100.0) == START + 115.0
    assert looks.next("m?", START, START + 9999.0) == START + 9999.0 + 30.0
    assert Looks(PollPolicy(9.0, 1.0, 2.0), {}).next("m?", START, START) == START + 9.0
    assert looks.next("m?", START + 50.0, START) == START + 5.0, "accepted in the future: another machine's clock"
    assert looks.sure("m?", START) == START
    assert looks.expected("m?") == 0.0


def test_times_are_learned() -> None:
    """The first look comes when 2 of 100 are done, a sure one when 98 are; half are done by what is expected."""
    looks = learned()
    assert looks.expected("m?x=1") == pytest.approx(134.0, rel=0.2)
    assert START + 35.0 < looks.first("m?x=1", START) < START + 65.0
    assert START + 280.0 < looks.sure("m?x=1", START) < START + 450.0


def test_pauses_are_short_where_the_end_is_likely() -> None:
    """Longer before, as short as the settings allow in the middle, longer again for a straggler."""
    looks = learned()

    def pause(age: float) -> float:
        return looks.next("m?x=1", START, START + age) - START - age

    assert pause(45.0) > 1.5 * pause(134.0)
    assert 5.0 <= pause(134.0) < 6.0
    assert pause(134.0) < pause(450.0) <= pause(4000.0) == 30.0
    assert looks.next("m?x=1", START, START) > START


def test_a_few_are_not_enough() -> None:
    """Nothing is concluded from fewer than ENOUGH."""
    assert learned(ENOUGH - 1).expected("m?x=1") == 0.0
    assert learned(ENOUGH).expected("m?x=1") > 0.0


def test_other_params_of_a_model_are_alike() -> None:
    """A kind without times of its own goes by its model's; another model says nothing."""
    looks = learned()
    assert looks.expected("m?x=2") == looks.expected("m?x=1")
    assert looks.expected("n?x=1") == 0.0


def test_late_looks_teach_nothing() -> None:
    """A render that was found done at the first, late look says only that it was done by then: times must not creep up."""
    looks = learned()
    before = looks.known()
    looks.fresh = False
    looks.saw("m?x=1", 0.0, 400.0)
    looks.saw("m?x=1", 100.0, 400.0)
    looks.saw("m?x=1", 0.0, 0.0)
    Looks(POLL, {}).saw("m?", 0.0, 9.0)
    assert looks.known() == before
    assert not looks.fresh


def test_a_service_that_became_faster_is_noticed() -> None:
    """Renders found done at the first, early look pull the times down, night after night."""
    looks = learned()
    for _ in range(MEMORY):
        looks.saw("m?x=1", 0.0, looks.first("m?x=1", START) - START)
    assert looks.expected("m?x=1") < 60.0


def test_what_was_learned_goes_on_in_the_next_run() -> None:
    """The ledger keeps three numbers for each kind."""
    looks = learned()
    again = Looks(POLL, looks.known())
    assert again.first("m?x=1", 0.0) == pytest.approx(looks.first("m?x=1", 0.0), rel=1e-3)
    assert looks.fresh
    assert not again.fresh


def test_kinds_are_bounded() -> None:
    """Prices by prompt length make kinds without end; the least recently seen are forgotten."""
    looks = Looks(POLL, {})
    for n in range(3 * KINDS):
        looks.saw(f"m?length={n}", 60.0, 61.0)
    assert len(looks.known()) == KINDS
    assert looks.expected("m?") == pytest.approx(60.5)


def test_a_spread_of_nothing_is_not_believed() -> None:
    """A hundred equal times do not make the next one certain, and wild ones are no reason to look all the time."""
    kind = Kind()
    for _ in range(MEMORY):
        kind.saw(60.0)
    assert 40.0 < kind.at(-2.0) < 58.0
    for n in range(MEMORY):
        kind.saw(0.01 if n % 2 else 10_000.0)
    assert kind.spread == 1.2


@pytest.mark.parametrize("age", [20.0, 60.0, 134.0, 300.0, 900.0])
def test_the_hazard_is_what_ends_of_those_that_are_left(age: float) -> None:
    """By definition: the share of the renders not done at an age that are done a moment later, per second."""
    kind = Kind(MEMORY, MEAN, SPREAD * SPREAD)

    def left(at: float) -> float:
        return math.erfc((math.log(at) - kind.mean) / kind.spread / math.sqrt(2.0)) / 2.0

    moment = age * 1e-5
    assert kind.hazard(age) == pytest.approx((left(age - moment) - left(age + moment)) / (2.0 * moment) / left(age), rel=1e-5)


def test_a_kind_is_mean_and_variance_of_the_logarithms() -> None:
    """Each of the first hundred counts alike; a time below a millisecond is taken for one."""
    kind, times = Kind(), [20.0, 60.0, 134.0, 300.0, 0.5, 0.0]
    for seconds in times:
        kind.saw(seconds)
    logs = [math.log(max(seconds, 0.001)) for seconds in times]
    assert kind.mean == pytest.approx(statistics.fmean(logs))
    assert kind.variance == pytest.approx(statistics.pvariance(logs))
