"""The quick way from a row to its task against the careful one."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.catalogue import Catalogue
from batchgen.core.model import Task
from batchgen.errors import ManifestError
from batchgen.manifest import check

from .conftest import HEAD, PNG, Folder

ENTRY = """
    prompt: "${b} 100% ${a}"
    params: {duration: "${c}", sound: false}
    output: "${manifest}/x-${b}/${task}-${take}"
"""
IDS = st.sampled_from(["a", "b", "A", "n\u00e4he", "na\u0308he", "con", "x:y", "x.", "", "-", "a b", "long" * 31, "%s", "a\u0338"])
PROMPTS = st.sampled_from(["x", "16:9", "", " ", "\U0001f3ac", "y" * 2_501, "con", "a/b", "..", "%d", "${a}", '"q"\\', "e\u0301"])
DURATIONS = st.sampled_from(["5", "10", "7", "true", "5.0", ""])
ROWS = st.lists(st.tuples(IDS, PROMPTS, DURATIONS), min_size=1, max_size=3)


def outcome(folder: Path, text: str) -> list[Task] | set[tuple[str, str]]:
    """Check a manifest; return its tasks, or what is said about which task."""
    path = folder / "m.yaml"
    path.write_text(HEAD + "tasks:\n" + text, encoding="utf-8")
    try:
        (loaded,) = check([path], Catalogue.shipped()).manifests
    except ManifestError as error:
        return {(problem.task, problem.wrong.split(" is used twice")[0]) for problem in error.problems}
    return [replace(task, line=0) for task in loaded.tasks()]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(ROWS)
def test_both_ways_give_the_same(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Rows of a CSV file, lines of JSON and tasks written out one by one give the same tasks, or the same problems."""
    held = io.StringIO()
    csv.writer(held).writerows([("a", "b", "c"), *rows])
    (tmp_path / "rows.csv").write_text(held.getvalue(), encoding="utf-8")
    lines = [json.dumps(dict(zip("abc", row, strict=True))) for row in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    by_cells = outcome(tmp_path, '  - id: "${a}"' + ENTRY.replace("-${take}", "-1") + "    foreach: rows.csv\n")
    by_name = outcome(tmp_path, '  - id: "${a}"' + ENTRY + "    foreach: rows.jsonl\n    takes: 1\n")
    one_by_one = outcome(tmp_path, "".join(written(*row) for row in rows))
    assert by_cells == by_name
    if isinstance(one_by_one, list):
        assert by_cells == one_by_one
    else:
        assert isinstance(by_cells, set)


def written(ident: str, prompt: str, duration: str) -> str:
    """Return a task with its values written into it; what no row is needed for goes the careful way."""
    values = [json.dumps(text.replace("${", "$${"), ensure_ascii=False) for text in (ident, f"{prompt} 100% {ident}", duration)]
    output = json.dumps(f"${{manifest}}/x-{prompt.replace('${', '$${')}/${{task}}-1", ensure_ascii=False)
    return f"  - {{id: {values[0]}, prompt: {values[1]}, params: {{duration: {values[2]}, sound: false}}, output: {output}}}\n"


def test_a_reference_of_a_row(folder: Folder) -> None:
    """References are looked at once for each combination of values, and problems with them are found at each row."""
    for name in ("cup", "mug"):
        folder.write(f"{name}.png", PNG)
    folder.write("rows.csv", "sku,file\na,cup\nb,mug\nc,cup\nd,jug\n")
    folder.of_tasks("  - {id: '${sku}', prompt: x, references: ['${file}.png'], foreach: rows.csv}\n")
    assert "rows.csv:5: d: there is no file" in folder.said()
    folder.write("jug.png", PNG + b"\x01")
    tasks = folder.tasks()
    assert [task.spec.references[0].name for task in tasks] == ["cup.png", "mug.png", "cup.png", "jug.png"]
    assert len({task.spec.fingerprint for task in tasks}) == 2


def test_the_text_of_a_task_is_that_of_its_spec(folder: Folder) -> None:
    """The pieces that rows are made of are the spec's text and give its fingerprint."""
    folder.write("a.png", PNG)
    folder.write("rows.csv", 'sku,words\na,"say ""hi"" \U0001f3ac"\nb,100%\n')
    folder.of_tasks("  - {id: '${sku}', prompt: '${words}', references: [a.png], params: {duration: 10}, foreach: rows.csv}\n")
    (loaded,) = folder.check().manifests
    for task, ready in zip(loaded.tasks(), loaded.rows(), strict=True):
        from_text = "".join(ready[1:4])
        assert json.loads(from_text)["prompt"] == task.spec.prompt
        assert ready[4] == task.spec.fingerprint


def test_a_name_that_comes_twice_far_apart(folder: Folder) -> None:
    """Two equal ids among thousands are found, with both places."""
    folder.write("rows.csv", "sku\n" + "".join(f"s{n}\n" for n in range(2_500)) + "s7\n")
    folder.of_tasks("  - {id: '${sku}', prompt: x, foreach: rows.csv}\n")
    (problem,) = folder.problems()
    assert (problem.file, problem.line, problem.task) == ("rows.csv", 2_502, "s7")
    assert problem.wrong == 'the id "s7" is used twice, first at rows.csv:9'
