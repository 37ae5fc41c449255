"""How a run behaves towards others: it leaves alone what asked for rest, keeps to the rate, and does what a person says."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from batchgen.core.answers import Verdict
from batchgen.core.messages import (
    Answered,
    ApiRequest,
    AskStatus,
    Download,
    Downloaded,
    Event,
    SendCreate,
    SendUpload,
    Submitted,
)
from batchgen.core.model import Instant
from batchgen.core.pacing import SLACK
from batchgen.core.policy import Policy
from batchgen.core.steering import Control, ControlKind
from tests.simulation.audit import Broken


class Manners:
    """Looks on at one process. Raises Broken.

    `closed_until` is what the ledger knows of a Retry-After; `sent` when the requests of the last minute left, also those of
    earlier processes, and at which rate.
    """

    def __init__(self, policy: Policy, closed_until: Instant, sent: deque[tuple[Instant, float]]) -> None:
        self.closed_until = closed_until
        self._policy = policy
        self._sent = sent
        self._key_closed_until: dict[str, Instant] = {}
        self._said = ""  # pause or drain, while it holds
        self._tuned_at: Instant | None = None
        self._since_tuned = 0

    def heard(self, events: Sequence[Event], now: Instant) -> None:
        """Remember until when nothing may leave, as the server said."""
        for event in events:
            if not isinstance(event, Answered) or event.answer.retry_after is None:
                continue
            until = now + event.answer.retry_after
            if event.answer.verdict in {Verdict.BUSY, Verdict.DISABLED}:
                self.closed_until = max(self.closed_until, until)
            elif isinstance(event.request, SendCreate | AskStatus):
                self._key_closed_until[event.request.key] = until

    def obeyed(self, control: Control, now: Instant) -> Policy:
        """Take what a person said, from the commit on that says so; return the policy as it is then."""
        match control.kind:
            case ControlKind.BUDGET:
                self._policy = replace(self._policy, run_budget=int(control.value))
            case ControlKind.RATE:
                self._policy = replace(self._policy, requests_per_minute=control.value)
                self._tuned_at, self._since_tuned = now, 0
            case _ if self._said != ControlKind.DRAIN:
                self._said = "" if control.kind is ControlKind.GO else control.kind
            case _:
                pass
        return self._policy

    def bought(self, record: Submitted) -> None:
        """Check a purchase that was written down."""
        if self._said:
            raise Broken(f"{record.key} is bought although a person said {self._said}")

    def leaves(self, request: ApiRequest, now: Instant) -> None:
        """Check a request that is about to leave."""
        early = self.closed_until - now
        if isinstance(request, SendCreate | AskStatus):
            early = max(early, self._key_closed_until.get(request.key, 0.0) - now)
        if early > 1e-6:
            raise Broken(f"{words(request)} leaves {early:g} s before the Retry-After that the server gave")
        if self._said == ControlKind.DRAIN or (self._said and isinstance(request, SendUpload)):
            raise Broken(f"{words(request)} leaves although a person said {self._said}")
        self._check_rate(now)

    def _check_rate(self, now: Instant) -> None:
        sent, rate = self._sent, self._policy.requests_per_minute
        while sent and sent[0][0] <= now - 60.0:
            sent.popleft()
        sent.append((now, rate))
        most = max(allowed for _, allowed in sent)
        if len(sent) > most:
            raise Broken(f"{len(sent)} requests within a minute, {most:g} are allowed")
        self._since_tuned += 1
        if self._tuned_at is not None and self._since_tuned > 2 + (now - self._tuned_at + SLACK) * rate / 60.0:
            raise Broken(f"{self._since_tuned} requests in the {now - self._tuned_at:g} s since a person said {rate:g} a minute")


def words(about: object) -> str:
    """Put a request, an answer or a download into words, for the night's log."""
    match about:
        case SendCreate(key=key):
            return f"create {key[:10]}"
        case AskStatus(key=key, task_id=task_id):
            return f"status {key[:10]} {task_id}"
        case Answered(request=request, answer=answer):
            return f"{words(request)}: {answer.verdict} {answer.fault or answer.value}"
        case Download(key=key, index=index, stem=stem):
            return f"{key[:10]} {index} {stem}"
        case Downloaded(request=request):
            return f"{words(request)}: {about.output or about.trouble}"
        case _:
            return str(about)
