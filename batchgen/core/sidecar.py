"""The document that is written beside each result: what was asked, what it cost, who made it.

It is made from the attempt's exact body, so it tells what was bought also when the manifest has changed since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from batchgen.core.model import Instant

VERSION = 1


def utc(instant: Instant) -> str:
    """Spell an instant as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sidecar(body: bytes, *, manifest: str, task: str, facts: Mapping[str, object], times: Mapping[str, Instant]) -> str:
    """Return the document as JSON text; the facts of the file itself are added when it is saved."""
    asked = json.loads(body)
    params = dict(asked.get("params") or {})
    items = params.pop("referenceMediaItems", [])
    references = [{name: value for name, value in item.items() if name != "durationToken"} for item in items]
    document = {
        "batchgen": VERSION,
        "manifest": manifest,
        "task": task,
        "model": asked.get("model"),
        "prompt": asked.get("prompt"),
        "params": params,
        "references": references,
        "client_request_id": asked.get("client_request_id"),
        **facts,
        **{name: utc(at) for name, at in times.items()},
    }
    return json.dumps(document, ensure_ascii=False, indent=2)
