"""One process, from its start to its end or its death: a synchronous, pure stand-in for `runner.py` and `app.run`.

It must agree with them. With `runner.Runner._loop`: step, commit, start the step's requests, gather what came meanwhile;
a page of due tasks is read between commits; a request's answer is heard as one event. With `app._drive`: begin the run,
adopt, open, drive, end. What it adds is the `fuse`, which may end the process between any two of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

from batchgen import app
from batchgen.core.answers import Verdict
from batchgen.core.engine import STOPS, Engine
from batchgen.core.facts import RunFacts
from batchgen.core.messages import (
    Answered,
    ApiRequest,
    AskStatus,
    ControlAsked,
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
)
from batchgen.core.model import Instant
from batchgen.core.policy import Given
from batchgen.core.resolve import Decision, resolve
from batchgen.errors import ExitCode
from batchgen.manifest import LoadedManifest
from batchgen.rivya.wire import compose
from batchgen.runner import DRAIN, LISTEN, settle
from tests.simulation.audit import Broken
from tests.simulation.orders import Orders
from tests.simulation.scene import Crash, Errand, Fuse, Scene, nobody, words
from tests.simulation.troubles import Trouble
from tests.simulation.world import day_of

SPIN = 200
"""Steps at one instant before we say that the engine runs in circles."""


class Process:
    """One run of the program."""

    engine: ClassVar[type[Engine]] = Engine

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
        self._closed_until = scene.closed_until
        self._key_closed_until: dict[str, Instant] = {}
        self._store = scene.ledger.open()
        self._run_id = 0
        self._engine: Engine
        self._policy = errand.policy
        self.creates = 0
        self._orders = Orders(scene.audit, scene.ledger, scene.rate, scene.tally)
        self._drives_since: Instant = 0.0
        self._newest_control = 0

    def live(self) -> Ended | None:
        """Run to the end. None: it died on the way."""
        scene = self._scene
        scene.ledger.before_commit = lambda: self._fuse.point("inside a commit")
        scene.say("-- start", self._errand.asked)
        try:
            with self._store.lock(command=self._errand.asked.command, at=scene.timeline.now):
                ended = self._begin()
            scene.say("-- ended", ended)
        except Crash as crash:
            scene.tally.crashes += 1
            scene.say(f"-- CRASH at point {self._fuse.points}", crash)
            return None
        finally:
            self._alive = False
            scene.ledger.before_commit = nobody
            scene.listen = nobody
            self._orders.over(self._run_id)
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
            if not last.adopted:
                return Ended(ExitCode.WRONG_INPUT, "the last run died before its tasks were in the ledger")
            begun = store.begin_run(asked, resumes=last.id, at=now)
            self._fuse.point("run begun")
            finish_only = frozenset(names) - frozenset(asked.manifests)
            self._policy = replace(self._policy, run_budget=asked.budget, max_tasks=asked.max_tasks, until=until)
        else:
            begun = store.begin_run(errand.asked, resumes=None, at=now)
            self._fuse.point("run begun")
            for edition in errand.editions:
                actions = app.actions(cast("LoadedManifest", edition), store, errand.asked)
                store.adopt(edition.header, actions, run=begun.id, at=now)
                self._committed(())
            store.adopted(begun.id)
            names, finish_only = [edition.header.name for edition in errand.editions], frozenset()
        return self._drive(begun, names, finish_only)

    def _drive(self, begun: RunFacts, names: Sequence[str], finish_only: frozenset[str]) -> Ended:
        scene, store = self._scene, self._store
        self._run_id = begun.id
        opening = store.open_run(names, run=begun.id, today=day_of(scene.timeline.now), only=begun.asked.only)
        opening = replace(opening, finish_only=finish_only)
        kept = scene.audit.run_begins(begun.root, self._policy, opening.manifests)
        scene.tally.injected[Trouble.BUDGET_KEPT] += kept
        given = Given(scene.quoter, compose, day_of, scene.rng.random)
        engine = self._engine = self.engine(opening, self._policy, given)
        if not app._has_work(store, opening):
            ended = settle(engine, store, scene.timeline.now)
        else:
            self._listens()
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
            self._note_closings(events)
            controls = [event.control for event in events if isinstance(event, ControlAsked)]
            for control in controls:
                self._orders.heard(control, now)
            step = engine.step(now, events)
            self._carry_out(step)
            for control in controls:
                self._orders.check_taken(control)
            if step.ended is not None:
                return step.ended
            if not self._gather(step, events := []):
                return None

    def _carry_out(self, step: Step) -> None:
        """First the commit, then the requests."""
        self._commit(step)
        self._send_off(step)

    def _commit(self, step: Step) -> None:
        if step.records:
            self._store.commit(self._run_id, step.records)
            self._scene.closed_until = self._closed_until
            self._committed(step.records)

    def _send_off(self, step: Step) -> None:
        for request in step.requests:
            self._orders.leaves(request)
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
        self._check_manners(request)
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

    def _listens(self) -> None:
        """From here on signals and people are heard."""
        scene, after = self._scene, self._errand.signal_after
        self._drives_since = scene.timeline.now
        scene.rate.set(scene.timeline.now, self._policy.requests_per_minute)
        scene.listen = self._look_soon
        if after is not None:
            scene.timeline.at(scene.timeline.now + after, self._signal)

    def _look_soon(self) -> None:
        """Something was said; the runner looks every LISTEN seconds, of which only the next look finds anything."""
        self._fuse.point("after a person said something")
        looks = (self._scene.timeline.now - self._drives_since) // LISTEN + 1
        self._scene.timeline.at(self._drives_since + looks * LISTEN, self._look)

    def _look(self) -> None:
        for control in self._store.controls(self._run_id, self._newest_control) if self._alive else ():
            self._newest_control = control.id
            self._hear(ControlAsked(control))

    def _signal(self) -> None:
        if self._alive:
            self._scene.say("SIGTERM")
            self._deadline = self._scene.timeline.now + DRAIN
            self._mailbox.append(StopAsked(StopReason.TERMINATE))

    # ---------------------------------------------------------------- watching

    def _committed(self, records: Sequence[Record]) -> None:
        for record in records:
            self._scene.say("write", record)
        self._scene.audit.committed(self._scene.timeline.now)
        self._fuse.point("after a commit")

    def _note_closings(self, events: Sequence[Event]) -> None:
        """Remember until when nothing may leave, as the server said."""
        now = self._scene.timeline.now
        for event in events:
            if not isinstance(event, Answered) or event.answer.retry_after is None:
                continue
            until = now + event.answer.retry_after
            if event.answer.verdict in {Verdict.BUSY, Verdict.DISABLED}:
                self._closed_until = max(self._closed_until, until)
            elif isinstance(event.request, SendCreate | AskStatus):
                self._key_closed_until[event.request.key] = until

    def _check_manners(self, request: ApiRequest) -> None:
        now = self._scene.timeline.now
        early = self._closed_until - now
        if isinstance(request, SendCreate | AskStatus):
            early = max(early, self._key_closed_until.get(request.key, 0.0) - now)
        if early > 1e-6:
            raise Broken(f"{words(request)} leaves {early:g} s before the Retry-After that the server gave")
        too_many = self._scene.rate.leaves(now)
        if too_many:
            raise Broken(too_many)


def decide(scene: Scene, task: str, manifest: str, finding: tuple[Decision, str]) -> None:
    """Do as `app.decide`: write what a person found out about an attempt in doubt."""
    decision, task_id = finding
    scene.say(f"-- a person decides: {manifest} {task}", finding)
    store = scene.ledger.open()
    doubt = app._doubt(store, task, manifest)
    store.commit(None, resolve(doubt, decision, at=max(scene.timeline.now, store.newest()), task_id=task_id))
    scene.audit.committed(scene.timeline.now)
