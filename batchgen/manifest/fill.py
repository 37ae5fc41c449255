"""Fills `${name}`: from the row, the matrix and the takes only. No expressions, no code, no environment.

$5        stays            $${x}    gives ${x}            ${x}    gives the value of x, which is not filled again
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_MARK = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with names in it. `parts` alternates: text, name, text, name, ..., text."""

    parts: tuple[str, ...]
    open: bool = False  # a `${` without its `}`

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in written order, with repetitions."""
        return self.parts[1::2]

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text. Raises KeyError with the name that `values` lacks."""
        parts = self.parts
        if len(parts) == 1:
            return parts[0]
        return "".join([values[part] if i % 2 else part for i, part in enumerate(parts)])


def template(text: str) -> Template:
    """Take a text apart."""
    if "${" not in text:
        return Template((text,))
    parts: list[str] = [""]
    at = 0
    unclosed = False
    for mark in _MARK.finditer(text):
        parts[-1] += text[at : mark.start()]
        at = mark.end()
        if mark[0] == "$${":
            parts[-1] += "${"
        elif mark[1] is None:
            parts[-1] += "${"
            unclosed = True
        else:
            parts += [mark[1], ""]
    parts[-1] += text[at:]
    return Template(tuple(parts), unclosed)


def escaped(text: str) -> str:
    """Return a template's text that gives `text`."""
    return text.replace("${", "$${")
