"""Whole nights: the real engine, planner, budgets and ledger in a pretend world under a virtual clock.

`pytest tests/simulation` runs 2,000 of them; `BATCHGEN_NIGHTS=100000` runs more, `BATCHGEN_FIRST=N` begins with seed N.
`BATCHGEN_SEED=N pytest -s tests/simulation` runs this one night and prints its log.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.night import run_nights
from tests.simulation.troubles import Tally, Trouble

CHUNK = 500
"""Nights of one test: few enough to be spread over cores, enough for every trouble to come about in them."""

FIRST = int(os.environ.get("BATCHGEN_FIRST", "1"))
NIGHTS = int(os.environ.get("BATCHGEN_NIGHTS", "2000"))
SEED = int(os.environ.get("BATCHGEN_SEED", "0"))
CHUNKS = [range(SEED, SEED + 1)] if SEED else [range(at, min(at + CHUNK, FIRST + NIGHTS)) for at in range(FIRST, FIRST + NIGHTS, CHUNK)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", CHUNKS, ids=[f"{seeds[0]}-{seeds[-1]}" for seeds in CHUNKS])
def test_nights(seeds: range, tally: Tally) -> None:
    """Whatever goes wrong: nothing is charged twice, no budget exceeded, no render lost, no credit unexplained, and all ends well."""
    mine = Tally()
    last = run_nights(seeds, mine)
    tally.add(mine)
    if SEED:
        print("\n".join(last.scene.lines(100_000)))
    never = [trouble for trouble in Trouble if not mine.injected[trouble]]
    assert len(seeds) < CHUNK or not never, f"troubles that never came about in {len(seeds)} nights: {never}"
