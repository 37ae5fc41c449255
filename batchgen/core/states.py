"""The states of tasks and attempts, and every move between them.

Two rules:

1. Everything that moves a state is in this file: a state changes only by `advance`, and only along these tables.
2. This file does not know why: it has no times, credits or causes. `engine` decides, this file permits.

An event that a state's table lacks raises `IllegalMove` and changes nothing. A state whose table is empty is final,
so "is it final" is derived and never listed twice. The diagrams in the README are printed from these tables.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from batchgen.errors import IllegalMove


class TaskState(StrEnum):
    """Where a task is."""

    PENDING = "pending"  # wants an attempt
    RENDERING = "rendering"  # has a live attempt
    RENDERED = "rendered"  # paid and rendered on the server; its files are not all on disk
    DONE = "done"  # every file of its last attempt is on disk
    FAILED = "failed"  # given up; only a change of the manifest or --retry-failed makes it due again
    BLOCKED = "blocked"  # waits for a person: a reference cannot be used, or an attempt is in doubt


class TaskEvent(StrEnum):
    """What happens to a task."""

    SUBMITTED = "submitted"  # an attempt was committed
    RETURNED = "returned"  # its attempt ended without a render; another may follow
    RENDERED = "rendered"  # its attempt succeeded
    SAVED = "saved"  # all files are on disk
    SUPERSEDED = "superseded"  # all files are on disk, but the manifest has changed meanwhile
    GIVEN_UP = "given_up"  # no further attempt by ourselves
    BLOCKED = "blocked"  # cannot go on without a person
    MISSED = "missed"  # a file of its render is missing or damaged on disk
    RENEWED = "renewed"  # due again: changed, asked for again, or unblocked
    CONTINUED = "continued"  # a person has decided: its attempt goes on


class AttemptState(StrEnum):
    """Where an attempt, one paid try, is."""

    SUBMITTING = "submitting"  # committed; its bytes may have left
    ACCEPTED = "accepted"  # the server gave a task id
    SUCCEEDED = "succeeded"  # rendered and paid
    FAILED = "failed"  # the server called it failed
    REFUSED = "refused"  # the server said no; nothing charged
    IN_DOUBT = "in_doubt"  # outcome unknown, and repeating it is no longer safe


class AttemptEvent(StrEnum):
    """What happens to an attempt."""

    REPEATED = "repeated"  # the same bytes are about to leave again
    ANSWER_LOST = "answer_lost"  # no answer, or one that says nothing: it may have been bought
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DOUBTED = "doubted"
    # By a person, about an attempt in doubt:
    FOUND_ACCEPTED = "found_accepted"  # the vendor has it
    FOUND_REFUSED = "found_refused"  # the vendor does not have it
    RESENT = "resent"  # repeat it all the same


TASK_MOVES = MappingProxyType(
    {
        TaskState.PENDING: {
            TaskEvent.SUBMITTED: TaskState.RENDERING,
            TaskEvent.GIVEN_UP: TaskState.FAILED,
            TaskEvent.BLOCKED: TaskState.BLOCKED,
        },
        TaskState.RENDERING: {
            TaskEvent.RENDERED: TaskState.RENDERED,
            TaskEvent.RETURNED: TaskState.PENDING,
            TaskEvent.GIVEN_UP: TaskState.FAILED,
            TaskEvent.BLOCKED: TaskState.BLOCKED,
        },
        TaskState.RENDERED: {
            TaskEvent.SAVED: TaskState.DONE,
            TaskEvent.SUPERSEDED: TaskState.PENDING,
        },
        TaskState.DONE: {
            TaskEvent.MISSED: TaskState.RENDERED,
            TaskEvent.RENEWED: TaskState.PENDING,
        },
        TaskState.FAILED: {TaskEvent.RENEWED: TaskState.PENDING},
        TaskState.BLOCKED: {
            TaskEvent.RENEWED: TaskState.PENDING,
            TaskEvent.CONTINUED: TaskState.RENDERING,
        },
    }
)

ATTEMPT_MOVES = MappingProxyType(
    {
        AttemptState.SUBMITTING: {
            AttemptEvent.REPEATED: AttemptState.SUBMITTING,
            AttemptEvent.ANSWER_LOST: AttemptState.SUBMITTING,
            AttemptEvent.ACCEPTED: AttemptState.ACCEPTED,
            AttemptEvent.REFUSED: AttemptState.REFUSED,
            AttemptEvent.DOUBTED: AttemptState.IN_DOUBT,
        },
        AttemptState.ACCEPTED: {
            AttemptEvent.SUCCEEDED: AttemptState.SUCCEEDED,
            AttemptEvent.FAILED: AttemptState.FAILED,
            AttemptEvent.DOUBTED: AttemptState.IN_DOUBT,
        },
        AttemptState.IN_DOUBT: {
            AttemptEvent.FOUND_ACCEPTED: AttemptState.ACCEPTED,
            AttemptEvent.FOUND_REFUSED: AttemptState.REFUSED,
            AttemptEvent.RESENT: AttemptState.SUBMITTING,
        },
        AttemptState.SUCCEEDED: {},
        AttemptState.FAILED: {},
        AttemptState.REFUSED: {},
    }
)

LIVE = frozenset({AttemptState.SUBMITTING, AttemptState.ACCEPTED, AttemptState.IN_DOUBT})
"""A task has at most one attempt in these (invariant 2; a partial unique index in the ledger)."""

UNFINISHED = frozenset({TaskState.PENDING, TaskState.RENDERING, TaskState.RENDERED})
"""Tasks on which a run still has work."""


def advance_task(state: TaskState, event: TaskEvent) -> TaskState:
    """Return the state after `event`. Raises IllegalMove if the table lacks the pair."""
    after = TASK_MOVES[state].get(event)
    if after is None:
        message = f"a task that is {state} cannot be {event}"
        raise IllegalMove(message)
    return after


def advance_attempt(state: AttemptState, event: AttemptEvent) -> AttemptState:
    """Return the state after `event`. Raises IllegalMove if the table lacks the pair."""
    after = ATTEMPT_MOVES[state].get(event)
    if after is None:
        message = f"an attempt that is {state} cannot be {event}"
        raise IllegalMove(message)
    return after
