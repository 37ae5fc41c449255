"""What a report needs, read from the ledger in one go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePath

from batchgen.core.facts import ManifestFacts, MoneyFacts, RunFacts, TaskFacts, TaskQuery
from batchgen.core.ports import Ledger
from batchgen.core.states import TaskState
from batchgen.errors import UsageError

FEW = 5
"""How many tasks a summary names; the rest is counted, and `batchgen tasks` lists all."""
MANY = 10_000
"""Runs that are looked through for one that was asked for: a run a night for 27 years."""
IN_FLIGHT = (TaskState.RENDERING, TaskState.RENDERED)
TROUBLE = (TaskState.BLOCKED, TaskState.FAILED)
"""What needs a look; first what only a person can decide, which many failures must not push out of sight."""


@dataclass(frozen=True, slots=True)
class View:
    """The ledger at one moment: the run that is told about, every manifest, the money, and the first few tasks that need a look."""

    run: RunFacts | None
    manifests: tuple[ManifestFacts, ...]
    money: MoneyFacts
    in_flight: tuple[TaskFacts, ...]
    trouble: tuple[TaskFacts, ...]
    flags: str = ""  # what the commands it advises must be given to look at the same ledger, such as ` --sandbox`
    running: bool | None = None  # whether some process works on it now; None is not known

    def total(self, *states: TaskState) -> int:
        """Return how many tasks are in these states, over all manifests shown."""
        return sum(part.by_state.get(state, 0) for part in self.manifests for state in states)


@dataclass(frozen=True, slots=True)
class Advice:
    """What the commands that a report advises need, to be copied: `flags` to look at the same ledger; `home` is the workspace from here."""

    flags: str = ""
    home: str = ""

    def seen(self, part: ManifestFacts) -> ManifestFacts:
        """Return a manifest with its path from here."""
        return replace(part, path=os.path.normpath(PurePath(self.home, part.path)))


HERE = Advice()


def look(ledger: Ledger, today: str, *, run: int | None = None, advice: Advice = HERE, running: bool | None = None) -> View:
    """Read what `status` tells; with `run`, only tasks of that run. Raises UsageError if there is none such.

    `running` says whether some process holds the ledger, where that was asked.
    """
    found = find_run(ledger.runs(1 if run is None else MANY), run)
    manifests, money = ledger.accounts(today)
    return View(
        run=found,
        manifests=tuple(map(advice.seen, manifests)),
        money=money,
        in_flight=_few(ledger, TaskQuery(states=IN_FLIGHT, run=run, removed=True, limit=FEW)),
        trouble=_few(ledger, *(TaskQuery(states=(state,), run=run, limit=FEW) for state in TROUBLE)),
        running=running,
        flags=advice.flags,
    )


def look_back(ledger: Ledger, today: str, advice: Advice) -> View:
    """Read what the newest run has to say at its end: only its manifests, where it was asked for some."""
    run = find_run(ledger.runs(1), None)
    names = run.asked.manifests if run else ()
    if not names:
        return look(ledger, today, advice=advice)
    manifests, money = ledger.accounts(today)
    return View(
        run=run,
        manifests=tuple(advice.seen(part) for part in manifests if part.name in names),
        money=money,
        in_flight=_few(ledger, *(TaskQuery(manifest=name, states=IN_FLIGHT, removed=True, limit=FEW) for name in names)),
        trouble=_few(ledger, *(TaskQuery(manifest=name, states=(state,), limit=FEW) for state in TROUBLE for name in names)),
        flags=advice.flags,
    )


def _few(ledger: Ledger, *queries: TaskQuery) -> tuple[TaskFacts, ...]:
    """Return the first few tasks that the queries find, one query after the other."""
    return tuple(islice((task for query in queries for task in ledger.tasks(query)), FEW))


def find_run(runs: Sequence[RunFacts], run: int | None) -> RunFacts | None:
    """Return the run with this number; the newest without one. Raises UsageError if there is none such."""
    if run is None:
        return runs[0] if runs else None
    found = next((facts for facts in runs if facts.id == run), None)
    if found is None:
        newest = f"the newest is {runs[0].id}" if runs else "nothing was run yet"
        raise UsageError(f"the ledger has no run {run}; {newest}")
    return found
