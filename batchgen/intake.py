"""From a manifest to the ledger: what a run would do with each of its tasks, and the writing of it.

Four ways, from the cheapest on; all come to the same, and `core.plan` decides in all of them:

    unchanged   the manifest is as it was when the ledger took its tasks: what is left is read from the ledger
    first       the ledger has none of its tasks: they are counted and written in bulk
    edited      the ledger has an older edition: what is the same is counted, only what differs is written
    one by one  `actions`, for whoever wants to see each task, and where prompts have a price
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, islice
from pathlib import Path

from batchgen.catalogue import Billing, Catalogue
from batchgen.core.facts import RunAsked, RunFacts
from batchgen.core.forecast import EXAMPLES, Forecast
from batchgen.core.glob import matches
from batchgen.core.model import Task
from batchgen.core.plan import BUYING, NOT_YET, WAITING, Action, ActionKind, plan_leaver, plan_same, plan_task
from batchgen.core.ports import Ledger
from batchgen.core.states import TaskState
from batchgen.core.written import Frames, Ready
from batchgen.errors import LedgerConflict
from batchgen.ledger import Store
from batchgen.ledger.kept import Compared
from batchgen.manifest import Checked, LoadedManifest, recognised

CHUNK = 1000
"""Tasks looked up in the ledger at once."""

AGAIN = (TaskState.FAILED, TaskState.BLOCKED)
"""What --retry-failed asks for again."""

ALIKE = {TaskState.FAILED: ActionKind.FAILED, TaskState.BLOCKED: ActionKind.BLOCKED}
"""States of which a plan names the first few tasks and counts the rest, where --retry-failed does not ask for them again."""

COUNTED = (TaskState.DONE, TaskState.PENDING, TaskState.FAILED)
"""Tasks that a plan need not look at one by one, unless one of them has an attempt in doubt. A blocked one is blocked either way."""

Calls = Sequence[tuple[str, str]]
"""Manifests as they were named, with their absolute paths."""


def unchanged(calls: Calls, ledger: Store) -> Checked | None:
    """Return the manifests of a call if all are as they were when the ledger took their tasks."""
    known = {path: found for _, path in calls if (found := ledger.walk(path))}
    walks = {path: walk for path, (_, walk) in known.items()}
    if not recognised(calls, walks.get):
        return None
    return Checked(tuple(LoadedManifest.recognised(replace(known[path][0], path=shown), walks[path]) for shown, path in calls))


# ---------------------------------------------------------------- one by one


def actions(loaded: LoadedManifest, ledger: Ledger | None, asked: RunAsked) -> Iterator[Action]:
    """Yield what a run would do with each task of a manifest, and with each that left it, in flat memory."""
    if isinstance(loaded, LoadedManifest) and loaded.unchanged and isinstance(ledger, Store):
        for task, row in ledger.in_order(loaded.header.name):
            again = asked.retry_failed and matches(task.id, asked.only)
            yield plan_task(task, row, retry_failed=again, fingerprint=row.fingerprint)
        return
    name, met = loaded.header.name, 0
    for chunk in _chunks(loaded.tasks(), CHUNK):
        known = {} if ledger is None else ledger.known(name, [task.id for task in chunk])
        met += sum(task.wanted for task in known.values())
        for task in chunk:
            again = asked.retry_failed and matches(task.id, asked.only)
            yield plan_task(task, known.get(task.id), retry_failed=again)
    if ledger is not None and met < ledger.wanted(name):
        # Only then is it worth holding the ids: some tasks of the ledger are not in the manifest any more.
        stayed = {task.id for task in loaded.tasks()}
        yield from (plan_leaver(known) for known in ledger.leavers(name, stayed.__contains__))


def _chunks(items: Iterator[Task], size: int) -> Iterator[list[Task]]:
    while chunk := list(islice(items, size)):
        yield chunk


# ---------------------------------------------------------------- an edited manifest


@dataclass(slots=True)
class _Edition:
    """A manifest of which the ledger has an older edition: mostly the same tasks."""

    loaded: LoadedManifest
    ledger: Store
    asked: RunAsked
    behind: bool = False  # whether a new spec is not taken over (an attempt is in doubt): then the manifest is walked next time too
    _frames: Frames = field(default_factory=Frames)
    _met: int = 0

    def pages(self) -> Iterator[list[tuple[Ready, Compared | None]]]:
        """Yield the tasks with what the ledger has of them."""
        first, name = 0, self.loaded.header.name
        for chunk in self.loaded.chunks():
            found = self.ledger.compared(name, chunk, first)
            self._met += sum(one.known.wanted for one in found.values())
            yield [(ready, found.get(ready[0])) for ready in chunk]
            first += len(chunk)

    def leavers(self) -> Iterator[Action]:
        """Yield what becomes of tasks that left the manifest, after the pages."""
        name = self.loaded.header.name
        if self._met < self.ledger.wanted(name):
            # Only then is it worth holding the ids: some tasks of the ledger are not in the manifest any more.
            stayed = {ready[0] for ready in self.loaded.rows()}
            yield from (plan_leaver(known) for known in self.ledger.leavers(name, stayed.__contains__))

    def action(self, ready: Ready, found: Compared | None, position: int = 0) -> Action:
        """Return what a run would do with a task."""
        ident, head, prompt, tail, fingerprint, output, line = ready
        task = Task(self.loaded.header.name, ident, self._frames.spec(head, prompt, tail), output, position, line)
        known = found.known if found else None
        again = self.asked.retry_failed and matches(ident, self.asked.only)
        action = plan_task(task, known, retry_failed=again, fingerprint=fingerprint)
        self.behind |= action.kind is ActionKind.BLOCKED and known is not None and known.fingerprint != fingerprint
        return action

    def changes(self) -> Iterator[Action]:
        """Yield what is to be written: all but the tasks of which every column stays as it is."""
        for position, (ready, found) in enumerate(chain.from_iterable(self.pages())):
            if not (found and found.same) or (self.asked.retry_failed and found.known.state in AGAIN):
                yield self.action(ready, found, position)
        yield from self.leavers()


def _bulk(found: Compared | None, *, retry_failed: bool) -> tuple[ActionKind, str] | None:
    """Return what becomes of a task that may be counted with others like it, and why. None: look at it by itself."""
    if found is None:
        return ActionKind.NEW, NOT_YET
    known = found.known
    if not found.same or known.live or known.state in {TaskState.RENDERING, TaskState.RENDERED}:
        return None
    return plan_same(known, retry_failed=retry_failed)


# ---------------------------------------------------------------- the plan


def foresee(forecast: Forecast, loaded: LoadedManifest, ledger: Store | None, asked: RunAsked) -> None:
    """Add what a run would do with one manifest to a forecast."""
    header = loaded.header
    if not _metered(loaded.tasks_by_model):
        if ledger is None or not (loaded.unchanged or ledger.knows(header.name)):
            for chunk in loaded.chunks():
                forecast.fresh(header, [ready for ready in chunk if matches(ready[0], asked.only)] if asked.only else chunk, NOT_YET)
            return
        if not loaded.unchanged:
            _foresee_edited(forecast, _Edition(loaded, ledger, asked))
            return
        if not ledger.in_doubt(header.name, COUNTED):
            _foresee_rest(forecast, loaded, ledger, asked)
            return
    for action in actions(loaded, ledger, asked):
        if action.task is None or matches(action.task.id, asked.only):
            forecast.add(header, action)


def _foresee_edited(forecast: Forecast, edition: _Edition) -> None:
    """Add a manifest of which the ledger has an older edition, in its order, in which budgets are used up."""
    _foresee_pages(forecast, edition, edition.pages())
    for action in edition.leavers():
        forecast.add(edition.loaded.header, action)


def _foresee_pages(forecast: Forecast, edition: _Edition, pages: Iterable[Sequence[tuple[Ready, Compared | None]]]) -> None:
    """Add tasks in their order: in bulk where one is like the next."""
    header, only = edition.loaded.header, edition.asked.only
    for page in pages:
        wanted = [(ready, found) for ready, found in page if matches(ready[0], only)]
        for bulk, group in groupby(wanted, lambda one: _bulk(one[1], retry_failed=edition.asked.retry_failed)):
            some, (kind, reason) = list(group), bulk or (None, "")
            if kind in BUYING:
                forecast.fresh(header, [ready for ready, _ in some], reason, kind)
                continue
            named = len(some) if kind is None else 0 if kind is ActionKind.DONE else EXAMPLES
            for ready, found in some[:named]:
                forecast.add(header, edition.action(ready, found))
            if kind is not None:
                forecast.count(header, kind, len(some[named:]))


def _foresee_rest(forecast: Forecast, loaded: LoadedManifest, ledger: Store, asked: RunAsked) -> None:
    """Add a manifest that did not change: only the tasks on which something is left are looked at."""
    header, only = loaded.header, asked.only
    counts = ledger.states(header.name)

    def count(state: TaskState) -> int:
        return ledger.named(header.name, state, only) if only and counts.get(state) else counts.get(state, 0)

    forecast.count(header, ActionKind.DONE, count(TaskState.DONE))
    if asked.retry_failed and any(counts.get(state) for state in AGAIN):  # they are bought in the same order as what waits
        states = [state for state in TaskState if state is not TaskState.DONE]
        _foresee_pages(forecast, _Edition(loaded, ledger, asked), ledger.left(header.name, states))
        return
    for chunk in ledger.waiting(header.name):
        forecast.fresh(header, [ready for ready in chunk if matches(ready[0], only)] if only else chunk, WAITING)
    for state in (TaskState.RENDERING, TaskState.RENDERED, *ALIKE):
        alike = ALIKE.get(state)
        for task, known in islice(ledger.kept(header.name, [state], only), EXAMPLES if alike else None):
            forecast.add(header, plan_task(task, known, fingerprint=known.fingerprint))
        if alike:
            forecast.count(header, alike, max(0, count(state) - EXAMPLES))


def _metered(models: Iterable[str]) -> bool:
    """Say whether the prompt's length is part of a price."""
    catalogue = Catalogue.shipped()
    return any(catalogue.get(model).billing is Billing.METERED for model in models)


# ---------------------------------------------------------------- the adoption


def adopt(ledger: Store, loaded: LoadedManifest, begun: RunFacts, workspace: Path) -> None:
    """Make the ledger's tasks those of the manifest. Raises LedgerConflict if the ledger is not what was looked at.

    The ledger keeps the manifest's path from the workspace: advice is read elsewhere than where the run was started.
    """
    path = Path(loaded.path)
    header = replace(loaded.header, path=os.path.relpath(path.parent.resolve() / path.name, workspace))
    at, walk = begun.started_at, loaded.walk
    if loaded.unchanged:
        found = ledger.walk(loaded.path)
        if walk is None or found is None or found[1].digest != walk.digest:
            raise LedgerConflict(f"the tasks of {header.name} changed in the ledger since they were looked at; nothing was sent, run again")
        again = _again(ledger, header.name, begun.asked)
        first = next(again, None)
        if first is None:
            return
        ledger.adopt(header, chain([first], again), run=begun.id, at=at)
    elif ledger.knows(header.name):
        edition = _Edition(loaded, ledger, begun.asked)
        ledger.adopt(header, edition.changes(), run=begun.id, at=at)
        walk = None if edition.behind else walk
    else:
        ledger.enroll(header, loaded.rows(), at=at)
    if walk:
        ledger.remember(header.name, walk)


def _again(ledger: Store, manifest: str, asked: RunAsked) -> Iterator[Action]:
    """Yield what --retry-failed makes due of a manifest that did not change."""
    if asked.retry_failed:
        for task, known in ledger.kept(manifest, AGAIN):
            action = plan_task(task, known, retry_failed=matches(task.id, asked.only))
            if action.renews:
                yield action
