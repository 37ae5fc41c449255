"""What lies between a process and the world: latency, and everything that a network and its gateways can do.

Answers are bytes that the real `rivya.wire` reads, so that the classification is simulated too. A request that left
arrives even if its process dies meanwhile; then nobody hears the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from random import Random

from batchgen.core.answers import Answer, Fault, Verdict
from batchgen.core.messages import Answered, ApiRequest, AskBalance, AskStatus, CheckUpload, SendCreate, SendUpload
from batchgen.core.model import Instant
from batchgen.rivya import wire
from batchgen.rivya.refusals import Reply
from tests.simulation.timeline import Timeline
from tests.simulation.troubles import A_CREATE, AN_UPLOAD, ANY_REQUEST, Trouble, Weather
from tests.simulation.world import World

PATIENCE = 60.0
"""Seconds after which the client gives up on an answer, as its read timeout does."""

Hear = Callable[[Answered], None]
"""How a process hears; a dead one does not."""

PAGE = b"<!doctype html><html><body><h1>It works</h1></body></html>"


@dataclass(slots=True)
class Network:
    """Takes requests to the world and answers back."""

    timeline: Timeline
    world: World
    weather: Weather
    rng: Random
    outage_until: Instant = 0.0
    sent: int = 0

    def send(self, request: ApiRequest, hear: Hear) -> None:
        """Let a request leave now. `hear` is called once, or twice, some time later."""
        self.sent += 1
        _Passage(self, request, hear, self.timeline.now).leave()


@dataclass(slots=True)
class _Passage:
    """One request's way there and back."""

    network: Network
    request: ApiRequest
    hear: Hear
    sent_at: Instant

    def leave(self) -> None:
        """Decide what becomes of the request."""
        rng, weather = self.network.rng, self.network.weather
        up = rng.uniform(0.01, 0.4)
        if self.sent_at < self.network.outage_until and not weather.calm:
            verdict = rng.choice((Verdict.UNSENT, Verdict.LOST))
            self._nothing(verdict, rng.choice((0.1, 10.0)))
            return
        trouble = weather.pick(_kinds(self.request))
        match trouble:
            case Trouble.UNSENT:
                self._nothing(Verdict.UNSENT, rng.uniform(0.0, 10.0))
            case Trouble.REQUEST_LOST:
                self._nothing(Verdict.LOST, rng.choice((0.5, PATIENCE)))
            case Trouble.ARRIVED_LATE:
                self._after(rng.uniform(PATIENCE, 400.0), self._work)
                self._nothing(Verdict.LOST, PATIENCE)
            case Trouble.BUSY | Trouble.BUSY_AFTER | Trouble.ERROR_BEFORE | Trouble.HTML_BEFORE | Trouble.CONFLICT | Trouble.UPLOAD_REFUSED:
                self._answer(_made_up(trouble, rng, self.network.timeline.now + up), up)
            case _:
                self._after(up, lambda: self._arrived(trouble))

    def _after(self, seconds: float, happening: Callable[[], object]) -> None:
        self.network.timeline.at(self.network.timeline.now + seconds, happening)

    def _arrived(self, trouble: Trouble | None) -> None:
        """Let the server work, and the answer travel."""
        reply, rng = self._work(), self.network.rng
        down = rng.uniform(0.01, 0.4)
        match trouble:
            case Trouble.ANSWER_LOST:
                if self.network.world.rules.shared and isinstance(self.request, SendCreate):
                    self.network.world.spend_elsewhere()
                self._nothing(Verdict.LOST, rng.choice((0.1, PATIENCE)))
            case Trouble.ANSWER_LATE:
                self._answer(reply, rng.uniform(10.0, PATIENCE - 1))
            case Trouble.TWICE:
                self._answer(reply, down)
                self._answer(reply, down + rng.uniform(0.0, 5.0))
                if reply.status < 300:
                    # A gateway that repeats does so with what it has in hand; a refusal is not repeated.
                    self._after(rng.uniform(0.0, 5.0), self._work)
            case Trouble.ERROR_AFTER | Trouble.HTML_AFTER | Trouble.GARBAGE:
                self._answer(_spoilt(trouble, rng, reply), down)
            case _:
                self._answer(reply, down)

    def _work(self) -> Reply:
        return self.network.world.receive(self.request)

    def _answer(self, reply: Reply, seconds: float) -> None:
        def arrive() -> None:
            self.hear(Answered(self.request, read(self.request, reply, self.network.timeline.now), self.sent_at))

        self._after(seconds, arrive)

    def _nothing(self, verdict: Verdict, seconds: float) -> None:
        answer: Answer[object] = Answer(verdict, fault=Fault("no_answer", "pretend network"))
        self._after(seconds, lambda: self.hear(Answered(self.request, answer, self.sent_at)))


def read(request: ApiRequest, reply: Reply, now: Instant) -> Answer[object]:
    """Read an answer as the client does."""
    match request:
        case SendCreate():
            return wire.read_render(reply, now)
        case AskStatus(task_id=task_id):
            return wire.read_render(reply, now, asked=task_id)
        case SendUpload() | CheckUpload():
            return wire.read_file(reply, now)
        case AskBalance():
            return wire.read_balance(reply, now)


def _kinds(request: ApiRequest) -> tuple[Trouble, ...]:
    match request:
        case SendCreate():
            return A_CREATE
        case SendUpload():
            return AN_UPLOAD
        case _:
            return ANY_REQUEST


def _error(status: int, code: str) -> Reply:
    return Reply(status, {}, b'{"error": {"code": "%s", "message": "No."}}' % code.encode())


def _made_up(trouble: Trouble, rng: Random, at: Instant) -> Reply:
    """Return what a gateway says without asking the server."""
    match trouble:
        case Trouble.BUSY:
            return _error(429, "rate_limited") if rng.random() < 0.5 else Reply(429, {}, PAGE)
        case Trouble.BUSY_AFTER:
            seconds = rng.choice((1, 7, 30, 90, 600))
            said = str(seconds) if rng.random() < 0.6 else formatdate(int(at) + seconds, usegmt=True)
            return replace(_error(429, "rate_limited"), headers={"retry-after": said})
        case Trouble.HTML_BEFORE:
            return Reply(rng.choice((200, 301, 502)), {}, PAGE)
        case Trouble.CONFLICT:
            return _error(409, "idempotency_conflict")
        case Trouble.UPLOAD_REFUSED:
            return _error(400, "validation_failed")
        case _:
            return Reply(rng.choice((500, 502, 503, 504)), {"retry-after": "20"} if rng.random() < 0.3 else {}, b"")


def _spoilt(trouble: Trouble, rng: Random, reply: Reply) -> Reply:
    """Return what is left of an answer to work that was done."""
    if trouble is Trouble.ERROR_AFTER:
        return Reply(rng.choice((500, 502, 504)), {}, PAGE)
    if trouble is Trouble.HTML_AFTER:
        return Reply(rng.choice((200, 302)), {}, PAGE)
    body = reply.body
    return Reply(reply.status, {}, rng.choice((body[: len(body) // 2], b"", b"[]", b"null", b"\xff\xfe", b'{"ok": true}')))
