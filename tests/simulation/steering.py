"""A person who steers from another shell at random instants.

What is said goes through the ledger, as `batchgen control` sends it: it is for whichever run holds the lock at that
instant, and it is lost if there is none.
"""

from __future__ import annotations

from functools import partial
from random import Random

from batchgen.core.steering import Control, ControlKind
from batchgen.errors import NoRun
from tests.simulation.scene import Scene


def draw(rng: Random) -> list[tuple[float, Control]]:
    """Draw what a person says, by the seconds from now. A pause has an end: `go` or `drain` comes after the last."""
    said: list[tuple[float, Control]] = []
    at, paused = 0.0, False
    for kind in rng.choices(tuple(ControlKind), weights=(3, 1, 1, 4, 3), k=rng.randint(1, 4)):
        at += rng.choice((0.3, 3.0, 30.0, 300.0)) * rng.random()
        said.append((at, Control(0, kind, _value(kind, rng))))
        paused = kind is ControlKind.PAUSE or (paused and kind not in {ControlKind.GO, ControlKind.DRAIN})
    if paused:
        at += rng.choice((1.0, 120.0, 3600.0, 30_000.0))
        said.append((at, Control(0, rng.choice((ControlKind.GO, ControlKind.GO, ControlKind.DRAIN)))))
    return said


def _value(kind: ControlKind, rng: Random) -> float:
    if kind is ControlKind.BUDGET:
        return float(rng.choice((0, rng.randint(1, 30), rng.randint(20, 120))))
    return rng.choice((6.0, 30.0, 90.0, 1200.0)) if kind is ControlKind.RATE else 0.0


def plan(scene: Scene) -> None:
    """Let a person say things from now on, whichever run may be there to hear them."""
    now = scene.timeline.now
    for after, control in draw(scene.rng):
        scene.timeline.at(now + after, partial(say, scene, control))


def say(scene: Scene, control: Control) -> None:
    """Say it now, as `app.steer` does: from a process of its own, whose commit is none of the run's."""
    if scene.world.weather.calm:
        return
    with scene.ledger.from_another_process():
        try:
            scene.ledger.open().steer(control, scene.timeline.now)
        except NoRun:
            return
    scene.say("-- a person says", control)
    scene.listen()
