"""What a report needs, read from the ledger in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchgen.core.facts import ManifestFacts, MoneyFacts, RunFacts, TaskFacts, TaskQuery
from batchgen.core.ports import Ledger
from batchgen.core.states import TaskState
from batchgen.errors import UsageError

FEW = 5
"""How many tasks a summary names; the rest is counted, and `batchgen tasks` lists all."""


@dataclass(frozen=True, slots=True)
class View:
    """The ledger at one moment: the run that is told about, every manifest, the money, and the first few tasks that need a look."""

    run: RunFacts | None
    manifests: tuple[ManifestFacts, ...]
    money: MoneyFacts
    in_flight: tuple[TaskFacts, ...]
    trouble: tuple[TaskFacts, ...]

    def total(self, *states: TaskState) -> int:
        """Return how many tasks are in these states, over all manifests shown."""
        return sum(part.by_state.get(state, 0) for part in self.manifests for state in states)


def look(ledger: Ledger, today: str, *, run: int | None = None) -> View:
    """Read what `status` and a run's summary tell; without `run`, of the newest. Raises UsageError if there is none such."""
    facts = find_run(ledger.runs(10_000 if run is not None else 1), run)
    return View(
        run=facts,
        manifests=ledger.manifests(),
        money=ledger.money(today),
        in_flight=tuple(ledger.tasks(TaskQuery(states=(TaskState.RENDERING, TaskState.RENDERED), run=run, removed=True, limit=FEW))),
        trouble=tuple(ledger.tasks(TaskQuery(states=(TaskState.FAILED, TaskState.BLOCKED), run=run, limit=FEW))),
    )


def find_run(runs: Sequence[RunFacts], run: int | None) -> RunFacts | None:
    """Return the run with this number; the newest without one. Raises UsageError if there is none such."""
    if run is None:
        return runs[0] if runs else None
    found = next((facts for facts in runs if facts.id == run), None)
    if found is None:
        newest = f"the newest is {runs[0].id}" if runs else "nothing was run yet"
        raise UsageError(f"the ledger has no run {run}; {newest}")
    return found
