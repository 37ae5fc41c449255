"""When to try again. Values only: nothing here waits."""

from __future__ import annotations

from collections.abc import Callable

Dice = Callable[[], float]
"""A number in [0, 1), drawn by the shell, so that the engine stays pure and a seed replays a night."""

BASE = 1.0
CAP = 60.0
"""Seconds. As AWS's architecture blog advises ("Exponential backoff and jitter"): full jitter under a capped exponential."""

FLOOR = 0.05
"""Seconds: the least pause, so that a lucky draw does not make a tight loop."""

DOWNLOAD_TRIES = 8
"""Broken transfers of one file in one run; the part file keeps what came, and the next run goes on."""

REFRESHES = 3
"""Fresh URLs asked for one result in one run."""


def backoff(tries: int, dice: Dice, *, after: float | None = None) -> float:
    """Seconds to wait after `tries` (1, 2, ...) failures in a row: dice * min(CAP, BASE * 2**(tries-1)).

    `after` is the server's Retry-After; nothing is sent before it.
    """
    window = min(CAP, BASE * 2.0 ** min(tries - 1, 10))
    return max(FLOOR, after or 0.0, dice() * window)
