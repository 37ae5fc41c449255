"""The benchmark as a test that nobody runs by accident (`pytest tests/benchmarks -m benchmark`), and small simulated nights always."""

from __future__ import annotations

import pytest

from tests.benchmarks import rows
from tests.benchmarks.__main__ import measured
from tests.benchmarks.nights import simulate


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_every_goal_is_reached() -> None:
    """The whole table; what is missed is told whole."""
    missed = [row for row in measured(quick=False) if not row.reached]
    assert not missed


def test_learned_looks_are_fewer() -> None:
    """At the same median delay from done to known, three quarters of the polls of a fixed pace are enough."""
    free, bound = rows.polls(1000)
    assert free.reached, free
    assert bound.reached, bound


@pytest.mark.parametrize(("tasks", "per_minute"), [(100, 10), (100, 600), (1000, 60), (1000, 600)])
def test_a_night_ends_early(tasks: int, per_minute: float) -> None:
    """A night ends within 5 % of the least time that its requests and its last render need."""
    night = simulate(tasks, per_minute, in_flight=10**6)
    assert night.seconds <= 1.05 * night.bound
