"""What a YAML text is made of, with the place of every part.

Scalars keep the text that was written. Only `to_json` gives them a meaning, and only for the schema check and the few fields
(budget, limits, takes, ...) that are numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from batchgen.catalogue import Written, meaning


@dataclass(slots=True)
class Scalar:
    """One value. `line` and `column` count from 1; `plain` is True where it stands without quotes."""

    text: str
    plain: bool
    line: int
    column: int
    size: ClassVar[int] = 1
    height: ClassVar[int] = 1


@dataclass(slots=True)
class Entry:
    """A key of a mapping and its value."""

    key: Scalar
    value: Node


@dataclass(slots=True)
class MappingNode:
    """Keys and values, in written order. `size` counts all nodes inside, aliases as often as they are used."""

    line: int
    column: int
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1
    height: int = 1

    def get(self, key: str) -> Node | None:
        """Return the value of `key`, or None."""
        entry = self.entries.get(key)
        return entry.value if entry else None


@dataclass(slots=True)
class SequenceNode:
    """Items, in written order."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1


Node: TypeAlias = Scalar | MappingNode | SequenceNode


def to_json(node: Node) -> object:
    """Return the JSON value under YAML 1.2 core rules."""
    if isinstance(node, Scalar):
        return node.text if not node.plain else meaning(Written(node.text))
    if isinstance(node, SequenceNode):
        return [to_json(item) for item in node.items]
    return {name: to_json(entry.value) for name, entry in node.entries.items()}


def whole_number(node: Node | None) -> int | None:
    """Return a whole number under YAML 1.2 core rules, or None if the node is none."""
    value = to_json(node) if isinstance(node, Scalar) else None
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0 else None


def real_number(node: Node | None) -> float | None:
    """Return a number under YAML 1.2 core rules, or None if the node is none."""
    value = to_json(node) if isinstance(node, Scalar) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
