"""What limits a run: the options that `plan` and `run` share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypedDict, TypeVar

import click

from batchgen.core.facts import RunAsked
from batchgen.core.model import Instant
from batchgen.manifest import Checked
from batchgen.settings import Settings

F = TypeVar("F", bound=Callable[..., object])

CREDITS = click.IntRange(min=0, max=10**12)


class Asked(TypedDict):
    """How a run is asked for."""

    budget: int | None
    max_tasks: int | None
    until: tuple[int, int] | None
    only: str
    retry_failed: bool


def time_of_day(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read `HH:MM` as hours and minutes; a callback for an option."""
    if value is None:
        return None
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a time of day such as 06:30")
    return int(match[1]), int(match[2])


def asking(function: F) -> F:
    """Add what limits a run."""
    options = (
        click.option("--budget", type=CREDITS, metavar="N", help="Spend at most N credits in this run."),
        click.option("--max-tasks", type=click.IntRange(min=1), metavar="N", help="Submit at most N tasks in this run."),
        click.option("--until", metavar="HH:MM", callback=time_of_day, help="Submit nothing from this time of day on."),
        click.option("--only", default="", metavar="GLOB", help="Only tasks whose id matches, such as 'hero-*'."),
        click.option("--retry-failed", is_flag=True, help="Ask again for tasks that failed for good or are blocked."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def asked_of(checked: Checked, asked: Asked, settings: Settings) -> RunAsked:
    """Return what a run is asked for, as the ledger keeps it: manifests by name, because files move."""
    until = asked["until"]
    return RunAsked(
        command="run",
        manifests=tuple(loaded.header.name for loaded in checked.manifests),
        only=asked["only"],
        retry_failed=asked["retry_failed"],
        budget=asked["budget"],
        max_tasks=asked["max_tasks"],
        until=None if until is None else next_time(until, settings, time.time()),
    )


def next_time(of_day: tuple[int, int], settings: Settings, now: Instant) -> Instant:
    """Return the next instant at which the clocks of the account's zone show this time."""
    today = settings.local(now).replace(tzinfo=None, hour=of_day[0], minute=of_day[1], second=0, microsecond=0)
    # Without a zone, timestamp() reads the clock of this machine, summer time included.
    instant = today.replace(tzinfo=settings.zone).timestamp()
    if instant <= now:
        instant = (today + timedelta(days=1)).replace(tzinfo=settings.zone).timestamp()
    return instant
