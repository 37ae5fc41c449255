"""Files that were complete and are lost: the way back to `done`, and that nothing is bought on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.core.facts import AttemptFacts, LiveAttempt, Opening, TaskFacts
from batchgen.core.losses import Census, Loss, delivery, pages, records_of
from batchgen.core.messages import OutputLost, TaskMoved
from batchgen.core.model import DueTask, Manifest, Output
from batchgen.core.states import AttemptState, TaskEvent, TaskState
from batchgen.errors import IllegalMove
from tests.core.world import START, a_task

FILES = tuple(Output(n, f"m/t-{n}.mp4", "0" * 64, 10, "video/mp4") for n in range(3))
ATTEMPT = AttemptFacts(1, "bg-1", AttemptState.SUCCEEDED, "f" * 64, 1, START, START, START, "task_0", 0, 5, 0, 5, 5, 0, None, FILES, b"{}")
TASK = TaskFacts(7, "m", "t", TaskState.DONE, wanted=True, line=1, model="x", prompt="p", params={}, references=(), output="m/t",
                 note="", attempts=1, captured=5, held=0, latest=ATTEMPT)  # fmt: skip
LOSS = Loss(TASK, ((FILES[0], "missing"), (FILES[2], "damaged")))


def test_each_file_and_then_the_task() -> None:
    """The ledger writes which files are lost and why, and the task is `rendered` again."""
    *lost, moved = records_of(LOSS, START)
    assert lost == [OutputLost("bg-1", 0, "m/t-0.mp4", "missing", START), OutputLost("bg-1", 2, "m/t-2.mp4", "damaged", START)]
    assert isinstance(moved, TaskMoved)
    note = "2 of its files are missing or damaged on disk"
    assert moved == TaskMoved(7, TaskEvent.MISSED, TaskState.DONE, TaskState.RENDERED, START, note, "t")
    assert moved.manifest == "m"


def test_only_a_task_that_is_done() -> None:
    """What is still under way has its own way to its files."""
    with pytest.raises(IllegalMove):
        list(records_of(replace(LOSS, task=replace(TASK, state=TaskState.PENDING)), START))


def test_a_census_counts() -> None:
    """Files, not tasks, are counted by what is wrong with them."""
    census = Census(30, (LOSS, LOSS))
    assert [census.count(why) for why in ("missing", "damaged", "stolen")] == [2, 2, 0]


def test_pages() -> None:
    """A transaction holds so many losses; none gets lost between two."""
    assert [len(page) for page in pages([LOSS] * 5, 2)] == [2, 2, 1]


def test_a_delivery_has_renders_only() -> None:
    """An attempt that is submitting or accepted is not touched, nor one whose task was not asked for; old failures do not count."""
    due = DueTask(1, a_task("t1"), "f" * 64)
    live = LiveAttempt(due, True, "bg-1", 1, "f" * 64, b"{}", AttemptState.SUCCEEDED, TaskState.RENDERED, START, 5, "p", "d", True)  # noqa: FBT003 - a row
    others = (
        replace(live, state=AttemptState.SUBMITTING),
        replace(live, state=AttemptState.ACCEPTED),
        replace(live, due=DueTask(2, a_task("x1"), "f" * 64)),
    )
    opening = delivery(Opening((Manifest("m", "m"),), (live, *others), failed=3, blocked=2, in_doubt=1), "t*")
    assert opening == Opening((Manifest("m", "m"),), (live,), finish_only=frozenset({"m"}))
