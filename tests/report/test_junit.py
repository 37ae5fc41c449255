"""JUnit XML: failed renders as failures in a dashboard."""

from __future__ import annotations

import io
from dataclasses import replace
from xml.dom import minidom

from batchgen.core.answers import Fault
from batchgen.core.facts import TaskFacts
from batchgen.core.states import TaskState
from batchgen.report.junit import write_junit


def written(*tasks: TaskFacts) -> minidom.Document:
    """Return the document, read by an XML parser."""
    stream = io.StringIO()
    write_junit(tasks, stream)
    return minidom.parseString(stream.getvalue().encode())  # noqa: S318  our own text


def test_failures_are_failures(task: TaskFacts, done: TaskFacts, fresh: TaskFacts) -> None:
    """Failed is a failure, blocked an error, unfinished skipped, done passed; the suite counts them."""
    document = written(task, done, fresh, replace(task, id="stuck", state=TaskState.BLOCKED))
    (suite,) = document.getElementsByTagName("testsuite")
    assert [suite.getAttribute(name) for name in ("name", "tests", "failures", "errors", "skipped")] == ["spring", "4", "1", "1", "1"]
    (failure,) = document.getElementsByTagName("failure")
    assert (failure.getAttribute("type"), failure.getAttribute("message")) == ("generation_failed", "the model gave up")
    assert "requestId: req-7, HTTP 200" in failure.firstChild.data  # type: ignore[union-attr]
    assert failure.parentNode.getAttribute("name") == "hero"  # type: ignore[union-attr]
    assert failure.parentNode.getAttribute("time") == "60.000"  # type: ignore[union-attr]


def test_a_suite_per_manifest(task: TaskFacts, done: TaskFacts) -> None:
    """Each manifest is a suite, and what left its manifest turns no dashboard red."""
    document = written(done, replace(task, wanted=False), replace(task, manifest="winter"))
    assert [(one.getAttribute("name"), one.getAttribute("tests")) for one in document.getElementsByTagName("testsuite")] == [
        ("spring", "1"),
        ("winter", "1"),
    ]


def test_hostile_text_stays_well_formed(task: TaskFacts, hostile: str) -> None:
    """Controls, half characters, quotes and tags in any field leave XML that every parser takes."""
    bad = hostile + "\x01\ufffe\uffff\"'<>&]]>\n"
    assert task.latest
    latest = replace(task.latest, fault=Fault(bad, bad, bad, 500), key=bad, task_id=bad)
    document = written(replace(task, id=bad, manifest=bad, prompt=bad, note=bad, latest=latest))
    assert document.getElementsByTagName("failure")[0].getAttribute("message").endswith("\"'<>&]]>\\n")


def test_no_tasks_are_no_suites() -> None:
    """An empty ledger is an empty document."""
    assert written().documentElement.getAttribute("name") == "batchgen"  # type: ignore[union-attr]
