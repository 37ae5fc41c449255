"""The table of `tasks`: one line per task, written as it is read, so that a million of them need no memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchgen.core.facts import TaskFacts
from batchgen.report.columns import cut, table
from batchgen.report.rows import task_row
from batchgen.report.text import clean, number, to_json

HEAD = ("state", "manifest", "task", "tries", "credits", "result")
PAGE = 500
"""Rows whose columns are aligned together; the next page may be wider."""
_RIGHT = frozenset({"tries", "credits"})


def task_lines(tasks: Iterable[TaskFacts]) -> Iterator[str]:
    """Yield the table's lines: the head once, then pages of aligned rows."""
    rows: list[list[str]] = []
    first = True
    for task in tasks:
        rows.append(_cells(task))
        if len(rows) == PAGE:
            yield from table(HEAD, rows, right=_RIGHT)[0 if first else 1 :]
            rows, first = [], False
    if rows or first:
        yield from table(HEAD, rows, right=_RIGHT)[0 if first else 1 :]


def _cells(task: TaskFacts) -> list[str]:
    """Return one task's row."""
    state = task.state.value if task.wanted else f"{task.state} (left the manifest)"
    return [state, cut(task.manifest, 64), cut(task.id, 60), number(task.attempts), number(task.captured), _result(task)]


def _result(task: TaskFacts) -> str:
    """Return the files, or the reason why there are none."""
    latest = task.latest
    if latest and latest.outputs:
        return clean(", ".join(output.path for output in latest.outputs[:3]))
    if task.note:
        return cut(task.note, 80)
    return cut(f"{latest.fault.code}: {latest.fault.message}", 80) if latest and latest.fault else ""


def tasks_document(tasks: Iterable[TaskFacts]) -> Iterator[str]:
    """Yield the lines of the document of `tasks --json` (schemas/tasks.schema.json), one for each task."""
    yield '{"document": "batchgen.tasks/1", "tasks": ['
    before = ""
    for task in tasks:
        if before:
            yield before + ","
        before = to_json(task_row(task))
    if before:
        yield before
    yield "]}"
