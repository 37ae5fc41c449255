"""Tasks as lines of JSON for the page's data block.

A line is a list, not an object, and a long value that equals the one of the line before is written as 0: a campaign repeats its
prompts, params and references from take to take. 10,000 tasks of the example campaign (manifests/marketing.yaml) are 3.3 MB, not 5.0.
The page's `data.js` reads exactly this; the order of the columns is COLUMNS.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from batchgen.core.facts import AttemptFacts, TaskFacts
from batchgen.core.model import Instant, Output
from batchgen.core.states import TaskState
from batchgen.report.page.links import file_link
from batchgen.report.text import When, clean, to_json

COLUMNS = (
    *("manifest", "id", "state", "wanted", "model", "prompt", "params", "references", "credits", "held", "attempts"),
    *("run", "submitted", "accepted", "ended", "taskId", "key", "lost", "files", "fault", "note", "line", "command"),
)
REPEATED = ("manifest", "model", "prompt", "params", "references")

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""In JSON these stand inside strings only, so the escapes change nothing, and no prompt can close the block it stands in."""

Poster = Callable[[Output], str]
"""A still picture of an output as a `data:` link; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Dealer:
    """What turns tasks into lines. `paths` are the manifests' files by name, `flags` what commands need to look at this ledger."""

    when: When
    flags: str
    paths: Mapping[str, str]
    poster: Poster | None = None

    def lines(self, tasks: Iterable[TaskFacts]) -> Iterator[str]:
        """Yield one line of JSON per task, the comma included where one follows."""
        before: dict[str, object] = {}
        for task in tasks:
            row = self._row(task)
            said = [0 if name in REPEATED and before.get(name) == value else value for name, value in row.items()]
            yield (",\n" if before else "") + script_json(said)
            before = row

    def _row(self, task: TaskFacts) -> dict[str, object]:
        row: dict[str, object] = {
            "manifest": task.manifest,
            "id": task.id,
            "state": task.state.value,
            "wanted": int(task.wanted),
            "model": task.model,
            "prompt": task.prompt,
            "params": dict(task.params),
            "references": list(task.references),
            "credits": task.captured,
            "held": task.held,
            "attempts": task.attempts,
            **self._latest(task.latest),
            "note": task.note,
            "line": task.line,
            "command": command_for(task, self.paths.get(task.manifest, ""), self.flags),
        }
        return {name: row[name] for name in COLUMNS}

    def _latest(self, attempt: AttemptFacts | None) -> dict[str, object]:
        if attempt is None:
            empty: dict[str, object] = {"run": 0, "submitted": None, "accepted": None, "ended": None}
            return {**empty, "taskId": "", "key": "", "lost": 0, "files": [], "fault": None}
        fault = attempt.fault
        return {
            "run": attempt.run,
            "submitted": clock(attempt.submitted_at, self.when),
            "accepted": _after(attempt.submitted_at, attempt.accepted_at),
            "ended": _after(attempt.submitted_at, attempt.ended_at),
            "taskId": attempt.task_id,
            "key": attempt.key,
            "lost": attempt.lost,
            "files": [self._file(output) for output in attempt.outputs],
            "fault": [fault.code, fault.message, fault.request_id, fault.status] if fault else None,
        }

    def _file(self, output: Output) -> list[object]:
        link = file_link(output.path)
        file: list[object] = [output.path, 0 if link == output.path else link, output.mime, output.size]
        return [*file, self.poster(output)] if self.poster else file


def clock(instant: Instant, when: When) -> int:
    """Return the reader's clock at an instant, as milliseconds: the page shows the time of the account's zone, wherever it is opened."""
    offset = when(instant).utcoffset()
    return round((instant + (offset.total_seconds() if offset else 0.0)) * 1000)


def _after(begun: Instant, instant: Instant | None) -> int | None:
    """Return milliseconds from one instant to another."""
    return None if instant is None else round((instant - begun) * 1000)


def command_for(task: TaskFacts, path: str, flags: str) -> str:
    """Return the one command to do next about a task in trouble; empty for one that is not."""
    if not task.wanted:
        return ""
    if task.state is TaskState.FAILED:
        return retry_command(path, flags, only=task.id)
    if task.state is TaskState.BLOCKED:
        return clean(f"batchgen show {shlex.quote(task.id)} --manifest {shlex.quote(task.manifest)}{flags}")
    return ""


def retry_command(path: str, flags: str, *, only: str = "") -> str:
    """Return the command that asks again for what failed in a manifest, or for one task of it."""
    chosen = f" --only {shlex.quote(only)}" if only else ""
    return clean(f"batchgen run {shlex.quote(path)}{flags} --retry-failed{chosen}")


def script_json(document: object) -> str:
    """Return JSON that may stand inside a script element."""
    return to_json(document).translate(_ESCAPED)
