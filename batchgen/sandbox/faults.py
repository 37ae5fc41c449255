"""What shall go wrong, as a frozen value: `slow=0.2,fail=0.05,drop_after=0.05,429=0.05,cut=0.2,seed=7`.

Shares are probabilities from 0 to 1. Everything is drawn by hashing the seed with what the draw is about (an idempotency
key or a path, and how often it was asked before), never from a running generator: a request meets the same fate in
whatever order a concurrent client sends, and a run with a seed can be repeated.

The switches at the end are the places where the documentation of the API is silent and a client could be wrong.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from dataclasses import dataclass, field, fields
from enum import Enum, StrEnum

from batchgen.errors import UsageError


class Kind(Enum):
    """What values a fault takes."""

    SHARE = "a share from 0 to 1"
    SECONDS = "seconds, 0 or more"
    COUNT = "a whole number, 0 or more"
    SWITCH = "0 or 1"


class Mishap(StrEnum):
    """What happens to one request. At most one of them does."""

    DROP_BEFORE = "drop_before"  # the connection ends before any work
    DROP_AFTER = "drop_after"  # the work is done, then the connection ends
    BUSY = "429"
    BROKEN = "5xx"  # a plain 5xx, before or after the work
    HTML = "html"  # a proxy's error page, before or after the work
    GARBAGE = "garbage"  # 200 with half a JSON document, after the work
    DISABLED = "disabled"  # public_api_disabled, before the work
    INSUFFICIENT = "insufficient"  # insufficient_credits, before the work; creates only


@dataclass(frozen=True, slots=True)
class Fate:
    """What a request will meet; `late` says that the work is done first, `dice` is a further draw for details."""

    mishap: Mishap | None = None
    late: bool = False
    dice: float = 0.0


def _fault(name: str, kind: Kind, default: float, said: str) -> float:
    """Declare one fault: how the user writes it, what values it takes, and what it does."""
    value: float = field(default=default, metadata={"name": name, "kind": kind, "said": said})
    return value


@dataclass(frozen=True, slots=True)
class Faults:
    """All that can be told to go wrong; the default is a server at its best."""

    slow: float = _fault("slow", Kind.SECONDS, 0.0, "added to every answer of the API")
    drop_before: float = _fault("drop_before", Kind.SHARE, 0.0, "of requests: the connection is dropped before any work")
    drop_after: float = _fault("drop_after", Kind.SHARE, 0.0, "of requests: the work is done, then the connection is dropped")
    busy: float = _fault("429", Kind.SHARE, 0.0, "of requests: rate_limited")
    broken: float = _fault("5xx", Kind.SHARE, 0.0, "of requests: 500, 502 or 503, before or after the work")
    html: float = _fault("html", Kind.SHARE, 0.0, "of requests: an HTML page, before or after the work")
    garbage: float = _fault("garbage", Kind.SHARE, 0.0, "of requests: 200 with broken JSON, after the work")
    disabled: float = _fault("disabled", Kind.SHARE, 0.0, "of requests: public_api_disabled")
    insufficient: float = _fault("insufficient", Kind.SHARE, 0.0, "of creates: insufficient_credits, whatever the balance")
    fail: float = _fault("fail", Kind.SHARE, 0.0, "of renders fail")
    stall: float = _fault("stall", Kind.SHARE, 0.0, "of renders never finish")
    cut: float = _fault("cut", Kind.SHARE, 0.0, "of downloads end too early")
    render: float = _fault("render", Kind.SECONDS, -1.0, "that each render takes; otherwise 0.3 to 1.0")
    rate: float = _fault("rate", Kind.COUNT, 0.0, "requests per `window` are let through, the rest get 429; 0 is no limit")
    window: float = _fault("window", Kind.SECONDS, 60.0, "over which `rate` counts, sliding")
    memory: float = _fault("memory", Kind.SECONDS, 0.0, "that an idempotency key is remembered; 0 is for ever")
    forget: float = _fault("forget", Kind.SECONDS, 0.0, "after which uploaded files are no longer known; 0 is never")
    links: float = _fault("links", Kind.SECONDS, 0.0, "that a result's link works, counted from the status answer; 0 is for ever")
    late: float = _fault("late", Kind.SWITCH, 0.0, "the idempotency key is looked at after all other checks, the balance included")
    current: float = _fault("current", Kind.SWITCH, 0.0, "a replay shows the task as it is now instead of the first answer")
    lenient: float = _fault("lenient", Kind.SWITCH, 0.0, "unknown params are ignored instead of refused")
    camel: float = _fault("camel", Kind.SWITCH, 0.0, "a file answers with fileId, mimeType, durationToken")
    leftover: float = _fault("leftover", Kind.SWITCH, 0.0, "insufficient_credits leaves a failed task behind")
    created: float = _fault("created", Kind.COUNT, 200.0, "status of a successful create: 200, 201 or 202")
    seed: float = _fault("seed", Kind.COUNT, 0.0, "another seed, another night")

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read `name=value,...`. Raises UsageError for a name or a value that is not understood; an empty text is no fault."""
        known = {str(f.metadata["name"]): f for f in fields(cls)}
        values: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in known:
                raise UsageError(f"faults: {name!r} is not a fault{_nearest(name, list(known))}")
            if known[name].name in values:
                raise UsageError(f"faults: {name!r} is given twice")
            kind: Kind = known[name].metadata["kind"]
            values[known[name].name] = _number(name, value if equals else "", kind)
        made = cls(**values)
        made._check()
        return made

    def fate(self, subject: str, nth: int, *, create: bool) -> Fate:
        """Draw what the `nth` request (from 1) about `subject` meets."""
        at = self.draw("fate", subject, nth)
        for mishap, share in self._shares(create=create):
            at -= share
            if at < 0:
                return Fate(mishap, late=self.draw("late", subject, nth) < _HALF, dice=self.draw("dice", subject, nth))
        return Fate()

    def draw(self, what: str, subject: str, nth: int = 0) -> float:
        """Draw a number in [0, 1) that is always the same for the same arguments and seed."""
        text = f"{int(self.seed)}\0{what}\0{subject}\0{nth}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    def _shares(self, *, create: bool) -> list[tuple[Mishap, float]]:
        """List what can happen to one request and how likely; downloads and other requests share these."""
        shares = [
            (Mishap.DROP_BEFORE, self.drop_before),
            (Mishap.DROP_AFTER, self.drop_after),
            (Mishap.BUSY, self.busy),
            (Mishap.BROKEN, self.broken),
            (Mishap.HTML, self.html),
            (Mishap.GARBAGE, self.garbage),
            (Mishap.DISABLED, self.disabled),
        ]
        return [*shares, (Mishap.INSUFFICIENT, self.insufficient)] if create else shares

    def _check(self) -> None:
        """Refuse values that are each right but not together."""
        if sum(share for _, share in self._shares(create=True)) > 1:
            names = ", ".join(mishap.value for mishap, share in self._shares(create=True) if share)
            raise UsageError(f"faults: the shares of {names} add up to more than 1; a request meets at most one of them")
        if self.fail + self.stall > 1:
            raise UsageError("faults: the shares of fail and stall add up to more than 1; a render does at most one of them")
        if self.created not in _CREATED:
            raise UsageError("faults: created is the status of a successful create: 200, 201 or 202")
        if self.window <= 0:
            raise UsageError("faults: window must be more than 0 seconds")


_HALF = 0.5
_WRITTEN = re.compile("[-+.0-9eE]+")
"""What a number is written with; `float` takes the digits of other scripts too."""
_CREATED = (200, 201, 202)


def describe() -> list[tuple[str, str, str]]:
    """List every fault as (name, what values it takes, what it does), for `--help`."""
    return [(f.metadata["name"], f.metadata["kind"].value, f.metadata["said"]) for f in fields(Faults)]


def _nearest(name: str, known: list[str]) -> str:
    """Suggest a name, or list them all."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _number(name: str, text: str, kind: Kind) -> float:
    """Read one value. Raises UsageError."""
    if kind is Kind.SWITCH and not text:
        return 1.0  # `late` alone switches it on
    try:
        value = float(text) if _WRITTEN.fullmatch(text) else math.nan
    except ValueError:
        value = math.nan
    top = 1.0 if kind in {Kind.SHARE, Kind.SWITCH} else math.inf
    whole = kind in {Kind.COUNT, Kind.SWITCH}
    if not 0 <= value <= top or math.isinf(value) or (whole and value != int(value)):
        raise UsageError(f"faults: {name}={text} is not {kind.value}")
    return value
