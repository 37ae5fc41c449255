"""A night as charts: coordinates for an SVG, a sentence that says the same, and a table with the numbers behind it.

Only geometry and words are here; the template draws. Whoever cannot see the picture reads the sentence, and the table.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batchgen.core.model import Instant
from batchgen.report.page.axes import Bins, round_steps, time_marks
from batchgen.report.page.night import Night
from batchgen.report.text import When, counted, number, span

WIDTH, HEIGHT = 460.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 8.0, 14.0, 26.0
MOST_MODELS = 10
"""Rows of the chart of render times; the busiest models come first."""
SQUASHED = 4
"""A limit that is so many times the peak is told in words only: drawn to scale it would flatten the night to a line."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A label at a coordinate."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A path of an SVG. `look` is its class: area, line or second."""

    look: str
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's render times: from its quick ones to its slow ones, with the usual one marked."""

    y: float
    name: str
    quick: float
    usual: float
    slow: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `head` and `rows` are its numbers as a table."""

    key: str
    title: str
    says: str
    x: tuple[Mark, ...]
    y: tuple[Mark, ...]
    layers: tuple[Layer, ...] = ()
    bars: tuple[Bar, ...] = ()
    limit: Mark | None = None
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings allow: requests per minute, of all kinds together, and attempts on the server at once."""

    per_minute: float
    in_flight: int


def charts_of(night: Night, limits: Limits, when: When) -> tuple[Chart, ...]:
    """Return the charts of a night."""
    drawing = _Drawing(Bins.over(night.begun, night.over), when)
    made = [_throughput(night, limits, drawing), _in_flight(night, limits, drawing), _credits(night, drawing)]
    return (*made, *([_took(night)] if night.took else []))


class _Drawing:
    """The time axis that the charts of a night share."""

    def __init__(self, bins: Bins, when: When) -> None:
        self.bins, self._when = bins, when
        self.marks = tuple(Mark(self._x(at), text) for at, text in time_marks(bins.first, bins.last, when))

    def _x(self, instant: Instant) -> float:
        share = (instant - self.bins.first) / (self.bins.last - self.bins.first)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def steps(self, values: Sequence[float], top: float, *, filled: bool) -> str:
        """Return the path of one value per bin, as stairs."""
        path = [f"M{LEFT:.1f} {_y(0, top):.1f}"] if filled else []
        for nth, value in enumerate(values):
            left, right = (self._x(self.bins.first + (nth + side) * self.bins.width) for side in (0, 1))
            path.append(f"{'L' if path else 'M'}{left:.1f} {_y(value, top):.1f}H{right:.1f}")
        return "".join(path) + (f"V{_y(0, top):.1f}Z" if filled else "")

    def rows(self, *columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Return a table with one row per bin."""
        begins = (self._when(self.bins.first + nth * self.bins.width).strftime("%d %b %H:%M:%S") for nth in range(self.bins.count))
        return tuple(zip(begins, *columns, strict=True))


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _scale(top: float) -> tuple[float, tuple[Mark, ...]]:
    """Return the upper end of an axis, and its marks."""
    steps = round_steps(top)
    return steps[-1], tuple(Mark(_y(step, steps[-1]), _short(step)) for step in steps)


def _short(value: float) -> str:
    return number(round(value)) if value == round(value) else f"{value:g}"


def _limit(value: float, peak: float, words: str) -> tuple[float, str]:
    """Return how high the axis must go, and a remark where the limit is not drawn."""
    return (max(value, peak), "") if value <= SQUASHED * max(peak, 1) else (peak, f" {words}, far above what is drawn.")


def _throughput(night: Night, limits: Limits, drawing: _Drawing) -> Chart:
    """Draw submissions and finished renders per minute against the limit."""
    bins, per_minute = drawing.bins, 60.0 / drawing.bins.width
    sent = [count * per_minute for count in _count(night.submitted, bins)]
    done = [count * per_minute for count in _count(night.rendered, bins)]
    allowed = f"The limit is {_short(limits.per_minute)} requests a minute of all kinds"
    high, remark = _limit(limits.per_minute, max(sent + done), allowed)
    top, marks = _scale(high)
    length = night.over - night.begun
    says = (
        f"{counted(len(night.submitted), 'attempt')} submitted and {counted(len(night.rendered), 'render')} finished in {span(length)}: "
        f"{about(len(night.rendered) * 60 / max(length, 1.0))} a minute on average, {about(max(done))} at the peak. "
        + (remark.strip() or f"{allowed}.")
    )
    return Chart(
        key="throughput",
        title="Renders per minute",
        says=says,
        x=drawing.marks,
        y=marks,
        layers=(
            Layer("area", drawing.steps(done, top, filled=True), "finished"),
            Layer("line", drawing.steps(sent, top, filled=False), "submitted"),
        ),
        limit=None if remark else Mark(_y(limits.per_minute, top), "limit"),
        head=("from", "submitted a minute", "finished a minute"),
        rows=drawing.rows([about(value) for value in sent], [about(value) for value in done]),
    )


def _count(instants: array[float], bins: Bins) -> list[int]:
    """Count instants per bin."""
    counts = [0] * bins.count
    for instant in instants:
        counts[bins.at(instant)] += 1
    return counts


def _in_flight(night: Night, limits: Limits, drawing: _Drawing) -> Chart:
    """Draw the attempts under way at once, the most of each bin."""
    most = _most(night.at_once(), drawing.bins)
    peak = max(most)
    high, remark = _limit(limits.in_flight, peak, f"{number(limits.in_flight)} are allowed at once")
    top, marks = _scale(high)
    says = f"At most {number(peak)} renders were under way at once." + (remark or f" {number(limits.in_flight)} are allowed.")
    return Chart(
        key="in-flight",
        title="In flight",
        says=says,
        x=drawing.marks,
        y=marks,
        layers=(Layer("area", drawing.steps(most, top, filled=True), "under way at once"),),
        limit=None if remark else Mark(_y(limits.in_flight, top), "limit"),
        head=("from", "at most under way"),
        rows=drawing.rows([number(value) for value in most]),
    )


def _most(changes: Iterable[tuple[Instant, int]], bins: Bins) -> list[int]:
    """Return the highest value in each bin; one that does not change lasts."""
    most = [0] * bins.count
    nth = value = 0
    for at, now in changes:
        for passed in range(nth + 1, bins.at(at) + 1):
            most[passed] = value
        nth, value = bins.at(at), now
        most[nth] = max(most[nth], now)
    most[nth + 1 :] = [value] * (bins.count - nth - 1)
    return most


def _credits(night: Night, drawing: _Drawing) -> Chart:
    """Draw credits spent, and held on top of them."""
    spent = _last(night.moved, night.spent, drawing.bins)
    both = [gone + open_ for gone, open_ in zip(spent, _last(night.moved, night.held, drawing.bins), strict=True)]
    top, marks = _scale(max(both))
    paid = drawing.steps(spent, top, filled=True)
    says = f"{number(round(spent[-1]))} credits were spent and {number(round(both[-1] - spent[-1]))} are held at the end."
    return Chart(
        key="credits",
        title="Credits",
        says=says,
        x=drawing.marks,
        y=marks,
        layers=(
            Layer("second", drawing.steps(both, top, filled=True) + paid, "held"),  # what lies between: even-odd
            Layer("area", paid, "spent"),
        ),
        head=("from", "spent by then", "held then"),
        rows=drawing.rows([number(round(value)) for value in spent], [number(round(b - s)) for b, s in zip(both, spent, strict=True)]),
    )


def _last(instants: array[float], values: array[float], bins: Bins) -> list[float]:
    """Return the value at the end of each bin."""
    found = (bisect_right(instants, edge) for edge in bins.edges())
    return [values[nth - 1] if nth else 0.0 for nth in found]


def _took(night: Night) -> Chart:
    """Draw how long renders took, by model, from being taken by the server to being rendered."""
    busiest = sorted(night.took.items(), key=lambda item: (-len(item[1]), item[0]))
    shown, line = busiest[:MOST_MODELS], 34.0
    facts = [(model, len(seconds), _share(seconds, 0.1), _share(seconds, 0.5), _share(seconds, 0.9)) for model, seconds in shown]
    steps = round_steps(max(slow for *_, slow in facts))
    top, height = steps[-1] or 1.0, TOP + line * len(facts) + BOTTOM

    def x(seconds: float) -> float:
        return 8.0 + seconds / top * (WIDTH - 24.0)

    bars = tuple(
        Bar(TOP + line * nth, model, x(quick), x(usual), x(slow), f"{model}: {_seconds(usual)}")
        for nth, (model, _, quick, usual, slow) in enumerate(facts)
    )
    more = f" {len(busiest) - len(shown)} more models are not drawn." if len(busiest) > len(shown) else ""
    model, count, quick, usual, slow = facts[0]
    spread = f"eight of ten of its {counted(count, 'render')} took {_seconds(quick)} to {_seconds(slow)}"
    says = f"{model}, the busiest, took {_seconds(usual)} as a rule; {spread}.{more}"
    return Chart(
        key="render-time",
        title="Render time by model",
        says=says,
        x=tuple(Mark(x(step), f"{_short(step)} s") for step in steps),
        y=(),
        bars=bars,
        head=("model", "renders", "quick (1 of 10 is quicker)", "median", "slow (1 of 10 is slower)"),
        rows=tuple((model, number(count), *map(_seconds, three)) for model, count, *three in facts),
        height=height,
    )


def about(value: float) -> str:
    """Return a number to two digits or to the whole: 0.45, 4.2, 42, 1,140."""
    return number(round(value)) if value >= 10 or value == round(value) else f"{value:.2g}"  # noqa: PLR2004  two digits before the point


def _seconds(value: float) -> str:
    return span(value) if value >= 10 else f"{about(value)} s"  # noqa: PLR2004  below, a tenth of a second says something


def _share(ordered: array[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
