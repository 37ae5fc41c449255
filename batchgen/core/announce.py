"""Who is told about a run, and of what: the settings of the notices, as one frozen value. Nothing here sends anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.core.messages import Ended
from batchgen.core.stops import PLANNED
from batchgen.errors import ExitCode


class Occasion(StrEnum):
    """What people may be told of."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    BUDGET = "budget"  # work is left, because a budget or the balance says no
    IN_DOUBT = "in_doubt"


WORTH_WAKING = frozenset({Occasion.FAILURE, Occasion.BUDGET, Occasion.IN_DOUBT})
"""What is told unless the settings say otherwise: a night that went well is silent."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Where notices go. The addresses often hold tokens, so no repr shows them."""

    urls: tuple[str, ...] = field(default=(), repr=False)  # Apprise's
    occasions: frozenset[Occasion] = WORTH_WAKING
    ping: str = field(default="", repr=False)  # a dead man's switch in the manner of healthchecks.io
    metrics: str = ""  # a file for node_exporter's textfile collector

    @property
    def silent(self) -> bool:
        """True if nobody is told anything."""
        return not (self.urls or self.ping or self.metrics)


def occasion_of(ended: Ended) -> Occasion:
    """Return what the end of a run is to those who are told. A deadline that was asked for is a success, with work left."""
    if ended.code is ExitCode.DONE:
        return Occasion.SUCCESS
    if ended.code is ExitCode.STOPPED_EARLY:
        planned = ended.stops and all(stop.kind in PLANNED for stop in ended.stops)
        return Occasion.SUCCESS if planned else Occasion.BUDGET
    return Occasion.IN_DOUBT if ended.code is ExitCode.IN_DOUBT else Occasion.FAILURE
