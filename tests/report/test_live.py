"""The pulse of a run and its view, as values: rates, the end and its reason, lines for any width."""

from __future__ import annotations

import pytest

from batchgen.core.answers import Fault
from batchgen.core.messages import (
    AskStatus,
    AttemptMoved,
    BudgetLeft,
    Controlled,
    Glimpse,
    MoneyKind,
    MoneyMoved,
    Noted,
    OutputLost,
    OutputSaved,
    Step,
    Submitted,
    TaskMoved,
    UploadForgotten,
    UploadStored,
)
from batchgen.core.model import Output, Upload
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.core.steering import Control, ControlKind
from batchgen.report.columns import wrapped
from batchgen.report.live import PLAIN, Letters, Room, live_lines, progress_line
from batchgen.report.log import Level, event_of
from batchgen.report.pulse import LAST, Pulse, PulseFacts
from batchgen.report.text import When

T0 = 1_778_382_007.0  # 2026-05-10 03:00:07 UTC


def submitted(key: str, manifest: str = "spring") -> Submitted:
    """An attempt for 55 credits."""
    return Submitted(1, key, 1, "f" * 64, b"{}", 55, "p", "2026-05-10", T0, manifest, key)


def moved(key: str, before: AttemptState, after: AttemptState, at: float, fault: Fault | None = None) -> AttemptMoved:
    """A move of an attempt."""
    event = {AttemptState.ACCEPTED: AttemptEvent.ACCEPTED, AttemptState.SUCCEEDED: AttemptEvent.SUCCEEDED}.get(after, AttemptEvent.FAILED)
    return AttemptMoved(key, event, before, after, at, fault=fault, manifest="spring", task=key)


def running(glimpse: Glimpse, *, total: int = 100, render: float = 60.0) -> PulseFacts:
    """A run that has seen one render of so many seconds."""
    pulse = Pulse(total, 0.0)
    step = Step(
        (
            submitted("a"),
            moved("a", AttemptState.SUBMITTING, AttemptState.ACCEPTED, T0),
            moved("a", AttemptState.ACCEPTED, AttemptState.SUCCEEDED, T0 + render),
            TaskMoved(1, TaskEvent.SAVED, TaskState.RENDERED, TaskState.DONE, T0 + render),
        ),
        (AskStatus("a", "t"),),
    )
    pulse.take(step, glimpse, 50.0)
    return pulse.facts(60.0)


def test_rates() -> None:
    """Requests are counted over a minute, finished tasks over five; neither is said in the first seconds."""
    pulse = Pulse(100, 0.0)
    done = TaskMoved(1, TaskEvent.SAVED, TaskState.RENDERED, TaskState.DONE, T0)
    pulse.take(Step((done,), (AskStatus("a", "t"),) * 5), Glimpse(), 1.0)
    assert pulse.facts(2.0).requests_per_minute is None
    facts = pulse.facts(30.0)
    assert (facts.tasks_per_minute, facts.requests_per_minute) == (2.0, 10.0)
    facts = pulse.facts(120.0)
    assert (facts.tasks_per_minute, facts.requests_per_minute) == (0.5, 0.0)


def test_ends_by_the_rate() -> None:
    """Where requests are few, the end is when the rate has let the last task out and it is rendered."""
    facts = running(Glimpse(saved=1, rendering=9, per_minute=60, places=100))
    assert facts.waiting == 90
    assert facts.ending is not None
    assert facts.ending.seconds == pytest.approx(90 * 2 + 60)
    assert "rate of 60 requests a minute" in facts.ending.why


def test_ends_by_the_renders() -> None:
    """Where places are few, the end is when the renders have made room for the last one."""
    facts = running(Glimpse(saved=1, rendering=9, per_minute=6000, places=9))
    assert facts.ending is not None
    assert facts.ending.seconds == pytest.approx((90 / 9 + 1) * 60)
    assert facts.ending.why == "a render takes about 1 min, 9 at once"


def test_ends_by_a_budget() -> None:
    """A budget that is enough for fewer tasks than are left ends the run sooner, and is named with what will be left."""
    budgets = (BudgetLeft("total of spring", 9_000, 0, "spring"), BudgetLeft("per_day of spring", 1_100, 550, "spring"))
    facts = running(Glimpse(saved=1, rendering=9, per_minute=60, places=100, budgets=budgets))
    assert facts.ending is not None
    assert facts.ending.seconds == pytest.approx(10 * 2 + 60)
    assert facts.ending.why == "then the budget per_day of spring is used up, with 80 tasks left"
    other = (BudgetLeft("total of autumn", 0, 0, "autumn"),)
    ending = running(Glimpse(saved=1, rendering=9, per_minute=60, places=100, budgets=other)).ending
    assert ending is not None
    assert "rate" in ending.why


def test_no_end_is_known() -> None:
    """Before the first render, while it stops, and while nothing can be submitted, no end is promised."""
    pulse = Pulse(10, 0.0)
    pulse.take(Step((submitted("a"),)), Glimpse(submitting=1, per_minute=60), 1.0)
    assert pulse.facts(10.0).ending is None
    assert running(Glimpse(rendering=3, stopping=True, per_minute=60)).ending is None
    assert running(Glimpse(waiting_for="the account has too few credits", per_minute=60)).ending is None
    lagging = Glimpse(rendering=3, downloading=16, lagging=True, waiting_for="16 paid renders wait for their files", per_minute=60)
    assert running(lagging).ending is None
    assert running(Glimpse(saved=100, per_minute=60)).ending is None
    fetching = running(Glimpse(saved=99, downloading=1, per_minute=60)).ending
    assert fetching is not None
    assert fetching.why == "the last files are being fetched"


def test_last_failures() -> None:
    """The last few failures are kept, in words."""
    pulse = Pulse(10, 0.0)
    fault = Fault("generation_failed", "no \x1b luck")
    for n in range(LAST + 3):
        pulse.take(Step((moved(f"t{n}", AttemptState.ACCEPTED, AttemptState.FAILED, T0, fault),)), Glimpse(), 1.0)
    troubles = pulse.facts(2.0).troubles
    assert len(troubles) == LAST
    assert troubles[-1].message == "spring/t7: its attempt failed: generation_failed: no \\u001b luck"


def test_what_is_tried_again_is_told_apart_from_what_is_lost() -> None:
    """What the run deals with says so; the last three of work that is lost stay, whatever comes after; each task is told once."""
    pulse = Pulse(100, 0.0)
    fault = Fault("generation_failed", "no luck")
    fails = [moved(f"t{n}", AttemptState.ACCEPTED, AttemptState.FAILED, T0 + n, fault) for n in range(20)]
    for n, fail in enumerate(fails):
        lost = n < 4
        event, after = (TaskEvent.GIVEN_UP, TaskState.FAILED) if lost else (TaskEvent.RETURNED, TaskState.PENDING)
        then = TaskMoved(n, event, TaskState.RENDERING, after, T0 + n, "its attempts are used up" if lost else "", f"t{n}", "spring")
        pulse.take(Step((fail, then)), Glimpse(), 1.0 + n)
    told = [(event.level, event.message) for event in pulse.facts(30.0).troubles]
    assert told == [
        *((Level.ERROR, f"spring/t{n} failed for good: its attempts are used up") for n in (1, 2, 3)),
        *((Level.WARNING, f"spring/t{n}: its attempt failed, it is pending again: generation_failed: no luck") for n in (18, 19)),
    ]


FULL = Glimpse(
    uploading=2,
    submitting=3,
    rendering=40,
    downloading=4,
    saved=1_200,
    failed=7,
    held=2_365,
    captured=66_000,
    waiting_for="the budget --budget is used up",
    per_minute=60,
    places=50,
    budgets=tuple(BudgetLeft(f"total of m{n}", 1_000 * n + 5, 5, f"m{n}") for n in range(9)),
)


def said(facts: PulseFacts, room: Room, when: When, letters: Letters = PLAIN) -> list[str]:
    """Return the view's lines as text."""
    return ["".join(text for text, _ in line) for line in live_lines(facts, room=room, now=T0, when=when, letters=letters)]


@pytest.mark.parametrize("width", [1, 19, 40, 59, 60, 79, 200])
@pytest.mark.parametrize("letters", [PLAIN, Letters()])
def test_lines_of_any_width(width: int, letters: Letters, when: When) -> None:
    """At any width the view says everything, fits, and draws a bar of exactly that width."""
    lines = said(running(FULL, total=3_000), Room(width), when, letters)
    whole = "".join(" ".join(lines).split())  # a word that is wider than the terminal is broken
    for words in (
        *("1,200 of 3,000 done", "7 failed", "1,746 waiting", "2 references uploading", "3 submitting", "40 rendering", "4 downloading"),
        *(
            "66,000 spent",
            "2,365 held",
            "5 more",
            "0 of 5 left",
            "of 60 requests/min",
            "submitting nothing: the budget --budget is used up",
        ),
    ):
        assert words.replace(" ", "") in whole
    assert max(map(len, lines)) <= width
    assert any(len(line) == width and set(line) <= {letters.full, letters.flying, letters.empty} for line in lines)
    assert any(line.startswith("rate     ") for line in lines) == (width >= 60)


def test_the_important_lines_come_first(when: When) -> None:
    """A terminal of few rows shows what is done first, then why nothing is submitted, and money before the speed."""
    lines = said(running(FULL, total=0), Room(79), when)
    assert lines[0].startswith("1,200 done")
    labels = [line[:8].strip() for line in lines[2:] if line[:8].strip()]
    assert labels == ["tasks", "held up", "ends", "credits", "rate", "budgets"]


@pytest.mark.parametrize(("columns", "rows"), [(20, 23), (79, 8), (79, 4)])
def test_the_last_failure_has_a_place_in_few_rows(when: When, columns: int, rows: int) -> None:
    """However few rows there are, the work that was lost last is seen, under what is done; what is tried again gives way to it."""
    lost = TaskMoved(1, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, T0, "it failed 3 times", "vase", "spring")
    pulse = Pulse(100, 0.0)
    retried = moved("lamp", AttemptState.ACCEPTED, AttemptState.FAILED, T0 + 5, Fault("generation_failed", "no luck"))
    pulse.take(Step((lost, retried)), FULL, 1.0)
    lines = said(pulse.facts(2.0), Room(columns, rows), when)
    assert len(lines) <= rows
    assert lines[0] == "1,200 of 100 done" if columns < 60 else lines[0].startswith("1,200 of 100 done")
    assert "spring/vase failed for good: it failed 3 times" in " ".join(lines)


def test_a_long_failure_is_cut_after_three_rows(when: When) -> None:
    """A server's long message takes three rows, under the time at which it came; its end is left out by the painter."""
    pulse = Pulse(10, 0.0)
    fault = Fault("generation_failed", "all of it " * 60)
    pulse.take(Step((moved("vase", AttemptState.ACCEPTED, AttemptState.FAILED, T0, fault),)), Glimpse(), 1.0)
    lines = said(pulse.facts(2.0), Room(79), when)
    (first,) = [nth for nth, line in enumerate(lines) if line.startswith("03:00:07 spring/vase")]
    assert len(lines) == first + 3
    assert len(lines[-1]) > 79
    assert said(pulse.facts(2.0), Room(40), when)[-4] == "03:00:07"


def failing(*names: str, manifest: str = "spring") -> Step:
    """A step in which tasks fail for good, each after its last attempt."""
    fault = Fault("generation_failed", "the hat was not blue")
    return Step(
        tuple(
            record
            for name in names
            for record in (
                moved(name, AttemptState.ACCEPTED, AttemptState.FAILED, T0, fault),
                TaskMoved(1, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, T0, "the hat was not blue", name, manifest),
            )
        )
    )


def test_lost_work_stays_in_sight() -> None:
    """A task that failed for good is told once, and not pushed out by trouble that the run deals with itself."""
    pulse = Pulse(100, 0.0)
    pulse.take(failing("t1", "t2"), Glimpse(), 1.0)
    retried = [moved(f"r{n}", AttemptState.ACCEPTED, AttemptState.FAILED, T0 + n, Fault("generation_failed", "x")) for n in range(9)]
    pulse.take(Step(tuple(retried)), Glimpse(), 2.0)
    assert [event.facts["task"] for event in pulse.facts(3.0).troubles] == ["t1", "t2", "r6", "r7", "r8"]
    assert [event.level for event in pulse.facts(3.0).troubles[:2]] == [Level.ERROR] * 2
    pulse.take(failing(*(f"u{n}" for n in range(9))), Glimpse(), 4.0)
    lost = [event.facts["task"] for event in pulse.facts(5.0).troubles if event.level is Level.ERROR]
    assert lost == ["u6", "u7", "u8"]


def test_a_slow_down_is_told(when: When) -> None:
    """Well below the limit the view says so and from what; a rate that a person says is a new limit."""
    pulse = Pulse(100, 0.0)
    pulse.take(Step(), Glimpse(per_minute=60.0), 1.0)
    pulse.take(Step(), Glimpse(per_minute=40.0), 2.0)
    facts = pulse.facts(60.0)
    assert facts.slowed_from == 60.0
    assert "slowed down from 60, as the server asked" in " ".join(said(facts, Room(79), when))
    pulse.take(Step((Controlled(Control(1, ControlKind.RATE, 40.0), T0),)), Glimpse(per_minute=40.0), 3.0)
    assert pulse.facts(60.0).slowed_from == 0.0


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_a_failure_is_read_whole(width: int, when: When) -> None:
    """Its words flow into rows, so that the code and what the server said are read also on a narrow terminal."""
    pulse = Pulse(100, 0.0)
    pulse.take(failing("t1"), Glimpse(), 1.0)
    lines = said(pulse.facts(60.0), Room(width), when)
    assert "the hat was not blue" in " ".join(" ".join(lines).split())
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("short", ["short"]),
        ("two words", ["two", "words"]),
        ("abcdefgh", ["abcde", "fgh"]),
        ("a bcdefghi", ["a", "bcdef", "ghi"]),
        ("帽子帽子", ["帽子", "帽子"]),
    ],
)
def test_rows_of_words(text: str, rows: list[str]) -> None:
    """Broken at blanks where there are some, never wider than told, with wide letters counted as two."""
    assert list(wrapped(text, 5)) == rows


def test_a_line_for_a_log(when: When) -> None:
    """A log's line says the same in one."""
    facts = running(Glimpse(saved=1, rendering=9, per_minute=60, places=100, captured=55, held=495), total=100)
    assert progress_line(facts, T0, when) == (
        "1 of 100 done, 90 waiting, 9 rendering, 55 credits spent, 495 held, 1.0 tasks/min, 1 of 60 requests/min, "
        "ends in about 4 min, at 03:04 (the rate of 60 requests a minute)"
    )


def test_events_of_every_record() -> None:
    """Every record has words and a level; trouble that comes in waves is marked."""
    fault = Fault("timeout", "x")
    doubt = AttemptMoved("k", AttemptEvent.DOUBTED, AttemptState.SUBMITTING, AttemptState.IN_DOUBT, T0)
    told = [
        event_of(record)
        for record in (
            submitted("a"),
            moved("a", AttemptState.SUBMITTING, AttemptState.ACCEPTED, T0),
            doubt,
            moved("a", AttemptState.SUBMITTING, AttemptState.SUBMITTING, T0, fault),
            TaskMoved(1, TaskEvent.BLOCKED, TaskState.PENDING, TaskState.BLOCKED, T0),
            MoneyMoved("k", MoneyKind.CAPTURE, 55, T0),
            OutputSaved("k", Output(0, "a/b.mp4", "s" * 64, 9, "video/mp4"), T0),
            OutputLost("k", 0, "a/b.mp4", "missing", T0),
            UploadStored(Upload("s" * 64, "https://x"), T0),
            UploadForgotten("s" * 64, T0),
            Noted("balance", T0, detail="900"),
            Noted("slow_down", T0, fault=fault),
        )
    ]
    levels = [Level.INFO, Level.INFO, Level.ERROR, Level.WARNING, Level.ERROR, *[Level.INFO] * 2]
    levels += [Level.WARNING, Level.INFO, Level.WARNING, Level.INFO, Level.WARNING]
    assert [event.level for event in told] == levels
    assert [event.repeats for event in told if event.repeats] == ["timeout", "timeout"]
    assert all(event.message for event in told)
    assert event_of(Noted("balance", T0, detail="900")).message == "balance: 900"
    assert told[4].message == "a task is blocked", "no advice: a log does not know which ledger a command would have to be given"
