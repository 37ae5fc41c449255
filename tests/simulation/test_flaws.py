"""The simulation can fail: each flaw that it is there to catch makes one of its first nights fail, for the right reason.

`pytest -s` prints the first seed that catches each.
"""

from __future__ import annotations

import re

import pytest

from batchgen.core.facts import RunAsked
from batchgen.core.model import Manifest
from batchgen.core.policy import Policy
from batchgen.errors import ExitCode
from tests.simulation.audit import Broken
from tests.simulation.flaws import FLAWS, CountsAllAttempts, Flaw, driven_by
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import CATALOGUE, Edition, Line
from tests.simulation.night import Night
from tests.simulation.process import Process
from tests.simulation.scene import Errand, Fuse
from tests.simulation.stage import scene_of
from tests.simulation.troubles import Tally
from tests.simulation.world import Rules

NIGHTS = 2000


def first_failure(flaw: Flaw) -> tuple[int, str]:
    """Return the first seed of which the night fails, and what is said of it."""
    ledger = flaw.ledger()
    try:
        for seed in range(1, NIGHTS + 1):
            try:
                Night(seed, ledger, Tally(), steered=flaw.steered, process=flaw.process).run()
            except Broken as broken:
                return seed, str(broken.__cause__)
    finally:
        ledger.remove()
    return 0, "no night fails"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_a_flaw_is_caught(flaw: Flaw) -> None:
    """One careless change, and a night fails."""
    seed, said = first_failure(flaw)
    print(f"{flaw.name}: seed {seed}: {said[:150]}")
    assert seed, said
    assert re.search(flaw.found, said), said


def edited_and_restored(process: type[Process]) -> int:
    """Buy a task, edit it, buy it again, put back the ledger from before all that, and go on. Return how often it was bought."""
    ledger = LedgerFile()
    try:
        scene, empty = scene_of(ledger, Rules(CATALOGUE)), ledger.backup()
        for revision in (0, 1, 1):
            edition = Edition(Manifest("m", "/m.yaml"), (Line("t", "kling-2-6", "5", revision=revision),))
            ended = process(scene, Errand(RunAsked("run", ("m",)), Policy(), [edition]), Fuse()).live()
            assert ended is not None
            assert ended.code is ExitCode.DONE
            scene.audit.books()
            before = list(scene.audit.rows)
            if len(before) == 2:
                ledger.restore(empty)
                scene.audit.restored(before)
    finally:
        ledger.remove()
    return len(scene.world.purchases)


def test_ids_count_by_fingerprint() -> None:
    """A ledger from a backup gives an edited task the id that the server knows; counted over all attempts it would be another."""
    assert edited_and_restored(Process) == 2
    with pytest.raises(Broken, match="double charge"):
        edited_and_restored(driven_by(CountsAllAttempts))
