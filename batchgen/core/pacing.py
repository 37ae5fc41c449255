"""The account's rate: when the next request may leave.

One limiter serves uploads, creates, status questions and balances; downloads come from elsewhere and have no part in it.
The vendor does not say how long its window is, nor whether it slides or is fixed. So requests leave evenly spaced, which
is right for each, and no second ever has more than its share of them, counted from when they really left.

Deliberately absent: bursts. A small night would end some seconds earlier, if the window were known.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import deque

from batchgen.core.model import Instant
from batchgen.core.policy import Dice
from batchgen.core.retry import backoff

HEADROOM = 0.985
"""Share of the stated rate that is used: arrival jitters, and N+1 requests must never fall into one window of N."""

SLACK = 0.25
"""Seconds of lateness that may be made up for; MARGIN keeps what is made up for from crowding a second."""

SECOND = 1.0
MARGIN = 0.02
"""The shortest window that limits come in, and what a request may be early at the server, against those before it."""

SLOWEST = 16.0
BACK_OFF = 1.5
RECOVER = 0.98
"""After a 429 the spacing grows by BACK_OFF (at most SLOWEST-fold), and each good answer takes it back by RECOVER."""

LONGEST = 12 * 3600.0
"""The longest pause, in seconds: a server that means years may say so again, but what waits to be repeated must be repeated
within the replay window, and a header gone wrong must not close a ledger for good."""


class Pace:
    """When the next request may leave."""

    def __init__(self, per_minute: float, not_before: Instant, last_by: Instant = 0.0) -> None:
        """Allow `per_minute` requests a minute, none before `not_before`, nor within one interval after `last_by`.

        Requests of earlier runs were as evenly spaced, and the last of them left by `last_by`: the row just goes on.
        """
        self.factor = 1.0
        self._set_rate(per_minute)
        self.closed_until = not_before  # as the server said
        self._slot = max(not_before, last_by + self.interval if last_by else 0.0)
        self._paused_at = 0.0
        self._busy = 0

    def _set_rate(self, per_minute: float) -> None:
        self.interval = 60.0 / per_minute / HEADROOM
        self._share = max(1, math.ceil(per_minute / 60.0))  # of one second
        self._left: deque[Instant] = deque(maxlen=self._share)  # when the last requests left
        self._leaving = 0  # of those, how many are about to leave

    @property
    def next_at(self) -> Instant:
        """From when on a request may leave."""
        if len(self._left) < self._share:
            return self._slot
        return max(self._slot, self._left[0] + min(SECOND + MARGIN, self.interval * self._share))

    @property
    def per_minute(self) -> float:
        """Requests a minute that may leave now, with the slow-down after a 429."""
        return 60.0 / HEADROOM / (self.interval * self.factor)

    def ready(self, now: Instant) -> bool:
        """True if a request may leave now."""
        return now >= self.next_at

    def take(self, now: Instant) -> None:
        """Count a request that leaves now."""
        self._slot = max(self._slot, now - SLACK) + self.interval * self.factor
        self._left.append(now)
        self._leaving = min(self._leaving + 1, self._share)

    def sent(self, at: Instant) -> None:
        """Take note that the first request that was counted and had not left yet left at `at`: a commit came before it."""
        if self._leaving:
            self._left[-self._leaving] = at
            self._leaving -= 1
            self._slot = max(self._slot, at - SLACK + self.interval * self.factor)

    def left(self, sent: Instant, at: Instant) -> None:
        """Take note that the bytes of the request that was noted as sent at `sent` left only at `at`."""
        if sent in self._left:
            self._left.remove(sent)
            self._left.insert(min(bisect(self._left, at), len(self._left) - self._leaving), at)  # the oldest stays first

    def slow_down(self, now: Instant, dice: Dice, *, after: float | None, sent_at: Instant) -> Instant:
        """Take a 429 (or a service that is switched off): nothing leaves before the returned instant.

        Answers to requests that left before the last slow-down extend the pause, but do not slow down once more.
        """
        if sent_at >= self._paused_at:
            self._busy += 1
            self._paused_at = now
            self.factor = min(SLOWEST, self.factor * BACK_OFF)
        pause = min(LONGEST, backoff(max(1, self._busy), dice, after=after))
        self._slot = self.closed_until = max(self.next_at, now + max(pause, self.interval))
        return self._slot

    def retune(self, per_minute: float, now: Instant) -> None:
        """Go at another rate from now on; a pause that the server asked for stays."""
        self._set_rate(per_minute)
        self._slot = max(self.closed_until, min(self._slot, now + self.interval * self.factor))

    def good(self) -> None:
        """Take an answer that was no 429: go back to the full rate, carefully."""
        self._busy = 0
        self.factor = max(1.0, self.factor * RECOVER)
