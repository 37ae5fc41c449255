"""A record of the engine as one event of the log: in words for people, as an object for programs (schemas/log.schema.json).

A record is told once, here, so that the log on the screen, the log file and the live view say the same. The level is what
somebody woken at night needs: `info` is work as it should be, `notice` is what a person ordered meanwhile, `warning` is
trouble that the run deals with, `error` is work that is lost to this run or needs a person.

Deliberately absent: prompts and bodies. They are in the ledger (`batchgen show`), and a log is copied to more places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.core.answers import Fault
from batchgen.core.messages import (
    AttemptMoved,
    Controlled,
    MoneyMoved,
    Noted,
    OutputLost,
    OutputSaved,
    Record,
    Submitted,
    TaskMoved,
    UploadForgotten,
    UploadStored,
)
from batchgen.core.model import Instant
from batchgen.core.states import AttemptState, TaskState
from batchgen.report.text import clean, iso, number

LONGEST = 300
"""Characters of a server's message in a line; the ledger has it whole."""


class Level(StrEnum):
    """How much an event matters."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `repeats` names trouble that comes again and again during an outage; empty is told every time."""

    event: str
    level: Level
    at: Instant
    message: str
    facts: Mapping[str, object] = field(default_factory=dict)
    repeats: str = ""

    def document(self) -> dict[str, object]:
        """Return one line of the log as an object."""
        return {"at": iso(self.at), "level": self.level.value, "event": self.event, "message": self.message, **self.facts}


ATTEMPT_FAILED = "its attempt failed"
_BECAME: Mapping[str, str] = {
    AttemptState.ACCEPTED: "is accepted",
    AttemptState.SUCCEEDED: "is rendered",
    AttemptState.REFUSED: "was refused",
    AttemptState.IN_DOUBT: "is in doubt",
    AttemptState.SUBMITTING: "is submitted again",
}
_TASK_BECAME: Mapping[str, str] = {TaskState.FAILED: "failed for good", TaskState.BLOCKED: "is blocked"}


def event_of(record: Record) -> Event:
    """Return what the log says about a record."""
    match record:
        case Submitted():
            return _submitted(record)
        case AttemptMoved():
            return _attempt(record)
        case TaskMoved():
            return _task(record)
        case Noted():
            return _noted(record)
        case _:
            return _kept(record)


def _kept(record: MoneyMoved | OutputSaved | OutputLost | UploadStored | UploadForgotten | Controlled) -> Event:
    """Tell of credits, files, and what a person ordered."""
    match record:
        case MoneyMoved():
            facts: dict[str, object] = {"client_request_id": record.key, "kind": record.kind.value, "credits": record.credits}
            return Event("money", Level.INFO, record.at, f"{number(record.credits)} credits: {record.kind}", facts)
        case OutputSaved(output=output):
            facts = {"client_request_id": record.key, "file": output.path, "size": output.size, "sha256": output.sha256}
            return Event("saved", Level.INFO, record.at, f"saved {clean(output.path)}", facts)
        case UploadStored(upload=upload):
            words = f"a reference is on the server (sha256 {upload.sha256[:12]})"
            return Event("uploaded", Level.INFO, record.at, words, {"sha256": upload.sha256, "file_id": upload.file_id})
        case Controlled(control=control):
            facts = {"control": control.kind.value, "value": control.value}
            return Event("control", Level.NOTICE, record.at, f"the run obeys `batchgen control {control}`", facts)
        case OutputLost():
            words = f"{clean(record.path)} is {record.why}; it is downloaded again"
            return Event("lost", Level.WARNING, record.at, words, {"client_request_id": record.key, "file": record.path})
        case UploadForgotten():
            words = f"the server no longer knows a reference (sha256 {record.sha256[:12]}); it is uploaded again"
            return Event("upload_forgotten", Level.WARNING, record.at, words, {"sha256": record.sha256})


def _name(record: Submitted | AttemptMoved | TaskMoved) -> str:
    """Name a record's task for people."""
    name = f"{record.manifest}/{record.task}" if record.manifest else record.task
    return clean(name) or "a task"


def _submitted(record: Submitted) -> Event:
    words = f"{_name(record)}: attempt {record.number} is submitted, {number(record.hold)} credits held"
    facts = {
        "manifest": record.manifest,
        "task": record.task,
        "client_request_id": record.key,
        "attempt": record.number,
        "credits": record.hold,
    }
    return Event("submitted", Level.INFO, record.at, words, facts)


def _attempt(record: AttemptMoved) -> Event:
    became = _BECAME.get(record.after, record.after.value)
    words, level, repeats = f"{_name(record)}: its attempt {became}", Level.INFO, ""
    if record.fault is not None and record.after is AttemptState.FAILED:
        # Most are tried again; a task that is lost by it is told each time, as an event of its own.
        words, repeats = f"{_name(record)}: {ATTEMPT_FAILED}", record.fault.code
    if record.fault is not None and record.after is AttemptState.SUBMITTING:
        words, level, repeats = f"{_name(record)}: an answer was lost, the same request is repeated", Level.WARNING, record.fault.code
    elif record.after is AttemptState.IN_DOUBT:
        level = Level.ERROR
    elif record.fault is not None:
        level = Level.WARNING
    words += f": {said(record.fault)}" if record.fault is not None else ""
    facts = {
        "manifest": record.manifest,
        "task": record.task,
        "client_request_id": record.key,
        "before": record.before.value,
        "after": record.after.value,
        "task_id": record.task_id,
        "error": _fault(record.fault),
    }
    return Event("attempt", level, record.at, words, facts, repeats)


def _task(record: TaskMoved) -> Event:
    lost = record.after in {TaskState.FAILED, TaskState.BLOCKED}
    words = f"{_name(record)} {_TASK_BECAME.get(record.after, f'is {record.after}')}"
    why = clean(record.note[:LONGEST])
    facts = {
        "manifest": record.manifest,
        "task": record.task,
        "before": record.before.value,
        "after": record.after.value,
        "note": record.note,
    }
    level = Level.ERROR if lost else Level.INFO
    return Event("task", level, record.at, f"{words}: {why}" if why else words, facts)


def _noted(record: Noted) -> Event:
    words = clean(record.event).replace("_", " ")
    facts = {"note": record.event, "detail": record.detail, "client_request_id": record.key or None, "error": _fault(record.fault)}
    if record.fault is None:
        detail = f": {clean(record.detail[:LONGEST])}" if record.detail else ""
        return Event("noted", Level.INFO, record.at, words + detail, facts)
    return Event("noted", Level.WARNING, record.at, f"{words}: {said(record.fault)}", facts, record.fault.code)


def said(fault: Fault) -> str:
    """Return an error in the server's words."""
    words = f"{clean(fault.code)}: {clean(fault.message[:LONGEST])}"
    return f"{words} (requestId {clean(fault.request_id)})" if fault.request_id else words


def _fault(fault: Fault | None) -> dict[str, object] | None:
    """Return an error for programs."""
    if fault is None:
        return None
    return {"code": fault.code, "message": fault.message, "request_id": fault.request_id, "http_status": fault.status}
