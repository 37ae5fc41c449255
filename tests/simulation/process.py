"""One process, from its start to its end or its death: a synchronous, pure stand-in for `runner.py` and `app.run`.

It must agree with them. With `runner.Runner._loop`: step, commit, start the step's requests, gather what came meanwhile;
a page of due tasks is read between commits; a request's answer is heard as one event. With `app._drive`: begin the run,
adopt, open, drive, end. What it adds is the `fuse`, which may end the process between any two of these.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import cast

from batchgen import app
from batchgen.core.engine import STOPS, Engine
from batchgen.core.facts import RunAsked, RunFacts
from batchgen.core.messages import (
    Answered,
    ApiRequest,
    ControlAsked,
    Controlled,
    Download,
    Ended,
    Event,
    FetchDue,
    Record,
    Request,
    SendCreate,
    Step,
    StopAsked,
    StopReason,
    Submitted,
)
from batchgen.core.model import Credits, Instant
from batchgen.core.policy import Given, Policy, Quoter
from batchgen.core.resolve import Decision, resolve
from batchgen.core.steering import Control, ControlKind
from batchgen.errors import ExitCode, NoRun
from batchgen.ledger import steering
from batchgen.manifest import LoadedManifest
from batchgen.rivya.wire import compose
from batchgen.runner import DRAIN, LISTEN, settle
from tests.simulation.audit import Audit, Broken
from tests.simulation.disk import Disk
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manners import Manners, words
from tests.simulation.manuscript import Edition
from tests.simulation.network import Network
from tests.simulation.timeline import Timeline
from tests.simulation.troubles import Tally, Trouble
from tests.simulation.world import World, day_of

SAID = {
    ControlKind.PAUSE: Trouble.PAUSED,
    ControlKind.GO: Trouble.WENT_ON,
    ControlKind.DRAIN: Trouble.DRAINED,
    ControlKind.BUDGET: Trouble.BUDGET_SAID,
    ControlKind.RATE: Trouble.RATE_SAID,
}
"""As what each thing that a person says is counted, once it was obeyed."""

SPIN = 200
"""Steps at one instant before we say that the engine runs in circles."""


class Crash(Exception):
    """The process dies here."""


@dataclass(slots=True)
class Fuse:
    """Counts the points at which a process can die, and lets it die at one of them."""

    dies_at: int | None = None
    points: int = 0

    def point(self, where: str) -> None:
        """Pass a point, or die there."""
        self.points += 1
        if self.points == self.dies_at:
            raise Crash(where)


@dataclass(slots=True)
class Scene:
    """Everything that outlives a process."""

    rng: Random
    timeline: Timeline
    world: World
    network: Network
    disk: Disk
    ledger: LedgerFile
    audit: Audit
    tally: Tally
    quoter: Quoter
    closed_until: Instant = 0.0  # a Retry-After that the ledger has durably
    sent: deque[tuple[Instant, float]] = field(default_factory=deque)  # when the requests of the last minute left, at which rate
    budgets: dict[int, Credits] = field(default_factory=dict)  # by root: the budget that a person said last, once it was obeyed
    log: list[tuple[Instant, str, object]] = field(default_factory=list)

    def say(self, text: str, about: object = "") -> None:
        """Add a line to the night's log; it is put into words only when somebody reads it."""
        self.log.append((self.timeline.now, text, about))

    def lines(self, most: int) -> list[str]:
        """Return the log's end as text."""
        return [f"{at:16.3f}  {text} {words(about)}"[:300] for at, text, about in self.log[-most:]]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process is started for. `resume`: from the ledger alone.

    `signal_after`: seconds until SIGTERM. `said`: what a person says from another shell, each after so many seconds; a pause is
    always followed by something that ends it, else the run would wait for ever, and rightly.
    """

    asked: RunAsked
    policy: Policy
    editions: Sequence[Edition] = ()
    signal_after: float | None = None
    said: Sequence[tuple[float, ControlKind, float]] = ()

    @property
    def resume(self) -> bool:
        """True for `batchgen resume`."""
        return self.asked.command == "resume"


class Process:
    """One run of the program."""

    engine_of: type[Engine] = Engine
    """The real one. What a test puts in its place is broken on purpose, to see that it is found out."""

    def __init__(self, scene: Scene, errand: Errand, fuse: Fuse) -> None:
        self._scene = scene
        self._errand = errand
        self._fuse = fuse
        self._alive = True
        self._mailbox: list[Event] = []
        self._unheard: set[int] = set()
        self._requests = 0
        self._deadline: Instant | None = None
        self._stopping = False
        self._store = scene.ledger.open()
        self._run_id = self._root = 0
        self._engine: Engine
        self._manners: Manners
        self._policy = errand.policy
        self._heard_control = 0
        self.creates = 0

    def live(self) -> Ended | None:
        """Run to the end. None: it died on the way."""
        scene = self._scene
        scene.ledger.before_commit = lambda: self._fuse.point("inside a commit")
        scene.say("-- start", self._errand.asked)
        try:
            ended = self._begin()
            scene.say("-- ended", ended)
        except Crash as crash:
            scene.tally.crashes += 1
            scene.say(f"-- CRASH at point {self._fuse.points}", crash)
            return None
        finally:
            self._alive = False
            scene.ledger.before_commit = lambda: None
        return ended

    # ---------------------------------------------------------------- as in app.run, app.resume and app._drive

    def _begin(self) -> Ended:
        scene, store, errand = self._scene, self._store, self._errand
        now = max(scene.timeline.now, store.newest())
        if errand.resume:
            last = store.runs()[0]
            until = app._ahead(last.asked.until, now)
            asked = replace(last.asked, command="resume", retry_failed=False, until=until)
            names = [facts.name for facts in store.manifests()]
            if set(asked.manifests) - set(names):
                return Ended(ExitCode.WRONG_INPUT, "the last run died before its tasks were in the ledger")
            begun = store.begin_run(asked, resumes=last.id, at=now)
            self._fuse.point("run begun")
            finish_only = frozenset(names) - frozenset(asked.manifests)
            self._policy = replace(self._policy, run_budget=asked.budget, max_tasks=asked.max_tasks, until=until)
            if asked.budget != scene.budgets.get(begun.root, asked.budget):
                raise Broken(f"the run is resumed with the budget {asked.budget}, a person said {scene.budgets[begun.root]}")
        else:
            begun = store.begin_run(errand.asked, resumes=None, at=now)
            self._fuse.point("run begun")
            for edition in errand.editions:
                actions = app.actions(cast("LoadedManifest", edition), store, errand.asked)
                store.adopt(edition.header, actions, run=begun.id, at=now)
                self._committed(())
            names, finish_only = [edition.header.name for edition in errand.editions], frozenset()
        return self._drive(begun, names, finish_only)

    def _drive(self, begun: RunFacts, names: Sequence[str], finish_only: frozenset[str]) -> Ended:
        scene, store = self._scene, self._store
        self._run_id, self._root = begun.id, begun.root
        self._manners = Manners(self._policy, scene.closed_until, scene.sent)
        opening = store.open_run(names, run=begun.id, today=day_of(scene.timeline.now), only=begun.asked.only)
        opening = replace(opening, finish_only=finish_only)
        scene.audit.run_begins(begun.root, self._policy, opening.manifests)
        given = Given(scene.quoter, compose, day_of, scene.rng.random)
        engine = self._engine = self.engine_of(opening, self._policy, given)
        if not app._has_work(store, opening):
            ended = settle(engine, store, scene.timeline.now)
        else:
            self._signal_later()
            self._steer_later()
            ended = self._loop(engine) or STOPS[StopReason.TERMINATE]
        store.end_run(self._run_id, ended, scene.timeline.now)
        self._committed(())
        return ended

    # ---------------------------------------------------------------- as in runner.Runner

    def _loop(self, engine: Engine) -> Ended | None:
        events: list[Event] = []
        circles, before = 0, -1.0
        while True:
            if events:
                self._fuse.point("after an answer was heard")
            now = self._scene.timeline.now
            circles, before = (circles + 1 if now == before else 0), now
            if circles > SPIN:
                raise Broken(f"the engine makes step after step at one instant: {engine.glimpse()}")
            self._manners.heard(events, now)
            step = engine.step(now, events)
            self._do(step)
            if step.ended is not None:
                return step.ended
            if not self._gather(step, events := []):
                return None

    def _do(self, step: Step) -> None:
        """Commit, and only then start what the step asks for."""
        self._commit(step)
        self._start(step)

    def _commit(self, step: Step) -> None:
        if step.records:
            self._store.commit(self._run_id, step.records)
            self._scene.closed_until = self._manners.closed_until
            self._committed(step.records)

    def _start(self, step: Step) -> None:
        for request in step.requests:
            self._perform(request)
            self._fuse.point("after a request left")

    def _gather(self, step: Step, events: list[Event]) -> bool:
        """Wait for an event or until the step's time to wake, then take everything that has come. False: time is up."""
        timeline = self._scene.timeline
        timeline.sleep_until(timeline.now + self._scene.rng.uniform(0.0, 0.02))  # the commit took a while
        while not self._mailbox:
            limits = [at for at in (step.wake_at, self._deadline) if at is not None]
            limit = min(limits, default=None)
            if limit is not None and (timeline.next_at is None or timeline.next_at > limit):
                timeline.sleep_until(limit)
                break
            if timeline.next_at is None:
                raise Broken("the run waits for nothing: no event will come, and it does not want to wake")
            timeline.step()
        events.extend(self._mailbox)
        self._mailbox.clear()
        return self._deadline is None or timeline.now < self._deadline

    def _perform(self, request: Request) -> None:
        scene, rng, now = self._scene, self._scene.rng, self._scene.timeline.now
        if isinstance(request, FetchDue):
            page = request
            scene.timeline.at(now + rng.uniform(0.0, 0.05), lambda: self._read_page(page))
        elif isinstance(request, Download):
            download = request
            scene.say("download", download)
            scene.timeline.at(now + rng.uniform(0.1, 20.0), lambda: self._fetched(download))
        else:
            self._send(request)

    def _send(self, request: ApiRequest) -> None:
        self._manners.leaves(request, self._scene.timeline.now)
        self._engine.sent(self._scene.timeline.now)
        if isinstance(request, SendCreate):
            self.creates += 1
            self._scene.audit.leaves(request.key, request.body)
        self._scene.say("send", request)
        self._requests += 1
        number = self._requests
        self._unheard.add(number)
        self._scene.network.send(request, lambda event: self._hear_answer(event, number))

    def _hear_answer(self, event: Answered, number: int) -> None:
        """An answer that comes twice is heard once, as by a client that has closed the exchange."""
        if number in self._unheard:
            self._unheard.discard(number)
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if self._alive:
            self._scene.say("hear", event)
            self._mailbox.append(event)

    def _read_page(self, request: FetchDue) -> None:
        if self._alive:
            page = self._store.due(request)
            self._scene.timeline.at(self._scene.timeline.now + self._scene.rng.uniform(0.0, 0.05), lambda: self._hear(page))

    def _fetched(self, request: Download) -> None:
        if self._alive:
            done = self._scene.disk.fetch(request, self._store.owner)
            # Heard a little later: a crash may come between the file and the news of it.
            self._scene.timeline.at(self._scene.timeline.now + self._scene.rng.uniform(0.0, 0.2), lambda: self._hear(done))

    def _signal_later(self) -> None:
        after = self._errand.signal_after
        if after is not None:
            self._scene.timeline.at(self._scene.timeline.now + after, self._signal)

    def _signal(self) -> None:
        if self._alive:
            self._scene.say("SIGTERM")
            self._deadline = self._scene.timeline.now + DRAIN
            self._mailbox.append(StopAsked(StopReason.TERMINATE))

    def _steer_later(self) -> None:
        for after, kind, value in self._errand.said:
            control = Control(0, kind, value)
            self._scene.timeline.at(self._scene.timeline.now + after, partial(self._steer, control))

    def _steer(self, control: Control) -> None:
        """Somebody says something, as `batchgen control` does: a process of its own, whose commit is no point of this one's.

        The run looks for it about once a second; here it looks only when there is something.
        """
        if not self._alive:
            return
        scene, now = self._scene, self._scene.timeline.now
        scene.say("a person says", control)
        before, scene.ledger.before_commit = scene.ledger.before_commit, lambda: None
        try:
            with self._store._write() as connection:
                steering.ask(connection, control, now)
        except NoRun:
            return  # its end was written just now
        finally:
            scene.ledger.before_commit = before
        scene.timeline.at(now + scene.rng.uniform(0.0, LISTEN), self._listen)

    def _listen(self) -> None:
        if self._alive:
            for control in self._store.controls(self._run_id, self._heard_control):
                self._heard_control = control.id
                self._hear(ControlAsked(control))

    # ---------------------------------------------------------------- watching

    def _committed(self, records: Sequence[Record]) -> None:
        for record in records:
            self._scene.say("write", record)
            match record:
                case Controlled(control=control):
                    self._obeyed(control)
                case Submitted():
                    self._manners.bought(record)
        self._scene.audit.committed(self._scene.timeline.now)
        self._fuse.point("after a commit")

    def _obeyed(self, control: Control) -> None:
        """What was said holds from this commit on."""
        scene = self._scene
        scene.tally.injected[SAID[control.kind]] += 1
        policy = self._manners.obeyed(control, scene.timeline.now)
        if control.kind is ControlKind.BUDGET:
            scene.budgets[self._root] = int(control.value)
            scene.audit.budget_said(policy)


def decide(scene: Scene, task: str, manifest: str, finding: tuple[Decision, str]) -> None:
    """Do as `app.decide`: write what a person found out about an attempt in doubt."""
    decision, task_id = finding
    scene.say(f"-- a person decides: {manifest} {task}", finding)
    store = scene.ledger.open()
    doubt = app._doubt(store, task, manifest)
    store.commit(None, resolve(doubt, decision, at=max(scene.timeline.now, store.newest()), task_id=task_id))
    scene.audit.committed(scene.timeline.now)
