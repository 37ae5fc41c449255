"""Plain words on a line: numbers, sizes, spans; and text from outside made harmless.

Prompts, ids, file names and the server's messages come from outside. A raw escape sequence in one of them could
repaint the terminal, and a bidirectional override could show a false word, so every such text passes through `clean`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

from batchgen.core.model import Instant

When = Callable[[Instant], datetime]
"""An instant as a date and time in the reader's zone."""

_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff"
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f{_MARKS}\ud800-\udfff]")
_UNSAFE_IN_CELLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_MARKS}\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f{_MARKS}\ud800-\udfff]")
"""In JSON text the other control characters are escaped already, and a line feed is only ever layout."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    """Spell a character out."""
    character = match.group()
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def clean(text: str) -> str:
    """Return text from outside with control characters, direction marks and lone surrogates spelt out; one line."""
    return _UNSAFE.sub(_escape, text)


def clean_cell(text: str) -> str:
    """Return text for a cell of a table file: as `clean`, but tabs and line feeds stay."""
    return _UNSAFE_IN_CELLS.sub(_escape, text)


def to_json(document: object, *, indent: int | None = None) -> str:
    """Return JSON, exact, with what a terminal might obey escaped; a document of one line unless `indent` is given."""
    text = json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False)
    return _UNSAFE_IN_JSON.sub(_escape, text)


def number(value: int) -> str:
    """16500 as `16,500`."""
    return f"{value:,}"


def counted(value: int, one: str, many: str = "") -> str:
    """`1 task`, `300 tasks`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def size(value: int) -> str:
    """Bytes as `512 bytes`, `1.2 MB`."""
    amount = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004  the next unit begins here
            return f"{amount:.0f} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def span(seconds: float) -> str:
    """Seconds as `40 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(max(seconds, 0.0))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((n for n, (amount, _) in enumerate(parts) if amount), 3)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount) or "0 s"


def iso(instant: Instant | None) -> str | None:
    """An instant as ISO 8601 in UTC, to the millisecond; None stays None."""
    if instant is None:
        return None
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(instant: Instant | None, when: When) -> str:
    """An instant for people: `2026-05-10 03:00:07`; a dash where there is none."""
    return "-" if instant is None else when(instant).strftime("%Y-%m-%d %H:%M:%S")
