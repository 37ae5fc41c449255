"""Rows from CSV and JSON lines files and from the manifest."""

from __future__ import annotations

import pytest

from .conftest import Folder

TASK = "  - {id: '${sku}', prompt: '${text}', foreach: p.csv}\n"
JSONL = TASK.replace("csv", "jsonl")
INLINE = "  - id: ${sku}\n    prompt: ${text}\n    foreach:\n"


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"sku,text\na,b\n", [("a", "b")]),
        (b"\xef\xbb\xbfsku,text\r\na,b\r\nc,d", [("a", "b"), ("c", "d")]),
        (b'sku,text\na,"two\nlines, ""quoted"""\nb,c\n', [("a", 'two\nlines, "quoted"'), ("b", "c")]),
        (b"sku,text\n\na,b\n\n", [("a", "b")]),
        (b" sku , text ,more\na, b ,\n", [("a", " b ")]),
        ("sku,text\na,日本語 🎬\n".encode(), [("a", "日本語 🎬")]),
        (b"sku,text\n007,1.50\n", [("007", "1.50")]),
    ],
)
def test_csv_as_spreadsheets_write_it(folder: Folder, content: bytes, rows: list[tuple[str, str]]) -> None:
    """BOM, CRLF, quotes, line breaks in cells, blank lines; cells are text as it stands."""
    folder.write("p.csv", content)
    assert [(t.id, t.spec.prompt) for t in folder.of_tasks(TASK).tasks()] == rows


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "p.csv:1: is empty"),
        (b"\xef\xbb\xbf", "p.csv:1: is empty"),
        (b"sku,text\n", "p.csv:1: there are no rows below the header"),
        (b"sku,text\na,b\nc\nd,e,f\n", "p.csv:3: this row has 1 cell, the header has 2"),
        (b"sku,text\na,b\nc\nd,e,f\n", "p.csv:4: this row has 3 cells, the header has 2"),
        (b"sku,text,sku\na,b,c\n", 'p.csv:1: two columns are called "sku"'),
        (b"sku,,text\na,b,c\n", "p.csv:1: column 2 has no name"),
        (b"sku;text\na;b\n", "separate columns by commas"),
        (b"sku,txt\na,b\n", "${text} stands for nothing; did you mean txt?"),
        (b"sku,text\na,b\nc,\xff\n", "p.csv:3: this line is not UTF-8 text"),
        (b"sku,text\na,b\nc,\x00\n", "p.csv:3: there is a NUL byte in this line"),
        (b'sku,text\na,b\nc,"open\nd,e\n', "p.csv:3: this is not CSV: unexpected end of data"),
        (b'sku,text\na,"b"c\n', "p.csv:2: this is not CSV"),
        (b"sku,text\ra,b\rc,d\r", "end lines with LF or CRLF"),
        (b"sku,text\na," + b"x" * 1_100_000 + b"\n", "p.csv:2: this line has more than"),
    ],
)
def test_csv_that_cannot_be_used_is_named_by_line(folder: Folder, content: bytes, said: str) -> None:
    """Each kind of broken CSV has a sentence and a place in its own file."""
    folder.write("p.csv", content)
    assert said in folder.of_tasks(TASK).said()


def test_ragged_rows_are_counted_past_line_breaks_in_cells(folder: Folder) -> None:
    """The line is where the row begins in the file, not its number."""
    folder.write("p.csv", 'sku,text\na,"1\n2\n3"\nb\n')
    assert "p.csv:5: this row has 1 cell," in folder.of_tasks(TASK).said()


def test_a_huge_cell_is_read_and_measured(folder: Folder) -> None:
    """200,000 characters are a prompt too long, not a crash; in a column that nobody uses they are nothing."""
    folder.write("p.csv", f"sku,text,notes\na,b,{'x' * 200_000}\nc,{'y' * 200_000},\n")
    (problem,) = folder.of_tasks(TASK).problems()
    assert (problem.line, problem.task) == (3, "c")
    assert "200000 characters long" in problem.wrong


def test_problems_of_good_rows_are_found_beside_broken_ones(folder: Folder) -> None:
    """A ragged row hides no other mistake."""
    folder.write("p.csv", "sku,text\na\nb/../c,x\nd,\n")
    assert [p.line for p in folder.of_tasks(TASK).problems()] == [2, 3, 4]


def test_json_lines_keep_numbers_as_written(folder: Folder) -> None:
    """1.50 stays 1.50, true is the word."""
    folder.write("p.jsonl", '{"sku": 007e0, "text": "x"}\n'.replace("007e0", "7.50") + '\n{"sku": "b", "text": true, "more": [1]}\r\n')
    assert [(t.id, t.spec.prompt) for t in folder.of_tasks(JSONL).tasks()] == [("7.50", "x"), ("b", "true")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "p.jsonl:1: is empty"),
        (b'{"sku": "a", "text": "b"}\n{"sku": "c"\n', "p.jsonl:2: this line is not JSON"),
        (b'{"sku": "a", "text": "b"}\n[1]\n', "p.jsonl:2: this line is no object"),
        (b'{"sku": "a", "text": "b"}\n{"sku": "c", "text": ["x"]}\n', "p.jsonl:2: c: text is a list or an object and cannot be filled in"),
        (b'{"sku": "a", "text": "b"}\n{"sku": "c", "text": null}\n', "p.jsonl:2: c: text is null and cannot be filled in"),
        (b'{"sku": "a", "text": "b"}\n{"sku": "c"}\n', 'p.jsonl:2: c: this row has no "text"'),
        (b'{"sku": "a", "text": NaN}\n', "NaN is no JSON number"),
        (b'{"sku": "a", "sku": "b"}\n', "a name comes twice"),
        (b'{"sku": "a", "txt": "b"}\n', "${text} stands for nothing; did you mean txt?"),
        (b"[" * 100_000 + b"\n", "p.jsonl:1: this line is not JSON"),
        (b'{"sku": "a", "text": "\\ud800"}\n', "half of a surrogate pair"),
        (b'{"sku": "a", "text": "\\u0000"}\n', "not text (NUL"),
        (b'{"sku": "a", "text": "\xff"}\n', "p.jsonl:1: this line is not UTF-8 text"),
    ],
)
def test_json_lines_that_cannot_be_used_are_named(folder: Folder, content: bytes, said: str) -> None:
    """Each kind of broken line has a sentence and a place in its own file."""
    folder.write("p.jsonl", content)
    assert said in folder.of_tasks(JSONL).said()


def test_rows_can_be_written_in_the_manifest(folder: Folder) -> None:
    """Their values are text as written, too."""
    folder.of_tasks(INLINE + "      - {sku: a, text: 16:9}\n      - {sku: 012, text: no}\n")
    assert [(t.id, t.spec.prompt) for t in folder.tasks()] == [("a", "16:9"), ("012", "no")]


def test_an_inline_row_without_a_name_is_named_by_its_place(folder: Folder) -> None:
    """The row's own line and column are reported."""
    (problem,) = folder.of_tasks(INLINE + "      - {sku: a, text: b}\n      - {sku: c}\n").problems()
    assert (problem.line, problem.column, problem.wrong) == (10, 9, 'this row has no "text"')


def test_a_foreach_path_starts_at_the_manifest(folder: Folder) -> None:
    """Rows may lie in a folder beside it."""
    folder.write("data/p.csv", "sku,text\na,b\n")
    assert len(folder.of_tasks(TASK.replace("p.csv", "data/p.csv")).tasks()) == 1


def test_a_foreach_file_that_is_a_folder_is_refused(folder: Folder) -> None:
    """It is said at the manifest, where the name stands."""
    (folder.path / "p.csv").mkdir()
    assert "foreach: p.csv is a folder" in folder.of_tasks(TASK).said()
