"""The benchmark as a test that nobody runs by accident (`pytest tests/benchmarks -m benchmark`), and small simulated nights always.

So is the peers' harness, on a peer that needs no installation.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import rows
from tests.benchmarks.__main__ import measured
from tests.benchmarks.nights import simulate
from tests.benchmarks.peers import table
from tests.benchmarks.peers.cast import BATCHGEN, PEERS, Peer, Unavailable, install
from tests.benchmarks.peers.measure import Cut, Sizes, Used, cut, rate, speed, tried
from tests.benchmarks.peers.table import PeerRow

SCRIPT = PEERS[0]
"""A peer that needs no installation."""


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


@pytest.mark.parametrize(
    ("peer", "what", "keys", "twice"),
    [(SCRIPT, "render", False, True), (SCRIPT, "slow", True, False), (BATCHGEN, "slow", False, False)],
    ids=["a script buys again", "its own keys save it", "batchgen has keys"],
)
def test_a_kill_is_counted(peer: Peer, what: str, keys: bool, twice: bool, tmp_path: Path) -> None:
    """What the peers' harness tells of a kill: tasks bought twice where nothing tells the server that they are the same."""
    found = cut(peer, tmp_path, Sizes(cut_tasks=40, held=2.0), what, keys=keys)
    assert found.in_flight > 0
    assert (found.again > 0, found.lost) == (twice, 0)


def test_a_peer_is_measured_or_says_why_not(tmp_path: Path) -> None:
    """The time and the use of a limit of a peer without installation; one that fails is told in words."""
    sizes = Sizes(rate_tasks=10, tasks=30)
    used = rate(SCRIPT, tmp_path, sizes)
    assert used.share > 0
    assert used.again == 0
    assert speed(SCRIPT, tmp_path, sizes) > 0
    broken = Peer("broken", "tests.benchmarks.peers.missing")
    assert "No module named tests.benchmarks.peers.missing" in str(tried(lambda: speed(broken, tmp_path, sizes)))
    with pytest.raises(Unavailable, match="not installed"):
        install(Peer("none", "none", ("./no-such-folder-of-a-package",)), tmp_path)


def test_the_peers_table_names_what_failed() -> None:
    """A row of figures, and one of a tool that could not be had."""
    sizes = Sizes()
    good = PeerRow("a 1", sizes, Used(0.5, 3, 2), 2.0, 0.5, Cut(20, 20, 0), Cut(20, 0, 20), "cannot send one", "much")
    bad = PeerRow("b", sizes, "gone", "gone", None, "gone", "gone", "gone", "all")
    *_, first, second, _, _ = table.markdown([good, bad]).splitlines()
    kills = "20 bought twice, 0 lost | 0 bought twice, 20 lost | cannot send one"
    assert first == f"| a 1 | 50%, 3 answers 429, 2 bought twice | 2.0 s (0.50) | {kills} | much |"
    assert second == "| b | gone | gone | gone | gone | gone | all |"
