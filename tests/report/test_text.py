"""Plain words, and text from outside made harmless."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from batchgen.report.columns import cut, table
from batchgen.report.text import clean, clean_cell, counted, iso, number, size, span, to_json

RAW = "\x1b\x9b\r\u202e\u2066\ud800\x00"


def test_clean(hostile: str) -> None:
    """No control character, direction mark or lone surrogate of a text from outside is left; what can be read stays."""
    cleaned = clean(hostile)
    assert not set(RAW) & set(cleaned)
    assert "\\u001b[2J" in cleaned
    assert "evil" in cleaned
    assert "\U0001f600" in cleaned
    cleaned.encode("utf-8")


def test_clean_is_one_line() -> None:
    """A line break is spelt out, so that no text can pretend to be another line of a log."""
    assert clean("a\nb\tc\r\u2028d") == "a\\nb\\tc\\r\\u2028d"


def test_clean_cell_keeps_lines() -> None:
    """In a cell of a table file tabs and line feeds stay."""
    assert clean_cell("a\nb\tc\rd") == "a\nb\tc\\rd"


def test_json_is_exact_and_harmless(hostile: str) -> None:
    """JSON gives back exactly what went in, and holds nothing that a terminal obeys."""
    text = to_json({"a": hostile}, indent=2)
    assert json.loads(text) == {"a": hostile}
    assert not set(RAW) & set(text)
    assert "\U0001f600" in text


def test_cut() -> None:
    """A long text is cut to columns, a wide letter counting two."""
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 5) == "ab..."
    assert cell_len(cut("漢字漢字漢字", 9)) <= 9
    assert cut("漢字", 4) == "漢字"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.4, "0 s"), (40, "40 s"), (60, "1 min"), (303, "5 min 3 s"), (7500, "2 h 5 min"), (273_600, "3 d 4 h"), (-5, "0 s")],
)
def test_span(seconds: float, said: str) -> None:
    """A span is said in its two largest units."""
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e15, "5000.0 TB")]
)
def test_size(value: float, said: str) -> None:
    """A size is said in the unit that fits."""
    assert size(int(value)) == said


def test_numbers() -> None:
    """Thousands are set apart; one thing is one thing."""
    assert (number(16_500), counted(1, "task"), counted(300, "task"), counted(0, "try", "tries")) == (
        "16,500",
        "1 task",
        "300 tasks",
        "0 tries",
    )


def test_iso() -> None:
    """Instants are ISO 8601 in UTC, to the millisecond."""
    assert iso(1_778_382_007.25) == "2026-05-10T03:00:07.250Z"
    assert iso(None) is None


def test_table() -> None:
    """Columns are aligned by what a terminal shows, numbers to the right."""
    assert table(("name", "n"), [("漢", "5"), ("abc", "16")], right=frozenset({"n"})) == ["name   n", "漢     5", "abc   16"]
