"""A pretend world for the engine: a server, a network and a clock as plain values; and the loop that drives a run in it.

The driver advances only to the next event or to `wake_at`, and fails if a step asks to be woken in the past (a busy
loop) or for nothing at all (a stall).
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from batchgen.core.answers import Answer, Balance, Fault, Render, RenderStatus, StoredFile, Verdict
from batchgen.core.engine import Engine
from batchgen.core.messages import (
    Answered,
    AskStatus,
    CheckUpload,
    DiskTrouble,
    Download,
    Downloaded,
    Ended,
    Event,
    FetchDue,
    Request,
    SendCreate,
    SendUpload,
    Step,
)
from batchgen.core.model import Credits, Instant, Manifest, MediaKind, Output, Reference, Spec, Task, Upload, canonical_json
from batchgen.core.policy import Given, Policy, Quote
from batchgen.core.pricing import price_key
from tests.core.book import Book, calendar
from tests.core.tally import Tally, tally

START = 1_800_000_000.0
"""2027-01-15 08:00 UTC: an instant like those of real nights."""

LATENCY = 0.2
"""Seconds from a request to its answer, where a test says nothing else."""

FAST = Policy(requests_per_minute=6000.0)
"""A rate that is no obstacle."""

MOST_STEPS = 200_000

# ---------------------------------------------------------------- builders


def reference(content: str = "a", name: str = "ref.png") -> Reference:
    """Make a reference file whose content is told by one hex digit."""
    return Reference(MediaKind.IMAGE, "image/png", name, sha256=content * 64, path=f"/refs/{name}", size=1000)


def a_task(ident: str, *refs: Reference, position: int = 0, **changes: object) -> Task:
    """Make a task of manifest `m`; `changes` may give manifest, model, prompt and params."""
    params = changes.get("params", {})
    assert isinstance(params, Mapping)
    spec = Spec(str(changes.get("model", "kling-2-6")), str(changes.get("prompt", f"prompt of {ident}")), params, refs)
    manifest = str(changes.get("manifest", "m"))
    return Task(manifest, ident, spec, f"{manifest}/{ident}", position)


def some_tasks(count: int, *refs: Reference, **changes: object) -> list[Task]:
    """Make tasks t0, t1, ..."""
    return [a_task(f"t{n}", *refs, position=n, **changes) for n in range(count)]


def a_book(tasks: Iterable[Task], *manifests: Manifest) -> Book:
    """Make a ledger with these tasks; without a manifest, `m` with nothing special."""
    book = Book(manifests or (Manifest("m", "m.yaml"),))
    book.adopt(tasks)
    return book


def compose(spec: Spec, uploads: Mapping[str, Upload], key: str) -> bytes:
    """Write the body of a create."""
    items = [{"kind": r.kind, "url": uploads[r.sha256].url if r.sha256 else r.url} for r in spec.references]
    params = dict(spec.params) | ({"referenceMediaItems": items} if items else {})
    return canonical_json({"model": spec.model, "prompt": spec.prompt, "params": params, "client_request_id": key}).encode()


def base_price(spec: Spec) -> Quote:
    """Quote what the catalogue says: 5 credits."""
    return Quote(price_key(spec.model, spec.params), 5)


def bad(verdict: Verdict, code: str = "", retry_after: float | None = None) -> Answer[object]:
    """Make an answer that is not OK."""
    return Answer(verdict, fault=Fault(code or verdict, f"the server says {verdict}", "req_1", 400), retry_after=retry_after)


def trouble(kind: DiskTrouble) -> Callable[[Download], Downloaded]:
    """Make downloads end with this trouble."""
    return lambda request: Downloaded(request, trouble=kind, message=f"it is {kind}")


# ---------------------------------------------------------------- the server


@dataclass(slots=True)
class Bought:
    """A generation on the pretend server."""

    task_id: str
    body: bytes
    at: Instant
    price: Credits
    asked: int = 0


Reply = Answer[object] | Downloaded | Callable[..., object] | None
"""What a script says to one request: an answer, a function of the request, or None for the server's own."""


@dataclass(slots=True)
class World:
    """The server: it renders everything in `render_time` for `price`, unless a script says otherwise.

    `scripts` has, by the request's type, the replies to its first requests; None there means the server's own answer.
    `always` has replies to every request of a type, after the script.
    """

    render_time: float = 20.0
    price: Credits = 5
    balance: Credits = 1_000_000
    files: int = 1  # results of a render
    latency: float = LATENCY
    scripts: dict[type, list[Reply]] = field(default_factory=dict)
    always: dict[type, Callable[..., object]] = field(default_factory=dict)
    bought: dict[str, Bought] = field(default_factory=dict)  # by key: what was really charged
    stored: dict[str, str] = field(default_factory=dict)  # url by file id
    log: list[tuple[Instant, Request]] = field(default_factory=list)

    def script(self, kind: type, *replies: Reply) -> World:
        """Append replies for a type of request."""
        self.scripts.setdefault(kind, []).extend(replies)
        return self

    def reply(self, now: Instant, request: Request, book: Book) -> Event:
        """Answer a request."""
        self.log.append((now, request))
        if isinstance(request, FetchDue):
            return book.due(request)
        waiting = self.scripts.get(type(request))
        said: object = waiting.pop(0) if waiting else None
        said = said if said is not None else self.always.get(type(request))
        said = said(request) if callable(said) else said
        if isinstance(request, Download):
            return said if isinstance(said, Downloaded) else self._download(request)
        return Answered(request, said if isinstance(said, Answer) else self.own(now, request), now)

    def own(self, now: Instant, request: Request) -> Answer[object]:
        """Answer as the server does when all is well."""
        match request:
            case SendUpload():
                file_id = f"file_{len(self.stored)}"
                self.stored[file_id] = f"https://files.example/{file_id}"
                return Answer(Verdict.OK, StoredFile(self.stored[file_id], file_id))
            case CheckUpload(upload=upload):
                known = self.stored.get(upload.file_id)
                return Answer(Verdict.OK, StoredFile(known, upload.file_id)) if known else bad(Verdict.MISSING, "not_found")
            case SendCreate(key=key, body=body):
                return self.buy(now, key, body)
            case AskStatus(task_id=task_id):
                return Answer(Verdict.OK, self.look(now, task_id))
            case _:
                return Answer(Verdict.OK, Balance(self.balance, now))

    def buy(self, now: Instant, key: str, body: bytes) -> Answer[object]:
        """Sell a render, once per key."""
        if key not in self.bought:
            self.bought[key] = Bought(f"task_{len(self.bought)}", body, now, self.price)
        elif self.bought[key].body != body:
            return bad(Verdict.CONFLICT, "idempotency_conflict")
        bought = self.bought[key]
        return Answer(Verdict.OK, Render(bought.task_id, RenderStatus.QUEUED, reserved=bought.price, final=0))

    def look(self, now: Instant, task_id: str) -> Render:
        """Tell how a render stands."""
        bought = next(b for b in self.bought.values() if b.task_id == task_id)
        bought.asked += 1
        if now - bought.at < self.render_time:
            return Render(task_id, RenderStatus.PROCESSING, reserved=bought.price, final=0)
        urls = tuple(f"https://media.example/{task_id}/{n}/{bought.asked}" for n in range(self.files))
        return Render(task_id, RenderStatus.SUCCEEDED, reserved=bought.price, final=bought.price, urls=urls)

    @staticmethod
    def _download(request: Download) -> Downloaded:
        json.loads(request.sidecar)
        return Downloaded(request, Output(request.index, f"{request.stem}-{request.index}.mp4", "0" * 64, 10, "video/mp4"))

    # -- for assertions

    def sent(self, kind: type) -> list[Request]:
        """Return the requests of a type, in order."""
        return [request for _, request in self.log if isinstance(request, kind)]

    def times(self, kind: type) -> list[Instant]:
        """Return when the requests of a type left."""
        return [at for at, request in self.log if isinstance(request, kind)]


def failed_render(task_id: str, final: Credits | None = 0) -> Answer[object]:
    """Say that a render failed."""
    return Answer(Verdict.OK, Render(task_id, RenderStatus.FAILED, final=final, error=Fault("generation_failed", "it failed")))


def says(status: RenderStatus, **fields: object) -> Callable[[AskStatus], Answer[object]]:
    """Answer status questions with these facts."""
    return lambda request: Answer(Verdict.OK, replace(Render(request.task_id, status), **fields))  # type: ignore[arg-type]  # named as the Render's own


# ---------------------------------------------------------------- the driver


@dataclass(slots=True)
class Run:
    """How a run went."""

    book: Book
    world: World
    engine: Engine
    began: Tally = field(default_factory=Tally)
    ended: Ended | None = None
    now: Instant = START
    steps: int = 0
    budgets: list[tuple[Instant, Credits]] = field(default_factory=list)  # used, at every commit


Halfway = Callable[[int, Step], str]
"""Called with the number of a step: returns '' to go on, or where to die: before its commit, after it, or after the sends."""


def dies_at(last: int, where: str) -> Halfway:
    """Die at this step: `before` its commit, `after` it, or when its requests were `sent`."""
    return lambda step, _: where if step == last else ""


def no_dice() -> float:
    """The dice that never wait longer than they must."""
    return 0.0


@dataclass(slots=True)
class Stage:
    """How to drive: everything that is not the book, the world and the policy."""

    now: Instant = START
    quoter: Callable[[Spec], Quote] = base_price
    dice: Callable[[], float] = no_dice
    only: str = ""
    finish_only: frozenset[str] = frozenset()
    cuts: Mapping[str, int] = field(default_factory=dict)  # where a kept plan ends, by manifest
    inject: Mapping[float, Event] = field(default_factory=dict)  # by seconds since the start
    die: Halfway | None = None
    delay: Callable[[Request], float] | None = None
    render_times: Mapping[str, tuple[int, float, float]] = field(default_factory=dict)
    prices: Mapping[str, Credits] = field(default_factory=dict)  # seen before, beside those in the book


def drive(book: Book, world: World | None = None, policy: Policy = FAST, stage: Stage | None = None) -> Run:
    """Drive a run to its end (or to its death), in virtual time."""
    world, stage = world or World(), stage or Stage()
    opening = replace(book.opening(stage.now, only=stage.only), finish_only=stage.finish_only, render_times=stage.render_times)
    opening = replace(opening, prices={**stage.prices, **opening.prices}, cuts=stage.cuts)
    engine = Engine(opening, policy, Given(stage.quoter, compose, calendar, stage.dice))
    run = Run(book, world, engine, tally(book), now=stage.now)
    coming: list[tuple[Instant, int, Event]] = [(stage.now + at, n, event) for n, (at, event) in enumerate(stage.inject.items())]
    heapq.heapify(coming)
    events: list[Event] = []
    while not _one_step(run, stage, events, coming):
        while coming and coming[0][0] <= run.now:
            events.append(heapq.heappop(coming)[2])
    return run


def _one_step(run: Run, stage: Stage, events: list[Event], coming: list[tuple[Instant, int, Event]]) -> bool:
    """Take one step; True when the run is over. Leaves the clock at the next instant at which something happens."""
    step = run.engine.step(run.now, list(events))
    seen = run.engine.glimpse()
    events.clear()
    run.steps += 1
    assert run.steps < MOST_STEPS, "the run never ends"
    death = stage.die(run.steps, step) if stage.die else ""
    if death == "before":
        return True
    run.book.commit(step.records)
    run.began.check(run.book, seen, run.now)
    run.budgets.append((run.now, sum(a.used for a in run.book.attempts.values())))
    if death == "after":
        return True
    for n, request in enumerate(step.requests):
        if isinstance(request, SendCreate):
            run.book.check_send(request)
        event = run.world.reply(run.now, request, run.book)
        delay = stage.delay(request) if stage.delay else 0.0 if isinstance(request, FetchDue) else run.world.latency
        heapq.heappush(coming, (run.now + delay, run.steps * 1000 + n + 1000, event))
    if death or step.ended:
        assert not (step.ended and step.wake_at), "a run that has ended waits for nothing"
        run.ended = step.ended
        return True
    assert step.wake_at is None or step.wake_at > run.now, "a busy loop: woken at once, with nothing new"
    instants = [at for at in (step.wake_at, coming[0][0] if coming else None) if at is not None]
    assert instants, "a stall: nothing is coming and nothing will wake the run"
    run.now = max(run.now, min(instants))
    return False


def keys_by_task(run: Run) -> Mapping[str, list[str]]:
    """Return what was charged, by task id."""
    charged: defaultdict[str, list[str]] = defaultdict(list)
    for key in run.world.bought:
        charged[run.book.tasks[run.book.attempts[key].row].task.id].append(key)
    return charged


def windows(times: list[Instant], seconds: float) -> Iterator[int]:
    """Count, for each request, how many left in the window that begins with it (half open)."""
    end = 0
    for begin, at in enumerate(times):
        while end < len(times) and times[end] < at + seconds:
            end += 1
        yield end - begin
