"""What is submitted next: due tasks, their uploads, the price and the budgets that let them pass.

A task passes these gates in order: its references are on the server, its manifest has a place in flight, its price is
known (or it goes alone to find it out), and every budget allows its hold. Only then does an attempt exist.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from batchgen.core import states
from batchgen.core.answers import NOT_DONE, Answer, Fault, StoredFile, Verdict
from batchgen.core.desk import Desk
from batchgen.core.flights import Flights
from batchgen.core.lanes import PAGE, Lane
from batchgen.core.live import Live
from batchgen.core.messages import CheckUpload, DueArrived, FetchDue, SendCreate, SendUpload, TaskMoved, UploadStored
from batchgen.core.model import Credits, DueTask, Instant, Reference, Upload, client_request_id
from batchgen.core.policy import Compose
from batchgen.core.retry import backoff
from batchgen.core.states import TaskEvent, TaskState
from batchgen.core.stops import Refusal, StopKind
from batchgen.core.trials import Accused, Trials
from batchgen.core.uploads import Pending, Uploads, upload_key

LATER = NOT_DONE | {Verdict.LOST, Verdict.CONFLICT}
"""Answers after which an upload is tried again; after a conflict, which says nothing against the file, under another key."""

AHEAD = 4
"""Tasks beyond the free places whose references are uploaded in advance."""


class Submissions:
    """The lanes of a run and the gates before a purchase."""

    def __init__(self, desk: Desk, flights: Flights, lanes: Iterable[Lane], compose: Compose) -> None:
        """`compose` makes the exact bytes of a create."""
        self._desk = desk
        self._flights = flights
        self._compose = compose
        self.lanes = {lane.manifest.name: lane for lane in lanes}
        self._turn = deque(self.lanes.values())
        self._parked: list[tuple[Lane, DueTask, str]] = []  # with the price key they wait for
        self._waiting: dict[str, list[tuple[Lane, DueTask]]] = {}  # by the reference they wait for
        self.uploads = Uploads()
        self.trials = Trials(desk, self.uploads)
        self.bought = 0

    # ---------------------------------------------------------------- from the ledger

    def fetches(self) -> list[FetchDue]:
        """Return the pages of due tasks that are wanted now."""
        return [fetch for lane in self.lanes.values() if (fetch := lane.fetch())]

    def due_arrived(self, page: DueArrived) -> None:
        """Take a page of due tasks and the uploads that the server has for them."""
        for upload in page.uploads:
            self.uploads.known.setdefault(upload.sha256, upload)
        lane = self.lanes[page.request.manifest]
        lane.arrived(page)
        if page.last and not self._order_matters(lane):
            lane.due = deque(sorted(lane.due, key=lambda due: -self._desk.looks.expected(self._desk.prices.quote(due.task.spec).key)))

    def _order_matters(self, lane: Lane) -> bool:
        """True unless every due task will be bought: only then may the longest renders go first, so that the night ends early."""
        policy = self._desk.policy
        rest = sum(self._desk.prices.quote(due.task.spec).credits for due in lane.due)
        limits = (policy.max_tasks, policy.until, self._desk.purse.keep, self._desk.budgets.refusal(lane.manifest.name, rest))
        return lane.manifest.canary > lane.rendered_before or any(limit is not None for limit in limits)

    def due_again(self, live: Live) -> None:
        """Take a task that wants another attempt."""
        if live.lane.stopped:
            live.lane.let_go(live.due.row)
        else:
            live.lane.again(live.due)

    # ---------------------------------------------------------------- the gates

    def prepare(self) -> None:
        """Bring due tasks as far as the last gate: references on the server, price not waited for by another."""
        parked, self._parked = self._parked, []
        for lane, due, key in parked:
            if self._desk.prices.must_wait(key):
                self._parked.append((lane, due, key))
            else:
                self._arrive(lane, due)
        for lane in self.lanes.values():
            while lane.due and not lane.held_back and len(lane.ready) < self._ahead(lane):
                self._stage(lane, lane.due.popleft())

    def _ahead(self, lane: Lane) -> int:
        places = lane.places()
        free = self._desk.policy.in_flight if places is None else min(places, self._desk.policy.in_flight)
        return max(0, min(PAGE, AHEAD + free) - lane.waiting)

    def _stage(self, lane: Lane, due: DueTask) -> None:
        spec = due.task.spec
        missing = self.uploads.missing(spec.references)
        refusal = next((why for r in missing if (why := self.uploads.refused.get((r.sha256, spec.model)))), "")
        if not missing:
            lane.stand_ready(due)
        elif refusal:
            self._block(lane, due, refusal)
        elif any(r.sha256 in self.uploads.left for r in missing):
            lane.let_go(due.row)
        else:
            self._await(lane, due, missing)

    def _await(self, lane: Lane, due: DueTask, missing: list[Reference]) -> None:
        lane.waiting += 1
        for reference in missing:
            self.uploads.want(reference, due.task.spec.model)
        self._waiting.setdefault(missing[0].sha256, []).append((lane, due))

    def _block(self, lane: Lane, due: DueTask, why: str) -> None:
        after = states.advance_task(TaskState.PENDING, TaskEvent.BLOCKED)
        task = due.task
        self._desk.write(TaskMoved(due.row, TaskEvent.BLOCKED, TaskState.PENDING, after, self._desk.now, why, task.id, task.manifest))
        self._desk.blocked += 1
        lane.let_go(due.row)

    def _arrive(self, lane: Lane, due: DueTask) -> None:
        """Take a task that has waited."""
        lane.waiting -= 1
        if lane.stopped:
            lane.let_go(due.row)
        else:
            self._stage(lane, due)

    @property
    def closed(self) -> Refusal | None:
        """Why nothing at all may be bought now."""
        policy = self._desk.policy
        if self._desk.dry:
            return Refusal(StopKind.FUNDS, "the account has too few credits")
        if policy.until is not None and self._desk.now >= policy.until:
            return Refusal(StopKind.UNTIL, "the time given by --until or --max-duration has come")
        if policy.max_tasks is not None and self.bought >= policy.max_tasks:
            return Refusal(StopKind.MAX_TASKS, f"--max-tasks {policy.max_tasks} is reached")
        return None

    @property
    def in_flight(self) -> int:
        """Attempts of all manifests that take a place."""
        return sum(lane.in_flight for lane in self.lanes.values())

    @property
    def places(self) -> int:
        """How many attempts may be in flight at once, by the policy and the manifests together."""
        most = self._desk.policy.in_flight
        own = (most if lane.manifest.in_flight is None else lane.manifest.in_flight for lane in self.lanes.values() if not lane.stopped)
        return min(most, sum(own))

    @property
    def backlog(self) -> str:
        """Why nothing is bought until files have come, or ''.

        Renders may end faster than their files can be fetched. What waits would grow with the manifest, its URLs would
        run out, and while nothing can be fetched at all the money would still be spent.
        """
        unsaved, policy = self._flights.unsaved, self._desk.policy
        return f"{unsaved} paid renders wait for their files" if unsaved >= policy.in_flight + policy.downloads else ""

    def next_create(self) -> SendCreate | None:
        """Return the next purchase, written down and ready to send, or None; manifests take turns."""
        if self.closed or self.backlog or self._desk.paused or self.in_flight >= self._desk.policy.in_flight:
            return None
        for _ in range(len(self._turn)):
            lane = self._turn[0]
            self._turn.rotate(-1)
            create = self._create(lane)
            if create is not None:
                return create
        return None

    def _create(self, lane: Lane) -> SendCreate | None:
        places = lane.places()
        lane.held_back = None
        while lane.ready and not lane.canary_waits and (places is None or places > 0):
            due = lane.ready[0]
            if self.uploads.missing(due.task.spec.references):  # forgotten since it became ready
                self._stage(lane, lane.ready.popleft())
                continue
            quote = self._desk.prices.quote(due.task.spec)
            if self._desk.prices.must_wait(quote.key):
                lane.ready.popleft()
                lane.waiting += 1
                self._parked.append((lane, due, quote.key))
                continue
            refusal = self._desk.budgets.refusal(lane.manifest.name, quote.credits) or self._desk.purse.refusal(quote.credits)
            lane.held_back = refusal
            if refusal:
                return None
            lane.ready.popleft()
            return self._launch(lane, due)
        return None

    def _launch(self, lane: Lane, due: DueTask) -> SendCreate:
        key = client_request_id(due.task.manifest, due.task.id, due.fingerprint, due.alike + 1)
        used = {r.sha256: self.uploads.known[r.sha256] for r in due.task.spec.references if r.sha256}
        body = self._compose(due.task.spec, used, key)
        self.bought += 1
        return self._flights.launch(due, lane, self._desk.prices.quote(due.task.spec), body, key)

    # ---------------------------------------------------------------- uploads

    def next_upload(self) -> SendUpload | CheckUpload | None:
        """Return the next upload to send or to check, or None."""
        if self.uploads.checks:
            upload = self.uploads.checks.popleft()
            self.uploads.airborne += 1
            return CheckUpload(upload)
        pending = None if self.closed or self._desk.paused else self.uploads.ripe(self._desk.now)
        if pending is None:
            return None
        pending.in_air = True
        self.uploads.airborne += 1
        return SendUpload(pending.reference, pending.model, upload_key(pending.reference, pending.conflicts))

    def uploaded(self, request: SendUpload, answer: Answer[StoredFile]) -> None:
        """Take the answer to an upload."""
        self.uploads.airborne -= 1
        pending = self.uploads.pending[request.reference.sha256]
        pending.in_air = False
        if answer.verdict is Verdict.OK and answer.value is not None:
            self._store(request.reference, answer.value)
        elif answer.verdict in LATER:
            pending.conflicts += answer.verdict is Verdict.CONFLICT
            self._upload_later(pending, answer)
        else:
            self._upload_refused(pending, answer)

    def _store(self, reference: Reference, stored: StoredFile) -> None:
        upload = Upload(reference.sha256, stored.url, stored.file_id, stored.duration_token, self._desk.now)
        self.uploads.known[upload.sha256] = upload
        self.uploads.fresh.add(upload.sha256)
        self._desk.write(UploadStored(upload, self._desk.now))
        for lane, due in self._release(upload.sha256):
            self._arrive(lane, due)

    def _release(self, sha256: str) -> list[tuple[Lane, DueTask]]:
        del self.uploads.pending[sha256]
        return self._waiting.pop(sha256, [])

    def _upload_later(self, pending: Pending, answer: Answer[StoredFile]) -> None:
        pending.tries += 1
        pending.trouble_since = pending.trouble_since or self._desk.now
        self._desk.note(f"upload_{answer.verdict}", fault=answer.fault, detail=pending.reference.name)
        if self._desk.now - pending.trouble_since <= self._desk.policy.outage_patience:
            pending.not_before = self._desk.now + backoff(pending.tries, self._desk.dice, after=answer.retry_after)
            return
        self._desk.undelivered = self._desk.undelivered or f"the service did not take the upload of {pending.reference.name}"
        self.uploads.left.add(pending.reference.sha256)
        for lane, due in self._release(pending.reference.sha256):
            self._arrive(lane, due)

    def _upload_refused(self, pending: Pending, answer: Answer[StoredFile]) -> None:
        """Block every task that uses a reference which the server does not take for its model."""
        reference, fault = pending.reference, answer.fault or Fault("", "the server refused the upload")
        if answer.verdict not in {Verdict.KEY, Verdict.FUNDS}:  # those are no fault of the reference
            why = f"its reference {reference.name} was refused: {fault.code}: {fault.message}"
            self.uploads.refused[reference.sha256, pending.model] = why
        self._desk.note("upload_refused", fault=fault, detail=reference.name)
        for lane, due in self._release(reference.sha256):
            self._arrive(lane, due)

    # ---------------------------------------------------------------- refused creates

    def judged(self) -> list[Accused]:
        """Return the refused tasks whose references are all fine: something else is wrong with them. The others are due again."""
        judged = self.trials.judged()
        for accused in judged:
            if accused.innocent:
                self.due_again(accused.live)
        return [accused for accused in judged if not accused.innocent]

    # ---------------------------------------------------------------- the end

    @property
    def busy(self) -> bool:
        """True if something is on its way to the last gate, or waits to be judged."""
        return bool(self.uploads.airborne or (self.uploads.pending and not self.closed) or self.uploads.checking or self.trials.open)

    def affordable(self, balance: Credits) -> bool:
        """True if the next due task of some manifest costs no more than `balance`, or none has come so far as to have a price."""
        heads = [queue[0] for lane in self.lanes.values() if (queue := lane.ready or lane.due)]
        return not heads or any(self._desk.prices.quote(head.task.spec).credits <= balance for head in heads)

    def next_wake(self) -> Instant | None:
        """When a waiting upload may be tried again."""
        return None if self.closed or self._desk.paused else self.uploads.next_wake(self._desk.now)
