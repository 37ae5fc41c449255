"""One row per task: for CSV, JSON lines and the documents that list tasks."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from batchgen.core.facts import AttemptFacts, TaskFacts
from batchgen.core.model import canonical_json
from batchgen.report.text import clean_cell, iso, to_json

COLUMNS = (
    "manifest",
    "task",
    "state",
    "model",
    "prompt",
    "params",
    "references",
    "credits",
    "held",
    "attempts",
    "task_id",
    "client_request_id",
    "submitted_at",
    "accepted_at",
    "ended_at",
    "files",
    "error_code",
    "error_message",
    "request_id",
    "note",
    "output",
    "line",
    "wanted",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet runs a cell that begins with one of these (the last four are = + - @ as wide as a Chinese character, which some
take for the same), and a prompt may come from anybody."""


def task_row(task: TaskFacts) -> dict[str, object]:
    """Return a task with its latest attempt, exact, its keys in the order of COLUMNS. Times are ISO 8601 in UTC."""
    row: dict[str, object] = {
        "manifest": task.manifest,
        "task": task.id,
        "state": task.state.value,
        "model": task.model,
        "prompt": task.prompt,
        "params": dict(task.params),
        "references": list(task.references),
        "credits": task.captured,
        "held": task.held,
        "attempts": task.attempts,
        **_attempt_part(task.latest),
        "note": task.note,
        "output": task.output,
        "line": task.line,
        "wanted": task.wanted,
    }
    return {column: row[column] for column in COLUMNS}


def _attempt_part(attempt: AttemptFacts | None) -> dict[str, object]:
    """Return the columns that are the latest attempt's."""
    fault = attempt.fault if attempt else None
    return {
        "task_id": attempt.task_id if attempt else "",
        "client_request_id": attempt.key if attempt else "",
        "submitted_at": iso(attempt.submitted_at) if attempt else None,
        "accepted_at": iso(attempt.accepted_at) if attempt else None,
        "ended_at": iso(attempt.ended_at) if attempt else None,
        "files": [output.path for output in attempt.outputs] if attempt else [],
        "error_code": fault.code if fault else "",
        "error_message": fault.message if fault else "",
        "request_id": fault.request_id if fault else "",
    }


def write_jsonl(tasks: Iterable[TaskFacts], stream: TextIO) -> int:
    """Write one JSON object per line. Returns the number of rows."""
    count = 0
    for count, task in enumerate(tasks, 1):  # noqa: B007  the last number is the answer
        stream.write(to_json(task_row(task)) + "\n")
    return count


def write_csv(tasks: Iterable[TaskFacts], stream: TextIO) -> int:
    """Write a head line and one row per task, as RFC 4180 has it but with line feeds. Returns the number of rows.

    Lists and mappings are JSON in their cell. A cell that a spreadsheet would run is led by an apostrophe.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for count, task in enumerate(tasks, 1):  # noqa: B007  the last number is the answer
        writer.writerow([_cell(value) for value in task_row(task).values()])
    return count


def _cell(value: object) -> str:
    """Return a value as a harmless cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        neutral = "'" + value if value.startswith(_FORMULA) else value
        return clean_cell(neutral)
    return clean_cell(str(value) if isinstance(value, int) else canonical_json(value))
