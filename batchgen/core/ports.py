"""The outside, as the runner and the reports know it. `app` alone builds what stands behind these.

The ledger is synchronous (the runner calls it in one writer thread), everything else is async.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol

from batchgen.core.answers import Answer, Balance, Render, StoredFile
from batchgen.core.facts import ManifestFacts, MoneyFacts, Opening, RunAsked, RunFacts, TaskFacts, TaskHistory, TaskQuery
from batchgen.core.messages import Download, Downloaded, DueArrived, Ended, FetchDue, Glimpse, Record, SendUpload, Step
from batchgen.core.model import Instant, KnownTask, Manifest, Upload
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.plan import Action
from batchgen.core.steering import Control

LEFT: ContextVar[Callable[[], None]] = ContextVar("LEFT", default=lambda: None)
"""Called by an Api once the bytes of the call that is being made have left. The caller sets it in the task that calls.

Between the call and its bytes a busy machine loses up to 50 ms (measured), and the service counts the bytes.
"""


class Clock(Protocol):
    """Time that never runs backwards while the process lives."""

    def now(self) -> Instant:
        """Seconds since the epoch, UTC."""
        ...


class Api(Protocol):
    """Rivya Public API v1. No method raises for what the network or the server do: that is an answer's verdict.

    The only errors raised are bugs and cancellation.
    """

    async def upload(self, request: SendUpload) -> Answer[StoredFile]:
        """POST /files."""
        ...

    async def file(self, file_id: str) -> Answer[StoredFile]:
        """GET /files/{file_id}."""
        ...

    async def create(self, body: bytes, key: str) -> Answer[Render]:
        """POST /generations; `key` is sent as Idempotency-Key and stands in the body as client_request_id."""
        ...

    async def status(self, task_id: str) -> Answer[Render]:
        """GET /generations/{task_id}."""
        ...

    async def balance(self) -> Answer[Balance]:
        """GET /credits."""
        ...

    async def models(self) -> Answer[list[object]]:
        """GET /models: the entries of `data`, as parsed JSON."""
        ...


Owner = Callable[[str], tuple[str, int] | None]
"""Which of our outputs is at this path (relative to the outputs folder): its sha256 and its attempt's number; None: not ours.

Asked from worker threads, several at once.
"""


class Media(Protocol):
    """Result files: fetched, checked, put in place."""

    async def save(self, request: Download, owner: Owner) -> Downloaded:
        """Fetch a result into its place, durably. Trouble is part of the result, not raised."""
        ...


class Ledger(Protocol):
    """The database of everything that was asked, bought and fetched.

    `commit` is all or nothing and durable when it returns. A guarded move that matches no row raises LedgerConflict
    and nothing of its transaction is written.
    """

    # -- planning

    def known(self, manifest: str, ids: Sequence[str]) -> Mapping[str, KnownTask]:
        """Return what the ledger has of these task ids (a few thousand at most)."""
        ...

    def leavers(self, manifest: str, stayed: Callable[[str], bool]) -> Iterator[KnownTask]:
        """Yield the wanted tasks of a manifest of which `stayed(id)` is false."""
        ...

    def wanted(self, manifest: str) -> int:
        """Count the tasks that the manifest had when it was last adopted."""
        ...

    def uploaded(self, contents: Sequence[str]) -> Mapping[str, Upload]:
        """Return those of these contents (by sha256) that the server has."""
        ...

    def preview(self, manifests: Sequence[Manifest], *, today: str) -> Opening:
        """Return the spending and the prices that a run of these manifests would start from."""
        ...

    def newest(self) -> Instant:
        """Return the newest instant that the ledger holds, 0.0 if none."""
        ...

    def adopt(self, manifest: Manifest, actions: Iterable[Action], *, run: int, at: Instant) -> None:
        """Make the ledger's tasks those of the manifest, as planned, in one transaction."""
        ...

    # -- a run

    def begin_run(self, asked: RunAsked, *, resumes: int | None, at: Instant) -> RunFacts:
        """Write a run's beginning. `resumes` is the run whose budgets it counts on."""
        ...

    def adopted(self, run: int) -> None:
        """Write that the tasks of all of a run's manifests are in the ledger: from here on it can be resumed."""
        ...

    def end_run(self, run: int, ended: Ended, at: Instant) -> None:
        """Write a run's end."""
        ...

    def open_run(self, manifests: Sequence[str], *, run: int, today: str, only: str) -> Opening:
        """Read what the engine starts from, for these manifests (by name)."""
        ...

    def due(self, request: FetchDue) -> DueArrived:
        """Read a page of wanted pending tasks in the manifest's order, from a position after `request.after` on."""
        ...

    def commit(self, run: int | None, records: Sequence[Record]) -> None:
        """Write a step's records in one transaction. `run` is None for what a person decides outside of a run."""
        ...

    def controls(self, run: int, after: int) -> tuple[Control, ...]:
        """Return what a person said to a run since row `after`, in order."""
        ...

    def owner(self, path: str) -> tuple[str, int] | None:
        """Which of our outputs is at this path: sha256 and attempt number."""
        ...

    def bearer(self, api_task_id: str) -> str | None:
        """Return the client_request_id of the attempt that has this id at the vendor, if any."""
        ...

    # -- reading

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return the newest runs, newest first."""
        ...

    def manifests(self) -> tuple[ManifestFacts, ...]:
        """Return every manifest with its counts and credits."""
        ...

    def accounts(self, today: str) -> tuple[tuple[ManifestFacts, ...], MoneyFacts]:
        """Return what `manifests` and `money` do, of the same instant, for one pass over the book."""
        ...

    def money(self, today: str) -> MoneyFacts:
        """Return the credits of the whole ledger; `today` is `YYYY-MM-DD`, its month is `YYYY-MM`."""
        ...

    def tasks(self, wanted: TaskQuery) -> Iterator[TaskFacts]:
        """Yield tasks with their latest attempt, in manifest order, without holding them all."""
        ...

    def history(self, task: str, manifest: str = "") -> tuple[TaskHistory, ...]:
        """Return everything about the tasks with this id (one per manifest)."""
        ...

    def flights(self, root: int) -> Iterator[FlightFacts]:
        """Yield the attempts that the runs of this root submitted, in the order of submission."""
        ...

    def credit_moves(self, root: int) -> Iterator[CreditFacts]:
        """Yield how the credits of these attempts moved, in the order of the book."""
        ...


Watch = Callable[[Step, Glimpse], None]
"""Called after each step was committed and started; must not block."""
