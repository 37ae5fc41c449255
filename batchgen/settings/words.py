"""What a person writes as a number, a duration, a time of day: text to value. Raises NotUnderstood, saying what would be right."""

from __future__ import annotations

import re
from datetime import tzinfo
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from batchgen.catalogue.words import nearest, shown
from batchgen.core.address import is_loopback
from batchgen.core.announce import Occasion
from batchgen.core.model import Credits
from batchgen.core.policy import OnLostAnswer

MOST_CREDITS = 10**12
"""Beyond any account, and far inside what the ledger's integers hold."""

LEAST_A_MINUTE, MOST_A_MINUTE = 0.001, 1_000_000_000
"""Requests a minute. With less than one in 17 hours no purchase could be repeated within the replay window."""

SHORTEST, SHORTEST_PAUSE = 0.1, 0.01
"""Seconds: of any duration, and of a pause between two looks at a render, as only a server of one's own takes it."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# [0-9] and not \d: that and int() take the digits of forty scripts, which may look like others, and a person means these.
_DURATION = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)([smhd]))")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class NotUnderstood(ValueError):
    """A value that cannot be taken; the text says what is wrong, `right` what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(wrong)
        self.right = right


def rate(text: str) -> float:
    """Requests a minute, from one in 17 hours to more than any wire takes."""
    if not _NUMBER.fullmatch(text) or not LEAST_A_MINUTE <= float(text) <= MOST_A_MINUTE:
        wrong = f"{shown(text)} is not a number of requests a minute from {LEAST_A_MINUTE} to {MOST_A_MINUTE:,}"
        raise NotUnderstood(wrong, "such as 60 or 0.5")
    return float(text)


def count(text: str, *, most: int = 10_000) -> int:
    """A whole number from 1 to `most`."""
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise NotUnderstood(f"{shown(text)} is not a whole number from 1 to {most}", "such as 10")
    return int(text)


def credits_of(text: str) -> Credits:
    """A whole number of credits, 0 or more."""
    if not re.fullmatch("[0-9]{1,13}", text) or int(text) > MOST_CREDITS:
        raise NotUnderstood(f"{shown(text)} is not a whole number of credits", "such as 5500")
    return int(text)


def duration(text: str) -> float:
    """Seconds out of `24h`, `90m`, `1h30m`, `30s`. A number alone may be meant as hours, so it is none."""
    if _NUMBER.fullmatch(text):
        raise NotUnderstood(f"{shown(text)} has no unit", f"write {text}h for hours, {text}m for minutes or {text}s for seconds")
    return _seconds(text, least=SHORTEST)


def pause(text: str) -> float:
    """Seconds between two looks, as a plain number or with a unit."""
    return _seconds(f"{text}s" if _NUMBER.fullmatch(text) else text, least=SHORTEST_PAUSE)


def _seconds(text: str, *, least: float) -> float:
    parts = _DURATION.findall(text)
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in parts)
    if "".join(a + u for a, u in parts) != text or not least <= seconds <= 3650 * _UNITS["d"]:
        raise NotUnderstood(f"{shown(text)} is not a duration from {least:g}s to 3650d", "such as 24h, 90m, 1h30m or 30s")
    return seconds


def time_zone(text: str) -> tzinfo:
    """An IANA time zone by its name."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        name = nearest(text, sorted(available_timezones()))
        right = f"did you mean {name}?" if name else "an IANA name such as Europe/Berlin or UTC"
        raise NotUnderstood(f"{shown(text)} is not a time zone that this machine knows", right) from error


def lost_answer(text: str) -> OnLostAnswer:
    """`repeat` or `hold`."""
    try:
        return OnLostAnswer(text)
    except ValueError as error:
        raise NotUnderstood(f"{shown(text)} is not known here", "repeat or hold") from error


def occasion(text: str) -> Occasion:
    """What people may be told of, such as `failure`."""
    known = [str(occasion) for occasion in Occasion]
    try:
        return Occasion(text)
    except ValueError as error:
        raise NotUnderstood(f"{shown(text)} is nothing that is told", ", ".join(known)) from error


def ping(text: str) -> str:
    """An address that may be told how a run goes: https, or http on this machine. It may hold a token, so no error shows it."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or not text.isascii() or not text.isprintable() or " " in text:
        raise NotUnderstood("this is not an address", "such as https://hc-ping.com/your-uuid")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise NotUnderstood("this address is not https", "https, or http on this machine (localhost)")
    return text


def plain(text: str) -> str:
    """A text that is not empty and holds no control characters."""
    if not text.strip() or not text.isprintable():
        raise NotUnderstood("the value is empty or holds control characters", "plain text")
    return text
