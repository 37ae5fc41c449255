"""The live view as lines of styled pieces, for a terminal of any width from 20 columns on; and the one line of a log.

Pure: what draws it (`cli.paint`) knows the terminal. Where a line is too narrow its parts flow into more lines, and a part
into rows; nothing is left out but the ends of long messages. The most important lines come first, because a low terminal
shows only those and the last failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from batchgen.core.messages import Glimpse
from batchgen.core.model import Instant
from batchgen.report.columns import wrapped
from batchgen.report.log import Event, Level
from batchgen.report.pulse import Ending, PulseFacts
from batchgen.report.text import When, clean, counted, number, span

Line = Sequence[tuple[str, str]]
"""A line as pairs of text and style; a style is a word that rich knows, or empty."""
ROOMY = 60
"""Columns from which on each line begins with a label."""
LABEL = 9
ROWS = 3
"""Rows that one failure takes at most: its task, its code and the begin of the server's words are in them."""
KEPT = 3
"""Lines that even the last failure does not push out: what is done, the bar, where the tasks are."""
BUDGETS = 4
"""Budgets that are shown, those with the least left first: a folder of manifests has three for each."""


class Room(NamedTuple):
    """What a terminal has room for, in letters."""

    columns: int
    rows: int = 1_000


@dataclass(frozen=True, slots=True)
class Letters:
    """What a bar and a separator are drawn with; a bar is understood without its colours."""

    full: str = "━"
    flying: str = "╍"
    empty: str = "─"
    dot: str = " · "


PLAIN = Letters("#", "=", "-", ", ")
"""For an encoding without line characters."""


def live_lines(facts: PulseFacts, *, room: Room, now: Instant, when: When, letters: Letters = PLAIN) -> list[Line]:
    """Return the view, the most important lines first. `now` is the time of day, for the time at which the run may end."""
    lines = list(_run_lines(facts, room.columns, ending_parts(facts, now, when), letters))
    # Newest first, lost work before what the run deals with: in few rows the former must be seen.
    worst_first = sorted(facts.troubles, key=lambda event: (event.level is Level.ERROR, event.at), reverse=True)
    failures = [list(_trouble(event, room.columns, when)) for event in worst_first]
    for last in failures[:1]:
        # Whoever looks on must see that something fails, also in a terminal of few rows.
        del lines[max(room.rows - len(last), KEPT) :]
    return [*lines, *chain.from_iterable(failures)][: room.rows]


def _run_lines(facts: PulseFacts, width: int, ending: list[str], letters: Letters) -> Iterator[Line]:
    """Yield all but the failures."""
    glimpse = facts.glimpse
    done = [_saved(facts), *_failed(glimpse), span(facts.seconds)]
    yield from _flow("", done, width, "bold", letters)
    yield _bar(facts, width, letters)
    yield from _flow("tasks", tasks_parts(facts), width, "", letters)
    yield from _flow("held up", [held_up(glimpse)] if glimpse.waiting_for else [], width, "yellow", letters)
    yield from _flow("ends", ending, width, "", letters)
    yield from _flow("credits", [f"{number(glimpse.captured)} spent", f"{number(glimpse.held)} held"], width, "", letters)
    yield from _flow("rate", rate_parts(facts), width, "", letters)
    yield from _flow("budgets", budget_parts(glimpse), width, "", letters)


def _trouble(event: Event, width: int, when: When) -> Iterator[Line]:
    """Yield a failure, after the time at which it came."""
    style = "red" if event.level is Level.ERROR else "yellow"
    time = when(event.at).strftime("%H:%M:%S")
    roomy = width >= ROOMY
    rows = list(islice(wrapped(event.message, max(1, width - LABEL if roomy else width)), ROWS + 1))
    if len(rows) > ROWS:
        rows[ROWS - 1 :] = [f"{rows[ROWS - 1]} {rows[ROWS]}"]  # too long: the painter shows that it goes on
    if not roomy:
        yield [(time, "dim")]
    for nth, row in enumerate(rows):
        head = (time if nth == 0 else "").ljust(LABEL) if roomy else ""
        yield [(head, "dim"), (row, style)]


def _failed(glimpse: Glimpse) -> list[str]:
    return [f"{number(glimpse.failed)} failed or blocked"] if glimpse.failed else []


def _bar(facts: PulseFacts, width: int, letters: Letters) -> Line:
    """Draw what is done, what failed, and what is in flight."""
    glimpse, total = facts.glimpse, max(1, facts.total)
    room = max(1, width)
    done = min(room, room * glimpse.saved // total)
    failed = min(room - done, -(-room * glimpse.failed // total))
    flying = min(room - done - failed, room * (glimpse.submitting + glimpse.rendering + glimpse.downloading) // total)
    rest = room - done - failed - flying
    return [
        (letters.full * done, "green"),
        (letters.full * failed, "red"),
        (letters.flying * flying, "cyan"),
        (letters.empty * rest, "dim"),
    ]


def tasks_parts(facts: PulseFacts) -> list[str]:
    """Say how many tasks wait and where the others are."""
    glimpse = facts.glimpse
    parts = (
        (facts.waiting, number(facts.waiting), "waiting"),
        (glimpse.uploading, counted(glimpse.uploading, "reference"), "uploading"),
        (glimpse.submitting, number(glimpse.submitting), "submitting"),
        (glimpse.rendering, number(glimpse.rendering), "rendering"),
        (glimpse.downloading, number(glimpse.downloading), "downloading"),
    )
    return [f"{said} {word}" for count, said, word in parts if count] or ["nothing in flight"]


def rate_parts(facts: PulseFacts) -> list[str]:
    """Say how fast it goes, against the limit."""
    parts = [] if facts.tasks_per_minute is None else [f"{facts.tasks_per_minute:,.1f} tasks/min"]
    limit = facts.glimpse.per_minute
    if limit and facts.requests_per_minute is not None:
        parts.append(f"{facts.requests_per_minute:,.0f} of {limit:,.0f} requests/min")
    elif limit:
        parts.append(f"at most {limit:,.0f} requests/min")
    if facts.slowed_from:
        parts.append(f"slowed down from {facts.slowed_from:,.0f}, as the server asked")
    return parts


def budget_parts(glimpse: Glimpse) -> list[str]:
    """Say what is left of the budgets that apply, those with the least left first."""
    tightest = sorted(glimpse.budgets, key=lambda budget: budget.left)
    parts = [f"{clean(budget.name)}: {number(budget.left)} of {number(budget.limit)} left" for budget in tightest[:BUDGETS]]
    more = len(tightest) - BUDGETS
    return parts + ([f"{number(more)} more"] if more > 0 else [])


def ending_parts(facts: PulseFacts, now: Instant, when: When) -> list[str]:
    """Say when the run may end, and why then."""
    if facts.glimpse.stopping:
        return ["as soon as what is in the air has landed"]
    ending = facts.ending
    if ending is None:
        return ["not known before the first render ends"] if facts.glimpse.rendering or facts.glimpse.submitting else []
    return [_in(ending, now, when), clean(ending.why)]


def _in(ending: Ending, now: Instant, when: When) -> str:
    if not ending.seconds:
        return "soon"
    rounded = ending.seconds if ending.seconds < 60 else round(ending.seconds / 60) * 60  # noqa: PLR2004  minutes, once there are any
    return f"in about {span(rounded)}, at {when(now + ending.seconds).strftime('%H:%M')}"


def held_up(glimpse: Glimpse) -> str:
    """Say why nothing is submitted."""
    return f"submitting nothing: {clean(glimpse.waiting_for)}"


def _flow(label: str, parts: list[str], width: int, style: str, letters: Letters) -> Iterator[Line]:
    """Yield the parts on as many lines as they need; after a label where there is room for one."""
    if not parts:
        return
    roomy = width >= ROOMY and bool(label)
    room = width - LABEL if roomy else width
    rows: list[str] = []
    for part in parts:
        if rows and len(rows[-1]) + len(letters.dot) + len(part) <= room:
            rows[-1] += letters.dot + part
        else:
            rows += wrapped(part, max(1, room))
    for nth, row in enumerate(rows):
        head = (label if nth == 0 else "").ljust(LABEL) if roomy else ""
        yield [(head, "dim"), (row, style)]


def _saved(facts: PulseFacts) -> str:
    """Say how many are done, and of how many where that is known: `fetch` finds it out as it goes."""
    saved = number(facts.glimpse.saved)
    return f"{saved} of {number(facts.total)} done" if facts.total else f"{saved} done"


def progress_line(facts: PulseFacts, now: Instant, when: When) -> str:
    """Return the run in one line, for a log."""
    glimpse = facts.glimpse
    parts = [_saved(facts)]
    parts += [] if not facts.waiting else [f"{number(facts.waiting)} waiting"]
    parts += [part for part in tasks_parts(facts) if not part.endswith((" waiting", "in flight"))]
    parts += _failed(glimpse)
    parts.append(f"{number(glimpse.captured)} credits spent, {number(glimpse.held)} held")
    parts += budget_parts(glimpse)[:1]
    parts += rate_parts(facts) if facts.tasks_per_minute is not None else []
    if facts.ending is not None and facts.ending.seconds:
        parts.append(f"ends {_in(facts.ending, now, when)} ({clean(facts.ending.why)})")
    parts += [held_up(glimpse)] if glimpse.waiting_for else []
    return ", ".join(parts)


def progress_event(facts: PulseFacts, at: Instant, message: str) -> Event:
    """Return how the run stands as an event; `message` is its line for people."""
    glimpse, ending = facts.glimpse, facts.ending
    told = {
        "tasks": facts.total,
        "done": glimpse.saved,
        "failed": glimpse.failed,
        "waiting": facts.waiting,
        "uploading": glimpse.uploading,
        "submitting": glimpse.submitting,
        "rendering": glimpse.rendering,
        "downloading": glimpse.downloading,
        "credits_spent": glimpse.captured,
        "credits_held": glimpse.held,
        "budgets": [{"budget": b.name, "limit": b.limit, "left": b.left} for b in glimpse.budgets],
        "tasks_per_minute": _rounded(facts.tasks_per_minute),
        "requests_per_minute": _rounded(facts.requests_per_minute),
        "requests_per_minute_limit": _rounded(glimpse.per_minute),
        "seconds_left": None if ending is None else _rounded(ending.seconds),
        "ends_because": None if ending is None else ending.why,
        "held_up_by": glimpse.waiting_for,
    }
    return Event("progress", Level.INFO, at, message, told)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
