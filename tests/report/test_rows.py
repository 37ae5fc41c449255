"""One row per task: CSV for spreadsheets, JSON lines exact."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from batchgen.core.answers import Fault
from batchgen.core.facts import TaskFacts
from batchgen.report.rows import COLUMNS, task_row, write_csv, write_jsonl
from batchgen.report.tasks import PAGE, task_lines, tasks_document


def rows_of(tasks: list[TaskFacts]) -> list[dict[str, str]]:
    """Write tasks as CSV and read them again."""
    stream = io.StringIO()
    write_csv(tasks, stream)
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_columns(task: TaskFacts, done: TaskFacts, fresh: TaskFacts) -> None:
    """A row tells what was asked, what came of it, what it cost and why it failed."""
    failed, finished, new = rows_of([task, done, fresh])
    assert tuple(failed) == COLUMNS
    assert failed["state"] == "failed"
    assert failed["params"] == '{"duration":"5","sound":"false"}'
    assert json.loads(failed["references"]) == ["assets/lamp.png", "https://example.com/a.png"]
    assert (failed["error_code"], failed["error_message"], failed["request_id"]) == ("generation_failed", "the model gave up", "req-7")
    assert (failed["submitted_at"], failed["ended_at"]) == ("2026-05-10T03:00:07.250Z", "2026-05-10T03:01:07.250Z")
    assert (finished["files"], finished["credits"], finished["wanted"]) == ('["spring/lamp.mp4"]', "55", "true")
    assert (new["client_request_id"], new["submitted_at"], new["attempts"]) == ("", "", "0")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_formulas_are_neutral(task: TaskFacts, begin: str) -> None:
    """A cell that a spreadsheet would run is led by an apostrophe, whoever wrote it."""
    formula = begin + 'HYPERLINK("http://evil.example")'
    hostile = replace(task, prompt=formula, note=formula, latest=replace(task.latest, fault=Fault("x", formula))) if task.latest else task
    (row,) = rows_of([hostile])
    for column in ("prompt", "note", "error_message"):
        assert row[column].startswith("'")
        assert "HYPERLINK" in row[column]


def test_csv_with_any_text(task: TaskFacts, hostile: str) -> None:
    """Quotes, line feeds, commas and hostile characters survive as text, and the file is UTF-8."""
    (row,) = rows_of([replace(task, prompt=f'a "quoted", line\nand {hostile}')])
    assert row["prompt"].startswith('a "quoted", line\nand ')
    assert not {"\x1b", "\x9b", "\r", "\x00", "\u202e"} & set(row["prompt"])
    row["prompt"].encode("utf-8")


def test_jsonl_is_exact(task: TaskFacts, done: TaskFacts, hostile: str) -> None:
    """JSON lines give back every value exactly, one object per line."""
    stream = io.StringIO()
    prompt = "=1+1\n" + hostile
    assert write_jsonl([replace(task, prompt=prompt), done], stream) == 2
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["prompt"] == prompt
    assert json.loads(lines[1]) == json.loads(json.dumps(task_row(done)))


def test_empty() -> None:
    """No tasks give a head line, no lines, and an empty table with its head."""
    stream = io.StringIO()
    assert write_csv([], stream) == 0
    assert stream.getvalue() == ",".join(COLUMNS) + "\n"
    assert write_jsonl([], io.StringIO()) == 0
    assert list(task_lines([])) == ["state  manifest  task  tries  credits  result"]


def test_table(task: TaskFacts, done: TaskFacts, fresh: TaskFacts, hostile: str) -> None:
    """The table shows files, or why there are none; text from outside is harmless."""
    left = replace(fresh, id=hostile, wanted=False, latest=replace(task.latest, fault=Fault("code", hostile)) if task.latest else None)
    text = "\n".join(task_lines([task, done, left]))
    assert "failed 3 times" in text
    assert "spring/lamp.mp4" in text
    assert "left the manifest" in text
    assert not {"\x1b", "\x9b", "\r", "\x00", "\u202e"} & set(text)


def test_table_in_pages(done: TaskFacts) -> None:
    """A long table is written page by page with one head."""
    lines = list(task_lines(replace(done, id=f"t{n}") for n in range(PAGE * 2)))
    assert len(lines) == PAGE * 2 + 1
    assert sum(line.startswith("state") for line in lines) == 1


def test_document(task: TaskFacts, done: TaskFacts, fresh: TaskFacts, fits: Callable[[str, object], None]) -> None:
    """`tasks --json` is as its schema says, with many tasks, one or none."""
    for tasks in ([task, done, fresh], [task], []):
        document = json.loads("\n".join(tasks_document(tasks)))
        assert len(document["tasks"]) == len(tasks)
        fits("tasks", document)
