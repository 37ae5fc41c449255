"""Rows for `foreach`: from a CSV file, a JSON lines file, or a list in the manifest.

Files are read in binary, line by line, so that the line of a byte that is no UTF-8 is known and a gigabyte without a newline is
not. Values are the text that stands in the file: `007` and `1.50` in a CSV or JSON file stay what they are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from batchgen.catalogue import shown
from batchgen.errors import Problem
from batchgen.manifest.nodes import MappingNode, Scalar, SequenceNode
from batchgen.manifest.problems import Place, Refused, Reporter
from batchgen.manifest.source import LONGEST_LINE, open_regular

_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 18
"""Bytes that are looked at in one go; only a block in which something is wrong is gone through line by line."""
_LIKE_THIS = 'each line is one object, such as {"sku": "cup"}'


@dataclass(slots=True)
class Row:
    """Values by name. `unfit` says of a value that cannot be filled into text what it is; `place` is where the row stands."""

    values: dict[str, str]
    place: Place
    unfit: dict[str, str] = field(default_factory=dict)


class Rows(Protocol):
    """Rows that can be gone through more than once."""

    names: tuple[str, ...] | None
    """The columns of a CSV; elsewhere the names in the first row, None if that is broken."""

    def each(self, reporter: Reporter) -> Iterator[Row]:
        """Yield the rows, report those that are broken. Raises Refused where the file cannot be read on."""
        ...


class InlineRows:
    """Rows written in the manifest."""

    names: tuple[str, ...] | None

    def __init__(self, node: SequenceNode) -> None:
        """Take the items that are mappings of scalars; the schema check has reported the others."""
        self._rows = [item for item in node.items if isinstance(item, MappingNode)]
        self.names = tuple(self._rows[0].entries) if self._rows else ()

    def each(self, reporter: Reporter) -> Iterator[Row]:
        """Yield the rows."""
        for node in self._rows:
            values = {name: e.value.text for name, e in node.entries.items() if isinstance(e.value, Scalar)}
            yield Row(values, Place(reporter.file, node.line, node.column))


class CsvRows:
    """Rows of a CSV file (RFC 4180, UTF-8 with or without BOM, any line ends)."""

    names: tuple[str, ...] | None

    def __init__(self, path: str, shown_as: str) -> None:
        """Read the header row. Raises Refused if there is none that can be used."""
        self._path = path
        self.shown_as = shown_as
        header = next(self._records(), None)
        if header is None:
            raise Refused(Problem(shown_as, 1, 0, "", "is empty", "the first line holds the columns' names, each further line is a task"))
        self.columns = tuple(name.strip() for name in header[1])
        self.names = self.columns
        self._check_names(header[0])

    def each(self, reporter: Reporter) -> Iterator[Row]:
        """Yield the rows below the header; report ragged ones."""
        return (self.row(line, cells) for line, cells in self.cells(reporter))

    def row(self, line: int, cells: list[str]) -> Row:
        """Return a row with its names and its place."""
        return Row(dict(zip(self.columns, cells, strict=True)), Place(self.shown_as, line))

    def cells(self, reporter: Reporter) -> Iterator[tuple[int, list[str]]]:
        """Yield line and cells of the rows below the header; report ragged ones."""
        records = self._records()
        next(records, None)
        width = len(self.columns)
        empty = True
        for record in records:
            empty = False
            if len(record[1]) == width:
                yield record
            else:
                wrong = f"this row has {len(record[1])} cell{'s' if len(record[1]) != 1 else ''}, the header has {width}"
                reporter.on(Place(self.shown_as, record[0]), wrong, "put a cell with a comma or quote in it into quotes")
        if empty:
            reporter.on(Place(self.shown_as, 1), "there are no rows below the header", "each line below it is a task")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line where a record begins, and its cells; blank lines are no records."""
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))  # of the process, 128 KiB at first; a cell may be larger
        reader = csv.reader(_lines(self._path, self.shown_as), strict=True)
        begins = 1
        try:
            for cells in reader:
                if cells:
                    yield begins, cells
                begins = reader.line_num + 1
        except csv.Error as error:
            right = "put a cell with a comma, quote or line break in it into quotes, and double the quotes inside it"
            wrong = f"this is not CSV: {error}"
            if "unquoted field" in str(error):
                right = "end lines with LF or CRLF; a single CR inside a cell needs quotes"
            raise Refused(Problem(self.shown_as, begins, 0, "", wrong, right)) from error

    def _check_names(self, line: int) -> None:
        if len(self.columns) == 1 and (";" in self.columns[0] or "\t" in self.columns[0]):
            raise Refused(Problem(self.shown_as, line, 0, "", "the header has no comma", "separate columns by commas, not by ; or tabs"))
        seen: set[str] = set()
        for number, name in enumerate(self.columns, start=1):
            if not name:
                raise Refused(Problem(self.shown_as, line, 0, "", f"column {number} has no name", "name it, or remove the comma too many"))
            if name in seen:
                raise Refused(Problem(self.shown_as, line, 0, "", f"two columns are called {shown(name)}", "rename one of the two"))
            seen.add(name)


class JsonlRows:
    """Rows of a JSON lines file: one object a line."""

    names: tuple[str, ...] | None

    def __init__(self, path: str, shown_as: str) -> None:
        """Look at the first row. Raises Refused if the file cannot be read or has none."""
        self._path = path
        self.shown_as = shown_as
        first = next(iter(_filled_lines(_lines(path, shown_as))), None)
        if first is None:
            raise Refused(Problem(shown_as, 1, 0, "", "is empty", 'each line is a task, such as {"sku": "cup"}'))
        row = self._row(*first)
        self.names = None if isinstance(row, Problem) else (*row.values, *row.unfit)

    def each(self, reporter: Reporter) -> Iterator[Row]:
        """Yield the rows; report lines that are no flat JSON object."""
        for number, text in _filled_lines(_lines(self._path, self.shown_as)):
            row = self._row(number, text)
            if isinstance(row, Problem):
                reporter.sink(row)
            else:
                yield row

    def _row(self, number: int, text: str) -> Row | Problem:
        place = Place(self.shown_as, number)
        try:
            raw: object = json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            return Problem(self.shown_as, number, 0, "", f"this line is not JSON: {said}", _LIKE_THIS)
        if not isinstance(raw, dict):
            return Problem(self.shown_as, number, 0, "", "this line is no object", _LIKE_THIS)
        row = Row({}, place)
        for name, value in raw.items():
            if isinstance(value, bool):
                row.values[name] = "true" if value else "false"
            elif isinstance(value, str):
                row.values[name] = value
            else:
                row.unfit[name] = "null" if value is None else "a list or an object"
        return row


def open_rows(path: str, shown_as: str) -> Rows:
    """Open the file of a `foreach`. Raises Refused if that cannot be done."""
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        return CsvRows(path, shown_as)
    if suffix in {".jsonl", ".ndjson"}:
        return JsonlRows(path, shown_as)
    raise Refused(Problem(shown_as, 0, 0, "", "foreach takes .csv and .jsonl files", "or a list of rows written in the manifest"))


def _lines(path: str, shown_as: str) -> Iterator[str]:
    """Yield lines with their ends. Raises Refused at the line that is too long or no text."""
    with open_regular(path, shown_as) as file:
        number = 0
        while block := file.read(_BLOCK):
            if block[-1:] != b"\n":
                block += file.readline(LONGEST_LINE + 1)
            if not number:
                block = block.removeprefix(_BOM)
            text = _plain(block)
            yield from _careful(block, number, shown_as) if text is None else io.StringIO(text, newline="\n")
            number += block.count(b"\n")


def _plain(block: bytes) -> str | None:
    """Return a block of whole lines as text, or None if something may be wrong with it."""
    if b"\x00" in block or len(block) > LONGEST_LINE:
        return None
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _careful(block: bytes, before: int, shown_as: str) -> Iterator[str]:
    """Yield the lines of a block up to the one that cannot be used; `before` is the number of lines before it."""
    for number, line in enumerate(io.BytesIO(block), start=before + 1):  # splits at LF only
        if len(line) > LONGEST_LINE:
            wrong = f"this line has more than {LONGEST_LINE:,} bytes"
            raise Refused(Problem(shown_as, number, 0, "", wrong, "is a quote left open, or the line end missing?"))
        if b"\x00" in line:
            raise Refused(Problem(shown_as, number, 0, "", "there is a NUL byte in this line", "save the file as UTF-8 text"))
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(Problem(shown_as, number, 0, "", "this line is not UTF-8 text", "save the file as UTF-8")) from error


def _filled_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name comes twice in one object")
    return made
