"""Says quickly that no name comes twice among a million, or that one perhaps does.

Python's own hash of a text takes 8 bytes. Equal names have equal hashes, so hashes that all differ are a proof; two that are equal
are only a suspicion (by chance once in 30 million manifests of a million tasks), and then `seen` looks closely and finds the words.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_PARTS = 64
"""Hashes are kept by their last bits, so that only a 64th of them becomes a set of Python numbers at a time."""


class Doubles:
    """Hashes of names."""

    def __init__(self) -> None:
        """Start empty."""
        self._parts = [array("q") for _ in range(_PARTS)]

    def add(self, names: Iterable[str]) -> None:
        """Take names."""
        parts, last = self._parts, _PARTS - 1
        for hashed in map(hash, names):
            parts[hashed & last].append(hashed)

    def suspected(self) -> bool:
        """Say whether a name may have come twice."""
        return any(len(set(part)) != len(part) for part in self._parts)
