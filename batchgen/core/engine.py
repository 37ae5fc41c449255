"""The engine: it is told what happened and answers with what to do.

    step(now, events) -> Step(records, requests, wake_at, ended)

In the manner of h11 and of etcd/raft's "ready" loop: the shell commits the records in one transaction, and only when
that is durable starts the requests. So "intent before send" is not a habit but the only way that the program can work,
and a crash is a cut between two lines.

The parts: `submissions` decides what is bought next, `flights` keeps what is in flight, `landings` takes the answers;
they share a `desk`. This module takes turns between them, keeps the rate, and knows when the run is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from batchgen.core.answers import Answer, Balance, Fault, Render, StoredFile, Verdict
from batchgen.core.budget import Budgets, Purse
from batchgen.core.desk import Desk
from batchgen.core.facts import Opening
from batchgen.core.flights import Flights
from batchgen.core.landings import Landings
from batchgen.core.lanes import Lane
from batchgen.core.live import Live
from batchgen.core.looks import RENDER_TIMES, Looks
from batchgen.core.messages import (
    Answered,
    ApiRequest,
    AskBalance,
    AskStatus,
    CheckUpload,
    ControlAsked,
    Controlled,
    Download,
    Downloaded,
    DueArrived,
    Ended,
    Event,
    FetchDue,
    Glimpse,
    SendCreate,
    SendUpload,
    Step,
    StopReason,
)
from batchgen.core.model import Instant, canonical_json
from batchgen.core.pacing import Pace
from batchgen.core.policy import Given, Policy
from batchgen.core.pricing import Prices
from batchgen.core.retry import LONGEST_WAIT, backoff
from batchgen.core.retryafter import to_the_minute
from batchgen.core.states import AttemptState
from batchgen.core.steering import DRAINED, PAUSED, Control, ControlKind
from batchgen.core.stops import Refusal, Stop, StopKind
from batchgen.core.submissions import Submissions
from batchgen.core.verdict import verdict
from batchgen.errors import ExitCode

IN_THE_AIR = 24
"""API requests at once. Beyond 16-32 an HTTP/1.1 connection pool only queues, and an answer's tail grows long."""

TURNS = 5
"""Of so many requests one is a look, while there is also something to buy."""

REMEMBER = 60.0
"""Seconds between two writings of the render times that were learned."""

SILENT = frozenset({Verdict.LOST, Verdict.UNSENT, Verdict.DISABLED, Verdict.BUSY})
"""Verdicts that do not show a service at work."""

ALL_TAKEN = Refusal(StopKind.LATER, "all places in flight are taken by attempts that only the next run can finish")

STOPS = {
    StopReason.INTERRUPT: Ended(ExitCode.INTERRUPTED, "interrupted by SIGINT"),
    StopReason.TERMINATE: Ended(ExitCode.TERMINATED, "terminated by SIGTERM"),
}


class Engine:
    """One run's decisions. Not thread-safe; call `step` from one place."""

    def __init__(self, opening: Opening, policy: Policy, given: Given) -> None:
        """Start from what the ledger says."""
        self._desk = Desk(
            policy=policy,
            calendar=given.calendar,
            dice=given.dice,
            pace=Pace(policy.requests_per_minute, opening.not_before, opening.last_request_by),
            prices=Prices(given.quoter, opening.prices),
            budgets=Budgets(opening.manifests, policy, opening.spending),
            purse=Purse(policy.account.keep_balance),
            looks=Looks(policy.poll, opening.render_times),
            failed=opening.failed,
            blocked=opening.blocked,
            in_doubt=opening.in_doubt,
        )
        self._already_failed = opening.failed + opening.blocked
        self._flights = Flights(self._desk)
        lanes = [
            Lane(m, opening.only, opening.cuts.get(m.name), rendered_before=opening.rendered.get(m.name, 0)) for m in opening.manifests
        ]
        for lane in lanes:
            if lane.manifest.name in opening.finish_only:
                lane.stop("not asked for in this run")
        self._submissions = Submissions(self._desk, self._flights, lanes, given.compose)
        self._submissions.bought = opening.bought
        self._landings = Landings(self._desk, self._flights, refused=self._refused, due_again=self._submissions.due_again)
        self._opening: Opening | None = opening
        self._turn = 0
        self._remember_at: Instant = 0.0
        self._silent_since: Instant | None = None
        self._asking_balance = False
        self._balance_tries = 0
        self._balance_at: Instant = 0.0  # not asked before
        self._second_chance = True  # after insufficient_credits, once

    def sent(self, at: Instant) -> None:
        """Take note that a request of the last step left: the rate counts from there, not from before the commit."""
        self._desk.pace.sent(at)

    def left(self, sent: Instant, at: Instant) -> None:
        """Take note that the bytes of the request that was sent at `sent` left at `at`."""
        self._desk.pace.left(sent, at)

    def step(self, now: Instant, events: Iterable[Event]) -> Step:
        """Take what happened by `now`, and say what to do about it."""
        desk = self._desk
        desk.now = max(now, desk.now)
        desk.records = []
        desk.budgets.roll(desk.calendar(desk.now))
        self._resume()
        for event in events:
            self._take(event)
        requests: list[ApiRequest | Download | FetchDue] = []
        if not desk.halted:
            self._flights.wake()
            self._landings.doubt_what_must_not_leave()
            self._judge()
            self._submissions.prepare()
            requests = self._start()
        ended = self._ended()
        self._remember(ended)
        return Step(tuple(desk.records), tuple(requests), None if ended else self._wake_at(), ended)

    def _remember(self, ended: Ended | None) -> None:
        """Write down what was learned of render times: in a transaction that is due anyway, at most once a minute and at the end."""
        desk = self._desk
        if desk.looks.fresh and desk.records and (ended or desk.now >= self._remember_at):
            desk.looks.fresh, self._remember_at = False, desk.now + REMEMBER
            desk.note(RENDER_TIMES, detail=canonical_json(desk.looks.known()))

    def _resume(self) -> None:
        """Take over what earlier runs left, at the first step: only then is the time known."""
        if self._opening is not None:
            for fact in self._opening.live:
                lane = self._submissions.lanes[fact.due.task.manifest]
                self._landings.files.taken_over(self._flights.resume(fact, lane))
            self._opening = None

    # ---------------------------------------------------------------- events

    def _take(self, event: Event) -> None:
        match event:
            case Answered():
                self._answered(event)
            case Downloaded():
                self._landings.files.downloaded(event)
            case DueArrived():
                self._submissions.due_arrived(event)
            case ControlAsked(control=control):
                self._obey(control)
            case _:  # StopAsked
                self._desk.halt(STOPS[event.reason])

    def _obey(self, control: Control) -> None:
        """Do what a person says from another shell."""
        desk = self._desk
        desk.write(Controlled(control, desk.now))
        match control.kind:
            case ControlKind.DRAIN:
                desk.halt(Ended(ExitCode.STOPPED_EARLY, DRAINED, (Stop(StopKind.DRAIN),)))
            case ControlKind.BUDGET:
                desk.budgets.limit_run(int(control.value))
            case ControlKind.RATE:
                desk.pace.retune(control.value, desk.now)
            case _:  # PAUSE, GO
                desk.paused = control.kind is ControlKind.PAUSE

    def _answered(self, event: Answered) -> None:
        self._weather(event)
        match event.request:
            case SendCreate(key=key):
                self._landings.created(key, cast("Answer[Render]", event.answer))
            case AskStatus(key=key):
                self._landings.looked(key, cast("Answer[Render]", event.answer))
            case SendUpload() as request:
                self._submissions.uploaded(request, cast("Answer[StoredFile]", event.answer))
            case CheckUpload() as request:
                self._submissions.trials.checked(request, cast("Answer[StoredFile]", event.answer))
            case _:  # AskBalance
                self._balance(cast("Answer[Balance]", event.answer))

    def _weather(self, event: Answered) -> None:
        """Learn from any answer how the service is: too busy, away, or refusing the key."""
        desk, answer = self._desk, event.answer
        fault = answer.fault or Fault("", "")
        if answer.verdict in {Verdict.BUSY, Verdict.DISABLED} or (answer.retry_after or 0.0) > LONGEST_WAIT:
            until = desk.pace.slow_down(desk.now, desk.dice, after=answer.retry_after, sent_at=event.sent_at)
            desk.note("slow_down", fault=answer.fault, detail=repr(until))
        if answer.verdict in SILENT:
            self._silent_since = self._silent_since if self._silent_since is not None else desk.now
            if desk.now - self._silent_since > desk.policy.outage_patience:
                desk.halt(Ended(ExitCode.UNAVAILABLE, f"the service is not available: {fault.code}: {fault.message}"))
            return
        self._silent_since = None
        desk.pace.good()
        if answer.verdict is Verdict.KEY:
            desk.halt(Ended(ExitCode.KEY_REFUSED, f"the API key was refused: {fault.code}: {fault.message}"))
        elif answer.verdict is Verdict.FUNDS:
            desk.dry = True

    def _refused(self, live: Live, verdict: Verdict, fault: Fault) -> None:
        """Decide about a task whose create was refused for certain."""
        said = f"{fault.code}: {fault.message}"
        trials = self._submissions.trials
        if verdict in {Verdict.KEY, Verdict.FUNDS} or trials.outdated(live):
            self._landings.give_back(live, said)
            self._landings.due_again(live, failures=live.due.failures)
            return
        suspects = trials.suspects(live)
        if suspects:
            self._landings.give_back(live, f"{said}; checking its references")
            self._landings.number(live)
            trials.accuse(live, fault, suspects)
            return
        self._landings.give_up(live, said)
        self._landings.failed_invalid(live)

    def _judge(self) -> None:
        for accused in self._submissions.judged():
            self._landings.give_up(accused.live, f"{accused.fault.code}: {accused.fault.message}")
            self._landings.failed_invalid(accused.live)

    def _balance(self, answer: Answer[Balance]) -> None:
        self._asking_balance = False
        if answer.verdict is not Verdict.OK or answer.value is None:
            self._no_balance(answer)
            return
        self._balance_tries = 0
        self._desk.purse.answered(answer.value.credits)
        self._desk.note("balance", detail=str(answer.value.credits))
        if self._desk.dry:
            self._desk.dry = not self._submissions.affordable(answer.value.credits)
            self._second_chance = False

    def _no_balance(self, answer: Answer[Balance]) -> None:
        """Ask again later if the service did not answer; if it refuses, asking again is no use."""
        self._balance_tries += 1
        self._balance_at = self._desk.now + backoff(self._balance_tries, self._desk.dice, after=answer.retry_after)
        self._desk.note(f"balance_{answer.verdict}", fault=answer.fault)
        if answer.verdict in SILENT:
            self._desk.purse.closed()
        else:
            self._second_chance = False

    # ---------------------------------------------------------------- requests

    def _start(self) -> list[ApiRequest | Download | FetchDue]:
        requests: list[ApiRequest | Download | FetchDue] = list(self._submissions.fetches())
        while self._desk.pace.ready(self._desk.now) and self._airborne < IN_THE_AIR:
            request = self._next()
            if request is None:
                break
            self._desk.pace.take(self._desk.now)
            requests.append(request)
        while (download := self._flights.next_download()) is not None:
            requests.append(download)
        return requests

    @property
    def _airborne(self) -> int:
        return self._flights.airborne + self._submissions.uploads.airborne + self._asking_balance

    def _next(self) -> ApiRequest | None:
        """Return the next request of the account's rate.

        Buying and looking take turns, so neither starves the other; but while there is something to buy, only looks
        that are hardly wasted have a turn, and buying has four of five: the night ends with the last render, so that must
        begin early.
        """
        if self._wants_balance() and self._desk.now >= self._balance_at:
            self._asking_balance = True
            self._desk.purse.asked(self._flights.open_holds)
            return AskBalance()
        self._turn = (self._turn + 1) % TURNS
        request = None if self._turn else self._flights.next_poll(sure=True)
        return request or self._next_purchase() or self._flights.next_poll(sure=False)

    def _next_purchase(self) -> ApiRequest | None:
        live = self._flights.pop_send()
        if live is not None:
            return self._flights.repeat(live)
        return self._submissions.next_create() or self._submissions.next_upload()

    def _wants_balance(self) -> bool:
        if self._asking_balance:
            return False
        if self._desk.dry:
            return self._second_chance and not self._flights.at_work and not self._drained
        return self._desk.purse.stale and any(lane.ready for lane in self._submissions.lanes.values())

    # ---------------------------------------------------------------- the end

    @property
    def _drained(self) -> bool:
        return all(lane.drained for lane in self._submissions.lanes.values())

    @property
    def _held_up(self) -> bool:
        """True while only a person's `go` is missing."""
        return self._desk.paused and not (self._drained or self._submissions.closed)

    def _ended(self) -> Ended | None:
        desk = self._desk
        if self._airborne or self._flights.transferring:
            return None
        if desk.halted:
            return desk.halted
        reading = any(lane.reading for lane in self._submissions.lanes.values())
        if not reading and desk.pace.closed_until - desk.now > LONGEST_WAIT and (self._flights.at_work or not self._drained):
            return Ended(ExitCode.UNAVAILABLE, f"the service asks that nothing be sent before {to_the_minute(desk.pace.closed_until)}")
        if reading or self._flights.at_work or self._submissions.busy or self._wants_balance() or self._held_up:
            return None
        if not (self._drained or self._submissions.closed or desk.pace.ready(desk.now)):
            return None  # what was given back in this step may let another pass once the rate allows it
        self._stop_the_rest()
        return verdict(self._desk, self._submissions.lanes.values())

    def _stop_the_rest(self) -> None:
        """End the way of each manifest that nothing can open again: this is asked only when nothing is at work that could."""
        for lane in self._submissions.lanes.values():
            if not lane.drained:
                why = self._submissions.closed or lane.held_back or ALL_TAKEN
                lane.stop(str(why))
                self._desk.leave(why, lane.manifest.name)

    def _wake_at(self) -> Instant | None:
        desk = self._desk
        if desk.halted:
            return None
        waits: Sequence[Instant | None] = (
            self._flights.next_wake,
            self._submissions.next_wake(),
            self._balance_at if self._wants_balance() and self._balance_at > desk.now else None,
            desk.pace.next_at if not desk.pace.ready(desk.now) else None,
            desk.policy.until if desk.paused and not self._submissions.closed else None,
        )
        return min((at for at in waits if at is not None), default=None)

    # ---------------------------------------------------------------- for watchers

    def glimpse(self) -> Glimpse:
        """Return how the run stands, for whoever watches."""
        desk = self._desk
        return Glimpse(
            uploading=self._submissions.uploads.airborne,
            submitting=self._flights.count(AttemptState.SUBMITTING),
            rendering=self._flights.count(AttemptState.ACCEPTED),
            downloading=self._flights.count(AttemptState.SUCCEEDED),
            saved=desk.saved,
            failed=desk.failed + desk.blocked - self._already_failed,
            held=self._flights.open_holds + self._flights.doubted_holds,
            captured=desk.captured,
            waiting_for=self._waits_for(),
            per_minute=desk.pace.per_minute,
            places=self._submissions.places,
            budgets=desk.budgets.left,
            lagging=bool(self._submissions.backlog),
            stopping=desk.halted is not None,
        )

    def _waits_for(self) -> str:
        if self._desk.halted:
            return self._desk.halted.reason
        closed, backlog = self._submissions.closed, self._submissions.backlog
        if closed:
            return str(closed)
        reasons = (str(lane.held_back) for lane in self._submissions.lanes.values() if lane.held_back)
        return PAUSED if self._desk.paused else backlog or next(reasons, "")
