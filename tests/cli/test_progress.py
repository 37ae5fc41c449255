"""What is said while a run goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from batchgen.cli.asking import next_time
from batchgen.cli.progress import LOGGED, Progress, progress_line
from batchgen.cli.screen import Screen
from batchgen.core.answers import Fault
from batchgen.core.messages import AttemptMoved, Ended, Glimpse, Noted, Step, TaskMoved
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.errors import ExitCode
from batchgen.settings import load

T0 = 1_778_382_007.0  # 2026-05-10 03:00:07 UTC


def progress(clock: list[float]) -> Progress:
    """A progress without a terminal; `clock` holds the time."""
    return Progress(Screen(environ={}), lambda at: datetime.fromtimestamp(at, UTC), total=300, clock=lambda: clock[0])


def test_line() -> None:
    """The line says what is done, in flight, failed, spent, held, and why nothing is submitted."""
    glimpse = Glimpse(rendering=10, saved=1200, failed=1, held=550, captured=6600, waiting_for="credits\x1b")
    line = progress_line(glimpse, 3000)
    assert line == "1,200 of 3,000 done, 10 rendering, 1 failed, 6,600 credits spent, 550 held, submitting nothing: credits\\u001b"


def test_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is a line at the start, one a minute, and one at the end."""
    clock = [0.0]
    watch = progress(clock)
    for seconds in count(0, 5):
        clock[0] = seconds
        watch(Step(), Glimpse(saved=seconds))
        if seconds > 2 * LOGGED:
            break
    watch(Step(ended=Ended(ExitCode.DONE, "")), Glimpse(saved=300))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" of ")[0] for line in said] == ["0", "60", "120", "300"]


def test_events_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Failures are told each time with the time of day, what repeats itself once a minute, success not at all."""
    clock = [0.0]
    watch = progress(clock)
    bad, busy = Fault("generation_failed", "no\x1b[2J", "req-1"), Fault("rate_limited", "slow down")
    failed = AttemptMoved("k", AttemptEvent.FAILED, AttemptState.ACCEPTED, AttemptState.FAILED, T0, fault=bad)
    lost = AttemptMoved("k", AttemptEvent.ANSWER_LOST, AttemptState.SUBMITTING, AttemptState.SUBMITTING, T0, fault=Fault("timeout", "x"))
    good = AttemptMoved("k", AttemptEvent.ACCEPTED, AttemptState.SUBMITTING, AttemptState.ACCEPTED, T0)
    given_up = TaskMoved(1, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, T0, "failed 3 times")
    watch(
        Step((failed, failed, good, lost, lost, Noted("slow_down", T0, fault=busy), Noted("answer_busy", T0, fault=busy), given_up)),
        Glimpse(),
    )
    said = capsys.readouterr().err
    assert said.count("03:00:07 an attempt failed: generation_failed: no\\u001b[2J (requestId req-1)") == 2
    assert said.count("rate_limited") == 1
    assert said.count("an answer was lost") == 1
    assert "a task failed for good: failed 3 times" in said
    assert "accepted" not in said


def test_until_is_the_next_such_time(tmp_path: Path) -> None:
    """--until is the next time at which the account's clocks show it, also over midnight and a change to summer time."""
    (tmp_path / "batchgen.yaml").write_text("timezone: Europe/Berlin", encoding="utf-8")
    settings = load((), environ={}, cwd=tmp_path)
    now = datetime(2026, 3, 28, 22, 30, tzinfo=UTC).timestamp()  # 23:30 in Berlin, the night of the change
    assert next_time((23, 45), settings, now) == now + 15 * 60
    assert next_time((6, 0), settings, now) == datetime(2026, 3, 29, 4, 0, tzinfo=UTC).timestamp()
    assert next_time((23, 30), settings, now) == datetime(2026, 3, 29, 21, 30, tzinfo=UTC).timestamp()
