"""The tables of states: every pair of a state and an event."""

from __future__ import annotations

import pytest

from batchgen.core.states import (
    ATTEMPT_MOVES,
    LIVE,
    TASK_MOVES,
    UNFINISHED,
    AttemptEvent,
    AttemptState,
    TaskEvent,
    TaskState,
    advance_attempt,
    advance_task,
)
from batchgen.errors import IllegalMove

T, E, A, F = TaskState, TaskEvent, AttemptState, AttemptEvent

TASKS = {
    (T.PENDING, E.SUBMITTED): T.RENDERING,
    (T.PENDING, E.GIVEN_UP): T.FAILED,
    (T.PENDING, E.BLOCKED): T.BLOCKED,
    (T.RENDERING, E.RENDERED): T.RENDERED,
    (T.RENDERING, E.RETURNED): T.PENDING,
    (T.RENDERING, E.GIVEN_UP): T.FAILED,
    (T.RENDERING, E.BLOCKED): T.BLOCKED,
    (T.RENDERED, E.SAVED): T.DONE,
    (T.RENDERED, E.SUPERSEDED): T.PENDING,
    (T.DONE, E.MISSED): T.RENDERED,
    (T.DONE, E.RENEWED): T.PENDING,
    (T.FAILED, E.RENEWED): T.PENDING,
    (T.BLOCKED, E.RENEWED): T.PENDING,
    (T.BLOCKED, E.CONTINUED): T.RENDERING,
}

ATTEMPTS = {
    (A.SUBMITTING, F.REPEATED): A.SUBMITTING,
    (A.SUBMITTING, F.ANSWER_LOST): A.SUBMITTING,
    (A.SUBMITTING, F.ACCEPTED): A.ACCEPTED,
    (A.SUBMITTING, F.REFUSED): A.REFUSED,
    (A.SUBMITTING, F.DOUBTED): A.IN_DOUBT,
    (A.ACCEPTED, F.SUCCEEDED): A.SUCCEEDED,
    (A.ACCEPTED, F.FAILED): A.FAILED,
    (A.ACCEPTED, F.DOUBTED): A.IN_DOUBT,
    (A.IN_DOUBT, F.FOUND_ACCEPTED): A.ACCEPTED,
    (A.IN_DOUBT, F.FOUND_REFUSED): A.REFUSED,
    (A.IN_DOUBT, F.RESENT): A.SUBMITTING,
}


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("event", TaskEvent)
def test_every_task_pair(state: TaskState, event: TaskEvent) -> None:
    """A task moves along the table and nowhere else; a refused move names both."""
    expected = TASKS.get((state, event))
    if expected is None:
        with pytest.raises(IllegalMove, match=f"a task that is {state} cannot be {event}"):
            advance_task(state, event)
    else:
        assert advance_task(state, event) is expected


@pytest.mark.parametrize("state", AttemptState)
@pytest.mark.parametrize("event", AttemptEvent)
def test_every_attempt_pair(state: AttemptState, event: AttemptEvent) -> None:
    """An attempt moves along the table and nowhere else; a refused move names both."""
    expected = ATTEMPTS.get((state, event))
    if expected is None:
        with pytest.raises(IllegalMove, match=f"an attempt that is {state} cannot be {event}"):
            advance_attempt(state, event)
    else:
        assert advance_attempt(state, event) is expected


def test_final_states_have_no_way_out() -> None:
    """An attempt that ended stays ended; only a person moves one in doubt; every state has its row."""
    assert {state for state, moves in ATTEMPT_MOVES.items() if not moves} == {A.SUCCEEDED, A.FAILED, A.REFUSED}
    assert set(ATTEMPT_MOVES) == set(AttemptState)
    assert set(TASK_MOVES) == set(TaskState)


def test_the_tables_cannot_be_changed() -> None:
    """The tables are read-only."""
    with pytest.raises(TypeError):
        TASK_MOVES[T.DONE] = {}  # type: ignore[index]  # that is the point


def test_live_and_unfinished() -> None:
    """Live attempts are those that may have been bought and have not ended; unfinished tasks those on which a run works."""
    assert {A.SUBMITTING, A.ACCEPTED, A.IN_DOUBT} == LIVE
    assert {T.PENDING, T.RENDERING, T.RENDERED} == UNFINISHED
