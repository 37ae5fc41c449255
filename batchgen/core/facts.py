"""What the ledger tells: to the engine when a run opens, and to people afterwards.

Every number here is a query over the ledger's rows, never a counter that a crash could falsify.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchgen.core.answers import Fault
from batchgen.core.model import Credits, DueTask, Instant, Manifest, Output
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.stops import Stop

# ---------------------------------------------------------------- for the engine

FETCH_LATER = "fetch_later"
"""The event that says until when the files of a render must be left alone: its detail is that instant."""


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """An attempt on which work is left: submitting, accepted, succeeded with files missing, or failed with credits kept.

    The last is only asked whether its credits came back meanwhile; then `final` is what the ledger has as kept.
    `due` is the task as the manifest wants it now (its fingerprint may differ from the attempt's: then the manifest
    was edited meanwhile). `wanted` is False when the task left the manifest. `hold` is the sum of its holds.
    """

    due: DueTask
    wanted: bool
    key: str
    number: int
    fingerprint: str
    body: bytes
    state: AttemptState
    task_state: TaskState
    submitted_at: Instant
    hold: Credits
    price_key: str
    day: str
    this_run: bool  # counts against this run's per_run budgets
    accepted_at: Instant = 0.0
    lost: int = 0
    task_id: str = ""
    reserved: Credits | None = None
    final: Credits | None = None
    urls: tuple[str, ...] = ()
    saved: frozenset[int] = frozenset()
    ordered: bool = False  # a person ordered its repeat (RESENT), and nothing has left since
    not_before: Instant = 0.0  # from when on its files may be asked for (FETCH_LATER)


@dataclass(frozen=True, slots=True)
class Spending:
    """Credits committed plus held (sum of holds minus releases), by the scopes that budgets have."""

    total: Mapping[str, Credits] = field(default_factory=dict)  # by manifest, over its life
    run: Mapping[str, Credits] = field(default_factory=dict)  # by manifest, in this run (a resumed run counts on)
    day: Mapping[str, Credits] = field(default_factory=dict)  # by manifest, on `today`
    account_day: Credits = 0
    account_month: Credits = 0
    today: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the engine starts from."""

    manifests: tuple[Manifest, ...]
    live: tuple[LiveAttempt, ...] = ()
    spending: Spending = Spending()
    prices: Mapping[str, Credits] = field(default_factory=dict)  # by price key: what the last purchase that tells cost
    not_before: Instant = 0.0  # no request earlier: an earlier run's last request, or a Retry-After
    only: str = ""  # a glob on task ids; empty takes all
    rendered: Mapping[str, int] = field(default_factory=dict)  # by manifest: tasks that are rendered or done
    failed: int = 0  # wanted tasks of these manifests that are failed already
    blocked: int = 0  # the same for blocked ones, in doubt or not
    in_doubt: int = 0  # attempts of these manifests that are in doubt
    bought: int = 0  # attempts that this run, and those that it resumes, have submitted: they count for --max-tasks
    finish_only: frozenset[str] = frozenset()  # manifests whose live attempts are finished and for which nothing is bought
    last_request_by: Instant = 0.0  # when the last request of earlier runs had left at the latest
    render_times: Mapping[str, tuple[int, float, float]] = field(default_factory=dict)  # see looks.Known
    cuts: Mapping[str, int] = field(default_factory=dict)  # by manifest: the position from which on a kept plan buys nothing
    newest: Instant = 0.0  # of everything that the ledger has: time never runs back behind it


@dataclass(frozen=True, slots=True)
class RunAsked:
    """How a run was asked for; `resume` repeats it. `only` is a glob on task ids."""

    command: str
    manifests: tuple[str, ...] = ()
    only: str = ""
    retry_failed: bool = False
    budget: Credits | None = None
    max_tasks: int | None = None
    until: Instant | None = None
    plan: str = ""  # the id of the kept plan that it does
    cuts: tuple[tuple[str, int], ...] = ()  # by manifest: the position from which on that plan buys nothing


# ---------------------------------------------------------------- for people


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run. `root` is the run whose budgets it counts on: its own id, or that of the run it resumed.

    `adopted` is False until the tasks of all its manifests are in the ledger: before that it cannot be resumed.
    """

    id: int
    root: int
    asked: RunAsked
    started_at: Instant
    ended_at: Instant | None
    exit_code: int | None
    reason: str
    pid: int
    host: str
    adopted: bool = True
    stops: tuple[Stop, ...] = ()  # what work was left by


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """A manifest's tasks by state (those still in the manifest), and its credits."""

    name: str
    path: str  # from the workspace
    by_state: Mapping[TaskState, int]
    removed: int  # tasks that left the manifest
    captured: Credits
    held: Credits


@dataclass(frozen=True, slots=True)
class MoneyFacts:
    """The account as this ledger knows it."""

    captured: Credits
    held: Credits
    captured_today: Credits
    held_today: Credits
    captured_month: Credits
    held_month: Credits


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """One attempt, whole."""

    number: int
    key: str
    state: AttemptState
    fingerprint: str
    run: int
    submitted_at: Instant
    accepted_at: Instant | None
    ended_at: Instant | None
    task_id: str
    held: Credits  # still open
    captured: Credits
    released: Credits
    reserved: Credits | None
    final: Credits | None
    lost: int
    fault: Fault | None
    outputs: tuple[Output, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One line of the append-only log."""

    at: Instant
    run: int | None
    event: str
    before: str
    after: str
    attempt: int | None  # its number
    detail: str
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One task with its latest attempt, as listings and reports show it."""

    row: int
    manifest: str
    id: str
    state: TaskState
    wanted: bool
    line: int
    model: str
    prompt: str
    params: Mapping[str, object]
    references: tuple[str, ...]  # names or URLs
    output: str
    note: str
    attempts: int
    captured: Credits
    held: Credits
    latest: AttemptFacts | None


@dataclass(frozen=True, slots=True)
class TaskHistory:
    """Everything about one task."""

    task: TaskFacts
    attempts: tuple[AttemptFacts, ...]
    events: tuple[EventFacts, ...]


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list; empty takes all. `run` takes those that had an attempt, or saved a file, in that run."""

    manifest: str = ""
    states: tuple[TaskState, ...] = ()
    only: str = ""  # a glob on task ids
    run: int | None = None
    removed: bool = False  # also tasks that left their manifest
    limit: int | None = None
