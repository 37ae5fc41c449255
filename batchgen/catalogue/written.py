"""Values as a person wrote them, before anything decides what they mean.

YAML 1.1 makes 969 of `16:9`, False of `no` and 10 of `012`. So a scalar stays the text that was written until the param or
field that needs it says what it is; only where nothing is known about a field does the text get its YAML 1.2 core meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

DIGITS = 400
"""Longest number that is read as one: beyond it Python refuses to convert (4,300 digits) and no API takes it."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Written:
    """A scalar: its text, and whether it stood without quotes."""

    text: str
    plain: bool = True


RawValue: TypeAlias = "Written | list[RawValue] | dict[str, RawValue]"


def number(text: str) -> int | float | None:
    """Return the number that `text` is under YAML 1.2 core, or None. `.inf` and `.nan` are numbers there too."""
    if not text or len(text) > DIGITS:
        return None
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _ENDLESS.fullmatch(text) else None


def meaning(written: Written) -> str | int | float | bool | None:
    """Return what a scalar means under YAML 1.2 core: quoted ones are text, plain ones may be null, true, false or a number."""
    text = written.text
    if not written.plain:
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    value = number(text)
    return text if value is None else value
