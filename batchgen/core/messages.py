"""What goes into the engine and what comes out of it.

    events  (what happened)          Answered, Downloaded, DueArrived, StopAsked, ControlAsked
    step    (what to do about it)    Step(records, requests, wake_at, ended)
        records   written in one transaction, durable before any request starts
        requests  started only then

A request's answer comes back as an event that carries the request itself, so neither side keeps a table of the other's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.core.answers import Answer, Fault
from batchgen.core.model import Credits, DueTask, Instant, Output, Reference, Upload
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.core.steering import Control
from batchgen.core.stops import Stop
from batchgen.errors import ExitCode

# ---------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class SendUpload:
    """POST /files. `client_request_id` is a pure function of the content, so that a repeat is recognisable."""

    reference: Reference
    model: str
    client_request_id: str


@dataclass(frozen=True, slots=True)
class CheckUpload:
    """GET /files/{id}: does the server still know this upload?"""

    upload: Upload


@dataclass(frozen=True, slots=True)
class SendCreate:
    """POST /generations with exactly these bytes and this key; the ledger holds both already."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AskStatus:
    """GET /generations/{task_id}."""

    key: str
    task_id: str


@dataclass(frozen=True, slots=True)
class AskBalance:
    """GET /credits."""


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch result `index` of an attempt. `stem` is the output's path without suffix, relative to the outputs folder.

    `sidecar` is the document that is written beside the file (as JSON text without the facts of the file itself).
    """

    key: str
    index: int
    url: str
    stem: str
    attempt_number: int
    model: str
    sidecar: str


@dataclass(frozen=True, slots=True)
class FetchDue:
    """Read the next page of a manifest's pending tasks from the ledger, from `after` (a position) on.

    `only` is a glob on task ids; empty takes all.
    """

    manifest: str
    after: int
    limit: int
    only: str = ""


Request = SendUpload | CheckUpload | SendCreate | AskStatus | AskBalance | Download | FetchDue
ApiRequest = SendUpload | CheckUpload | SendCreate | AskStatus | AskBalance
"""Those that use the account's rate."""

# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Answered:
    """The API answered a request (or did not: see the answer's verdict). `sent_at` is when the request left."""

    request: ApiRequest
    answer: Answer[object]
    sent_at: Instant


class DiskTrouble(StrEnum):
    """Why a download could not be saved."""

    GONE = "gone"  # the server refuses the URL (403, 404, 410): ask for a fresh one
    CUT = "cut"  # the transfer failed or was incomplete; the part file stays and is resumed
    REFUSED = "refused"  # the URL or the content is not acceptable: not https, a private address, too big
    DISK = "disk"  # this machine cannot write: full, read-only, no permission


@dataclass(frozen=True, slots=True)
class Displaced:
    """An older output of ours that made room for a new one."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A download ended: with a file that is complete, durable and in place, or with trouble."""

    request: Download
    output: Output | None = None
    displaced: Displaced | None = None
    trouble: DiskTrouble | None = None
    message: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class DueArrived:
    """A page of pending tasks. `after` is the position up to which the manifest was read; with `last` there are no more."""

    request: FetchDue
    tasks: tuple[DueTask, ...]
    after: int
    last: bool
    uploads: tuple[Upload, ...] = ()  # those of the page's references that the server has already


class StopReason(StrEnum):
    """Why a run was asked to stop from outside."""

    INTERRUPT = "interrupt"
    TERMINATE = "terminate"


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the run to end: start nothing new, let what is in the air land."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class ControlAsked:
    """A person steers the run from another shell."""

    control: Control


Event = Answered | Downloaded | DueArrived | StopAsked | ControlAsked

# ---------------------------------------------------------------- records


class MoneyKind(StrEnum):
    """Rows of the append-only money table. An attempt's holds equal its captures plus releases once it is closed.

    A refund comes later: the server gives back what it had kept of a failed render. It never exceeds the capture.
    """

    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Submitted:
    """Insert an attempt as `submitting`, with its exact bytes, and hold its credits. The task moves to `rendering`."""

    row: int
    key: str
    number: int
    fingerprint: str
    body: bytes
    hold: Credits
    price_key: str
    day: str
    at: Instant
    manifest: str = field(default="", compare=False)  # it and the task's id are for whoever watches: the ledger goes by the row
    task: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class AttemptMoved:
    """A guarded move: it matches only while the attempt is `before`. None leaves a column as it is."""

    key: str
    event: AttemptEvent
    before: AttemptState
    after: AttemptState
    at: Instant
    task_id: str | None = None
    reserved: Credits | None = None
    final: Credits | None = None
    urls: tuple[str, ...] | None = None
    fault: Fault | None = None
    lost: bool = False  # counts one more answer that was lost
    submitted_at: Instant | None = None  # from when on the replay window counts
    manifest: str = field(default="", compare=False)  # it and the task's id are for whoever watches
    task: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class TaskMoved:
    """A guarded move of a task. `note` says in plain words why, for `status` and `show`; `task` names it to whoever watches."""

    row: int
    event: TaskEvent
    before: TaskState
    after: TaskState
    at: Instant
    note: str = ""
    task: str = ""
    manifest: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class MoneyMoved:
    """One money row of an attempt; `day` is the day whose budget it belongs to: that of the attempt's first hold."""

    key: str
    kind: MoneyKind
    credits: Credits
    at: Instant


@dataclass(frozen=True, slots=True)
class UploadStored:
    """A reference is on the server."""

    upload: Upload
    at: Instant


@dataclass(frozen=True, slots=True)
class UploadForgotten:
    """The server no longer knows an upload."""

    sha256: str
    at: Instant


@dataclass(frozen=True, slots=True)
class OutputSaved:
    """A result file is on disk, complete."""

    key: str
    output: Output
    at: Instant
    displaced: Displaced | None = None


@dataclass(frozen=True, slots=True)
class OutputLost:
    """A result file that was complete is missing or damaged now; `why` says which."""

    key: str
    index: int
    path: str
    why: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Noted:
    """Something worth remembering that moves no state: an error while polling, a 429, a balance."""

    event: str
    at: Instant
    key: str = ""
    row: int | None = None
    fault: Fault | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Controlled:
    """The run obeys what a person said; a budget said so is the run's from now on, also when it is resumed."""

    control: Control
    at: Instant


Record = Submitted | AttemptMoved | TaskMoved | MoneyMoved | UploadStored | UploadForgotten | OutputSaved | OutputLost | Noted | Controlled

# ---------------------------------------------------------------- the step


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over: nothing more to start, nothing in the air. `stops` says what work was left by."""

    code: ExitCode
    reason: str
    stops: tuple[Stop, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: commit the records, then start the requests, then wait for an event or until `wake_at`."""

    records: tuple[Record, ...] = ()
    requests: tuple[Request, ...] = ()
    wake_at: Instant | None = None
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """A budget that applies to a run: its name in words, its limit, what is spent or held of it, and whose it is.

    `manifest` is empty for a budget of all manifests together.
    """

    name: str
    limit: Credits
    used: Credits
    manifest: str = ""

    @property
    def left(self) -> Credits:
        """Return what may still be held; never less than nothing."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The run as the engine sees it now, for whoever watches. The numbers people act on are queries over the ledger, not these."""

    uploading: int = 0
    submitting: int = 0
    rendering: int = 0
    downloading: int = 0  # rendered tasks whose files are on their way, or wait for it
    saved: int = 0  # tasks finished in this run
    failed: int = 0  # tasks given up in this run
    held: Credits = 0  # by the attempts in flight, and those that came into doubt in this run
    captured: Credits = 0  # in this run
    waiting_for: str = ""  # in words: why nothing is being submitted, if so
    per_minute: float = 0.0  # requests that the rate allows now, slow-downs counted; 0 is not known
    places: int = 0  # tasks that may be in flight at once; 0 is not known
    budgets: tuple[BudgetLeft, ...] = ()
    lagging: bool = False  # nothing is submitted until more files have come: that passes
    stopping: bool = False  # nothing new leaves; what is in the air lands
