"""Values that the ledger keeps whole, as JSON text: they are read back as they were, and nothing asks about their parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import sqlalchemy as sa

from batchgen.core.answers import Fault
from batchgen.core.facts import RunAsked
from batchgen.core.model import Budget, Manifest, StopAfter, canonical_json
from batchgen.core.stops import Stop, StopKind
from batchgen.core.written import Walk


def _text(value: object) -> str:
    """JSON that both databases take: readable, but with escapes where it holds half a surrogate pair."""
    text = canonical_json(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text


def manifest_text(manifest: Manifest) -> str:
    """Write a manifest's header; name and path have columns of their own."""
    header = asdict(manifest)
    del header["name"], header["path"]
    return _text(header)


def manifest_from(name: str, path: str, text: str) -> Manifest:
    """Read a manifest's header."""
    said = json.loads(text)
    budget, stop_after = Budget(**said.pop("budget")), StopAfter(**said.pop("stop_after"))
    return Manifest(name, path, budget=budget, stop_after=stop_after, **said)


def walk_text(walk: Walk) -> str:
    """Write what was read; path and digest have columns of their own."""
    return _text({"models": dict(walk.models), "read": walk.read, "references": walk.references})


def walk_from(path: str, digest: str, text: str) -> Walk:
    """Read what was read."""
    said = json.loads(text)
    return Walk(path, digest, tuple(said["read"]), tuple(said["references"]), said["models"])


def asked_text(asked: RunAsked) -> str:
    """Write how a run was asked for."""
    return _text(asdict(asked))


def asked_from(text: str) -> RunAsked:
    """Read how a run was asked for."""
    said = json.loads(text)
    cuts = tuple((name, position) for name, position in said.get("cuts", ()))
    return RunAsked(**{**said, "manifests": tuple(said["manifests"]), "cuts": cuts})


def stops_text(stops: tuple[Stop, ...]) -> str:
    """Write what a run's work was left by."""
    return _text([asdict(stop) for stop in stops])


def stops_from(text: str) -> tuple[Stop, ...]:
    """Read what a run's work was left by."""
    return tuple(Stop(**{**said, "kind": StopKind(said["kind"])}) for said in json.loads(text))


def urls_text(urls: tuple[str, ...] | None) -> str | None:
    """Write result URLs; None stays None."""
    return None if urls is None else _text(urls)


def urls_from(text: str) -> tuple[str, ...]:
    """Read result URLs."""
    return tuple(json.loads(text))


FAULT_COLUMNS = ("fault_code", "fault_message", "fault_request_id", "fault_status")


def fault_values(fault: Fault | None) -> Mapping[str, str | int | None]:
    """Return the four fault columns; all None without a fault."""
    if fault is None:
        return dict.fromkeys(FAULT_COLUMNS)
    return dict(zip(FAULT_COLUMNS, (fault.code, fault.message, fault.request_id, fault.status), strict=True))


def fault_from(row: sa.RowMapping) -> Fault | None:
    """Read the four fault columns of a row."""
    if row["fault_code"] is None:
        return None
    return Fault(row["fault_code"], row["fault_message"], row["fault_request_id"], row["fault_status"])
