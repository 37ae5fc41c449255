"""What a person decides about an attempt in doubt, as records. Only a person may: each of these can cost credits if it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batchgen.core import states
from batchgen.core.facts import AttemptFacts
from batchgen.core.messages import AttemptMoved, MoneyKind, MoneyMoved, Record, TaskMoved
from batchgen.core.model import Instant
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState


class Decision(StrEnum):
    """What was found out at the vendor."""

    ACCEPTED = "accepted"  # it was bought: here is its task id
    NOT_ACCEPTED = "not-accepted"  # it was not bought: its hold is released, the task is due again
    RESEND = "resend"  # not found out; the same bytes with the same key go out again


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An attempt in doubt and the task that it blocks."""

    row: int
    attempt: AttemptFacts


EVENTS = {
    Decision.ACCEPTED: (AttemptEvent.FOUND_ACCEPTED, TaskEvent.CONTINUED),
    Decision.NOT_ACCEPTED: (AttemptEvent.FOUND_REFUSED, TaskEvent.RENEWED),
    Decision.RESEND: (AttemptEvent.RESENT, TaskEvent.CONTINUED),
}

NOTES = {
    Decision.ACCEPTED: "a person found that the vendor accepted it",
    Decision.NOT_ACCEPTED: "a person found that the vendor did not accept it",
    Decision.RESEND: "a person decided to repeat it with the same key",
}


def resolve(doubt: InDoubt, decision: Decision, *, at: Instant, task_id: str = "") -> tuple[Record, ...]:
    """Return the records of a decision. Raises IllegalMove if the attempt is not in doubt. `task_id` goes with ACCEPTED."""
    attempt_event, task_event = EVENTS[decision]
    before = doubt.attempt.state
    moved = AttemptMoved(
        key=doubt.attempt.key,
        event=attempt_event,
        before=before,
        after=states.advance_attempt(before, attempt_event),
        at=at,
        task_id=task_id or None,
        # A repeat that a person ordered has a replay window of its own, or the next run would doubt it at once.
        submitted_at=at if decision is Decision.RESEND else None,
    )
    after = states.advance_task(TaskState.BLOCKED, task_event)
    task = TaskMoved(doubt.row, task_event, TaskState.BLOCKED, after, at, NOTES[decision])
    if moved.after is AttemptState.REFUSED:
        return (moved, MoneyMoved(doubt.attempt.key, MoneyKind.RELEASE, doubt.attempt.held, at), task)
    return (moved, task)
