"""A night's attempts and credits as plain columns of numbers: 8 bytes each, so that a million attempts take some ten MB."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batchgen.core.facts import RunFacts
from batchgen.core.messages import MoneyKind
from batchgen.core.model import Instant
from batchgen.core.states import AttemptState
from batchgen.report.page.source import Source

LOOKED_THROUGH = 50
"""Runs that are looked through for the newest that submitted anything: a night whose cron found all done shows the night before."""


def _column() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Night:
    """What happened in one run and those that resumed it. Instants are in order; `ends` are not those of the same row."""

    runs: tuple[RunFacts, ...]  # newest first
    submitted: array[float] = field(default_factory=_column)
    ends: array[float] = field(default_factory=_column)  # of every attempt that ended
    rendered: array[float] = field(default_factory=_column)  # ends of those that succeeded
    took: Mapping[str, array[float]] = field(default_factory=dict)  # seconds from taken to rendered, by model, in order
    moved: array[float] = field(default_factory=_column)  # instants at which credits moved
    spent: array[float] = field(default_factory=_column)  # captured so far, after that
    held: array[float] = field(default_factory=_column)  # still held, after that

    @property
    def begun(self) -> Instant:
        """Return the first instant."""
        return min([run.started_at for run in self.runs] + list(self.submitted[:1]))

    @property
    def over(self) -> Instant:
        """Return the last instant."""
        ended = [run.ended_at or run.started_at for run in self.runs]
        return max([*ended, *self.submitted[-1:], *self.ends[-1:], *self.moved[-1:]])

    def at_once(self) -> Iterator[tuple[Instant, int]]:
        """Yield how many attempts are under way, each time that changes."""
        events = sorted([(at, -1) for at in self.ends] + [(at, 1) for at in self.submitted])
        flying = 0
        for at, change in events:
            flying += change
            yield at, flying


def find_night(source: Source, runs: Sequence[RunFacts], asked: RunFacts | None) -> Night | None:
    """Return the night of the run that was asked for, or the newest that submitted anything; None if none did.

    `runs` are newest first.
    """
    roots = [asked.root] if asked else list(dict.fromkeys(run.root for run in runs[:LOOKED_THROUGH]))
    for root in roots:
        night = read_night(source, [run for run in runs if run.root == root], root)
        if night.submitted:
            return night
    return None


def read_night(source: Source, runs: Sequence[RunFacts], root: int) -> Night:
    """Read a night from the ledger."""
    night = Night(tuple(runs))
    took: defaultdict[str, array[float]] = defaultdict(_column)
    for flight in source.flights(root):
        night.submitted.append(flight.submitted_at)
        if flight.ended_at is None:
            continue
        night.ends.append(flight.ended_at)
        if flight.state is AttemptState.SUCCEEDED:
            night.rendered.append(flight.ended_at)
            took[flight.model].append(max(flight.ended_at - (flight.accepted_at or flight.submitted_at), 0.0))
    night.ends, night.rendered = _in_order(night.ends), _in_order(night.rendered)
    night.took = {model: _in_order(seconds) for model, seconds in took.items()}
    _add_credits(night, source, root)
    return night


_HELD = {MoneyKind.HOLD: 1, MoneyKind.CAPTURE: -1, MoneyKind.RELEASE: -1}
_SPENT = {MoneyKind.CAPTURE: 1, MoneyKind.REFUND: -1}


def _add_credits(night: Night, source: Source, root: int) -> None:
    """Sum the money book up."""
    spent = held = 0
    for move in source.credit_moves(root):
        held += _HELD.get(move.kind, 0) * move.credits
        spent += _SPENT.get(move.kind, 0) * move.credits
        night.moved.append(move.at)
        night.spent.append(spent)
        night.held.append(held)


def _in_order(values: array[float]) -> array[float]:
    return array("d", sorted(values))
