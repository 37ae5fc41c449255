"""How long a server asks to be left alone."""

from __future__ import annotations

import pytest

from batchgen.core.retryafter import LONGEST_ASKED, SANE, retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
IN_A_MINUTE = "Tue, 14 Nov 2023 22:14:20 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("0", 0.0),
        (IN_A_MINUTE, 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:14:20", 60.0),
        ("Tue, 14 Nov 2023 23:14:20 +0100", 60.0),
        ("86401", 86_401.0),
        ("9" * 400, LONGEST_ASKED),
        ("Tue, 14 Nov 9999 22:14:20 GMT", LONGEST_ASKED),
        ("soon", None),
        ("", None),
        ("1e5", None),
        ("\u0663", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_what_is_asked(text: str | None, seconds: float | None) -> None:
    """Seconds or a date are kept to the letter, the past is 0, garbage is nothing."""
    assert retry_after({} if text is None else {"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 60.0),  # we agree on the time
        ("Tue, 14 Nov 2023 21:13:20 GMT", 3660.0),  # our clock is an hour fast, and would not wait at all
        ("Tue, 14 Nov 2023 22:14:10 GMT", 10.0),  # ours is slow
        ("Tue, 14 Nov 2023 23:13:20 GMT", 0.0),  # the time that it names has come there
        ("Mon, 13 Nov 2023 22:13:20 GMT", SANE + 60.0),  # the last that is thought possible
        ("Mon, 13 Nov 2023 22:13:19 GMT", 60.0),  # no clock's: from here on ours counts
        ("Wed, 15 Nov 2023 22:13:21 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 60.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("now", 60.0),
        ("", 60.0),
    ],
)
def test_a_date_is_measured_on_the_clock_that_made_it(date: str, seconds: float) -> None:
    """The answer's own Date is where the wait begins, unless it is missing, unreadable or days from our clock."""
    assert retry_after({"retry-after": IN_A_MINUTE, "date": date}, NOW) == seconds


def test_a_date_says_nothing_about_seconds() -> None:
    """Seconds count from when the answer came, whatever the time is there."""
    assert retry_after({"retry-after": "60", "date": "Tue, 14 Nov 2023 21:13:20 GMT"}, NOW) == 60.0


@pytest.mark.usefixtures("in_tokyo")
def test_a_date_without_a_zone_is_in_utc_wherever_the_machine_is() -> None:
    """HTTP knows no other zone, and least of all ours."""
    bare = "Tue, 14 Nov 2023 22:14:20"
    assert retry_after({"retry-after": bare}, NOW) == 60.0
    assert retry_after({"retry-after": IN_A_MINUTE, "date": bare}, NOW) == 0.0
