"""A scene without any trouble, for the nights that are written by hand."""

from __future__ import annotations

from random import Random

from tests.simulation.audit import Audit
from tests.simulation.disk import Disk
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import quoter
from tests.simulation.network import Network
from tests.simulation.night import MORNING
from tests.simulation.scene import Scene
from tests.simulation.timeline import Timeline
from tests.simulation.troubles import Tally, Weather
from tests.simulation.world import Rules, World


def scene_of(ledger: LedgerFile, rules: Rules) -> Scene:
    """Set everything up anew, with 10,000 credits."""
    ledger.new()
    tally, rng = Tally(), Random(1)  # noqa: S311 - a simulation, no secret
    timeline, weather = Timeline(MORNING), Weather(rng, tally, {})
    world = World(timeline, weather, rules, 10_000)
    disk = Disk(weather)
    audit = Audit(ledger, world, disk)
    return Scene(rng, timeline, world, Network(timeline, world, weather, rng), disk, ledger, audit, tally, quoter(stated=False))
