"""Tasks as JUnit XML, so that a dashboard that knows tests shows failed renders as what they are.

Every reader of the format takes `testsuite` with `tests`, `failures`, `errors` and `skipped` at its head, so the cases of a manifest
are kept in a temporary file until they are counted: the memory stays flat.
"""

from __future__ import annotations

import html
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import TextIO

from batchgen.core.facts import TaskFacts
from batchgen.core.states import TaskState
from batchgen.report.text import clean, clean_cell

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold at all, not even escaped."""

_OUTCOMES = {TaskState.DONE: "", TaskState.FAILED: "failure", TaskState.BLOCKED: "error"}
"""What is unfinished is skipped: it may yet be rendered, and the next run says so."""


def write_junit(tasks: Iterable[TaskFacts], stream: TextIO) -> int:
    """Write a suite per manifest and a case per task that is still wanted; tasks come by manifest. Returns the number of cases."""
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="batchgen">\n')
    wanted = (task for task in tasks if task.wanted)
    count = sum(_suite(manifest, cases, stream) for manifest, cases in groupby(wanted, lambda task: task.manifest))
    stream.write("</testsuites>\n")
    return count


def _suite(manifest: str, tasks: Iterable[TaskFacts], stream: TextIO) -> int:
    """Write one manifest. Returns the number of its cases."""
    outcomes: Counter[str] = Counter()
    seconds = 0.0
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as cases:
        for task in tasks:
            outcomes[_OUTCOMES.get(task.state, "skipped")] += 1
            seconds += _seconds(task)
            cases.write(_case(task))
        counts = f'tests="{outcomes.total()}" failures="{outcomes["failure"]}" errors="{outcomes["error"]}" skipped="{outcomes["skipped"]}"'
        stream.write(f'<testsuite name="{_attribute(manifest)}" {counts} time="{seconds:.3f}">\n')
        cases.seek(0)
        shutil.copyfileobj(cases, stream)
        stream.write("</testsuite>\n")
    return outcomes.total()


def _case(task: TaskFacts) -> str:
    """Return one task."""
    head = f'<testcase classname="{_attribute(task.manifest)}" name="{_attribute(task.id)}" time="{_seconds(task):.3f}"'
    outcome = _OUTCOMES.get(task.state, "skipped")
    if not outcome:
        return f"{head}/>\n"
    if outcome == "skipped":
        return f'{head}><skipped message="{_attribute(task.state)}"/></testcase>\n'
    fault = task.latest.fault if task.latest else None
    code = fault.code if fault else task.state.value
    message = fault.message if fault else task.note
    said = f'type="{_attribute(code)}" message="{_attribute(message[:500])}"'
    return f"{head}><{outcome} {said}>{_text(_words(task))}</{outcome}></testcase>\n"


def _words(task: TaskFacts) -> str:
    """Return all that a person needs who sees the failure in a dashboard."""
    latest, fault = task.latest, task.latest.fault if task.latest else None
    said = f"{fault.code}: {fault.message}" if fault else ""
    lines = [words for words in dict.fromkeys((task.note, said)) if words]  # a note often is the server's words
    lines += [f"requestId: {fault.request_id or '-'}, HTTP {fault.status or '-'}"] if fault else []
    lines += [f"task id: {latest.task_id or '-'}, client_request_id: {latest.key}"] if latest else []
    return "\n".join([*lines, f"model: {task.model}", f"attempts: {task.attempts}", f"prompt: {task.prompt[:2000]}"])


def _seconds(task: TaskFacts) -> float:
    """Return how long the latest attempt took, in seconds; 0 where that is not over."""
    latest = task.latest
    return max(latest.ended_at - latest.submitted_at, 0.0) if latest and latest.ended_at is not None else 0.0


def _attribute(text: str) -> str:
    """Return text for an attribute: one line, as an XML reader would join them anyway."""
    return html.escape(_NO_XML.sub("", clean(text)))


def _text(text: str) -> str:
    """Return text for an element; what XML cannot hold is spelt out, or dropped."""
    return html.escape(_NO_XML.sub("", clean_cell(text)), quote=False)
