"""The ledger's port: the first tasks of a manifest, in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from batchgen.core.model import Manifest, Task
from batchgen.core.written import Ready, ready_of
from batchgen.errors import LedgerConflict
from tests.contract.books import Books

AUTUMN = Manifest("autumn", "/m/autumn.yaml")


def ready(task: Task) -> Ready:
    """Return a task as a manifest hands it over."""
    return ready_of(task.id, task.spec, task.output, task.line)


def test_enrolment_writes_what_adoption_would(books: Books) -> None:
    """In bulk or compared one by one, the ledger's rows are the same."""
    tasks = [books.task(n, 'ein Schuh \u2013 \U0001f45f, "rot" 100% of ${it} :x ?') for n in range(2_001)]
    books.store.enroll(AUTUMN, map(ready, tasks), at=books.at)
    books.manifest = replace(AUTUMN, name="winter")
    books.adopt([replace(task, manifest="winter") for task in tasks])
    by_manifest: dict[object, list[tuple[object, ...]]] = {}
    for row in books.rows()["tasks"]:
        by_manifest.setdefault(row[1], []).append(row[2:])
    _, autumn, winter = by_manifest.values()
    assert autumn == winter


def test_only_a_manifest_without_tasks_is_enrolled(books: Books) -> None:
    """What came into the ledger since it was looked at is a conflict, and nothing is written."""
    assert not books.store.knows("autumn")
    books.store.enroll(AUTUMN, [ready(books.task(0))], at=books.at)
    assert books.store.knows("autumn")
    before = books.rows()
    with pytest.raises(LedgerConflict, match="since they were planned"):
        books.store.enroll(replace(AUTUMN, path="/elsewhere.yaml"), [ready(books.task(1))], at=books.at)
    assert books.rows() == before


def test_an_enrolment_that_breaks_off_leaves_nothing(books: Books) -> None:
    """All tasks of a manifest come into the ledger, or none."""

    def broken() -> Iterator[Ready]:
        yield from (ready(books.task(n)) for n in range(2_500))
        raise KeyboardInterrupt

    before = books.rows()
    with pytest.raises(KeyboardInterrupt):
        books.store.enroll(AUTUMN, broken(), at=books.at)
    assert books.rows() == before
