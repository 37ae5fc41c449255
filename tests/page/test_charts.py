"""The charts of a night: numbers out of rows, words beside every picture."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from batchgen.core.messages import MoneyKind
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.states import AttemptState
from batchgen.report.page.axes import MOST_BINS, Bins, round_steps, time_marks
from batchgen.report.page.charts import Chart, Limits, about, charts_of
from batchgen.report.page.night import find_night
from tests.page.shelf import RUN, T0, Shelf, busy_night, page, utc

LIMITS = Limits(60.0, 10)


def charts(shelf: Shelf) -> dict[str, Chart]:
    """Return a shelf's charts by their key."""
    night = find_night(shelf, shelf.all_runs, None)
    assert night
    return {chart.key: chart for chart in charts_of(night, LIMITS, utc)}


def test_four_charts_with_words_and_numbers() -> None:
    """Throughput against the limit, in flight, credits and render time, each with a sentence and a table."""
    made = charts(busy_night(350))
    assert list(made) == ["throughput", "in-flight", "credits", "render-time"]
    assert "350 attempts submitted and 350 renders finished in 1 h: 5.8 a minute" in made["throughput"].says
    assert "60 requests a minute of all kinds, far above what is drawn" in made["throughput"].says
    assert made["in-flight"].says == "At most 4 renders were under way at once. 10 are allowed."
    assert made["credits"].says == "19,250 credits were spent and 0 are held at the end."
    assert "kling-2-6, the busiest, took 33 s as a rule; eight of ten of its 233 renders took 30 s to 36 s" in made["render-time"].says
    assert made["credits"].rows[-1][1:] == ("19,250", "0")
    assert [row[:2] for row in made["render-time"].rows] == [("kling-2-6", "233"), ("nano-banana", "117")]


def test_a_picture_is_never_without_words() -> None:
    """Every SVG is named and described, and its numbers stand in a table with heads."""
    text = page(busy_night(50))
    for key in re.findall(r'aria-labelledby="(\S+)-title \S+-desc"', text):
        assert re.search(rf'<title id="{key}-title">\S', text)
        assert re.search(rf'<desc id="{key}-desc">\S', text)
    assert text.count('role="img"') == text.count("<figcaption>") == text.count("as a table</summary>") == 4


def test_what_never_ended_stays_in_flight() -> None:
    """An attempt in doubt counts until the end; nothing divides by zero on a night without a render."""
    sent = (FlightFacts("m", AttemptState.IN_DOUBT, T0, None, None), FlightFacts("m", AttemptState.FAILED, T0, T0, T0))
    made = charts(Shelf(sent=sent, moves=(CreditFacts(T0, MoneyKind.HOLD, 40),)))
    assert list(made) == ["throughput", "in-flight", "credits"]
    assert made["in-flight"].rows[-1][1] == "1"
    assert made["credits"].says == "0 credits were spent and 40 are held at the end."


def test_a_night_that_spent_nothing_and_took_no_time() -> None:
    """Where every request was refused at once, and where a render took no measurable time, the charts are flat."""
    sent = (FlightFacts("m", AttemptState.REFUSED, T0, None, T0), FlightFacts("m", AttemptState.SUCCEEDED, T0, T0, T0))
    moves = (CreditFacts(T0, MoneyKind.HOLD, 40), CreditFacts(T0, MoneyKind.RELEASE, 40))
    made = charts(Shelf(sent=sent, moves=moves))
    assert made["credits"].says == "0 credits were spent and 0 are held at the end."
    assert "m, the busiest, took 0 s as a rule" in made["render-time"].says
    assert "<svg" in page(Shelf(sent=sent, moves=moves))


def test_a_night_without_attempts_shows_the_one_before() -> None:
    """A run that found all done has no charts of its own; one that was asked for by number is shown as it is."""
    idle = replace(RUN, id=9, root=9)
    shelf = replace(busy_night(5), all_runs=(idle, RUN))
    found = find_night(shelf, shelf.all_runs, None)
    assert found
    assert [run.id for run in found.runs] == [3]
    assert find_night(shelf, shelf.all_runs, idle) is None
    assert find_night(Shelf(all_runs=()), (), None) is None


@pytest.mark.parametrize("length", [0.0, 0.4, 59, 3600, 9 * 3600, 30 * 86400, 3 * 365 * 86400])
def test_bins_cover_the_night(length: float) -> None:
    """However long, a night has few bins, all of one width, and every instant falls into one."""
    bins = Bins.over(T0, T0 + length)
    assert 1 <= bins.count <= MOST_BINS + 1
    assert bins.first <= T0
    assert bins.last >= T0 + length
    assert [bins.at(at) for at in (T0 - 99, T0 + length, bins.last + 99)] == [0, bins.count - 1, bins.count - 1]
    assert 0 <= len(list(time_marks(bins.first, bins.last, utc))) <= 6


@pytest.mark.parametrize(("top", "steps"), [(0, 4.0), (1, 1.0), (7, 8.0), (60, 60.0), (0.3, 0.3), (16_500, 20_000.0)])
def test_axes_end_at_round_numbers(top: float, steps: float) -> None:
    """An axis ends at or above its highest value, in few round steps."""
    made = round_steps(top)
    assert made[0] == 0
    assert made[-1] == pytest.approx(steps, abs=1e-6)
    assert len(made) <= 6


@pytest.mark.parametrize(("value", "words"), [(0, "0"), (0.4567, "0.46"), (4.25, "4.2"), (42.4, "42"), (1140.0, "1,140")])
def test_numbers_in_words(value: float, words: str) -> None:
    """Two digits say enough, and no number is shown as a power of ten."""
    assert about(value) == words
