"""A ledger and short ways to bring it into a state, for every test of the ledger's port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from batchgen.core.answers import Fault
from batchgen.core.facts import Opening, RunAsked, TaskHistory
from batchgen.core.messages import AttemptMoved, FetchDue, MoneyKind, MoneyMoved, OutputSaved, Record, Submitted, TaskMoved
from batchgen.core.model import DueTask, Manifest, MediaKind, Output, Reference, Spec, Task, client_request_id
from batchgen.core.plan import plan_leaver, plan_task
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.ledger import Store, tables

TODAY = "2026-11-23"
NOW = 1_763_000_000.0


@dataclass
class Books:
    """A ledger and short ways to bring it into a state. `at` is the instant of everything; tests move it."""

    store: Store
    manifest: Manifest = field(default_factory=lambda: Manifest("spring", "/m/spring.yaml"))
    run: int = 0
    at: float = NOW
    day: str = TODAY

    def begin(self, resumes: int | None = None) -> int:
        """Begin a run."""
        self.run = self.store.begin_run(RunAsked("run", (self.manifest.name,)), resumes=resumes, at=self.at).id
        return self.run

    def task(self, number: int, prompt: str = "a red shoe") -> Task:
        """Return a task of the manifest."""
        reference = Reference(MediaKind.IMAGE, "image/png", "shoe.png", sha256="a" * 64, path="/m/shoe.png", size=9)
        spec = Spec("kling-2-6", f"{prompt} {number}", {"duration": "5"}, (reference,))
        return Task(self.manifest.name, f"t{number}", spec, f"{self.manifest.name}/t{number}", number, number + 10)

    def adopt(self, tasks: Sequence[Task], *, retry_failed: bool = False) -> None:
        """Plan against the ledger as it is, and write the plan."""
        known = self.store.known(self.manifest.name, [task.id for task in tasks])
        actions = [plan_task(task, known.get(task.id), retry_failed=retry_failed) for task in tasks]
        ids = {task.id for task in tasks}
        actions += [plan_leaver(gone) for gone in self.store.leavers(self.manifest.name, ids.__contains__)]
        self.store.adopt(self.manifest, actions, run=self.run, at=self.at)

    def due(self, after: int = -1, limit: int = 100, only: str = "") -> tuple[DueTask, ...]:
        """Return a page of due tasks."""
        return self.store.due(FetchDue(self.manifest.name, after, limit, only)).tasks

    def open(self, today: str = "", only: str = "") -> Opening:
        """Return what the engine would start from."""
        return self.store.open_run([self.manifest.name], run=self.run, today=today or self.day, only=only)

    def history(self, task: str = "t0") -> TaskHistory:
        """Return a task's history."""
        (found,) = self.store.history(task, self.manifest.name)
        return found

    def write(self, *records: Record) -> None:
        """Commit records."""
        self.store.commit(self.run, records)

    def submission(self, due: DueTask, hold: int = 40) -> Submitted:
        """Return the record of the next attempt at a task."""
        number = due.attempts + 1
        key = client_request_id(due.task.manifest, due.task.id, due.fingerprint, due.alike + 1)
        return Submitted(due.row, key, number, due.fingerprint, b'{"prompt":"x"}', hold, "kling-2-6/5", self.day, self.at)

    def submit(self, number: int = 0, hold: int = 40) -> tuple[int, str]:
        """Submit the due task with this position; return its row and the attempt's key."""
        (due,) = (task for task in self.due() if task.task.position == number)
        record = self.submission(due, hold)
        self.write(record)
        return due.row, record.key

    def accepted(self, key: str, reserved: int | None = 40) -> AttemptMoved:
        """The server took it."""
        before, after = AttemptState.SUBMITTING, AttemptState.ACCEPTED
        return AttemptMoved(key, AttemptEvent.ACCEPTED, before, after, self.at, task_id=f"task-{key}", reserved=reserved)

    def failed(self, key: str) -> AttemptMoved:
        """The server called it failed."""
        fault = Fault("provider_error", "no luck", "req-1", 200)
        return AttemptMoved(key, AttemptEvent.FAILED, AttemptState.ACCEPTED, AttemptState.FAILED, self.at, final=0, fault=fault)

    def succeeded(self, key: str) -> AttemptMoved:
        """The server rendered it, two files."""
        urls = ("https://cdn.example/0.mp4", "https://cdn.example/1.mp4")
        return AttemptMoved(key, AttemptEvent.SUCCEEDED, AttemptState.ACCEPTED, AttemptState.SUCCEEDED, self.at, final=35, urls=urls)

    def money(self, key: str, kind: MoneyKind, credits: int) -> MoneyMoved:
        """One money row."""
        return MoneyMoved(key, kind, credits, self.at)

    def rendered(self, row: int) -> TaskMoved:
        """The task follows its attempt."""
        return TaskMoved(row, TaskEvent.RENDERED, TaskState.RENDERING, TaskState.RENDERED, self.at)

    def saved(self, row: int) -> TaskMoved:
        """All files are on disk."""
        return TaskMoved(row, TaskEvent.SAVED, TaskState.RENDERED, TaskState.DONE, self.at)

    def output(self, key: str, path: str, index: int = 0) -> OutputSaved:
        """A file is on disk."""
        return OutputSaved(key, Output(index, path, "b" * 64, 1000, "video/mp4"), self.at)

    def render(self, number: int = 0) -> tuple[int, str]:
        """Bring a due task to `rendered`: 35 captured, 5 released."""
        row, key = self.submit(number)
        self.write(self.accepted(key))
        paid = (self.money(key, MoneyKind.CAPTURE, 35), self.money(key, MoneyKind.RELEASE, 5))
        self.write(self.succeeded(key), *paid, self.rendered(row))
        return row, key

    def finish(self, number: int = 0) -> tuple[int, str]:
        """Bring a due task to `done`, with one file."""
        row, key = self.render(number)
        stem = self.history(f"t{number}").task.output
        self.write(self.output(key, f"{stem}.mp4"), self.saved(row))
        return row, key

    def give_up(self, number: int = 0) -> tuple[int, str]:
        """Bring a due task to `failed`."""
        row, key = self.submit(number)
        self.write(self.accepted(key))
        given_up = TaskMoved(row, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, self.at, note="provider_error: no luck")
        self.write(self.failed(key), self.money(key, MoneyKind.RELEASE, 40), given_up)
        return row, key

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """Return everything that the ledger holds, for comparing."""
        with self.store._opened.reading.begin() as connection:
            return {
                t.name: [tuple(row) for row in connection.execute(sa.select(t).order_by(*t.primary_key))]
                for t in tables.metadata.sorted_tables
            }

    def edited(self, task: Task, prompt: str) -> Task:
        """Return a task with another prompt."""
        return replace(task, spec=replace(task.spec, prompt=prompt))
