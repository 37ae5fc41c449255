"""Round numbers for the edges of a chart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.core.model import Instant
from batchgen.report.text import When

MOST_BINS = 60
"""More steps than that are finer than the eye and the screen of a phone."""

LABELS = 5
"""Times along an axis; more would run into each other on a phone."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WIDTHS = (1, 2, 5, 10, 15, 30, _MINUTE, 120, 300, 600, 900, 1800, _HOUR, 7200, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY)


@dataclass(frozen=True, slots=True)
class Bins:
    """Spans of equal width, in seconds, that cover a night."""

    first: Instant
    width: float
    count: int

    @classmethod
    def over(cls, begun: Instant, ended: Instant) -> Bins:
        """Return at most MOST_BINS bins of a round width."""
        length = max(ended - begun, 1.0)
        width = float(next((width for width in _WIDTHS if length <= width * MOST_BINS), math.ceil(length / MOST_BINS)))
        first = math.floor(begun / width) * width
        return cls(first, width, max(math.ceil((ended - first) / width), 1))

    @property
    def last(self) -> Instant:
        """Return where the last bin ends."""
        return self.first + self.count * self.width

    def at(self, instant: Instant) -> int:
        """Return the bin of an instant; the edges take what is outside."""
        return min(max(int((instant - self.first) / self.width), 0), self.count - 1)

    def edges(self) -> Iterator[Instant]:
        """Yield where each bin ends."""
        return (self.first + (number + 1) * self.width for number in range(self.count))


def round_steps(top: float, most: int = 4) -> list[float]:
    """Return 0 and round numbers up to the first that is not below `top`; there is one above 0 also where all values are 0."""
    top = top or float(most)
    raw = top / most
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * lead for lead in (1, 2, 2.5, 5, 10) if scale * lead >= raw * (1 - 1e-9))
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def time_marks(first: Instant, last: Instant, when: When) -> Iterator[tuple[Instant, str]]:
    """Yield a handful of round instants with their words, round by the reader's clock."""
    length = last - first
    step = next((width for width in _WIDTHS if length <= width * LABELS), math.ceil(length / LABELS / _DAY) * _DAY)
    offset = when(first).utcoffset()
    shift = offset.total_seconds() if offset else 0.0
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b"
    at = math.ceil((first + shift) / step) * step - shift
    while at < last:
        yield at, when(at).strftime(form)
        at += step
