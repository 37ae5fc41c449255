"""When to try again. Values only: nothing here waits."""

from __future__ import annotations

from enum import StrEnum

from batchgen.core.answers import NOT_DONE, Verdict
from batchgen.core.policy import Dice, OnLostAnswer

BASE = 1.0
CAP = 60.0
"""Seconds. As AWS's architecture blog advises ("Exponential backoff and jitter"): full jitter under a capped exponential."""

FLOOR = 0.05
"""Seconds: the least pause, so that a lucky draw does not make a tight loop."""

DOWNLOAD_TRIES = 8
"""Broken transfers of one file in one run; the part file keeps what came, and the next run goes on."""

LONGEST_WAIT = 3600.0
"""Seconds of Retry-After that a run waits for. For a longer one it ends, and the ledger keeps until when nothing may leave."""

REFRESHES = 3
"""Fresh URLs asked for one result in one run."""


def backoff(tries: int, dice: Dice, *, after: float | None = None) -> float:
    """Seconds to wait after `tries` (1, 2, ...) failures in a row: dice * min(CAP, BASE * 2**(tries-1)).

    `after` is the server's Retry-After; nothing is sent before it.
    """
    window = min(CAP, BASE * 2.0 ** min(tries - 1, 10))
    return max(FLOOR, after or 0.0, dice() * window)


class Fate(StrEnum):
    """What becomes of an attempt whose create was answered."""

    ACCEPTED = "accepted"
    AGAIN = "again"  # the same bytes, later
    REFUSED = "refused"  # certain: nothing was bought
    LEFT = "left"  # stays submitting: no proof either way, and repeating now is no use
    IN_DOUBT = "in_doubt"


def judge_create(verdict: Verdict, *, lost: int, on_lost: OnLostAnswer) -> Fate:
    """Decide about an attempt by its answer; `lost` counts earlier sends of the same attempt that got no answer.

    A refusal is proof only if no earlier send lost its answer: the server may check credits or params before it looks
    at the key, and so refuse the repeat of a purchase that it made.
    """
    if verdict is Verdict.OK:
        return Fate.ACCEPTED
    if verdict is Verdict.LOST:
        return Fate.IN_DOUBT if on_lost is OnLostAnswer.HOLD else Fate.AGAIN
    if verdict in NOT_DONE:
        return Fate.AGAIN
    if verdict in {Verdict.CONFLICT, Verdict.TAKEN}:
        return Fate.IN_DOUBT
    if not lost:
        return Fate.REFUSED
    return Fate.LEFT if verdict in {Verdict.KEY, Verdict.FUNDS} else Fate.IN_DOUBT
