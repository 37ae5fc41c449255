"""A ledger in memory that believes nothing: every guard of the real one, and the invariants, as assertions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from batchgen.core.facts import FETCH_LATER, LiveAttempt, Opening, Spending
from batchgen.core.messages import (
    AttemptMoved,
    Controlled,
    DueArrived,
    FetchDue,
    MoneyKind,
    MoneyMoved,
    Noted,
    OutputSaved,
    Record,
    SendCreate,
    Submitted,
    TaskMoved,
    UploadForgotten,
    UploadStored,
)
from batchgen.core.model import Credits, DueTask, Instant, Manifest, Output, Task, Upload
from batchgen.core.states import (
    ATTEMPT_MOVES,
    LIVE,
    AttemptEvent,
    AttemptState,
    TaskEvent,
    TaskState,
    advance_attempt,
    advance_task,
)


def calendar(at: Instant) -> str:
    """Days in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


@dataclass(slots=True)
class TaskRow:
    """A task's row. `task` and `fingerprint` are what the manifest wants now."""

    row: int
    task: Task
    fingerprint: str
    state: TaskState = TaskState.PENDING
    wanted: bool = True
    attempts: int = 0
    failures: int = 0
    note: str = ""


@dataclass(slots=True)
class AttemptRow:
    """An attempt's row, with its money."""

    row: int
    key: str
    number: int
    fingerprint: str
    body: bytes
    run: int
    day: str
    price_key: str
    submitted_at: Instant
    state: AttemptState = AttemptState.SUBMITTING
    accepted_at: Instant = 0.0
    lost: int = 0
    ordered: bool = False
    task_id: str = ""
    reserved: Credits | None = None
    final: Credits | None = None
    urls: tuple[str, ...] = ()
    first_hold: Credits = 0
    money: Counter[MoneyKind] = field(default_factory=Counter)
    closed: bool = False
    outputs: dict[int, Output] = field(default_factory=dict)

    @property
    def used(self) -> Credits:
        """Committed plus held."""
        return self.money[MoneyKind.HOLD] - self.money[MoneyKind.RELEASE]


class Book:
    """Tasks, attempts, money, uploads and outputs of some manifests."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        """Begin empty."""
        self.manifests = {manifest.name: manifest for manifest in manifests}
        self.tasks: dict[int, TaskRow] = {}
        self.attempts: dict[str, AttemptRow] = {}
        self.uploads: dict[str, Upload] = {}
        self.controls: list[str] = []  # what was obeyed, as it was said
        self.notes: list[Noted] = []
        self.not_before: Instant = 0.0
        self.run = 1
        self._closing: set[str] = set()
        self._touched: set[int] = set()  # rows of tasks, in this commit
        self._by_row: defaultdict[int, list[AttemptRow]] = defaultdict(list)

    # ---------------------------------------------------------------- the manifest

    def adopt(self, tasks: Iterable[Task]) -> None:
        """Make the tasks those of their manifests; tasks that are there already are changed."""
        for task in tasks:
            known = self.find(task.manifest, task.id)
            if known is None:
                row = len(self.tasks) + 1
                self.tasks[row] = TaskRow(row, task, task.spec.fingerprint)
                continue
            changed = known.fingerprint != task.spec.fingerprint
            known.task, known.fingerprint, known.wanted = task, task.spec.fingerprint, True
            if changed and known.state in {TaskState.DONE, TaskState.FAILED, TaskState.BLOCKED} and self.live(known.row) is None:
                known.state, known.failures = advance_task(known.state, TaskEvent.RENEWED), 0

    def find(self, manifest: str, ident: str) -> TaskRow | None:
        """Return the row of a task."""
        return next((t for t in self.tasks.values() if (t.task.manifest, t.task.id) == (manifest, ident)), None)

    def live(self, row: int) -> AttemptRow | None:
        """Return a task's live attempt."""
        found = [a for a in self._by_row[row] if a.state in LIVE]
        assert len(found) <= 1, "invariant 2: at most one live attempt"
        return found[0] if found else None

    # ---------------------------------------------------------------- a run

    def opening(self, now: Instant, *, only: str = "") -> Opening:
        """Tell a run what to start from."""
        rows = [t for t in self.tasks.values() if t.wanted]
        states = Counter(t.state for t in rows)
        rendered = Counter(t.task.manifest for t in rows if t.state in {TaskState.RENDERED, TaskState.DONE})
        return Opening(
            manifests=tuple(self.manifests.values()),
            live=tuple(self._resumable()),
            spending=self.spending(calendar(now)),
            prices={a.price_key: a.reserved for a in self.attempts.values() if a.reserved is not None},
            not_before=self.not_before,
            only=only,
            rendered=rendered,
            failed=states[TaskState.FAILED],
            blocked=states[TaskState.BLOCKED],
            in_doubt=sum(a.state is AttemptState.IN_DOUBT for a in self.attempts.values()),
        )

    def _resumable(self) -> Iterable[LiveAttempt]:
        for a in self.attempts.values():
            t = self.tasks[a.row]
            to_fetch = a.state is AttemptState.SUCCEEDED and t.state is TaskState.RENDERED and a.number == t.attempts
            if a.state in {AttemptState.SUBMITTING, AttemptState.ACCEPTED} or to_fetch:
                yield LiveAttempt(
                    due=self._due(t),
                    wanted=t.wanted,
                    key=a.key,
                    number=a.number,
                    fingerprint=a.fingerprint,
                    body=a.body,
                    state=a.state,
                    task_state=t.state,
                    submitted_at=a.submitted_at,
                    hold=a.money[MoneyKind.HOLD],
                    price_key=a.price_key,
                    day=a.day,
                    this_run=a.run == self.run,
                    accepted_at=a.accepted_at,
                    lost=a.lost,
                    task_id=a.task_id,
                    reserved=a.reserved,
                    final=a.final,
                    urls=a.urls,
                    saved=frozenset(a.outputs),
                    ordered=a.ordered,
                    not_before=next(
                        (float(note.detail) for note in reversed(self.notes) if (note.event, note.key) == (FETCH_LATER, a.key)), 0.0
                    ),
                )

    def spending(self, today: str) -> Spending:
        """Sum what is committed or held."""
        total: Counter[str] = Counter()
        run: Counter[str] = Counter()
        day: Counter[str] = Counter()
        month = 0
        for a in self.attempts.values():
            name = self.tasks[a.row].task.manifest
            total[name] += a.used
            run[name] += a.used * (a.run == self.run)
            day[name] += a.used * (a.day == today)
            month += a.used * (a.day[:7] == today[:7])
        return Spending(total, run, day, sum(day.values()), month, today)

    def due(self, request: FetchDue) -> DueArrived:
        """Read a page."""
        rows = [
            t
            for t in self.tasks.values()
            if t.wanted
            and t.state is TaskState.PENDING
            and t.task.manifest == request.manifest
            and t.task.position > request.after
            and fnmatchcase(t.task.id, request.only or "*")
        ]
        page = sorted(rows, key=lambda t: t.task.position)[: request.limit]
        contents = {r.sha256 for t in page for r in t.task.spec.references}
        uploads = tuple(u for sha, u in self.uploads.items() if sha in contents)
        after = page[-1].task.position if page else request.after
        return DueArrived(request, tuple(map(self._due, page)), after, len(page) < request.limit, uploads)

    def _due(self, t: TaskRow) -> DueTask:
        alike = sum(attempt.fingerprint == t.fingerprint for attempt in self._by_row[t.row])
        return DueTask(t.row, t.task, t.fingerprint, t.attempts, t.failures, alike)

    # ---------------------------------------------------------------- commits

    def commit(self, records: Iterable[Record]) -> None:
        """Write a step's records, each under its guard, then check the invariants."""
        self._closing, self._touched = set(), set()
        for record in records:
            match record:
                case Submitted():
                    self._submitted(record)
                case AttemptMoved():
                    self._attempt_moved(record)
                case TaskMoved():
                    self._task_moved(record)
                case MoneyMoved():
                    self._money_moved(record)
                case UploadStored(upload=upload):
                    self.uploads[upload.sha256] = upload
                case UploadForgotten(sha256=sha256):
                    self.uploads.pop(sha256, None)
                case OutputSaved(key=key, output=output):
                    assert self.attempts[key].state is AttemptState.SUCCEEDED, "invariant 6: only a rendered attempt has outputs"
                    self.attempts[key].outputs[output.index] = output
                case Noted() | Controlled():
                    self._noted(record)
        self.check()

    def _submitted(self, record: Submitted) -> None:
        t = self.tasks[record.row]
        assert t.wanted, "nothing is bought for a task that left the manifest"
        assert record.key not in self.attempts, "invariant 3: a key is used once"
        assert record.number == t.attempts + 1, "attempts are numbered one by one"
        assert record.fingerprint == t.fingerprint, "what is bought is what the manifest wants now"
        assert self.live(t.row) is None, "invariant 2: at most one live attempt"
        t.state, t.attempts = advance_task(t.state, TaskEvent.SUBMITTED), t.attempts + 1
        a = AttemptRow(
            t.row,
            record.key,
            record.number,
            record.fingerprint,
            record.body,
            self.run,
            record.day,
            record.price_key,
            record.at,
            first_hold=record.hold,
        )
        a.money[MoneyKind.HOLD] += record.hold
        self.attempts[record.key] = a
        self._by_row[t.row].append(a)
        self._touched.add(t.row)

    def _attempt_moved(self, record: AttemptMoved) -> None:
        a = self.attempts[record.key]
        self._touched.add(a.row)
        assert a.state is record.before, "a guarded move matches no row"
        assert record.after is advance_attempt(record.before, record.event), "invariant 8: only moves of the tables"
        a.state = record.after
        a.lost += record.lost
        a.ordered = record.event is AttemptEvent.RESENT
        a.submitted_at = a.submitted_at if record.submitted_at is None else record.submitted_at
        a.task_id = record.task_id or a.task_id
        a.reserved = a.reserved if record.reserved is None else record.reserved
        a.final = a.final if record.final is None else record.final
        a.urls = a.urls if record.urls is None else record.urls
        if record.event is AttemptEvent.ACCEPTED:
            a.accepted_at = record.at
        if record.event is AttemptEvent.FAILED:
            self.tasks[a.row].failures += 1

    def _task_moved(self, record: TaskMoved) -> None:
        t = self.tasks[record.row]
        self._touched.add(t.row)
        assert t.state is record.before, "a guarded move matches no row"
        assert record.after is advance_task(record.before, record.event), "invariant 8: only moves of the tables"
        t.state, t.note = record.after, record.note
        if record.event is TaskEvent.SUPERSEDED:
            t.failures = 0

    def _money_moved(self, record: MoneyMoved) -> None:
        a = self.attempts[record.key]
        self._touched.add(a.row)
        assert record.credits >= 0
        assert not a.closed, "invariant 4: a hold is closed once"
        if record.kind is not MoneyKind.HOLD:
            self._closing.add(record.key)
        a.money[record.kind] += record.credits

    def _noted(self, record: Noted | Controlled) -> None:
        if isinstance(record, Controlled):
            self.controls.append(str(record.control))
            return
        assert not record.key or record.key in self.attempts
        self.notes.append(record)
        if record.event == "slow_down":
            self.not_before = float(record.detail)

    def check(self) -> None:
        """Assert invariants 2, 4 and 8 for what a commit touched."""
        for key in self._closing:
            self.attempts[key].closed = True
        for a in (a for row in self._touched for a in self._by_row[row]):
            closed = a.money[MoneyKind.CAPTURE] + a.money[MoneyKind.RELEASE]
            ended = not ATTEMPT_MOVES[a.state] and a.state is not AttemptState.IN_DOUBT
            assert a.closed == ended, "a hold is closed exactly when its attempt ends"
            assert closed == (a.money[MoneyKind.HOLD] if ended else 0), "invariant 4: holds = captures + releases"
        for t in (self.tasks[row] for row in self._touched):
            live = self.live(t.row)
            in_doubt = live is not None and live.state is AttemptState.IN_DOUBT
            assert (t.state is TaskState.RENDERING) == (live is not None and not in_doubt)
            assert not in_doubt or t.state is TaskState.BLOCKED

    def check_send(self, request: SendCreate) -> None:
        """Assert invariant 1: bytes leave only after a commit that holds exactly those bytes and their key."""
        a = self.attempts[request.key]
        assert a.body == request.body
        assert a.state is AttemptState.SUBMITTING
        assert a.money[MoneyKind.HOLD] == a.used, "its credits are held"

    # ---------------------------------------------------------------- for tests

    @property
    def states(self) -> Mapping[str, TaskState]:
        """The tasks' states by id."""
        return {t.task.id: t.state for t in self.tasks.values()}

    def of(self, ident: str) -> list[AttemptRow]:
        """Return the attempts of a task by its id, oldest first."""
        return [a for row, t in self.tasks.items() if t.task.id == ident for a in self._by_row[row]]

    def noted(self, event: str) -> int:
        """Count notes of a kind."""
        return sum(note.event == event for note in self.notes)
