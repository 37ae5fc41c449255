"""Rivya Public API v1 as bytes: what is sent, and what is understood of the answers. Pure.

The vendor's pages leave much open (they are cut, and promise that fields and codes may be added), so reading is
tolerant: several spellings of one field, an envelope or none, unknown fields ignored, and what is absent is None or "".
Tolerance ends where money begins: a create without a usable task id proves nothing (LOST), whatever its status.

Deliberately absent: the request's headers (they hold the key; `client` makes them) and anything that waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from batchgen.core.answers import Answer, Balance, Fault, Render, RenderStatus, StoredFile, Verdict
from batchgen.core.model import Credits, Instant, Reference, Spec, Upload, canonical_json
from batchgen.rivya.refusals import SUCCESSES, Reply, clean, error_of, lost, parse_json, refused, request_id_of

T = TypeVar("T")

BODY_LIMIT = 5 * 1024 * 1024
"""Bytes of an API answer that are read. The largest documented one, the list of models, has about 100 kB."""

ID_LIMIT = 512
"""Characters of a task id or file id; the documented ones have under 40. It becomes part of a path."""

URL_LIMIT = 8_192
"""Characters of a URL; signed ones have about 1,500."""

CREDITS_LIMIT = 10**15
"""More credits than this is no amount but a fault, and would not fit a ledger's integer."""

ENVELOPES = ("data", "file", "generation", "task")
"""Names under which an object may be nested; the printed answers nest nothing."""

_WORDS = {str(status): status for status in RenderStatus if status is not RenderStatus.UNKNOWN}


# ---------------------------------------------------------------- what is sent


def compose(spec: Spec, uploads: Mapping[str, Upload], client_request_id: str) -> bytes:
    """Return the exact bytes of POST /generations: canonical JSON in UTF-8; same in, same out.

    An empty prompt is left out (one model builds its own from `params.dialogue`). References become
    `params.referenceMediaItems`, in their order. A lone surrogate, which UTF-8 cannot hold, is written as JSON's own
    escape. Raises LookupError when a local reference has no upload.
    """
    params = dict(spec.params)
    if spec.references:
        params["referenceMediaItems"] = [_item(reference, uploads) for reference in spec.references]
    body: dict[str, object] = {"model": spec.model, "params": params, "client_request_id": client_request_id}
    if spec.prompt:
        body["prompt"] = spec.prompt
    return canonical_json(body).encode("utf-8", "backslashreplace")


def _item(reference: Reference, uploads: Mapping[str, Upload]) -> dict[str, str]:
    upload = None if reference.url else uploads.get(reference.sha256)
    if not reference.url and upload is None:
        message = f"reference {reference.name} ({reference.sha256}) has no upload yet"
        raise LookupError(message)
    item = {
        "url": upload.url if upload else reference.url,
        "kind": str(reference.kind),
        "name": reference.name,
        "mimeType": reference.mime,
        "durationToken": upload.duration_token if upload else "",
    }
    return {key: value for key, value in item.items() if value}


# ---------------------------------------------------------------- what is understood


def read_render(reply: Reply, now: Instant, *, asked: str = "") -> Answer[Render]:
    """Read the answer of POST /generations, or of GET /generations/{asked}.

    A create's answer must name a task id; a status's may leave it out, we know whom we asked.
    """
    fields = _object(reply, _IDS_OF_TASKS)
    if fields is None or not _ok(reply):
        return _no_use(reply, now)
    task_id = _identifier(fields, _IDS_OF_TASKS)
    if not (task_id or (asked and "status" in fields)):
        return lost(reply, "answer_without_id", f"HTTP {reply.status} without a usable task id", now)
    said = clean(fields.get("status"), 100)
    error = fields.get("error")
    render = Render(
        task_id=task_id or asked,
        status=_WORDS.get(said.strip().lower(), RenderStatus.UNKNOWN),
        reserved=_credits(_first(fields, "reserved_credits", "reservedCredits")),
        final=_credits(_first(fields, "final_credits", "finalCredits")),
        urls=_urls(fields),
        error=_fault(reply, error) if error else None,
        said=said,
    )
    return Answer(Verdict.OK, render)


def read_file(reply: Reply, now: Instant) -> Answer[StoredFile]:
    """Read the answer of POST /files or GET /files/{id}. Without a URL it is of no use: LOST."""
    fields = _object(reply, _URLS_OF_FILES)
    if fields is None or not _ok(reply):
        return _no_use(reply, now)
    url = next((url for name in _URLS_OF_FILES if (url := _url(fields.get(name)))), "")
    if not url:
        return lost(reply, "answer_without_url", f"HTTP {reply.status} without the file's url", now)
    token = next((found for name in ("duration_token", "durationToken") if (found := _text(fields.get(name), URL_LIMIT))), "")
    return Answer(Verdict.OK, StoredFile(url, _identifier(fields, ("file_id", "fileId", "id")), token))


def read_balance(reply: Reply, now: Instant) -> Answer[Balance]:
    """Read the answer of GET /credits. A fraction of a credit cannot be spent on a whole one, so it is dropped."""
    fields = _object(reply, _NAMES_OF_BALANCE)
    if fields is None or not _ok(reply):
        return _no_use(reply, now)
    amount = _amount(_first(fields, *_NAMES_OF_BALANCE))
    if amount is None:
        return lost(reply, "answer_without_credits", f"HTTP {reply.status} without a number of credits", now)
    return Answer(Verdict.OK, Balance(math.floor(amount), now))


def read_models(reply: Reply, now: Instant) -> Answer[list[object]]:
    """Read the answer of GET /models: the entries of `data` (or of a bare list), as parsed JSON."""
    parsed = parse_json(reply.body)
    entries = parsed.get("data") if isinstance(parsed, dict) else parsed
    if not _ok(reply):
        return _no_use(reply, now)
    if not isinstance(entries, list):
        return lost(reply, "answer_without_models", f"HTTP {reply.status} without a list of models", now)
    return Answer(Verdict.OK, entries)


_IDS_OF_TASKS = ("id", "task_id", "taskId")
_URLS_OF_FILES = ("url", "file_url", "fileUrl", "public_url", "publicUrl")
_NAMES_OF_BALANCE = ("current_credits", "currentCredits", "credits", "balance")


def _ok(reply: Reply) -> bool:
    return reply.status in SUCCESSES and reply.complete


def _no_use(reply: Reply, now: Instant) -> Answer[T]:
    if reply.status not in SUCCESSES:
        return refused(reply, now)
    if not reply.complete:
        return lost(reply, "answer_too_large", f"HTTP {reply.status} with more than {BODY_LIMIT} bytes", now)
    start = clean(reply.body[:200].decode("utf-8", "replace")).strip()
    return lost(reply, "answer_not_json", f"HTTP {reply.status}, but the body is no JSON object; it begins: {start or '(empty)'}", now)


def _object(reply: Reply, names: tuple[str, ...]) -> Mapping[str, object] | None:
    """The object that has one of the names: the answer itself, or one envelope down."""
    parsed = parse_json(reply.body)
    if not isinstance(parsed, dict):
        return None
    nested = (parsed.get(name) for name in ENVELOPES)
    return next((o for o in (parsed, *nested) if isinstance(o, dict) and any(o.get(n) is not None for n in names)), parsed)


def _first(fields: Mapping[str, object], *names: str) -> object:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _text(value: object, limit: int) -> str:
    """The value if it is plain text: ids, tokens and URLs are used as they are or not at all."""
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= limit and text.isprintable() else ""


def _identifier(fields: Mapping[str, object], names: Iterable[str]) -> str:
    """An id that can be a part of a path. `.` and `..` would ask another endpoint."""
    for name in names:
        value = fields.get(name)
        text = _text(str(value) if type(value) is int else value, ID_LIMIT)
        if is_identifier(text):
            return text
    return ""


def is_identifier(text: str) -> bool:
    """Whether this can be a task's or a file's id."""
    return bool(text) and text == _text(text, ID_LIMIT) and text not in {".", ".."}


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and -CREDITS_LIMIT <= amount <= CREDITS_LIMIT else None


def _credits(value: object) -> Credits | None:
    """A charge in whole credits, rounded up: a budget must never be told less than the server took.

    A millionth is forgiven first, it is a float's noise. A negative charge is no charge that we understand.
    """
    amount = _amount(value)
    return None if amount is None or amount < 0 else math.ceil(round(amount, 6))


def _url(value: object) -> str:
    return _text(value, URL_LIMIT)


def _urls(fields: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for found in _found_urls(fields.get("result")) if (url := _url(found))))


def _found_urls(result: object) -> Iterator[object]:
    """`primary_url` first, then `urls`; also a bare URL, a bare list, and objects with a `url`."""
    if isinstance(result, str):
        yield result
    elif isinstance(result, list):
        for entry in result:
            yield entry.get("url") if isinstance(entry, dict) else entry
    elif isinstance(result, dict):
        yield from (result.get(name) for name in ("primary_url", "primaryUrl", "url"))
        urls = result.get("urls")
        if isinstance(urls, list):
            yield from _found_urls(urls)


def _fault(reply: Reply, error: object) -> Fault:
    """A failed task's own error: an object as documented, or only words."""
    fields = error_of({"error": error}) or {}
    code, message = clean(fields.get("code"), 100), clean(fields.get("message"))
    return Fault(code or "generation_failed", message or "the server gave no reason", request_id_of(reply, fields), reply.status)
