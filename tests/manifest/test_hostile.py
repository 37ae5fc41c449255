"""Texts that nobody foresaw: whatever they are, there are tasks or problems, and nothing else."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.catalogue import Catalogue
from batchgen.errors import ManifestError
from batchgen.manifest import LoadedManifest, check

from .conftest import HEAD, Folder

GOOD = (
    HEAD.replace("name", "budget: {total: 5}\nname")
    + """output: ${manifest}/${task}
tasks:
  - id: ${sku}-${s}-${take}
    prompt: ${name} on ${s}
    params: {duration: 10, aspect_ratio: "16:9"}
    references: [{url: https://cdn.example/a.png, name: x}]
    foreach: rows.csv
    matrix: {s: [oak, elm]}
    takes: 2
  - plain words
"""
)
ROWS = 'sku,name\ncup,Cup\nmug,"Mug, blue"\n'
PIECES = [
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "&a ",
    "*a",
    "<<: ",
    "|",
    ">",
    "!x ",
    "#",
    "?",
    "${",
    "$",
    "\t",
    "\x00",
    "\ufeff",
    "~",
    "é",
    ",",
    "%",
    "---\n",
]


def mutated(text: str, cuts: list[tuple[int, int, str]]) -> str:
    """Replace pieces of a text by others."""
    for at, length, piece in cuts:
        start = at % (len(text) + 1)
        text = text[:start] + piece + text[start + length :]
    return text


CUTS = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 4), st.sampled_from(PIECES)), min_size=1, max_size=4)


@given(manifest=CUTS, rows=CUTS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_mutation_crashes(tmp_path: Path, manifest: list[tuple[int, int, str]], rows: list[tuple[int, int, str]]) -> None:
    """Either the tasks can be read, or every problem names its file."""
    folder = Folder(tmp_path)
    folder.write("m.yaml", mutated(GOOD, manifest))
    folder.write("rows.csv", mutated(ROWS, rows[:1] if len(rows) > 2 else []))
    outcome = read(tmp_path / "m.yaml")
    if isinstance(outcome, ManifestError):
        assert outcome.problems
        assert all(p.file.startswith(str(tmp_path)) and p.wrong for p in outcome.problems)
        assert str(outcome).replace("\n", "").isprintable()
    else:
        assert len(list(outcome.tasks())) == outcome.task_count


def read(path: Path) -> LoadedManifest | ManifestError:
    """Check a manifest; any other exception is what these tests look for."""
    try:
        return check([path], Catalogue.shipped()).manifests[0]
    except ManifestError as error:
        return error


@given(content=st.binary(max_size=400))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_crash(tmp_path: Path, content: bytes) -> None:
    """The same for files of any bytes, as manifest and as rows."""
    folder = Folder(tmp_path)
    folder.of_tasks("  - {id: a, prompt: x, foreach: rows.csv}\n  - {id: a, prompt: x, foreach: rows.jsonl}\n")
    for name in ("rows.csv", "rows.jsonl", "bytes.yaml"):
        folder.write(name, content)
    assert folder.problems("m.yaml", "bytes.yaml")
