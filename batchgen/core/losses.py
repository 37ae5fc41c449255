"""Files that were complete and are not any more: what the ledger writes about them, so that a run fetches them again.

The task goes back to `rendered`, "paid and rendered on the server; its files are not all on disk", and from there the
engine knows the way: fresh URLs, download, done. So a fetch that is killed half-way is finished by the next run.
Nothing here buys, and nothing here can: a task leaves `rendered` only by its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from batchgen.core.facts import Opening, TaskFacts
from batchgen.core.glob import matches
from batchgen.core.messages import OutputLost, Record, TaskMoved
from batchgen.core.model import Instant, Output
from batchgen.core.states import AttemptState, TaskEvent, TaskState, advance_task


@dataclass(frozen=True, slots=True)
class Loss:
    """A task that is done, and those of its files that are `missing` or `damaged`."""

    task: TaskFacts
    files: tuple[tuple[Output, str], ...]


@dataclass(frozen=True, slots=True)
class Census:
    """How many files were looked at, and what is lost of them."""

    files: int
    losses: tuple[Loss, ...]

    def count(self, why: str) -> int:
        """Count the files that are lost so."""
        return sum(word == why for loss in self.losses for _, word in loss.files)


def records_of(loss: Loss, at: Instant) -> Iterator[Record]:
    """Yield what the ledger writes about a loss. Raises IllegalMove for a task that is not done."""
    task, attempt = loss.task, loss.task.latest
    assert attempt is not None, "a task that is done has an attempt"
    for output, why in loss.files:
        yield OutputLost(attempt.key, output.index, output.path, why, at)
    after = advance_task(task.state, TaskEvent.MISSED)
    note = f"{len(loss.files)} of its files are missing or damaged on disk"
    yield TaskMoved(task.row, TaskEvent.MISSED, TaskState.DONE, after, at, note, task.id, task.manifest)


def delivery(opening: Opening, only: str) -> Opening:
    """Return an opening with which a run can fetch, and do nothing else: no purchase of it is repeated or looked at."""
    renders = (live for live in opening.live if live.state is AttemptState.SUCCEEDED and matches(live.due.task.id, only))
    everything = frozenset(manifest.name for manifest in opening.manifests)
    return replace(opening, live=tuple(renders), finish_only=everything, failed=0, blocked=0, in_doubt=0)


def pages(losses: Sequence[Loss], size: int = 200) -> Iterator[Sequence[Loss]]:
    """Yield losses in pages, each for one transaction."""
    for start in range(0, len(losses), size):
        yield losses[start : start + size]
