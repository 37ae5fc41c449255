"""The account's rate: when the next request may leave, and when to look at a render again.

One limiter serves uploads, creates, status questions and balances; downloads come from elsewhere and have no part in it.
Requests leave evenly spaced, without a burst: the vendor does not say whether its window slides or is fixed, nor how
long it is, and even spacing is right for each.
"""

from __future__ import annotations

from batchgen.core.model import Instant
from batchgen.core.policy import Dice, PollPolicy
from batchgen.core.retry import backoff

HEADROOM = 0.97
"""Share of the stated rate that is used: arrival jitters, and N+1 requests must never fall into one window of N."""

SLACK = 0.03
"""Seconds of lateness that may be made up for: within the headroom even of a window of one second."""

SLOWEST = 16.0
BACK_OFF = 1.5
RECOVER = 0.98
"""After a 429 the spacing grows by BACK_OFF (at most SLOWEST-fold), and each good answer takes it back by RECOVER."""

GROWTH = 0.15
"""Polls of a long render: the pause is this share of the render's age, between `every` and `slowest`."""


class Pace:
    """When the next request may leave."""

    def __init__(self, per_minute: float, not_before: Instant) -> None:
        """Allow `per_minute` requests a minute, none before `not_before`."""
        self.interval = 60.0 / per_minute / HEADROOM
        self.next_at = not_before
        self.factor = 1.0
        self._paused_at = 0.0
        self._busy = 0

    @property
    def per_minute(self) -> float:
        """Requests a minute that may leave now, with the slow-down after a 429."""
        return 60.0 / HEADROOM / (self.interval * self.factor)

    def ready(self, now: Instant) -> bool:
        """True if a request may leave now."""
        return now >= self.next_at

    def take(self, now: Instant) -> None:
        """Count a request that leaves now."""
        self.next_at = max(self.next_at, now - SLACK) + self.interval * self.factor

    def slow_down(self, now: Instant, dice: Dice, *, after: float | None, sent_at: Instant) -> Instant:
        """Take a 429 (or a service that is switched off): nothing leaves before the returned instant.

        Answers to requests that left before the last slow-down extend the pause, but do not slow down once more.
        """
        if sent_at >= self._paused_at:
            self._busy += 1
            self._paused_at = now
            self.factor = min(SLOWEST, self.factor * BACK_OFF)
        pause = backoff(max(1, self._busy), dice, after=after)
        self.next_at = max(self.next_at, now + max(pause, self.interval))
        return self.next_at

    def good(self) -> None:
        """Take an answer that was no 429: go back to the full rate, carefully."""
        self._busy = 0
        self.factor = max(1.0, self.factor * RECOVER)


def first_look(poll: PollPolicy, accepted_at: Instant) -> Instant:
    """When to ask for the first time."""
    return accepted_at + poll.first


def next_look(poll: PollPolicy, accepted_at: Instant, now: Instant) -> Instant:
    """When to ask again: every `every` seconds at first, rarer as the render grows old."""
    age = max(0.0, now - accepted_at)
    return now + max(poll.first, min(poll.slowest, max(poll.every, age * GROWTH)))
