"""What the API answered, in words that no longer know HTTP.

The adapter classifies (`rivya/wire.py` alone knows status codes and error codes), the engine decides. A verdict says
what is certain about the request, because only that tells whether money may have moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from batchgen.core.model import Credits, Instant


class Verdict(StrEnum):
    """What an answer proves."""

    OK = "ok"  # done, and the answer was understood
    LOST = "lost"  # nothing is proven: no answer, half an answer, 5xx, or a body that says nothing; it may have been done
    UNSENT = "unsent"  # certainly not done: no connection was made
    BUSY = "busy"  # 429: not done, the whole client must slow down
    DISABLED = "disabled"  # public_api_disabled: not done, wait
    KEY = "key"  # the key was refused or lacks a scope; nothing else was looked at
    FUNDS = "funds"  # insufficient_credits
    CONFLICT = "conflict"  # idempotency_conflict: the key is known with another body, or is in use
    TAKEN = "taken"  # accepted, under the id of another attempt's render: whether this one was bought is not known
    MISSING = "missing"  # not_found
    INVALID = "invalid"  # any other refusal of the request itself (validation_failed, unknown 4xx codes)


NOT_DONE = frozenset({Verdict.UNSENT, Verdict.BUSY, Verdict.DISABLED})
"""Say nothing about earlier sends of the same request, but this one did no work; repeat it later."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in the server's words, whole. `status` is the HTTP status, 0 without an answer; `request_id` is the server's `requestId`."""

    code: str
    message: str
    request_id: str = ""
    status: int = 0


class RenderStatus(StrEnum):
    """The server's word for a task's state. UNKNOWN stands for a word that the documentation lacks; it is not final."""

    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Render:
    """A generation as the server describes it. Credits are None where the server did not say."""

    task_id: str
    status: RenderStatus
    reserved: Credits | None = None
    final: Credits | None = None
    urls: tuple[str, ...] = ()
    error: Fault | None = None
    said: str = ""  # the status as the server spelt it


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as the server describes it (`PublicApiFile`); empty strings are what it did not say."""

    url: str
    file_id: str = ""
    duration_token: str = ""


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """One answer. `value` is there exactly when the verdict is OK, `fault` exactly when it is not.

    `retry_after` is in seconds from now, where the server said so.
    """

    verdict: Verdict
    value: T_co | None = None
    fault: Fault | None = None
    retry_after: float | None = None


def taken(task_id: str, bearer: str) -> Answer[Render]:
    """Return what an acceptance becomes that names a render which the attempt `bearer` has already."""
    return Answer(Verdict.TAKEN, fault=Fault("task_id_taken", f"the server accepted it as {task_id}, which is the render of {bearer}"))


@dataclass(frozen=True, slots=True)
class Balance:
    """The account's credits on the server, and when it said so."""

    credits: Credits
    at: Instant = 0.0
