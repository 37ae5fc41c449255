"""What limits a run: the options that `plan` and `run` share."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TypedDict, TypeVar

import click

from batchgen.cli.options import said
from batchgen.core.facts import RunAsked
from batchgen.core.forecast import PlanFacts
from batchgen.core.model import Instant
from batchgen.core.plan import ActionKind
from batchgen.errors import UsageError
from batchgen.manifest import Checked
from batchgen.settings import Settings
from batchgen.settings.words import NotUnderstood, count, credits_of, duration

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

MOST_TASKS = 10**9


class Asked(TypedDict):
    """How a run is asked for."""

    budget: int | None
    max_tasks: int | None
    until: tuple[int, int] | None
    max_duration: float | None
    only: str
    retry_failed: bool


def time_of_day(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read `HH:MM` as hours and minutes; a callback for an option."""
    if value is None:
        return None
    match = re.fullmatch("([01]?[0-9]|2[0-3]):([0-5][0-9])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a time of day such as 06:30")
    return int(match[1]), int(match[2])


def read_as(read: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """Return a callback for an option, which says what would be right instead of a value that `read` does not understand."""

    def callback(_context: click.Context, _option: click.Parameter, value: str | None) -> T | None:
        try:
            return None if value is None else read(value)
        except NotUnderstood as error:
            raise click.BadParameter(f"{error}; {error.right}") from error

    return callback


CREDITS = read_as(credits_of)
TASKS = read_as(lambda text: count(text, most=MOST_TASKS))
SECONDS = read_as(duration)


def lasting(function: F) -> F:
    """Add `--max-duration`."""
    return click.option("--max-duration", metavar="6h", callback=SECONDS, help="Submit nothing from so long after the start on.")(function)


def asking(function: F) -> F:
    """Add what limits a run."""
    options = (
        click.option("--budget", metavar="N", callback=CREDITS, help="Spend at most N credits in this run."),
        click.option("--max-tasks", metavar="N", callback=TASKS, help="Submit at most N tasks in this run."),
        click.option("--until", metavar="HH:MM", callback=time_of_day, help="Submit nothing from this time of day on."),
        lasting,
        click.option("--only", default="", metavar="GLOB", callback=said, help="Only tasks whose id matches, such as 'hero-*'."),
        click.option("--retry-failed", is_flag=True, help="Ask again for tasks that failed for good or are blocked."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def options_of(asked: Asked) -> str:
    """Return the options as they were typed, for advice that can be copied."""
    until = asked["until"]
    said = (
        ("--budget", asked["budget"]),
        ("--max-tasks", asked["max_tasks"]),
        ("--until", None if until is None else f"{until[0]:02}:{until[1]:02}"),
        ("--max-duration", None if asked["max_duration"] is None else f"{asked['max_duration']:.12g}s"),
        ("--only", shlex.quote(asked["only"]) if asked["only"] else None),
    )
    given = "".join(f" {name} {value}" for name, value in said if value is not None)
    return given + (" --retry-failed" if asked["retry_failed"] else "")


def asked_of(checked: Checked, asked: Asked, settings: Settings) -> RunAsked:
    """Return what a run is asked for, as the ledger keeps it: manifests by name, because files move."""
    now = time.time()
    return RunAsked(
        command="run",
        manifests=tuple(loaded.header.name for loaded in checked.manifests),
        only=asked["only"],
        retry_failed=asked["retry_failed"],
        budget=asked["budget"],
        max_tasks=asked["max_tasks"],
        until=deadline(asked["until"] and next_time(asked["until"], settings, now), asked["max_duration"], now),
    )


def refuse_nothing(plan: PlanFacts, checked: Checked, only: str) -> None:
    """Raise UsageError if `--only` matches no task at all: a run that does nothing for a slip of the pen must not look well."""
    matched = (tasks for part in plan.manifests for kind, tasks in part.counts.items() if kind is not ActionKind.REMOVED)
    if not only or any(matched):
        return
    ids = [task.id for loaded in checked.manifests for task in islice(loaded.tasks(), 3)][:3]
    hint = f"; ids here are such as {', '.join(ids)}" if ids else ""
    raise UsageError(f"--only {only!r} matches the id of no task{hint}")


def deadline(until: Instant | None, max_duration: float | None, now: Instant) -> Instant | None:
    """Return the earlier of a time and the end of a duration that begins now; None without both."""
    given = (until, None if max_duration is None else now + max_duration)
    return min((instant for instant in given if instant is not None), default=None)


def next_time(of_day: tuple[int, int], settings: Settings, now: Instant) -> Instant:
    """Return the next instant at which the clocks of the account's zone show this time."""
    wall = settings.local(now).replace(tzinfo=None, hour=of_day[0], minute=of_day[1], second=0, microsecond=0)
    shown = sorted(instant for days in (0, 1, 2) for instant in _instants(wall + timedelta(days=days), settings))
    return next(instant for instant in shown if instant > now)


def _instants(wall: datetime, settings: Settings) -> Iterator[Instant]:
    """Yield when the clocks show this: twice if they are set back then; if they jump over it, once, at the jump."""
    # Without a zone, timestamp() reads the clock of this machine, summer time included.
    first, second = (wall.replace(tzinfo=settings.zone, fold=fold).timestamp() for fold in (0, 1))
    if first <= second:
        yield first
        yield second
    else:
        yield _jump(second, first, settings)


def _jump(before: Instant, after: Instant, settings: Settings) -> Instant:
    """Return the instant between two, to the second, at which the clocks were set."""
    summer = settings.local(after).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if settings.local(middle).utcoffset() == summer else (middle, after)
    return after
