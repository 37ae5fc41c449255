"""A refund that comes after the failed answer, or in parts, is learned by a later run and written to the book."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from batchgen.core.facts import RunAsked
from batchgen.core.model import Budget, Manifest
from batchgen.core.policy import Policy
from batchgen.errors import ExitCode
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import CATALOGUE, Edition, Line
from tests.simulation.process import Process
from tests.simulation.scene import Errand, Fuse, Scene
from tests.simulation.stage import scene_of
from tests.simulation.world import DAY, Purchase, Rules

MANIFEST = Manifest("m", "/m.yaml", retries=0, budget=Budget(total=25))
EDITION = Edition(MANIFEST, (Line("fails", "kling-2-6", "5"),))


@pytest.fixture
def ledger() -> Iterator[LedgerFile]:
    """A place for ledgers."""
    file = LedgerFile()
    yield file
    file.remove()


def run(scene: Scene, edition: Edition = EDITION) -> ExitCode | None:
    """Run the program once."""
    ended = Process(scene, Errand(RunAsked("run", ("m",)), Policy(), [edition]), Fuse()).live()
    scene.audit.whole()
    scene.audit.books()
    return None if ended is None else ended.code


def failed_and_kept(ledger: LedgerFile) -> tuple[Scene, Purchase]:
    """Let a render fail of which the server says that it keeps all 10 credits."""
    scene = scene_of(ledger, Rules(CATALOGUE, hopeless=frozenset({"m/fails r0"}), keeps_at_first=True))
    assert run(scene) is ExitCode.SOME_FAILED
    (purchase,) = scene.world.purchases.values()
    assert [(row.capture, row.refund) for row in scene.audit.rows] == [(10, 0)]
    return scene, purchase


def later(scene: Scene, days: float) -> None:
    """Let time pass."""
    scene.timeline.sleep_until(scene.timeline.now + days * DAY)


def test_refunded_late(ledger: LedgerFile) -> None:
    """The next run takes back what the server gave back, once; asking again finds nothing more."""
    scene, purchase = failed_and_kept(ledger)
    scene.world.refund(purchase, 0)
    for _ in range(2):
        later(scene, 1)
        run(scene)
        assert [(row.capture, row.refund) for row in scene.audit.rows] == [(10, 10)]


def test_refunded_in_parts(ledger: LedgerFile) -> None:
    """Each run takes back what came since the last."""
    scene, purchase = failed_and_kept(ledger)
    for kept in (6, 1):
        scene.world.refund(purchase, kept)
        later(scene, 1)
        run(scene)
        assert [(row.capture, row.refund) for row in scene.audit.rows] == [(10, 10 - kept)]


def test_not_asked_for_ever(ledger: LedgerFile) -> None:
    """A failure that kept its credits is forgotten after a week: a finished manifest asks nothing any more."""
    scene, _ = failed_and_kept(ledger)
    before = scene.network.sent
    later(scene, 1)
    run(scene)
    assert scene.network.sent == before + 1
    later(scene, 9)
    run(scene)
    assert scene.network.sent == before + 1


def test_refund_is_free_to_spend(ledger: LedgerFile) -> None:
    """What came back counts against no budget, in the very run that learns of it."""
    scene, purchase = failed_and_kept(ledger)
    more = Edition(MANIFEST, (*EDITION.lines, Line("dear", "kling-2-6", "10")))
    later(scene, 1)
    assert run(scene, more) is ExitCode.STOPPED_EARLY
    scene.world.refund(purchase, 0)
    later(scene, 1)
    assert run(scene, more) is ExitCode.SOME_FAILED
    assert "m/dear.mp4" in scene.disk.files


def test_no_more_than_was_captured(ledger: LedgerFile) -> None:
    """The book refuses a refund beyond the capture, whoever writes it."""
    scene, purchase = failed_and_kept(ledger)
    scene.world.refund(purchase, 4)
    later(scene, 1)
    run(scene)
    vandal = ledger.vandal
    columns = "attempt_id, manifest_id, run_root, day, kind, at"
    insert = f"INSERT INTO money ({columns}, credits) SELECT {columns}, ? FROM money WHERE kind = 'refund'"  # noqa: S608 - our own words
    vandal.execute("BEGIN")
    with pytest.raises(sqlite3.IntegrityError, match="more refunded than was captured"):
        vandal.execute(insert, (5,))
    vandal.execute(insert, (4,))
    vandal.rollback()
