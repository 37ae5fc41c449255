"""Manifests that did not change are recognised; the smallest doubt means that they are walked."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen import app, intake
from batchgen.core.facts import RunAsked
from batchgen.core.forecast import PlanFacts
from batchgen.core.glob import matches
from batchgen.core.messages import MoneyKind, TaskMoved
from batchgen.core.plan import BUYING, ActionKind
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.core.written import Walk
from batchgen.errors import LedgerConflict
from batchgen.ledger import Store
from batchgen.manifest import Checked, called, recognised
from batchgen.manifest.walk import Trail
from batchgen.settings import Flags, Settings, load
from tests.contract.books import Books

from .conftest import PNG, Folder

LONG_AGO = 1_700_000_000 * 10**9 + 1


@pytest.fixture
def spring(folder: Folder) -> Folder:
    """A manifest with rows and references, all written long ago."""
    folder.write("rows.csv", "sku,file\na,cup\nb,mug\nc,cup\n")
    for name in ("cup", "mug"):
        folder.write(f"{name}.png", PNG)
    folder.of_tasks("  - {id: '${sku}', prompt: x, references: ['${file}.png'], foreach: rows.csv}\n")
    aged(folder)
    return folder


def aged(folder: Folder) -> None:
    """Let every file be old enough. Only an inode's time cannot be set; so wait until it is a tick ago."""
    for path in folder.path.iterdir():
        if path.is_file():
            os.utime(path, ns=(LONG_AGO, LONG_AGO))
    newest = max(path.stat().st_ctime_ns for path in folder.path.iterdir())
    probe = folder.path / "clock"
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns - newest > 60_000_000:
            break
    probe.unlink()


def walk_of(folder: Folder) -> Walk:
    """Check the manifest and return its walk."""
    (loaded,) = folder.check().manifests
    assert loaded.walk
    return loaded.walk


def is_recognised(folder: Folder, walk: Walk) -> bool:
    """Look at the manifest again."""
    return recognised(called([folder.path / "m.yaml"]), {walk.path: walk}.get)


def test_nothing_changed(spring: Folder) -> None:
    """The same files are recognised."""
    walk = walk_of(spring)
    assert {Path(path).name for path in (*walk.read, *walk.references)} == {"m.yaml", "rows.csv", "cup.png", "mug.png"}
    assert walk.models == {"kling-2-6": 3}
    assert is_recognised(spring, walk)


def rewrite(path: Path, data: bytes) -> None:
    """Write a file and set its time back."""
    path.write_bytes(data)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


CHANGES: dict[str, Callable[[Path], object]] = {
    "manifest": lambda path: (path / "m.yaml").write_text((path / "m.yaml").read_text().replace("prompt: x", "prompt: y")),
    "rows, with the old time": lambda path: rewrite(path / "rows.csv", b"sku,file\na,cup\nb,cup\nc,cup\n"),
    "reference, with the old time and size": lambda path: rewrite(path / "mug.png", PNG[:-1] + b"\x01"),
    "reference gone": lambda path: (path / "mug.png").unlink(),
    "rows gone": lambda path: (path / "rows.csv").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_noticed(spring: Folder, change: Callable[[Path], object]) -> None:
    """Every file that the tasks were made of counts."""
    walk = walk_of(spring)
    change(spring.path)
    assert not is_recognised(spring, walk)


def test_other_manifests_of_the_call_count(spring: Folder) -> None:
    """Outputs are compared over all manifests of a call, so a manifest is recognised only in the same company."""
    walk = walk_of(spring)
    spring.write("n.yaml", "version: 1\nname: n\n")
    assert not recognised(called([spring.path / "m.yaml", spring.path / "n.yaml"]), {walk.path: walk}.get)
    assert not recognised([], {walk.path: walk}.get)
    assert not is_recognised(spring, replace(walk, path="/elsewhere"))


def test_what_was_written_a_moment_ago_is_not_trusted(spring: Folder) -> None:
    """A file may be written again within the same tick of the clock: then there is nothing to recognise it by."""
    rows, soon = spring.path / "rows.csv", time.time_ns() + 10**12  # a machine may be too slow for what is true of a moment only
    os.utime(rows, ns=(soon, soon))
    (loaded,) = spring.check().manifests
    assert loaded.walk is None


def test_what_is_written_while_it_is_read_is_not_trusted(spring: Folder) -> None:
    """The digest would be that of bytes from which no task was made."""
    manifest, rows = str(spring.path / "m.yaml"), str(spring.path / "rows.csv")
    trail = Trail(manifest, time.time_ns())
    trail.rows(manifest)
    trail.rows(rows)
    assert trail.walk([], {})
    rewrite(spring.path / "rows.csv", b"sku,file\nz,cup\n")
    assert trail.walk([], {}) is None


# ---------------------------------------------------------------- with a ledger


class Desk:
    """A workspace with a ledger."""

    def __init__(self, folder: Folder) -> None:
        """Work in a folder."""
        self.folder = folder
        flags = Flags(ledger=str(folder.path / "ledger.sqlite3"), sandbox=True, faults=None)
        self.settings: Settings = load([folder.path / "m.yaml"], flags, environ={}, cwd=folder.path)

    def check(self) -> Checked:
        """Check as `run` does."""
        return app.check([self.folder.path / "m.yaml"], self.settings)

    def adopt(self, asked: RunAsked | None = None) -> Checked:
        """Take the manifest's tasks over, as a run does."""
        checked = self.check()
        with Store.open(self.settings.ledger, self.settings.address) as ledger:
            begun = ledger.begin_run(asked or RunAsked("run", ("test",)), resumes=None, at=1.0)
            for loaded in checked.manifests:
                intake.adopt(ledger, loaded, begun, self.folder.path)
        return checked

    def plan(self, asked: RunAsked, *, walked: bool) -> PlanFacts:
        """Plan, by the ledger or by walking the rows."""
        checked = app.check([self.folder.path / "m.yaml"]) if walked else self.check()
        assert all(loaded.unchanged is not walked for loaded in checked.manifests)
        return app.plan(checked, self.settings, asked)

    def books(self, ledger: Store) -> Books:
        """Return short ways to move its tasks on."""
        made = Books(ledger)
        made.manifest = replace(made.manifest, name="test")
        made.begin()
        return made


@pytest.fixture
def desk(spring: Folder) -> Desk:
    """The manifest, adopted, with one task done, one failed and one pending."""
    made = Desk(spring)
    made.adopt()
    with Store.open(made.settings.ledger, made.settings.address) as ledger:
        books = made.books(ledger)
        books.manifest = replace(books.manifest, path=str(spring.path / "m.yaml"))
        row, key = books.submit(0)
        books.write(books.accepted(key))
        paid = (books.money(key, MoneyKind.CAPTURE, 35), books.money(key, MoneyKind.RELEASE, 5))
        books.write(books.succeeded(key), *paid, books.rendered(row), books.output(key, "test/a.mp4"), books.saved(row))
        books.give_up(1)
    return made


ASKED = {
    "all": RunAsked("run", ("test",)),
    "only": RunAsked("run", ("test",), only="[bc]"),
    "failed again": RunAsked("run", ("test",), retry_failed=True),
    "one of the failed again": RunAsked("run", ("test",), retry_failed=True, only="c"),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_the_plan_is_the_same(desk: Desk, asked: RunAsked) -> None:
    """By the ledger alone, and by walking the rows."""
    by_ledger, by_rows = (desk.plan(asked, walked=walked) for walked in (False, True))
    (left,), (right,) = by_ledger.manifests, by_rows.manifests
    assert {kind: count for kind, count in left.counts.items() if count} == dict(right.counts)
    assert replace(by_ledger, manifests=()) == replace(by_rows, manifests=())
    assert [a.task and a.task.id for a in left.examples.get(ActionKind.NEW, ())] == [
        a.task and a.task.id for a in right.examples.get(ActionKind.NEW, ())
    ]


MANY: dict[str, tuple[RunAsked, dict[ActionKind, int], int]] = {
    "all": (
        RunAsked("run", ("test",)),
        {ActionKind.NEW: 10, ActionKind.DONE: 10, ActionKind.FAILED: 10, ActionKind.BLOCKED: 10},
        10,
    ),
    "failed again": (
        RunAsked("run", ("test",), retry_failed=True),
        {ActionKind.NEW: 10, ActionKind.DONE: 10, ActionKind.RETRIED: 20},
        30,
    ),
    "some": (
        RunAsked("run", ("test",), only="t?"),
        {ActionKind.NEW: 2, ActionKind.DONE: 3, ActionKind.FAILED: 3, ActionKind.BLOCKED: 2},
        2,
    ),
    "some of the failed again": (
        RunAsked("run", ("test",), only="t?", retry_failed=True),
        {ActionKind.NEW: 2, ActionKind.DONE: 3, ActionKind.RETRIED: 5},
        7,
    ),
}


@pytest.mark.parametrize("walked", [False, True])
@pytest.mark.parametrize(("asked", "counts", "bought"), MANY.values(), ids=MANY.keys())
def test_many_of_a_kind_are_counted(folder: Folder, asked: RunAsked, counts: dict[ActionKind, int], bought: int, *, walked: bool) -> None:
    """In turns done, failed, blocked, waiting: the first five of a kind are named, all are counted, and what is bought is paid."""
    folder.of_tasks("".join(f"  - {{id: t{n}, prompt: x}}\n" for n in range(40)))
    aged(folder)
    desk = Desk(folder)
    desk.adopt()
    with sqlite3.connect(desk.settings.ledger) as ledger:
        for trigger in ("guard_tasks_logged", "guard_tasks_moves"):
            ledger.execute(f"DROP TRIGGER {trigger}")
        for turn, state in enumerate((TaskState.DONE, TaskState.FAILED, TaskState.BLOCKED)):
            ledger.execute("UPDATE tasks SET state = ? WHERE position % 4 = ?", (state, turn))
    ledger.close()
    facts = desk.plan(asked, walked=walked)
    (part,) = facts.manifests
    assert {kind: count for kind, count in part.counts.items() if count} == counts
    named = {kind: len(actions) for kind, actions in part.examples.items() if kind is not ActionKind.DONE}
    assert named == {kind: min(5, count) for kind, count in counts.items() if kind is not ActionKind.DONE}
    assert {action.kind for actions in part.examples.values() for action in actions} == set(named)
    assert all(matches(action.task.id, asked.only) for actions in part.examples.values() for action in actions if action.task)
    assert (facts.to_buy, facts.credits) == (bought, bought * 55)


@pytest.mark.parametrize("state", [TaskState.BLOCKED, TaskState.DONE])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_the_plan_is_the_same_beside_an_attempt_in_doubt(desk: Desk, asked: RunAsked, state: TaskState) -> None:
    """A task in doubt is named, also where its own state says done (by hand, because no run leaves it so); the others are counted."""
    with sqlite3.connect(desk.settings.ledger) as ledger:
        for trigger in ("guard_attempts_logged", "guard_attempts_moves", "guard_tasks_logged", "guard_tasks_moves"):
            ledger.execute(f"DROP TRIGGER {trigger}")
        ledger.execute("UPDATE attempts SET state = 'in_doubt' WHERE state = 'succeeded'")
        ledger.execute("UPDATE tasks SET state = ? WHERE id IN (SELECT task_id FROM attempts WHERE state = 'in_doubt')", (state,))
    ledger.close()
    by_ledger, by_rows = (desk.plan(asked, walked=walked) for walked in (False, True))
    (left,), (right,) = by_ledger.manifests, by_rows.manifests
    assert {kind: count for kind, count in left.counts.items() if count} == dict(right.counts)
    assert left.counts.get(ActionKind.BLOCKED, 0) == (not asked.only)
    assert replace(by_ledger, manifests=()) == replace(by_rows, manifests=())


def test_failed_tasks_are_due_again(desk: Desk) -> None:
    """--retry-failed makes them due without a walk, and the manifest stays recognised."""
    assert desk.adopt(ASKED["failed again"]).manifests[0].unchanged
    with Store.open(desk.settings.ledger, desk.settings.address) as ledger:
        assert [ready[0] for page in ledger.waiting("test") for ready in page] == ["b", "c"]
    assert desk.check().manifests[0].unchanged


def test_an_edit_is_adopted_and_recognised_from_then_on(desk: Desk) -> None:
    """After an edit the rows are walked once."""
    desk.folder.write("rows.csv", "sku,file\na,mug\nd,cup\n")
    aged(desk.folder)
    assert [desk.adopt().manifests[0].unchanged for _ in range(2)] == [False, True]
    with Store.open(desk.settings.ledger, desk.settings.address) as ledger:
        assert [ready[0] for page in ledger.waiting("test") for ready in page] == ["d"]


def test_a_change_in_the_ledger_meanwhile_is_a_conflict(desk: Desk) -> None:
    """What was recognised before the run had the lock may no longer be what the ledger has."""
    checked = desk.check()
    with Store.open(desk.settings.ledger, desk.settings.address) as ledger:
        begun = ledger.begin_run(RunAsked("run", ("test",)), resumes=None, at=1.0)
        ledger.adopt(checked.manifests[0].header, [], run=begun.id, at=1.0)
        with pytest.raises(LedgerConflict, match="run again"):
            intake.adopt(ledger, checked.manifests[0], begun, desk.folder.path)


def test_a_task_in_doubt_that_was_edited_keeps_its_manifest_from_being_recognised(spring: Folder) -> None:
    """Its new prompt is not taken over while the attempt is in doubt, so the next run must look at it again."""
    made = Desk(spring)
    made.adopt()
    with Store.open(made.settings.ledger, made.settings.address) as ledger:
        books = made.books(ledger)
        row, key = books.submit(0)
        doubt = replace(books.accepted(key), event=AttemptEvent.DOUBTED, after=AttemptState.IN_DOUBT, task_id=None, reserved=None)
        books.write(doubt, TaskMoved(row, TaskEvent.BLOCKED, TaskState.RENDERING, TaskState.BLOCKED, books.at))
    spring.of_tasks("  - {id: '${sku}', prompt: y, references: ['${file}.png'], foreach: rows.csv}\n")
    aged(spring)
    assert [made.adopt().manifests[0].unchanged for _ in range(3)] == [False, False, False]


EDITIONS = {
    "nothing": "sku,file\na,cup\nb,mug\nc,cup\n",
    "a row at the front": "sku,file\nz,cup\na,cup\nb,mug\nc,cup\n",
    "rows away and back in another order": "sku,file\nc,cup\na,cup\n",
    "another picture": "sku,file\na,jug\nb,jug\nc,jug\nd,jug\n",
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
@pytest.mark.parametrize("rows", EDITIONS.values(), ids=EDITIONS.keys())
def test_an_edition_is_planned_and_adopted_as_one_by_one(desk: Desk, rows: str, asked: RunAsked) -> None:
    """In bulk, the ledger gets the rows that it gets from each task's action, and the plan has the same sums."""
    desk.folder.write("jug.png", PNG + b"\x02")
    desk.folder.write("rows.csv", rows)
    (loaded,) = app.check([desk.folder.path / "m.yaml"]).manifests
    other = desk.folder.path / "other.sqlite3"
    with Store.open(desk.settings.ledger, desk.settings.address) as ledger:
        ledger.backup(other)
    with Store.open(other, desk.settings.address) as one, Store.open(desk.settings.ledger, desk.settings.address) as bulk:
        actions = list(intake.actions(loaded, one, asked))
        facts = app.plan(Checked((loaded,)), desk.settings, asked)
        seen = [action for action in actions if action.task is None or matches(action.task.id, asked.only)]
        assert {kind: n for kind, n in facts.manifests[0].counts.items() if n} == dict(Counter(action.kind for action in seen))
        assert facts.to_buy == sum(action.kind in BUYING for action in seen)
        one.adopt(loaded.header, actions, run=one.begin_run(asked, resumes=None, at=2.0).id, at=2.0)
        intake.adopt(bulk, loaded, bulk.begin_run(asked, resumes=None, at=2.0), desk.folder.path)
        left, right = Books(one).rows(), Books(bulk).rows()
        assert left["tasks"] == right["tasks"]
        assert left["events"] == right["events"]


OTHER = """
import sys
from pathlib import Path

import batchgen
from batchgen.manifest import called, walk

batchgen.__version__ = sys.argv[2] or batchgen.__version__
if sys.argv[3]:
    walk.files = lambda package: Path(sys.argv[3])
manifest = Path(sys.argv[1])
print(walk.digest_of(called([manifest]), str(manifest), [str(manifest)], []))
"""


def test_another_batchgen_walks_anew(folder: Folder, tmp_path: Path) -> None:
    """What one version takes for right, or what its catalogue says of a model, the next one may not."""
    folder.of_tasks("  - x\n")
    (tmp_path / "models.json").write_text("{}", encoding="utf-8")

    def digest(version: str = "", catalogue: str = "") -> str:
        words = [sys.executable, "-c", OTHER, str(folder.path / "m.yaml"), version, catalogue]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    found = [digest(), digest(version="99"), digest(catalogue=str(tmp_path))]
    assert len(found[0]) == 65
    assert len(set(found)) == 3
    assert digest() == found[0]
