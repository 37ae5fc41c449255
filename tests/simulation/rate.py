"""Does a run keep to its rate, also when a person changes it in the middle? Counted by instants at which requests left."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from batchgen.core.model import Instant

WINDOW = 60.0
"""Seconds of the longest window that limits come in."""


@dataclass(slots=True)
class RateWatch:
    """When the requests of the last minute left, over all processes, and which rates were in force."""

    _sent: deque[Instant] = field(default_factory=deque)
    _rates: deque[tuple[Instant, float]] = field(default_factory=deque)  # from when on how many a minute

    def set(self, now: Instant, per_minute: float) -> None:
        """A rate is in force from now on."""
        if not self._rates or self._rates[-1][1] != per_minute:
            self._rates.append((now, per_minute))

    def leaves(self, now: Instant) -> str:
        """Count a request that leaves now; return what is wrong with that, or ''.

        In no minute may more leave than the highest rate allows that was in force in it, nor more than the present rate
        allows since it is in force; a rate below one a minute still lets one leave.
        """
        sent, rates = self._sent, self._rates
        while sent and sent[0] <= now - WINDOW:
            sent.popleft()
        while len(rates) > 1 and rates[1][0] <= now - WINDOW:
            rates.popleft()
        sent.append(now)
        since, rate = rates[-1]
        highest = max(per_minute for _, per_minute in rates)
        if len(sent) > max(1.0, highest):
            return f"{len(sent)} requests within a minute, {highest:g} are allowed"
        if len(rates) > 1 and (count := sum(at >= since for at in sent)) > max(1.0, rate):
            return f"{count} requests within a minute since the rate is {rate:g}"
        return ""
