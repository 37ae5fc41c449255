"""What can go wrong, how often it does in a night, and the count of what did."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from random import Random


class Trouble(StrEnum):
    """Every kind of fault. A long enough simulation fails if one of them never happened."""

    # on the way, one request at a time
    UNSENT = "no connection"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    ANSWER_LATE = "answer late"
    ARRIVED_LATE = "arrived after the client gave up"
    TWICE = "delivered and answered twice"
    BUSY = "429"
    BUSY_AFTER = "429 with Retry-After"
    ERROR_BEFORE = "5xx before the work"
    ERROR_AFTER = "5xx after the work"
    HTML_BEFORE = "HTML before the work"
    HTML_AFTER = "HTML after the work"
    GARBAGE = "garbage after the work"
    # for a while
    OUTAGE = "outage"
    KEY_REVOKED = "key revoked"
    DISABLED = "API disabled"
    # the account
    CREDITS_SHORT = "insufficient credits"
    SPENT_ELSEWHERE = "credits spent by others"
    PRICE_DIFFERS = "price differs from the catalogue"
    PRICE_CHANGED = "price changed at midnight"
    FINAL_SILENT = "final credits not told"
    KEYS_FORGOTTEN = "idempotency key forgotten"
    REFUSED_REPEAT = "repeat of a purchase refused by other checks"
    REFUSAL_REMEMBERED = "refusal remembered for its key"
    CONFLICT_IN_WORK = "conflict while the first is in work"
    CONFLICT = "conflict out of nothing"
    INVALID = "request refused as invalid"
    # uploads
    UPLOAD_EXPIRED = "upload expired"
    UPLOAD_REFUSED = "upload refused"
    # renders
    RENDER_FAILED = "render failed"
    RENDER_STALLED = "render stalled"
    RENDER_MISSING = "render not found for a while"
    RENDER_FORGOTTEN = "render forgotten"
    STATUS_UNKNOWN = "unknown status"
    URLS_LATE = "results named late"
    REFUND_LATE = "refunded late"
    REFUND_PART = "refunded in part"
    # downloads
    DOWNLOAD_CUT = "download cut"
    DOWNLOAD_GONE = "result URL expired"
    DISK_FULL = "disk full"
    # this machine
    SIGNAL = "SIGTERM"
    DOUBT = "doubt resolved by a person"
    EDITED = "manifest edited"
    RESTORED = "ledger restored from a backup"
    # a person at another shell
    PAUSED = "paused by a person"
    LET_GO = "let go on by a person"
    DRAINED = "drained by a person"
    BUDGET_SAID = "budget changed by a person"
    BUDGET_BELOW = "budget set below what was spent"
    BUDGET_KEPT = "resumed with a budget that a person said"
    RATE_SAID = "rate changed by a person"
    UNOBEYED = "run over before it obeyed"


ANY_REQUEST = (
    Trouble.UNSENT,
    Trouble.REQUEST_LOST,
    Trouble.ANSWER_LOST,
    Trouble.ANSWER_LATE,
    Trouble.BUSY,
    Trouble.BUSY_AFTER,
    Trouble.ERROR_BEFORE,
    Trouble.ERROR_AFTER,
    Trouble.HTML_BEFORE,
    Trouble.HTML_AFTER,
    Trouble.GARBAGE,
)
A_CREATE = (*ANY_REQUEST, Trouble.ARRIVED_LATE, Trouble.TWICE, Trouble.CONFLICT)
AN_UPLOAD = (*ANY_REQUEST, Trouble.UPLOAD_REFUSED)
A_DOWNLOAD = (Trouble.DOWNLOAD_CUT, Trouble.DOWNLOAD_GONE, Trouble.DISK_FULL)

RARE = frozenset({Trouble.CONFLICT, Trouble.UPLOAD_REFUSED})
"""Each of these ends a task or a run, so that a night full of them would hide the others."""


@dataclass(slots=True)
class Tally:
    """What the simulation has seen. Double charges and the like are not counted: the first one raises."""

    nights: int = 0
    seconds: float = 0.0
    crashes: int = 0
    runs: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        self.nights += other.nights
        self.seconds += other.seconds
        self.crashes += other.crashes
        self.runs += other.runs
        self.injected.update(other.injected)


class Weather:
    """How often each trouble strikes; `calm` ends all of them."""

    def __init__(self, rng: Random, tally: Tally, rates: Mapping[Trouble, float]) -> None:
        self.rng = rng
        self.calm = False
        self._tally = tally
        self._rates = rates
        self._tables: dict[tuple[Trouble, ...], list[float]] = {}

    @classmethod
    def draw(cls, rng: Random, tally: Tally) -> Weather:
        """Draw a night's weather: how stormy, and which kinds come more often."""
        storm = rng.choice((0.0, 0.02, 0.05, 0.1, 0.2, 0.3))
        rates = {}
        for trouble in Trouble:
            rate = storm * rng.choice((0.0, 0.0, 0.3, 1.0, 3.0)) / 3
            rates[trouble] = rate / 3 if trouble in RARE else rate
        return cls(rng, tally, rates)

    def note(self, trouble: Trouble) -> None:
        """Count a trouble that came about."""
        self._tally.injected[trouble] += 1

    def strikes(self, trouble: Trouble, *, times: float = 1.0) -> bool:
        """Draw whether a trouble comes now, `times` as often as its rate says, and count it if so."""
        if self.calm or self.rng.random() >= min(0.6, self._rates.get(trouble, 0.0) * times):
            return False
        self.note(trouble)
        return True

    def pick(self, kinds: tuple[Trouble, ...]) -> Trouble | None:
        """Draw at most one of these troubles, and count it."""
        if self.calm:
            return None
        table = self._tables.get(kinds)
        if table is None:
            table = self._tables[kinds] = list(accumulate(self._rates.get(kind, 0.0) for kind in kinds))
        drawn = self.rng.random() * max(1.0, table[-1] / 0.9)
        if drawn >= table[-1]:
            return None
        trouble = kinds[bisect(table, drawn)]
        self.note(trouble)
        return trouble
