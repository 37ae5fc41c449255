"""What answers do to the attempts in flight, and what attempts do to the money.

Money moves only here: more of a hold if the server reserves more than expected, and one closing, in which captures and
releases together make up the holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from batchgen.core.answers import NOT_DONE, Answer, Fault, Render, RenderStatus, Verdict, taken
from batchgen.core.deliveries import Deliveries
from batchgen.core.desk import Desk
from batchgen.core.flights import Flights
from batchgen.core.live import Live
from batchgen.core.messages import MoneyKind, MoneyMoved
from batchgen.core.model import Credits
from batchgen.core.policy import OnLostAnswer
from batchgen.core.pricing import paid
from batchgen.core.retry import Fate, backoff, judge_create
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent
from batchgen.core.stops import Refusal, StopKind

UNANSWERED = Refusal(StopKind.LATER, "an attempt whose answer was lost must be repeated by the next run")
SLOW = Refusal(StopKind.LATER, "some renders take longer than render_timeout; the next run picks them up")

Refused = Callable[[Live, Verdict, Fault], None]
"""What the submissions do about a refused create: they know the uploads that may be the cause."""


class Landings:
    """Takes the answers about attempts in flight."""

    def __init__(self, desk: Desk, flights: Flights, *, refused: Refused, due_again: Callable[[Live], None]) -> None:
        """`refused` decides about a task whose create was refused, `due_again` takes a task that wants another attempt."""
        self._desk = desk
        self._flights = flights
        self._refused = refused
        self._due_again = due_again
        self.files = Deliveries(desk, flights, partial(self.due_again, failures=0))

    # ---------------------------------------------------------------- creates

    def created(self, key: str, answer: Answer[Render]) -> None:
        """Take the answer to a create."""
        live = self._flights.landed(key)
        bearer = answer.value and self._flights.bearer(answer.value.task_id)
        if answer.value is not None and bearer not in {None, key}:
            answer = taken(answer.value.task_id, str(bearer))
        fate = judge_create(answer.verdict, lost=live.lost, on_lost=self._desk.policy.on_lost_answer)
        if fate is Fate.ACCEPTED and answer.value is not None:
            self._accept(live, answer.value)
        elif fate is Fate.AGAIN:
            self._again(live, answer)
        elif fate is Fate.REFUSED:
            self._refuse(live, answer)
        elif fate is Fate.IN_DOUBT:
            self.doubt(live, _why_doubt(answer), answer.fault)
        else:
            self._flights.leave(live)
            self._desk.leave(UNANSWERED, live.due.task.manifest)
            self._note_trouble(live, answer)

    def _accept(self, live: Live, render: Render) -> None:
        self._flights.accepted(live, render.task_id)
        live.tries, live.trouble_since = 0, None
        live.lane.accepted = True
        self._flights.move(live, AttemptEvent.ACCEPTED, task_id=render.task_id, reserved=render.reserved)
        self._reserve(live, render)
        if live.alike:  # bought in this run: what an earlier one bought was bought at an earlier price
            self._desk.prices.confirm(live.price_key, live.key)
        if render.status in {RenderStatus.SUCCEEDED, RenderStatus.FAILED}:
            self._seen(live, render)
        else:
            self._flights.schedule(live, self._desk.looks.first(live.price_key, self._desk.now))

    def _again(self, live: Live, answer: Answer[Render]) -> None:
        if answer.verdict is Verdict.LOST:
            live.lost += 1
            self._flights.move(live, AttemptEvent.ANSWER_LOST, fault=answer.fault, lost=True)
        else:
            self._note_trouble(live, answer)
        self._retry_later(live, answer)

    def _refuse(self, live: Live, answer: Answer[Render]) -> None:
        fault = answer.fault or Fault("", "the server refused the request")
        self._flights.move(live, AttemptEvent.REFUSED, fault=fault)
        self._close(live, 0)
        self._land(live)
        self._refused(live, answer.verdict, fault)

    def give_up(self, live: Live, why: str) -> None:
        """Fail a task for good."""
        self._flights.move_task(live, TaskEvent.GIVEN_UP, why)
        self._desk.failed += 1
        live.lane.let_go(live.due.row)

    def give_back(self, live: Live, why: str) -> None:
        """Make a task pending again."""
        self._flights.move_task(live, TaskEvent.RETURNED, why)

    def doubt_what_must_not_leave(self) -> None:
        """Give attempts that wait to be repeated to a person, where repeating them is not safe."""
        policy = self._desk.policy
        for live in self._flights.to_repeat():
            if self._desk.now - live.submitted_at > policy.replay_window:
                self.doubt(live, "its outcome is unknown, and the time in which repeating it is safe (replay_window) has passed", None)
            elif live.lost and not live.ordered and policy.on_lost_answer is OnLostAnswer.HOLD:
                self.doubt(live, "the run ended before an answer to its purchase came, and on_lost_answer says to ask a person", None)

    def doubt(self, live: Live, why: str, fault: Fault | None) -> None:
        """Give an attempt to a person: its outcome is unknown, its credits stay held, and nothing is sent for it any more."""
        self._flights.move(live, AttemptEvent.DOUBTED, fault=fault)
        self._flights.move_task(live, TaskEvent.BLOCKED, f"in doubt: {why}")
        self._desk.in_doubt += 1
        self._desk.blocked += 1
        self._desk.prices.found(live.price_key, live.key)
        live.lane.in_flight -= 1
        live.lane.let_go(live.due.row)
        self._flights.remove(live)

    # ---------------------------------------------------------------- polls

    def looked(self, key: str, answer: Answer[Render]) -> None:
        """Take the answer to a status question."""
        live = self._flights.landed(key)
        if live.state is AttemptState.FAILED:
            self._refunded(live, answer.value)
        elif answer.verdict is Verdict.OK and answer.value is not None:
            live.tries, live.trouble_since, live.missing_since = 0, None, None
            if live.in_flight:
                self._reserve(live, answer.value)
                self._seen(live, answer.value)
            else:
                self.files.refreshed(live, answer.value)
        elif answer.verdict is Verdict.MISSING:
            self._missing(live, answer)
        elif answer.verdict is Verdict.KEY:
            self._flights.leave(live)
        else:
            self._note_trouble(live, answer)
            self._retry_later(live, answer)

    def _seen(self, live: Live, render: Render) -> None:
        if render.status is RenderStatus.SUCCEEDED and (render.urls or self._waited_long(live)):
            self._succeed(live, render)
        elif render.status is RenderStatus.FAILED:
            self._fail(live, render)
        else:
            self._not_yet(live, render)

    def _waited_long(self, live: Live) -> bool:
        """True once a render that succeeded without naming its results has had time to name them."""
        live.nameless_since = live.nameless_since or self._desk.now
        return self._desk.now - live.nameless_since >= self._desk.policy.missing_patience

    def _not_yet(self, live: Live, render: Render) -> None:
        if render.status is RenderStatus.UNKNOWN and live.strange != render.said:
            live.strange = render.said
            self._desk.note("unknown_status", key=live.key, detail=render.said)
        if self._desk.now - live.accepted_at > self._desk.policy.render_timeout:
            self._flights.leave(live)
            self._desk.leave(SLOW, live.due.task.manifest)
            return
        live.looked_at = live.sent_at
        self._flights.schedule(live, self._desk.looks.next(live.price_key, live.accepted_at, self._desk.now))

    def _succeed(self, live: Live, render: Render) -> None:
        cost = paid(render.final, live.reserved, live.hold)
        self._desk.looks.saw(live.price_key, max(0.0, live.looked_at - live.accepted_at), self._desk.now - live.accepted_at)
        live.final, live.urls, live.ended_at = cost, render.urls, self._desk.now
        self._flights.move(live, AttemptEvent.SUCCEEDED, final=render.final, urls=render.urls)
        if cost > (live.reserved or 0):
            self._desk.prices.saw(live.price_key, cost)
        self._close(live, cost)
        self._flights.move_task(live, TaskEvent.RENDERED, "")
        live.lane.in_flight -= 1
        live.lane.succeeded()
        self.files.fetch(live)

    def _fail(self, live: Live, render: Render) -> None:
        fault = render.error or Fault("generation_failed", "the server says only that the render failed")
        # What it does not say, it may have kept: no more than it reserved.
        taken = live.hold if live.reserved is None else live.reserved
        kept = taken if render.final is None else render.final
        self._flights.move(live, AttemptEvent.FAILED, final=render.final, fault=fault)
        self._close(live, kept)
        self._land(live)
        failures = live.due.failures + 1
        if live.superseded or not live.wanted:
            self.give_back(live, "its render failed; the manifest has changed since")
            self.due_again(live, failures=0)
        elif failures <= live.lane.manifest.retries:
            self.give_back(live, f"its render failed ({fault.code}: {fault.message}); tried again")
            self.due_again(live, failures=failures)
        else:
            self.give_up(live, f"{fault.code}: {fault.message}")
            self._break(live, refused=False)

    def _refunded(self, live: Live, render: Render | None) -> None:
        """Take back what the server kept of a failed render at first. Asked once in a run; without an answer the next run asks again."""
        if render is not None and render.status is RenderStatus.FAILED and render.final is not None and live.final:
            back = live.final - render.final
            if back > 0:
                self._desk.write(MoneyMoved(live.key, MoneyKind.REFUND, back, self._desk.now))
                self._desk.note("refunded", key=live.key, detail=str(back))
                self._desk.budgets.release(live.lane.manifest.name, back, live.day, this_run=live.this_run)
                self._desk.purse.closed()
        self._flights.remove(live)

    def due_again(self, live: Live, *, failures: int) -> None:
        """Hand a task back for another attempt, if the manifest still wants it."""
        self.number(live, failures=failures)
        if live.wanted:
            self._due_again(live)
        else:
            live.lane.let_go(live.due.row)

    def number(self, live: Live, *, failures: int | None = None) -> None:
        """Count an attempt that ended, so that the next one has a number, and so an id, of its own."""
        due = live.due
        live.due = replace(
            due,
            attempts=max(due.attempts, live.number),
            failures=due.failures if failures is None else failures,
            alike=max(due.alike, live.alike),  # what was launched in this run has its task's own fingerprint
        )

    def _break(self, live: Live, *, refused: bool) -> None:
        why = live.lane.failed(refused=refused)
        if why:
            self.stop_lane(live, why)

    def failed_invalid(self, live: Live) -> None:
        """Count a task that failed because its create was refused."""
        self._break(live, refused=True)

    def stop_lane(self, live: Live, why: str) -> None:
        """Submit nothing more of this manifest."""
        for row in live.lane.stop(why, broken=True):
            live.lane.let_go(row)

    def _missing(self, live: Live, answer: Answer[Render]) -> None:
        live.missing_since = live.missing_since or self._desk.now
        self._note_trouble(live, answer)
        if self._desk.now - live.missing_since < self._desk.policy.missing_patience:
            self._flights.schedule(live, self._desk.now + self._desk.policy.poll.slowest)
        elif live.in_flight:
            why = f"the server accepted it as {live.task_id}, but does not know it any more (another account's key?)"
            self.doubt(live, why, answer.fault)
        else:
            self.files.forgotten(live)

    # ---------------------------------------------------------------- shared

    def _land(self, live: Live) -> None:
        """Take an attempt out of flight that ended without a render."""
        live.lane.in_flight -= 1
        self._flights.remove(live)

    def _reserve(self, live: Live, render: Render) -> None:
        """Learn the price, once the server says it; hold more if it reserved more than was held."""
        if not render.reserved:  # 0 is what a server says that reserves later
            return
        live.reserved = render.reserved
        self._desk.prices.saw(live.price_key, render.reserved)
        self._desk.prices.found(live.price_key, live.key)
        self._hold_more(live, render.reserved - live.hold)

    def _hold_more(self, live: Live, more: Credits) -> None:
        if more <= 0:
            return
        self._flights.hold_more(live, more)
        self._desk.write(MoneyMoved(live.key, MoneyKind.HOLD, more, self._desk.now))
        self._desk.budgets.hold(live.lane.manifest.name, more, live.day, this_run=live.this_run)
        self._desk.purse.hold(more)

    def _close(self, live: Live, cost: Credits) -> None:
        """Capture what an attempt cost and release the rest of its hold."""
        self._hold_more(live, cost - live.hold)
        rest = live.hold - cost
        if cost or not rest:
            self._desk.write(MoneyMoved(live.key, MoneyKind.CAPTURE, cost, self._desk.now))
        if rest:
            self._desk.write(MoneyMoved(live.key, MoneyKind.RELEASE, rest, self._desk.now))
        self._desk.captured += cost
        self._desk.budgets.release(live.lane.manifest.name, rest, live.day, this_run=live.this_run)
        self._desk.purse.closed()
        self._desk.prices.found(live.price_key, live.key)

    def _retry_later(self, live: Live, answer: Answer[Render]) -> None:
        live.tries += 1
        live.trouble_since = live.trouble_since or self._desk.now
        if self._desk.now - live.trouble_since > self._desk.policy.outage_patience:
            self._flights.leave(live)
            self._desk.undelivered = self._desk.undelivered or "the service gave no usable answer about some attempts"
            return
        self._flights.schedule(live, self._desk.now + backoff(live.tries, self._desk.dice, after=answer.retry_after))

    def _note_trouble(self, live: Live, answer: Answer[Render]) -> None:
        if live.tries == 0 or answer.verdict not in NOT_DONE:
            self._desk.note(f"answer_{answer.verdict}", key=live.key, fault=answer.fault)


def _why_doubt(answer: Answer[Render]) -> str:
    match answer.verdict:
        case Verdict.LOST:
            return "the answer to its purchase was lost, and on_lost_answer says to ask a person"
        case Verdict.CONFLICT:
            return "the server knows its key with another request (idempotency_conflict)"
        case Verdict.TAKEN:
            return (answer.fault or Fault("", "")).message
        case _:
            return "an earlier answer was lost, and now the server refuses the same request: it may have been bought"
