"""One task's whole history: attempts, requests, errors with the server's requestId, credits, files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from batchgen.core.answers import Fault
from batchgen.core.facts import AttemptFacts, EventFacts, TaskHistory
from batchgen.core.model import canonical_json
from batchgen.report.columns import cut
from batchgen.report.doubt import doubt_lines
from batchgen.report.rows import task_row
from batchgen.report.text import When, clean, counted, iso, number, shown, size

_LONG = 2000


def show_text(histories: Sequence[TaskHistory], when: When, *, flags: str = "") -> str:
    """Return the histories for people, one after the other. `flags` go into the commands that it advises."""
    told = ([*_task_lines(history), *_attempts(history, when, flags), *_events(history, when)] for history in histories)
    return "\n\n".join("\n".join(lines) for lines in told)


def _task_lines(history: TaskHistory) -> list[str]:
    """Say what the task is, and where."""
    task = history.task
    left = "" if task.wanted else ", has left its manifest"
    lines = [
        f"{clean(task.manifest)}/{clean(task.id)}: {task.state}{left}" + (f", {clean(task.note)}" if task.note else ""),
        f"  model       {clean(task.model)}",
        f"  prompt      {cut(task.prompt, _LONG)}",
        f"  params      {clean(canonical_json(dict(task.params)))}",
    ]
    lines += [f"  reference   {clean(name)}" for name in task.references]
    lines.append(f"  output      {clean(task.output)}")
    lines.append(f"  credits     {number(task.captured)} spent, {number(task.held)} held, {counted(task.attempts, 'attempt')}")
    return lines


def _attempts(history: TaskHistory, when: When, flags: str) -> list[str]:
    """Tell every attempt."""
    lines: list[str] = []
    for attempt in history.attempts:
        lines += ["", *_attempt(attempt, when), *(f"  {line}" for line in doubt_lines(history.task, attempt, when, flags=flags))]
    return lines


def _attempt(attempt: AttemptFacts, when: When) -> list[str]:
    """Tell one attempt."""
    lines = [
        f"attempt {attempt.number}: {attempt.state} (run {attempt.run})",
        f"  request id  {clean(attempt.key)}",
        f"  task id     {clean(attempt.task_id) or '-'}",
        f"  submitted   {shown(attempt.submitted_at, when)}",
        f"  accepted    {shown(attempt.accepted_at, when)}",
        f"  ended       {shown(attempt.ended_at, when)}",
        f"  credits     {number(attempt.captured)} spent, {number(attempt.released)} released, {number(attempt.held)} held",
    ]
    if attempt.lost:
        lines.append(f"  answers     {number(attempt.lost)} lost; the same request was repeated with the same key")
    if attempt.fault:
        lines.append(f"  error       {_fault(attempt.fault)}")
    lines += [f"  file        {clean(output.path)} ({size(output.size)}, sha256 {output.sha256[:12]})" for output in attempt.outputs]
    lines.append(f"  sent        {cut(attempt.body.decode('utf-8', 'backslashreplace'), _LONG)}")
    return lines


def _fault(fault: Fault) -> str:
    """Return an error in the server's words."""
    parts = [f"{clean(fault.code)}: {cut(fault.message, _LONG)}"]
    parts += [f"HTTP {fault.status}"] if fault.status else []
    parts += [f"requestId {clean(fault.request_id)}"] if fault.request_id else []
    return ", ".join(parts)


def _events(history: TaskHistory, when: When) -> list[str]:
    """Tell the log."""
    if not history.events:
        return []
    return ["", "log"] + [f"  {shown(event.at, when)}  {_event(event)}" for event in history.events]


def _event(event: EventFacts) -> str:
    """Return one line of the log."""
    move = f", {event.before} to {event.after}" if event.before and event.after and event.before != event.after else ""
    attempt = f"attempt {event.attempt}: " if event.attempt is not None else ""
    words = [f"{attempt}{clean(event.event)}{move}"]
    words += [cut(event.detail, _LONG)] if event.detail else []
    words += [_fault(event.fault)] if event.fault else []
    return "; ".join(words)


def show_document(histories: Sequence[TaskHistory]) -> dict[str, object]:
    """Return the document of `show --json` (schemas/show.schema.json)."""
    return {"document": "batchgen.show/1", "tasks": [_history(history) for history in histories]}


def _history(history: TaskHistory) -> dict[str, object]:
    """Return one task with everything."""
    return {
        "task": task_row(history.task),
        "attempts": [_attempt_document(attempt) for attempt in history.attempts],
        "events": [_event_document(event) for event in history.events],
    }


def _attempt_document(attempt: AttemptFacts) -> dict[str, object]:
    """Return one attempt."""
    return {
        "number": attempt.number,
        "client_request_id": attempt.key,
        "state": attempt.state.value,
        "fingerprint": attempt.fingerprint,
        "run": attempt.run,
        "submitted_at": iso(attempt.submitted_at),
        "accepted_at": iso(attempt.accepted_at),
        "ended_at": iso(attempt.ended_at),
        "task_id": attempt.task_id,
        "credits": {
            "held": attempt.held,
            "captured": attempt.captured,
            "released": attempt.released,
            "reserved": attempt.reserved,
            "final": attempt.final,
        },
        "lost_answers": attempt.lost,
        "error": _fault_document(attempt.fault),
        "files": [
            {"index": out.index, "path": out.path, "sha256": out.sha256, "size": out.size, "mime": out.mime} for out in attempt.outputs
        ],
        "body": _body(attempt.body),
    }


def _body(body: bytes) -> object:
    """Return the request as it was sent: the document, or its text if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")


def _fault_document(fault: Fault | None) -> dict[str, object] | None:
    """Return an error, None if there is none."""
    if fault is None:
        return None
    return {"code": fault.code, "message": fault.message, "request_id": fault.request_id, "http_status": fault.status}


def _event_document(event: EventFacts) -> dict[str, object]:
    """Return one line of the log."""
    return {
        "at": iso(event.at),
        "run": event.run,
        "event": event.event,
        "before": event.before,
        "after": event.after,
        "attempt": event.attempt,
        "detail": event.detail,
        "error": _fault_document(event.fault),
    }
