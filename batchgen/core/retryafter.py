"""How long a server asks to be left alone: its Retry-After header, as seconds from now.

A date in it is the server's, so it is measured from the Date of the same answer: a machine whose clock is an hour slow would
wait an hour too long, and one whose clock is fast not at all. Our own clock is the judge of that Date only as far as a person
is: wrong by hours (a zone, a summer time) is thought possible of us, wrong by days is thought of the server.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from batchgen.core.model import Instant

LONGEST_ASKED = 30 * 86_400.0
"""Seconds. A longer Retry-After (or one with 300 digits) is a fault of the server; it is cut to this, which still ends the run's day."""

SANE = 86_400.0
"""Seconds between an answer's Date and our clock; beyond it the Date is no clock's: made up, or frozen in a cache."""

_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]*)?")


def retry_after(headers: Mapping[str, str], now: Instant) -> float | None:
    """Return the seconds to wait from `now` on that an answer asks for, or None if it asks for nothing readable.

    Seconds or an HTTP date (RFC 9110, 10.2.3). Negative or past is 0; more than LONGEST_ASKED is cut to that.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return _cut(float(text))
    until = _instant(text)
    if until is None:
        return None
    said = _instant(headers.get("date", ""))
    return _cut(until - (now if said is None or abs(said - now) > SANE else said))


def to_the_minute(at: Instant) -> str:
    """Write an instant for a person, to the minute that is surely not before it."""
    return datetime.fromtimestamp(math.ceil(at / 60.0) * 60.0, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _cut(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_ASKED)


def _instant(text: str) -> Instant | None:
    """Read an HTTP date; one without a zone is in UTC."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
