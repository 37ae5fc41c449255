"""Desired tasks against known tasks: what a run would do with each, and why. A pure table, no I/O.

The same actions feed `plan` (which prints them) and `run` (which writes them), so that what was shown is what happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batchgen.core.model import KnownTask, Task
from batchgen.core.states import AttemptState, TaskState


class ActionKind(StrEnum):
    """What a run would do with a task. The first three buy."""

    NEW = "new"
    CHANGED = "changed"
    RETRIED = "retried"
    RESUMED = "resumed"  # paid or perhaps paid already: goes on from the ledger
    TO_FETCH = "to fetch"  # rendered and paid: only the files are missing
    DONE = "done"
    FAILED = "failed"  # failed for good, and not asked for again
    BLOCKED = "blocked"  # waits for a person
    REMOVED = "removed"  # left the manifest: nothing new is bought for it


NOT_YET = "not in the ledger yet"
"""Why a task of a manifest's first run is bought."""

WAITING = "in the ledger, not submitted yet"
"""Why one is bought that an earlier run left."""

BUYING = frozenset({ActionKind.NEW, ActionKind.CHANGED, ActionKind.RETRIED})


@dataclass(frozen=True, slots=True)
class Action:
    """One task's part of the plan. `task` is None for a removed one, `known` is None for a new one."""

    kind: ActionKind
    reason: str
    task: Task | None
    known: KnownTask | None
    fingerprint: str = ""

    @property
    def renews(self) -> bool:
        """True if the ledger's task becomes due again (its spec is replaced and its failures are forgotten)."""
        return (
            self.kind in BUYING
            and self.known is not None
            and self.known.state not in {TaskState.PENDING, TaskState.RENDERING, TaskState.RENDERED}
        )


def plan_task(task: Task, known: KnownTask | None, *, retry_failed: bool = False, fingerprint: str = "") -> Action:
    """Say what to do with a task that the manifest wants. `fingerprint` is that of its spec, if it is known already."""
    fingerprint = fingerprint or task.spec.fingerprint

    def action(kind: ActionKind, reason: str) -> Action:
        return Action(kind, reason, task, known, fingerprint)

    if known is None:
        return action(ActionKind.NEW, NOT_YET)
    changed = known.fingerprint != fingerprint
    if known.live is AttemptState.IN_DOUBT:
        return action(ActionKind.BLOCKED, "an attempt is in doubt, and a person must decide")
    if known.state is TaskState.RENDERING:
        then = "; the manifest has changed, so it is due again after that" if changed else ""
        return action(ActionKind.RESUMED, f"an attempt is {known.live or 'live'}{then}")
    if known.state is TaskState.RENDERED:
        then = "; the manifest has changed, so it is due again after that" if changed else ""
        return action(ActionKind.TO_FETCH, f"rendered and paid, files are missing{then}")
    if changed:
        return action(ActionKind.CHANGED, "model, prompt, params or references differ from the last time")
    return action(*plan_same(known, retry_failed=retry_failed))


def plan_same(known: KnownTask, *, retry_failed: bool) -> tuple[ActionKind, str]:
    """Say what to do with a task whose fingerprint is the ledger's and that has no live attempt."""
    match known.state:
        case TaskState.DONE:
            return ActionKind.DONE, "rendered and on disk"
        case TaskState.FAILED if retry_failed:
            return ActionKind.RETRIED, "failed before; asked for again by --retry-failed"
        case TaskState.FAILED:
            return ActionKind.FAILED, "failed for good; --retry-failed asks again"
        case TaskState.BLOCKED if retry_failed:
            return ActionKind.RETRIED, "was blocked; asked for again by --retry-failed"
        case TaskState.BLOCKED:
            return ActionKind.BLOCKED, "blocked, and a person must look at it"
        case _:
            return ActionKind.NEW, WAITING


def plan_leaver(known: KnownTask) -> Action:
    """Say what to do with a task that left the manifest."""
    live = known.state in {TaskState.RENDERING, TaskState.RENDERED}
    reason = "left the manifest; what is in flight is finished, nothing new is bought" if live else "left the manifest"
    return Action(ActionKind.REMOVED, reason, None, known, known.fingerprint)
