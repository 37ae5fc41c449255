"""What a script needs, and no more: `import batchgen` gives these names.

    workspace = batchgen.Workspace("spring", sandbox=True)
    plan = workspace.plan("manifests/hero.yaml")
    ended = workspace.run("manifests/hero.yaml", budget=500, on_task=print)

The same rooms as the command line, so the same ledger, the same lock and the same promises; nothing is printed. Every
error is a `BatchgenError` that says what is wrong and what to do. Deliberately absent: building tasks in Python. A
manifest is a file, so that whoever looks at a run at 3 am finds what was asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import anyio

from batchgen import app
from batchgen.core.facts import ManifestFacts, MoneyFacts, RunAsked, RunFacts, TaskFacts, TaskHistory, TaskQuery
from batchgen.core.forecast import PlanFacts
from batchgen.core.messages import Ended, Glimpse, Step, TaskMoved
from batchgen.core.ports import Ledger
from batchgen.core.states import TaskState
from batchgen.core.steering import Control, ControlKind
from batchgen.errors import UsageError
from batchgen.manifest import Checked
from batchgen.sandbox.faults import Faults
from batchgen.settings import Flags, load

__all__ = ["Ended", "Glimpse", "Limits", "PlanFacts", "RunFacts", "TaskFacts", "TaskMoved", "TaskState", "Workspace"]

PathLike: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """What limits a run; None and '' limit nothing.

    `budget` is in credits, `until` an instant (with its time zone), `only` a glob on task ids. `retry_failed` asks again
    for tasks that failed for good or are blocked.
    """

    budget: int | None = None
    max_tasks: int | None = None
    until: datetime | None = None
    only: str = ""
    retry_failed: bool = False


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Callbacks:
    """A `core.ports.Watch` that calls a script's functions."""

    on_task: Callable[[TaskMoved], None] | None
    on_progress: Callable[[Glimpse], None] | None

    def __call__(self, step: Step, glimpse: Glimpse) -> None:
        """Take a step that was committed and started."""
        if self.on_task is not None:
            for record in step.records:
                if isinstance(record, TaskMoved):
                    self.on_task(record)
        if self.on_progress is not None:
            self.on_progress(glimpse)


class Workspace:
    """A folder with `batchgen.yaml` (or without: then with the defaults), its ledger and its renders.

    Opening one reads the settings, also those in the environment (`RIVYA_API_KEY` and the others); it touches neither the
    ledger nor the network. Paths of manifests are relative to the current folder, as on the command line.
    """

    def __init__(self, folder: PathLike = ".", *, ledger: str | None = None, sandbox: bool = False, faults: str | None = None) -> None:
        """Load the settings.

        Args:
            folder: the workspace, or a folder in it.
            ledger: a file or a SQLAlchemy URL, in place of the settings'.
            sandbox: use the local imitation of the API: its own ledger, its own renders, no key, no cost.
            faults: what the sandbox shall do wrong, such as `fail=0.1`.

        Raises:
            UsageError: a setting is wrong.
            ManifestError: `batchgen.yaml` has problems; all of them.

        """
        if faults and not sandbox:
            raise UsageError("faults are for the sandbox only; add sandbox=True")
        Faults.parse(faults or "")
        flags = Flags(ledger=ledger, sandbox=sandbox, faults=faults)
        self._settings = load((), flags, environ=os.environ, cwd=Path(folder).resolve())

    @property
    def folder(self) -> Path:
        """Where `batchgen.yaml` is."""
        return self._settings.workspace

    @property
    def outputs(self) -> Path:
        """Where the renders are; outputs in the ledger are relative to it."""
        return self._settings.outputs

    # ---------------------------------------------------------------- before and during

    def check(self, *manifests: PathLike) -> int:
        """Check manifests (files or folders), offline; return how many tasks they have. Raises ManifestError with every problem."""
        return sum(len(list(loaded.tasks())) for loaded in self._checked(manifests).manifests)

    def plan(self, *manifests: PathLike, limits: Limits = NO_LIMITS) -> PlanFacts:
        """Say what `run` would do: how many tasks to buy, the credits now and at most, which budget binds, what is blocked.

        Sends nothing and writes nothing. Raises ManifestError, UsageError and LedgerError.
        """
        checked = self._checked(manifests)
        return app.plan(checked, self._settings, _asked(checked, limits))

    def run(
        self,
        *manifests: PathLike,
        limits: Limits = NO_LIMITS,
        on_task: Callable[[TaskMoved], None] | None = None,
        on_progress: Callable[[Glimpse], None] | None = None,
    ) -> Ended:
        """Render what the manifests want and the ledger lacks. Blocks until the run is over.

        Args:
            *manifests: files or folders.
            limits: what limits the run.
            on_task: told each time a task moves from one state to another, after that is durable. It must not block; what
                it raises ends the run as a crash would: nothing is lost, and the next run goes on.
            on_progress: told how the run stands, at the same times.

        Returns:
            How it ended: `code` is the exit code of the command line, `reason` says why in words. A run with failed
            tasks, or one that a budget stopped, returns and does not raise.

        Raises:
            ManifestError: with every problem; nothing was sent.
            LedgerBusy: another run holds the ledger.
            KeyRefused: there is no key.
            LedgerError: the ledger cannot be used.

        """
        return anyio.run(lambda: self.run_async(*manifests, limits=limits, on_task=on_task, on_progress=on_progress))

    async def run_async(
        self,
        *manifests: PathLike,
        limits: Limits = NO_LIMITS,
        on_task: Callable[[TaskMoved], None] | None = None,
        on_progress: Callable[[Glimpse], None] | None = None,
    ) -> Ended:
        """Do the same as `run`, inside an event loop that is there already. Cancel it, and the next run goes on."""
        checked = self._checked(manifests)
        return await app.run(checked, self._settings, _asked(checked, limits), watch=_Callbacks(on_task, on_progress))

    def resume(self, *, on_task: Callable[[TaskMoved], None] | None = None, on_progress: Callable[[Glimpse], None] | None = None) -> Ended:
        """Go on with everything unfinished, as the last run was asked to, from the ledger alone. As `run` otherwise."""
        return anyio.run(lambda: app.resume(self._settings, watch=_Callbacks(on_task, on_progress)))

    def fetch(self, manifest: str = "", *, only: str = "") -> Ended:
        """Download again what is paid and missing or damaged on disk. Buys nothing."""
        return anyio.run(lambda: app.fetch(self._settings, manifest, only, watch=_Callbacks(None, None))).ended

    def control(self, kind: ControlKind | str, value: float = 0) -> bool:
        """Steer a run that goes on in another process: `pause`, `go`, `drain`, `budget` or `rate`.

        Returns True once it has obeyed, False if it has not within ten seconds. Raises NoRun if there is none.
        """
        return app.steer(self._settings, Control(0, ControlKind(kind), value))

    # ---------------------------------------------------------------- the ledger

    def tasks(
        self, *, manifest: str = "", states: Sequence[TaskState | str] = (), only: str = "", run: int | None = None, removed: bool = False
    ) -> Iterator[TaskFacts]:
        """Yield tasks with their latest attempt, in the manifest's order, without holding them all.

        Args:
            manifest: only of this one (its name).
            states: only in these, such as `["failed", "blocked"]`.
            only: a glob on task ids.
            run: only those that had an attempt, or saved a file, in this run.
            removed: also tasks that left their manifest.

        Raises:
            LedgerError: there is no ledger yet, or it cannot be used.

        """
        query = TaskQuery(manifest, tuple(map(TaskState, states)), only, run, removed)
        with self._ledger() as ledger:
            yield from ledger.tasks(query)

    def history(self, task: str, manifest: str = "") -> tuple[TaskHistory, ...]:
        """Return everything about the tasks with this id, one for each manifest: attempts, events, files, credits."""
        with self._ledger() as ledger:
            return ledger.history(task, manifest)

    def manifests(self) -> tuple[ManifestFacts, ...]:
        """Return every manifest that the ledger knows, with its counts and credits."""
        with self._ledger() as ledger:
            return ledger.manifests()

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return the newest runs, newest first."""
        with self._ledger() as ledger:
            return ledger.runs(limit)

    def money(self) -> MoneyFacts:
        """Return the credits that this ledger spent and holds: in all, this month, today."""
        with self._ledger() as ledger:
            return ledger.money(self._settings.calendar(time.time()))

    # ---------------------------------------------------------------- shared

    def _checked(self, manifests: Sequence[PathLike]) -> Checked:
        return app.check([Path(manifest) for manifest in manifests])

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        with app.reading(self._settings) as ledger:
            yield ledger


def _asked(checked: Checked, limits: Limits) -> RunAsked:
    return RunAsked(
        command="run",
        manifests=tuple(loaded.header.name for loaded in checked.manifests),
        only=limits.only,
        retry_failed=limits.retry_failed,
        budget=limits.budget,
        max_tasks=limits.max_tasks,
        until=None if limits.until is None else limits.until.timestamp(),
    )
