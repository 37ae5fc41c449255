"""Text in the columns of a terminal, where a letter of Chinese takes two and an accent none.

Apart from `text`, because only this needs rich, and `batchgen --help` shall not wait for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from batchgen.report.text import clean


def cut(text: str, width: int) -> str:
    """Return cleaned text in at most `width` columns of a terminal, its end replaced by `...` if it is longer."""
    # Far beyond any width nothing is shown, and cleaning a prompt of megabytes would take its time.
    cleaned = clean(text[: 4 * width + 4])
    return cleaned if cell_len(cleaned) <= width else set_cell_size(cleaned, width - 3).rstrip() + "..."


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield cleaned text in rows of at most `width` columns, broken at blanks where there are some."""
    start = used = 0
    blank = -1
    for at, letter in enumerate(text):
        if letter == " ":
            blank = at
        used += cell_len(letter)
        if used > width and at > start:
            end = blank if blank > start else at
            yield text[start:end]
            start = end + (text[end] == " ")
            used = cell_len(text[start : at + 1])
    if text[start:]:
        yield text[start:]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset()) -> list[str]:
    """Return lines of aligned columns; those named in `right` are aligned to the right. Cells must be clean."""
    everything = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(cell_len(row[n]) for row in everything) for n in range(len(head))]
    lines = []
    for row in everything:
        cells = [_pad(cell, widths[n], right=head[n] in right) for n, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _pad(cell: str, width: int, *, right: bool) -> str:
    """Fill a cell with blanks by the columns that a terminal needs for it."""
    blanks = " " * (width - cell_len(cell))
    return blanks + cell if right else cell + blanks
