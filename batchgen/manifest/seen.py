"""Finds names that come twice among a million, in 40 bytes each.

A dict from digest to place takes some 150 bytes an entry, and there are two of them (ids, outputs): 300 MB for a million tasks.
This is the oldest kind of hash table, open addressing with linear probing, in three flat arrays. The names themselves are not
kept: 128 bits of BLAKE2b make two different names equal once in 10^26 manifests of a million.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

_FIRST = 1 << 10
_FULL = 0.6
"""Share of slots in use at which the table doubles; linear probing degrades beyond two thirds."""

_MASK = (1 << 64) - 1


class Seen:
    """Names with the number that was kept for each when it first came."""

    def __init__(self) -> None:
        """Start empty."""
        self._used = 0
        self._make(_FIRST)

    def __len__(self) -> int:
        return self._used

    def first(self, name: str, number: int) -> int | None:
        """Keep `number` (from 0, below 2**63) for `name` and return None; or return what an equal name kept before."""
        digest = int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")
        slot = self._slot(digest >> 64, digest & _MASK)
        if self._numbers[slot]:
            return self._numbers[slot] - 1
        self._put(slot, digest >> 64, digest & _MASK, number + 1)
        self._used += 1
        if self._used > _FULL * len(self._numbers):
            self._grow()
        return None

    def _make(self, slots: int) -> None:
        self._high = array("Q", bytes(8 * slots))
        self._low = array("Q", bytes(8 * slots))
        self._numbers = array("Q", bytes(8 * slots))

    def _slot(self, high: int, low: int) -> int:
        last = len(self._numbers) - 1
        slot = high & last
        while self._numbers[slot] and (self._high[slot] != high or self._low[slot] != low):
            slot = (slot + 1) & last
        return slot

    def _put(self, slot: int, high: int, low: int, number: int) -> None:
        self._high[slot] = high
        self._low[slot] = low
        self._numbers[slot] = number

    def _grow(self) -> None:
        old = zip(self._high, self._low, self._numbers, strict=True)
        self._make(2 * len(self._numbers))
        for high, low, number in old:
            if number:
                self._put(self._slot(high, low), high, low, number)
