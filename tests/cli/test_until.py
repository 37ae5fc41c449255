"""--until and --max-duration: when a night's run stops buying."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batchgen.cli.asking import deadline, next_time
from batchgen.settings import Settings
from tests.cli.calling import Cli

BERLIN = ZoneInfo("Europe/Berlin")
SETTINGS = replace(Settings(Path(), ""), zone=BERLIN)


def at(text: str) -> float:
    """Return the instant of a time with its offset."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("now", "of_day", "expected"),
    [
        ("2026-11-23T22:00+01:00", (6, 0), "2026-11-24T06:00+01:00"),  # past midnight
        ("2026-11-23T05:59:59+01:00", (6, 0), "2026-11-23T06:00+01:00"),
        ("2026-11-23T06:00+01:00", (6, 0), "2026-11-24T06:00+01:00"),  # now is not ahead
        ("2026-12-31T23:30+01:00", (0, 15), "2027-01-01T00:15+01:00"),
        ("2026-03-28T22:00+01:00", (6, 0), "2026-03-29T06:00+02:00"),  # a night that is an hour shorter
        ("2026-10-24T22:00+02:00", (6, 0), "2026-10-25T06:00+01:00"),  # and one that is longer
        ("2026-03-28T22:00+01:00", (2, 30), "2026-03-29T03:00+02:00"),  # the clocks jump over it
        ("2026-03-29T01:30+01:00", (1, 0), "2026-03-30T01:00+02:00"),
        ("2026-10-24T22:00+02:00", (2, 30), "2026-10-25T02:30+02:00"),  # shown twice: the first time
        ("2026-10-25T02:45+02:00", (2, 30), "2026-10-25T02:30+01:00"),  # and then the second
        ("2026-10-25T02:45+01:00", (2, 30), "2026-10-26T02:30+01:00"),
    ],
)
def test_the_next_time_the_clocks_show_it(now: str, of_day: tuple[int, int], expected: str) -> None:
    """Across midnight, the year and both changes of the clocks, never an instant that has passed."""
    assert next_time(of_day, SETTINGS, at(now)) == at(expected)


def test_the_earlier_of_both_counts() -> None:
    """A time and a duration: whichever comes first."""
    assert deadline(None, None, 100.0) is None
    assert deadline(500.0, None, 100.0) == 500.0
    assert deadline(500.0, 60.0, 100.0) == 160.0
    assert deadline(120.0, 60.0, 100.0) == 120.0


def test_a_run_and_its_resumption_stop_after_their_duration(cli: Cli, workspace: Path) -> None:
    """Exit 3 with work left and the reason in words; `resume` has a duration of its own, and finishes without one."""
    (workspace / "batchgen.yaml").write_text("sandbox: {faults: render=0.2, requests_per_minute: 240}\n", encoding="utf-8")
    tasks = "".join(f"  - {{id: t{n}, prompt: Clip {n}}}\n" for n in range(12))
    (workspace / "m.yaml").write_text(f"version: 1\nname: m\ndefaults: {{model: z-image}}\ntasks:\n{tasks}", encoding="utf-8")
    ran = cli("run", "m.yaml", "--sandbox", "--yes", "--max-duration", "0.5s")
    assert (ran.code, "--max-duration has come" in ran.out) == (3, True), ran
    assert cli("resume", "--sandbox", "--max-duration", "0.3s").code == 3
    assert "is not a duration" in cli("resume", "--sandbox", "--max-duration", "soon").err
    assert cli("resume", "--sandbox", "--max-duration", "1h").code == 0
