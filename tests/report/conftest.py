"""Facts made by hand, so that reports are tested without a ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from batchgen.core.answers import Fault
from batchgen.core.facts import (
    AttemptFacts,
    EventFacts,
    ManifestFacts,
    MoneyFacts,
    RunAsked,
    RunFacts,
    TaskFacts,
    TaskHistory,
)
from batchgen.core.model import Output
from batchgen.core.states import AttemptState, TaskState
from batchgen.report.text import When
from batchgen.report.views import View

T0 = 1_778_382_007.25  # 2026-05-10 03:00:07.25 UTC
HOSTILE = "\x1b[2J\x9b31m\r\u202eevil\u2066\ud800\x00 \U0001f600"
Closed = Callable[[str, object], None]


@pytest.fixture
def hostile() -> str:
    """Text with an escape sequence, a C1 control, a carriage return, direction marks, a lone surrogate, NUL, and an emoji."""
    return HOSTILE


@pytest.fixture
def when() -> When:
    """Times in UTC."""
    return lambda instant: datetime.fromtimestamp(instant, UTC)


@pytest.fixture
def attempt() -> AttemptFacts:
    """An attempt that failed."""
    return AttemptFacts(
        number=2,
        key="bg-1234",
        state=AttemptState.FAILED,
        fingerprint="f" * 64,
        run=3,
        submitted_at=T0,
        accepted_at=T0 + 1,
        ended_at=T0 + 60,
        task_id="task-9",
        held=0,
        captured=0,
        released=55,
        reserved=55,
        final=0,
        lost=1,
        fault=Fault("generation_failed", "the model gave up", "req-7", 200),
        outputs=(),
        body=b'{"model":"kling-2-6","prompt":"a lamp"}',
    )


@pytest.fixture
def task(attempt: AttemptFacts) -> TaskFacts:
    """A task that failed."""
    return TaskFacts(
        row=1,
        manifest="spring",
        id="hero",
        state=TaskState.FAILED,
        wanted=True,
        line=7,
        model="kling-2-6",
        prompt="a lamp",
        params={"duration": "5", "sound": "false"},
        references=("assets/lamp.png", "https://example.com/a.png"),
        output="spring/hero",
        note="failed 3 times",
        attempts=2,
        captured=0,
        held=0,
        latest=attempt,
    )


@pytest.fixture
def done(task: TaskFacts, attempt: AttemptFacts) -> TaskFacts:
    """A task that is done."""
    output = Output(0, "spring/lamp.mp4", "ab" * 32, 12_345, "video/mp4")
    latest = replace(attempt, state=AttemptState.SUCCEEDED, fault=None, captured=55, released=0, final=55, outputs=(output,), lost=0)
    return replace(task, id="lamp", state=TaskState.DONE, note="", captured=55, attempts=1, latest=latest)


@pytest.fixture
def fresh(task: TaskFacts) -> TaskFacts:
    """A task that never had an attempt."""
    return replace(task, id="new", state=TaskState.PENDING, note="", attempts=0, latest=None)


@pytest.fixture
def history(task: TaskFacts, attempt: AttemptFacts) -> TaskHistory:
    """A task with an attempt and two events."""
    events = (
        EventFacts(T0, 3, "submitted", "pending", "rendering", 2, "", None),
        EventFacts(T0 + 60, None, "failed", "accepted", "failed", 2, "55 credits came back", attempt.fault),
    )
    return TaskHistory(task, (attempt, replace(attempt, number=1, body=b"\xff not json", fault=None, ended_at=None)), events)


@pytest.fixture
def run() -> RunFacts:
    """A run that ended."""
    asked = RunAsked("run", ("spring",), only="h*", budget=100, until=T0 + 3600)
    return RunFacts(3, 3, asked, T0, T0 + 125, 1, "1 task failed", 4711, "night")


@pytest.fixture
def view(run: RunFacts, task: TaskFacts, done: TaskFacts) -> View:
    """A ledger with one manifest: 2 done, 1 failed, 1 in flight."""
    by_state: Mapping[TaskState, int] = {TaskState.DONE: 2, TaskState.FAILED: 1, TaskState.RENDERING: 1}
    manifest = ManifestFacts("spring", "manifests/spring.yaml", by_state, removed=4, captured=1110, held=55)
    rendering = replace(done, id="flying", state=TaskState.RENDERING)
    return View(run, (manifest,), MoneyFacts(1110, 55, 110, 55, 1000, 55), (rendering,), (task,))


def _close(schema: object) -> object:
    """Return a schema in which an object may hold only what is described."""
    if isinstance(schema, list):
        return [_close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _close(value) for key, value in schema.items()}
    if "properties" in closed and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.fixture
def fits() -> Closed:
    """Check a document against its schema, closed: a key that the schema does not describe fails too."""

    def check(name: str, document: object) -> None:
        schema = json.loads((Path(__file__).parents[2] / f"schemas/{name}.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        closed = _close(schema)
        assert isinstance(closed, dict)
        validator = jsonschema.Draft202012Validator(closed, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        # Once through JSON, so that what is checked is what a reader of stdout gets.
        validator.validate(json.loads(json.dumps(document)))

    return check
