"""Who is told what about a run; and that nothing of it ever changes the run."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.core.announce import Announce, Occasion, occasion_of
from batchgen.core.facts import ManifestFacts, RunAsked, RunFacts
from batchgen.core.messages import AttemptMoved, Ended, Glimpse, Step
from batchgen.core.states import AttemptEvent, AttemptState, TaskState
from batchgen.core.steering import DRAINED
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode, KeyRefused
from batchgen.notices import Herald
from batchgen.notices.metrics import metrics_of, write
from batchgen.notices.words import Place
from tests.notices.listener import listening

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")  # Apprise's own, in its own code

PLACE = Place("host", "/srv/my spring", "run")
SPRING = ManifestFacts("spring", "spring.yaml", {TaskState.DONE: 297, TaskState.FAILED: 3}, 0, 5500, 20)
RUNS = (
    RunFacts(2, 2, RunAsked("run", ("spring",)), 2000.0, None, None, "", 1, "host"),
    RunFacts(1, 1, RunAsked("run", ("spring",)), 1000.0, 1500.0, 0, "done", 1, "host"),
)
ALL = frozenset(Occasion)


class Facts:
    """A ledger's answers."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return two runs."""
        if self.trouble:
            raise self.trouble
        return RUNS[:limit]

    def manifests(self) -> tuple[ManifestFacts, ...]:
        """Return one manifest that is asked for and one that is not."""
        return (ManifestFacts("autumn", "a.yaml", {}, 0, 0, 0), SPRING)


def run_with(plan: Announce, ended: Ended, *steps: Step, facts: Facts | None = None) -> None:
    """Let a herald tell of a run."""
    with Herald(plan, PLACE, facts or Facts()) as herald:
        herald.begins(["spring"])
        watch = herald.watching(lambda _step, _glimpse: None)
        for step in steps:
            watch(step, Glimpse())
        herald.over(ended)


DONE = Ended(ExitCode.DONE, "everything asked for is done")


@pytest.mark.parametrize(
    ("ended", "occasion", "path"),
    [
        (DONE, Occasion.SUCCESS, ""),
        (Ended(ExitCode.STOPPED_EARLY, "the time has come", (Stop(StopKind.UNTIL),)), Occasion.SUCCESS, ""),
        (Ended(ExitCode.STOPPED_EARLY, "--max-tasks 5 is reached", (Stop(StopKind.MAX_TASKS),)), Occasion.SUCCESS, ""),
        (Ended(ExitCode.STOPPED_EARLY, DRAINED, (Stop(StopKind.DRAIN),)), Occasion.SUCCESS, ""),
        (Ended(ExitCode.STOPPED_EARLY, "the budget --budget is 5 credits"), Occasion.BUDGET, ""),
        (Ended(ExitCode.STOPPED_EARLY, "the account has too few credits"), Occasion.BUDGET, ""),
        (Ended(ExitCode.IN_DOUBT, "1 attempt is in doubt"), Occasion.IN_DOUBT, "/fail"),
        (Ended(ExitCode.SOME_FAILED, "3 tasks failed"), Occasion.FAILURE, "/fail"),
        (Ended(ExitCode.UNAVAILABLE, "away"), Occasion.FAILURE, "/fail"),
        (Ended(ExitCode.TERMINATED, "SIGTERM"), Occasion.FAILURE, "/fail"),
    ],
)
def test_what_an_end_is_and_what_the_switch_hears(ended: Ended, occasion: Occasion, path: str) -> None:
    """A run that did as it was told, also by ending early, reports success; everything else does not."""
    assert occasion_of(ended) is occasion
    with listening() as heard:
        run_with(Announce(ping=f"http://127.0.0.1:{heard.port}/uuid?rid=1"), ended)
        assert heard.asked == ["/uuid/start?rid=1", f"/uuid{path}?rid=1"]


def test_messages_a_person_can_act_on() -> None:
    """What happened, the numbers of the manifests asked for, where, and the one command; through Apprise, over a real wire."""
    with listening() as heard:
        plan = Announce((f"json://127.0.0.1:{heard.port}/",), ALL)
        run_with(plan, Ended(ExitCode.SOME_FAILED, "3 tasks failed"))
        started, over = heard.told
        assert started["title"] == "batchgen run has started: spring"
        assert over["title"] == "batchgen run FAILED: spring"
        assert "exit 1: 3 tasks failed" in over["message"]
        assert "spring: 297 done, 3 failed; 5,500 credits spent in all, 20 held" in over["message"]
        assert "on host: cd '/srv/my spring'" in over["message"]
        assert "batchgen tasks --state failed" in over["message"]
        assert "autumn" not in over["message"]


def test_only_what_was_asked_for() -> None:
    """By default a night that went well is silent."""
    with listening() as heard:
        run_with(Announce((f"json://127.0.0.1:{heard.port}/",)), DONE)
        assert heard.told == []


def test_a_doubt_is_told_at_once_and_once() -> None:
    """The first attempt in doubt is worth waking for; the end tells of the rest."""
    doubt = AttemptMoved("bg-1", AttemptEvent.DOUBTED, AttemptState.SUBMITTING, AttemptState.IN_DOUBT, 1.0, task="hero; rm -rf")
    with listening() as heard:
        run_with(Announce((f"json://127.0.0.1:{heard.port}/",)), Ended(ExitCode.IN_DOUBT, "2 attempts"), Step((doubt,)), Step((doubt,)))
        assert [told["title"] for told in heard.told] == ["batchgen run: a purchase is in doubt", "batchgen run needs a decision: spring"]
        assert "batchgen show 'hero; rm -rf'" in heard.told[0]["message"]


def test_an_error_is_told_too() -> None:
    """Whatever ends a run without an end of its own is a failure, with its words; and it is still raised."""
    with listening() as heard:
        plan = Announce((f"json://127.0.0.1:{heard.port}/",), ping=f"http://127.0.0.1:{heard.port}/x")
        with pytest.raises(KeyRefused), Herald(plan, PLACE, Facts()):
            raise KeyRefused("there is no API key")
        assert "exit 5: there is no API key" in heard.told[0]["message"]
        assert heard.asked == ["/x/fail"]


def test_nothing_that_fails_changes_the_run_or_shows_an_address(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """A dead address, one that nobody understands, a folder that is not there, a ledger that cannot be read: lines in the log."""
    plan = Announce(
        ("json://127.0.0.1:9/SECRET", "nonsense://SECRET"), ALL, "http://127.0.0.1:9/SECRET", str(tmp_path / "nowhere" / "m.prom")
    )
    with caplog.at_level(logging.WARNING):
        run_with(plan, DONE)
        run_with(plan, DONE, facts=Facts(OSError("the disk is gone")))
    assert "notify address 2 of 2" in caplog.text
    assert "metrics could not be written" in caplog.text
    assert "SECRET" not in caplog.text
    assert "SECRET" not in repr(plan)


def test_a_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    """The switch's address is a secret; nobody else is told it."""
    with listening() as heard, listening() as other:
        heard.status, heard.location = 302, f"http://127.0.0.1:{other.port}/"
        run_with(Announce(ping=f"http://127.0.0.1:{heard.port}/x"), DONE)
        assert (len(heard.asked), other.asked) == (6, [])
    assert "did not arrive" in caplog.text


def test_metrics(tmp_path: Path) -> None:
    """Numbers of the ledger under names that stay, readable by another user, written whole, with labels that cannot break a line."""
    place = tmp_path / "batchgen.prom"
    write(place, 'a "b"\\\n', metrics_of(RUNS, (SPRING,), 3000.0))
    lines = [line for line in place.read_text().splitlines() if not line.startswith("#")]
    label = r'{workspace="a \"b\"\\\n"'
    for expected in (
        f"batchgen_metrics_written_time_seconds{label}}} 3000",
        f"batchgen_run_going_on{label}}} 1",
        f"batchgen_run_started_time_seconds{label}}} 2000",
        f"batchgen_run_ended_time_seconds{label}}} 1500",
        f"batchgen_run_exit_code{label}}} 0",
        f"batchgen_run_done_time_seconds{label}}} 1500",
        f'batchgen_tasks{label},manifest="spring",state="done"}} 297',
        f'batchgen_tasks{label},manifest="spring",state="pending"}} 0',
        f'batchgen_credits_spent{label},manifest="spring"}} 5500',
        f'batchgen_credits_held{label},manifest="spring"}} 20',
    ):
        assert expected in lines
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["batchgen.prom"]


def test_metrics_take_the_place_of_metrics_only(tmp_path: Path) -> None:
    """A slip in `metrics:` names a manifest, and the night begins: the manifest stays."""
    (tmp_path / "spring.yaml").write_text("version: 1\n", encoding="utf-8")
    (tmp_path / "m.prom").touch()
    for _ in range(2):
        write(tmp_path / "m.prom", "w", metrics_of((), (), 1.0))
    with pytest.raises(FileExistsError, match="a file of another kind"):
        write(tmp_path / "spring.yaml", "w", metrics_of((), (), 1.0))
    assert (tmp_path / "spring.yaml").read_text(encoding="utf-8") == "version: 1\n"
    assert {path.name for path in tmp_path.iterdir()} == {"m.prom", "spring.yaml"}


def test_metrics_of_nothing(tmp_path: Path) -> None:
    """A ledger without a run gives a file that says when it was written."""
    write(tmp_path / "m.prom", "w", metrics_of((), (), 1.0))
    assert 'batchgen_metrics_written_time_seconds{workspace="w"} 1' in (tmp_path / "m.prom").read_text()


def test_silence_costs_nothing() -> None:
    """Without an address there is no thread, and the watch is the one that was given."""

    def inner(_step: Step, _glimpse: Glimpse) -> None: ...

    given: Callable[[Step, Glimpse], None] = inner
    with Herald(Announce(), PLACE, Facts()) as herald:
        assert herald.watching(given) is given
        assert not herald._thread.is_alive()
