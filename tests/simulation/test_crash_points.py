"""One small manifest, cut at every point at which a process can die, and gone on with: the end is always the same.

The points are: inside each commit (the rows are written, the transaction is not), after each commit, after each request
left, and after each answer was heard. So between any two commits, between a commit and each request, between a request and
its answer, and between an answer and its commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from batchgen.core.facts import RunAsked
from batchgen.core.model import Manifest
from batchgen.core.policy import Policy
from batchgen.core.steering import Control, ControlKind
from batchgen.errors import ExitCode
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import CATALOGUE, Edition, Line
from tests.simulation.orders import TOLD
from tests.simulation.process import Process
from tests.simulation.scene import Errand, Fuse, Scene
from tests.simulation.stage import scene_of
from tests.simulation.steering import say
from tests.simulation.world import Rules

POINTS = 85
"""Asserted, so that the test cannot quietly cover none. It changes when the engine groups its commits otherwise."""

EDITION = Edition(
    Manifest("m", "/m.yaml", retries=1),
    (
        Line("good", "kling-2-6", "5", (0, 1)),
        Line("once", "kling-2-6", "10", (1,)),
        Line("never", "z-image", "5"),
    ),
)
RULES = Rules(
    CATALOGUE,
    hopeless=frozenset({"m/never r0"}),
    first_fails=frozenset({"m/once r0"}),
    same_upload=False,
    renders_take=(3.0, 6.0),
    two_results=1.0,
)
POLICY = Policy(requests_per_minute=600.0)

STEERED_POINTS = 98
SAID = (
    (0.9, Control(0, ControlKind.RATE, 300.0)),
    (2.0, Control(0, ControlKind.BUDGET, 1000.0)),
    (2.1, Control(0, ControlKind.PAUSE)),
    (32.0, Control(0, ControlKind.GO)),
)

End = tuple[list[tuple[str, str, int]], list[str], list[tuple[str, str, int]]]


@pytest.fixture
def ledger() -> Iterator[LedgerFile]:
    """A place for ledgers."""
    file = LedgerFile()
    yield file
    file.remove()


def start(scene: Scene, fuse: Fuse, command: str = "run") -> ExitCode | None:
    """Run the program once; None if it died."""
    ended = Process(scene, Errand(RunAsked(command, ("m",)), POLICY, [EDITION]), fuse).live()
    scene.audit.whole()
    scene.audit.books()
    scene.audit.renders(calm=False)
    scene.audit.guards_hold()
    return None if ended is None else ended.code


def go_on(scene: Scene) -> ExitCode | None:
    """Resume; if the run died before its tasks were in the ledger, as resume says then, run again."""
    code = start(scene, Fuse(), "resume") if scene.ledger.open().runs() else ExitCode.WRONG_INPUT
    return start(scene, Fuse()) if code is ExitCode.WRONG_INPUT else code


def steered(ledger: LedgerFile) -> Scene:
    """A scene in which a person steers the run: another rate, another budget, a pause of half a minute."""
    scene = scene_of(ledger, RULES)
    for after, control in SAID:
        scene.timeline.at(scene.timeline.now + after, partial(say, scene, control))
    return scene


def end_of(scene: Scene) -> End:
    """What was charged and refunded, what is on disk, and how the tasks stand."""
    charges = sorted((p.prompt, p.state, p.net) for p in scene.world.purchases.values())
    tasks = scene.ledger.raw.execute("SELECT ident, state, attempts FROM tasks ORDER BY ident").fetchall()
    return charges, sorted(scene.disk.files), tasks


def test_every_crash_point(ledger: LedgerFile) -> None:
    """A run that dies at any point at all, and is started again, ends with the charges and files of one that never died."""
    unbroken, fuse = scene_of(ledger, RULES), Fuse()
    assert start(unbroken, fuse) is ExitCode.SOME_FAILED
    end = end_of(unbroken)
    assert len(end[0]) == 5
    assert end[1] == ["m/good-2.mp4", "m/good.mp4", "m/once-2.mp4", "m/once.mp4"]
    assert fuse.points == POINTS
    for point in range(1, fuse.points + 1):
        scene = scene_of(ledger, RULES)
        assert start(scene, Fuse(point)) is None
        scene.timeline.sleep_until(scene.timeline.now + 3)
        assert start(scene, Fuse()) is ExitCode.SOME_FAILED, f"point {point}"
        assert end_of(scene) == end, f"died at point {point}"


def test_every_second_crash_point(ledger: LedgerFile) -> None:
    """A run that dies at every N-th point, again and again, still ends the same."""
    unbroken = scene_of(ledger, RULES)
    start(unbroken, Fuse())
    end = end_of(unbroken)
    for every in (17, 23, 29, 37):
        scene = scene_of(ledger, RULES)
        for _ in range(200):
            if start(scene, Fuse(every)) is not None:
                break
        assert end_of(scene) == end, f"died at every {every}th point"


@pytest.mark.timeout(600)
def test_every_crash_point_of_a_steered_run(ledger: LedgerFile) -> None:
    """A run that a person steers, dies at any point, between what was said and its obeying too, and is resumed: it ends the same."""
    unbroken, fuse = steered(ledger), Fuse()
    assert start(unbroken, fuse) is ExitCode.SOME_FAILED
    assert [unbroken.tally.injected[kind] for kind in TOLD.values()] == [1, 1, 0, 1, 1]
    end = end_of(unbroken)
    assert fuse.points == STEERED_POINTS
    for point in range(1, fuse.points + 1):
        scene = steered(ledger)
        assert start(scene, Fuse(point)) is None
        scene.timeline.sleep_until(scene.timeline.now + 3)
        assert go_on(scene) is ExitCode.SOME_FAILED, f"point {point}"
        assert end_of(scene) == end, f"died at point {point}"
