"""When a render is worth a look: what others of its kind took tells how likely this one is to be done by now.

Render times are nearly log-normal (a product of many small causes, and never below zero), so a kind is known by the
mean and the spread of the logarithms of its times; three numbers, which the ledger keeps from run to run.

    first look    when a first few of a hundred would be done
    next looks    the pause goes with 1 / sqrt(hazard): that is where the sum of waiting and asking is least, because
                  a look at age t costs 1 for each render that is not done, and a pause costs half of itself for each
                  that ends in it
    when the rate binds, a look waits until the render is nearly surely done, and the creates go first

What counts as seen is the middle between the last look that found it unfinished and the first that found it done. A
pause too wide to say anything teaches nothing: else looks that come late would teach that renders take long, and the
next would come later still. Ended-at times of the ledger have that fault, which is why they are not used.

Deliberately absent: the server's updated_at, which some services set when they are asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.core.model import Instant
from batchgen.core.policy import PollPolicy
from batchgen.core.pricing import model_of

RENDER_TIMES = "render_times"
"""The Noted event whose detail is all that is known of render times, as JSON. The ledger keeps the newest."""

ENOUGH = 5
"""Renders of a kind before anything is concluded from them."""

MEMORY = 100
"""Renders that count: older ones fade, because a service's speed changes with the hour."""

EARLY, SURE = -2.0, 2.0
"""Standard deviations from the mean: 2 of 100 are done by the first, 98 of 100 by the second."""

SPREAD = (0.08, 1.2)
"""The least and the most spread of the logarithms that is believed."""

WIDE = 0.35
"""A sample whose end is known less exactly than this share of its age is none."""

CALM = 0.03
"""The pause at the likeliest age is at least this share of it: an hour's render needs no look every five seconds."""

GROWTH = 0.15
"""Pauses of a render of an unknown kind, or older than all of its kind, grow with this share of its age."""

LATE = 0.06
"""... and of one that is older than nearly all of its kind, with this: its end is the night's end."""

KINDS = 200
"""Kinds that are remembered; the least recently seen go first."""


@dataclass(slots=True)
class Kind:
    """How long renders of a kind take: number, mean and variance of the natural logarithms of seconds."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def saw(self, seconds: float) -> None:
        """Count one more; old ones fade."""
        self.count = min(self.count + 1, MEMORY)
        share = 1.0 / self.count
        off = math.log(max(seconds, 0.001)) - self.mean
        self.mean += share * off
        self.variance = (1.0 - share) * (self.variance + share * off * off)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithms; few samples are believed less than they say."""
        least, most = SPREAD
        return min(most, max(least, math.sqrt(self.variance * (1.0 + 4.0 / max(1, self.count)))))

    def at(self, deviations: float) -> float:
        """Return the age, in seconds, so many standard deviations from the mean of the logarithms."""
        return math.exp(self.mean + deviations * self.spread)

    def hazard(self, age: float) -> float:
        """Return how many of those not done by `age` end in the next second."""
        z = (math.log(age) - self.mean) / self.spread
        density = math.exp(-z * z / 2.0) / (age * self.spread * math.sqrt(2.0 * math.pi))
        return density / max(1e-9, math.erfc(z / math.sqrt(2.0)) / 2.0)


Known = Mapping[str, tuple[int, float, float]]
"""Kinds as the ledger keeps them: count, mean, variance, by price key and by model."""


class Looks:
    """What is known of render times, and when to look."""

    def __init__(self, poll: PollPolicy, known: Known) -> None:
        """Start from what the ledger remembers."""
        self._poll = poll
        self._kinds = {name: Kind(*numbers) for name, numbers in known.items()}
        self.fresh = False  # something was learned that the ledger does not know

    def known(self) -> Known:
        """Return all that is known, for the ledger."""
        return {name: (kind.count, round(kind.mean, 5), round(kind.variance, 6)) for name, kind in self._kinds.items()}

    def saw(self, price_key: str, unfinished: float, finished: float) -> None:
        """Learn from a render that was not done at one age and done at a later one; `unfinished` 0 if there was no earlier look."""
        if finished <= 0.0 or finished - unfinished > WIDE * finished:
            kind = self._kind(price_key)
            if kind is None or finished <= 0.0 or finished >= kind.at(0.0):
                return  # says only what was known: that it is done by then
            unfinished = finished / 2.0  # it was done surprisingly early
        for name in {price_key, model_of(price_key)}:
            kind = self._kinds.pop(name, None) or Kind()
            kind.saw((unfinished + finished) / 2.0)
            self._kinds[name] = kind
        while len(self._kinds) > KINDS:
            del self._kinds[next(iter(self._kinds))]
        self.fresh = True

    def expected(self, price_key: str) -> float:
        """Return the seconds that half of such renders take, 0 if that is not known."""
        kind = self._kind(price_key)
        return 0.0 if kind is None else kind.at(0.0)

    def first(self, price_key: str, accepted_at: Instant) -> Instant:
        """When to ask for the first time."""
        kind = self._kind(price_key)
        return accepted_at + (self._poll.first if kind is None else max(self._poll.first, kind.at(EARLY)))

    def next(self, price_key: str, accepted_at: Instant, now: Instant) -> Instant:
        """When to ask again: often while the end is likely, rarer as the render grows old; never closer than `poll.first`."""
        poll, kind, age = self._poll, self._kind(price_key), max(0.0, now - accepted_at)
        if kind is None or not age:
            pause = max(poll.every, age * GROWTH)
        else:
            calm = max(poll.every, CALM * kind.at(0.0))
            pause = calm * math.sqrt(kind.hazard(kind.at(0.0)) / max(1e-9, kind.hazard(age)))
            pause = max(pause, LATE * age if age < kind.at(2.0 * SURE) else GROWTH * age) if age > kind.at(SURE) else pause
        return now + max(poll.first, min(poll.slowest, pause))

    def sure(self, price_key: str, accepted_at: Instant) -> Instant:
        """From when on a look is hardly ever wasted: that long it waits while creates want the same request."""
        kind = self._kind(price_key)
        return accepted_at if kind is None else accepted_at + kind.at(SURE)

    def _kind(self, price_key: str) -> Kind | None:
        """The kind, if enough is known of it; else its model, whose renders are at least alike."""
        found = (self._kinds.get(name) for name in (price_key, model_of(price_key)))
        return next((kind for kind in found if kind is not None and kind.count >= ENOUGH), None)
