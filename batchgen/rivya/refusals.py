"""What an answer that is no success proves: the error table of Rivya Public API v1, as data.

Source: the vendor's page "Errors and limits" (reviewed 2026-05-10), whose table is cut inside its 14th row, so that
`insufficient_credits` has no documented status and further codes exist. Therefore: a code that we know wins over the
status, because the vendor calls `error.code` the contract; an unknown code is read by its HTTP class.

Deliberately absent: any decision. Whether to wait, repeat or give up is the engine's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from batchgen.core.answers import Answer, Fault, Verdict
from batchgen.core.model import Instant
from batchgen.core.retryafter import retry_after

T = TypeVar("T")

CODES: Mapping[str, Verdict] = MappingProxyType(
    {
        "public_api_disabled": Verdict.DISABLED,
        "api_key_missing": Verdict.KEY,
        "api_key_invalid": Verdict.KEY,
        "api_key_revoked": Verdict.KEY,
        "api_key_expired": Verdict.KEY,
        "api_scope_denied": Verdict.KEY,
        "rate_limited": Verdict.BUSY,
        "validation_failed": Verdict.INVALID,
        "not_found": Verdict.MISSING,
        "insufficient_credits": Verdict.FUNDS,
        "idempotency_conflict": Verdict.CONFLICT,
        "webhook_url_rejected": Verdict.INVALID,
        "chat_model_not_supported": Verdict.INVALID,
        "chat_session_conflict": Verdict.INVALID,  # no conflict over a purchase, whatever its 409 looks like
        "chat_attachment_not_supported": Verdict.INVALID,
    }
)
"""`error.code` -> what it proves."""

STATUSES: Mapping[int, Verdict] = MappingProxyType(
    {
        401: Verdict.KEY,
        402: Verdict.FUNDS,
        403: Verdict.KEY,
        404: Verdict.MISSING,
        407: Verdict.UNSENT,  # a proxy on our side wants a password: the API never saw the request
        408: Verdict.LOST,  # "timed out waiting for the request": some gateways say it after the work was handed on
        409: Verdict.CONFLICT,
        410: Verdict.MISSING,
        425: Verdict.LOST,  # "too early" promises a repeat, not that nothing was done
        429: Verdict.BUSY,
        499: Verdict.LOST,  # a gateway's word for "the client left": the work may go on behind it
    }
)
"""HTTP status -> what it proves, where no known code says more. Other 4xx are INVALID; 3xx, 5xx and the rest LOST."""

SUCCESSES = range(200, 300)
REDIRECTS = range(300, 400)
REFUSALS = range(400, 500)
FAILURES = range(500, 600)

MESSAGE_LIMIT = 2_000
"""Characters of a server's message that are kept; the documented ones have under 100."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, whole. Header names are lower case; `complete` is False when the body was longer than we read."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = True


def clean(value: object, limit: int = MESSAGE_LIMIT) -> str:
    """Return a server's text as one that a ledger can store and a terminal can show; "" for what is no text.

    Control characters, bidirectional overrides and lone surrogates become U+FFFD: the first two can rewrite what a
    person sees, the last cannot be written as UTF-8.
    """
    return _UNPRINTABLE.sub("\ufffd", value)[:limit] if isinstance(value, str) else ""


def parse_json(body: bytes) -> object:
    """Return the body as JSON, or None: also for what is hostile (too deep, numbers of 5,000 digits, not UTF-8)."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed


def request_id_of(reply: Reply, error: Mapping[str, object]) -> str:
    """Return the server's id of the request, from the error, or else from the headers; "" if it gave none."""
    for key in ("requestId", "request_id"):
        if found := clean(error.get(key), 200):
            return found
    return clean(reply.headers.get("x-request-id") or reply.headers.get("request-id"), 200)


def error_of(parsed: object) -> Mapping[str, object] | None:
    """Return the error object of an answer, in the documented shape or a near one; None if there is none."""
    if not isinstance(parsed, dict):
        return None
    error = parsed.get("error")
    if isinstance(error, dict):
        return {"requestId": parsed.get("requestId"), **error}
    if isinstance(error, str):
        return {"code": error, **parsed}
    return parsed if isinstance(parsed.get("code"), str) else None


def verdict_of(status: int, code: str) -> Verdict:
    """Return what a status (not 2xx) and an error code prove together.

    A 3xx is not followed: a redirect proves nothing about a purchase, and a known code does not belong in one.
    """
    if (status in REFUSALS or status in FAILURES) and code in CODES:
        return CODES[code]
    if status in STATUSES:
        return STATUSES[status]
    return Verdict.INVALID if status in REFUSALS else Verdict.LOST


def refused(reply: Reply, now: Instant) -> Answer[T]:
    """Read an answer that is no success. `now` is when it came, for its Retry-After."""
    error = error_of(parse_json(reply.body)) if reply.complete else None
    code = clean(error.get("code"), 100) if error else ""
    fault = Fault(
        code=code or f"http_{reply.status}",
        message=(clean(error.get("message")) if error else "") or _without_words(reply),
        request_id=request_id_of(reply, error or {}),
        status=reply.status,
    )
    return Answer(verdict_of(reply.status, code), fault=fault, retry_after=retry_after(reply.headers, now))


def lost(reply: Reply, code: str, message: str, now: Instant) -> Answer[T]:
    """Return the answer for a success that cannot be used: nothing is proven."""
    error = error_of(parse_json(reply.body)) or {}
    said = " ".join(part for part in (clean(error.get("code"), 100), clean(error.get("message"))) if part)
    fault = Fault(code, f"{message}; it said: {said}" if said else message, request_id_of(reply, error), reply.status)
    return Answer(Verdict.LOST, fault=fault, retry_after=retry_after(reply.headers, now))


def _without_words(reply: Reply) -> str:
    if reply.status in REDIRECTS:
        place = clean(reply.headers.get("location"), 300) or "nowhere"
        return f"HTTP {reply.status}: the API redirects to {place}, which is not followed; check the base URL"
    start = clean(reply.body[:200].decode("utf-8", "replace")).strip()
    words = f"HTTP {reply.status} without the API's error object"
    return f"{words}; the body begins: {start}" if start else words
