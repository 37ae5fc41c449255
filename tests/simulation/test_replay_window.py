"""What protects when the server forgets keys: the replay window, and nothing else."""

from __future__ import annotations

import pytest

from tests.simulation.audit import Broken
from tests.simulation.night import run_nights
from tests.simulation.troubles import Tally

CARELESS_NIGHTS = 400


def test_a_window_longer_than_the_servers_memory_pays_twice() -> None:
    """A replay window that outlasts the server's memory buys twice, and the simulation sees it: its silence elsewhere means something."""
    with pytest.raises(Broken, match="double charge"):
        run_nights(range(1, CARELESS_NIGHTS), Tally(), careless=True)
