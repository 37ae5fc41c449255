"""The ledger's port: manifests that did not change."""

from __future__ import annotations

import pytest

from batchgen.core.model import Manifest
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.written import Ready, Walk, ready_of
from batchgen.errors import LedgerConflict
from tests.contract.books import Books

WALK = Walk("/m/spring.yaml", "d" * 64, ("/m/spring.yaml", "/m/r\u00f6ws.csv"), ("/m/shoe.png",), {"kling-2-6": 3})


def test_a_walk_is_kept_until_tasks_are_taken_over(books: Books) -> None:
    """It says what the tasks are, so whatever may change them forgets it, in the same transaction."""
    books.store.remember("spring", WALK)
    found = books.store.walk(WALK.path)
    assert found == (Manifest("spring", ""), WALK)
    assert books.store.walk("/elsewhere") is None
    books.store.remember("spring", WALK)
    books.adopt([books.task(n) for n in range(3)])
    assert books.store.walk(WALK.path) is None
    books.store.remember("spring", WALK)
    with pytest.raises(LedgerConflict):
        books.store.enroll(books.manifest, [], at=books.at)
    assert books.store.walk(WALK.path) == found


def test_what_is_left_of_a_manifest_is_read_from_the_ledger(books: Books) -> None:
    """Tasks come back as the manifest wrote them, by state or in their order, with what the ledger knows of them."""
    books.finish(1)
    books.give_up(2)
    tasks = [books.task(n) for n in range(3)]
    assert books.store.states("spring") == {TaskState.PENDING: 1, TaskState.DONE: 1, TaskState.FAILED: 1}
    assert list(books.store.waiting("spring")) == [[ready_of(t.id, t.spec, t.output, t.line) for t in tasks[:1]]]
    assert list(books.store.waiting("nobody")) == []
    known = books.store.known("spring", [t.id for t in tasks])
    assert list(books.store.kept("spring", (TaskState.FAILED, TaskState.DONE))) == [(tasks[2], known["t2"]), (tasks[1], known["t1"])]
    assert list(books.store.kept("spring", (TaskState.PENDING,))) == [(tasks[0], known["t0"])]
    assert list(books.store.in_order("spring")) == [(task, known[task.id]) for task in tasks]
    assert books.store.in_doubt("spring", list(TaskState)) == 0
    waiting = [ready_of(t.id, t.spec, t.output, t.line) for t in tasks]
    (page,) = books.store.left("spring", (TaskState.FAILED, TaskState.PENDING))
    assert [(ready, found.known, found.same) for ready, found in page] == [(waiting[n], known[f"t{n}"], True) for n in (0, 2)]
    assert [books.store.named("spring", TaskState.DONE, only) for only in ("t[12]", "t2", "")] == [1, 0, 1]


def test_pages_join(books: Books) -> None:
    """More tasks than a page holds are all there, once."""
    autumn = Manifest("autumn", "/m/autumn.yaml")
    tasks = [books.task(n) for n in range(4_001)]
    books.store.enroll(autumn, (ready_of(t.id, t.spec, t.output, t.line) for t in tasks), at=books.at)
    assert [ready[0] for page in books.store.waiting("autumn") for ready in page] == [t.id for t in tasks]
    assert [task.id for task, _ in books.store.kept("autumn", (TaskState.PENDING,))] == [t.id for t in tasks]
    assert [task.id for task, _ in books.store.in_order("autumn")] == [t.id for t in tasks]


def test_a_manifest_is_compared_task_by_task(books: Books) -> None:
    """A task is the same only if every column is; what left is not, and the ids of more than one query are all asked for."""
    tasks = [books.task(n) for n in range(1_100)]
    books.adopt(tasks)
    books.submit(1)
    books.adopt([task for task in tasks if task.id != "t2"])
    chunk = [ready_of(task.id, task.spec, task.output, task.line) for task in [*tasks, books.task(1_100)]]
    found = books.store.compared("spring", chunk, 0)
    assert {ident: one.known for ident, one in found.items()} == books.store.known("spring", [task.id for task in tasks])
    assert (found["t1"].known.live, found["t2"].known.wanted) == (AttemptState.SUBMITTING, False)
    assert [ident for ident, one in found.items() if not one.same] == ["t2"]
    assert list(books.store.kept("spring", (TaskState.RENDERING,))) == [(tasks[1], found["t1"].known)]
    others: list[Ready] = [(*chunk[3][:n], "y", *chunk[3][n + 1 :]) for n in range(1, 6)]  # type: ignore[misc]  # of Ready's seven parts
    others.append((*chunk[3][:6], 99))
    assert [books.store.compared("spring", [one], 3)["t3"].same for one in others] == [False] * 6
    assert books.store.compared("spring", [chunk[3]], 3)["t3"].same
    assert not books.store.compared("spring", [chunk[3]], 4)["t3"].same
    assert books.store.compared("autumn", chunk, 0) == {}
