"""What is said while a run goes on, without a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import jsonschema
import pytest

from batchgen.cli.asking import next_time
from batchgen.cli.logfile import LogFile
from batchgen.cli.progress import LOGGED, Log, Progress
from batchgen.cli.screen import Screen
from batchgen.core.answers import Fault
from batchgen.core.messages import AttemptMoved, Ended, Glimpse, Noted, Step, TaskMoved
from batchgen.core.states import AttemptEvent, AttemptState, TaskEvent, TaskState
from batchgen.errors import ExitCode, UsageError
from batchgen.settings import load
from tests.cli.calling import ROOT, Cli, in_a_process

Write = Callable[..., str]
T0 = 1_778_382_007.0  # 2026-05-10 03:00:07 UTC
QUICK = "sandbox: {faults: render=0.05, poll: {first: 0.05, every: 0.05}}\n"


def utc(at: float) -> datetime:
    """Show times in UTC."""
    return datetime.fromtimestamp(at, UTC)


def progress(clock: list[float], *, file: LogFile | None = None, verbose: bool = False) -> Progress:
    """A progress without a terminal; `clock` holds the time."""
    log = Log(Screen(environ={}, verbose=verbose), utc, on_screen=True, file=file, json=False)
    return Progress(log, utc, total=300, clock=lambda: clock[0], wall=lambda: T0 + clock[0])


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
    assert [line.split(" of ")[0] for line in said] == ["03:00:07 0", "03:01:07 60", "03:02:07 120", "03:02:12 300"]


FAILED = AttemptMoved(
    "k",
    AttemptEvent.FAILED,
    AttemptState.ACCEPTED,
    AttemptState.FAILED,
    T0,
    fault=Fault("generation_failed", "no\x1b[2J", "req-1"),
    manifest="spring",
    task="hero",
)
GOOD = AttemptMoved("k", AttemptEvent.ACCEPTED, AttemptState.SUBMITTING, AttemptState.ACCEPTED, T0)


def test_events_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Lost tasks are told each time with the time of day and the task, what is tried again once a minute, success not at all."""
    watch = progress([0.0])
    busy = Fault("rate_limited", "slow down")
    lost = AttemptMoved("k", AttemptEvent.ANSWER_LOST, AttemptState.SUBMITTING, AttemptState.SUBMITTING, T0, fault=Fault("timeout", "x"))
    given_up = TaskMoved(1, TaskEvent.GIVEN_UP, TaskState.RENDERING, TaskState.FAILED, T0, "failed 3 times", "hero", "spring")
    noted = (Noted("slow_down", T0, fault=busy), Noted("answer_busy", T0, fault=busy))
    watch(Step((FAILED, FAILED, GOOD, lost, lost, *noted, given_up, given_up)), Glimpse())
    said = capsys.readouterr().err
    assert said.count("03:00:07 spring/hero: its attempt failed: generation_failed: no\\u001b[2J (requestId req-1)") == 1
    assert said.count("rate_limited") == 1
    assert said.count("an answer was lost") == 1
    assert said.count("spring/hero failed for good: failed 3 times") == 2
    assert "accepted" not in said


def test_verbose_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """With --verbose success is told too."""
    progress([0.0], verbose=True)(Step((GOOD,)), Glimpse())
    assert "a task: its attempt is accepted" in capsys.readouterr().err


def test_log_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets the same lines with the day, is appended to, and belongs to its owner alone, also if it was there already."""
    place = tmp_path / "run.log"
    place.write_text("earlier\n", encoding="utf-8")
    place.chmod(0o644)
    with LogFile(place) as file:
        progress([0.0], file=file)(Step((FAILED,)), Glimpse())
    first, second, _ = place.read_text(encoding="utf-8").splitlines()
    assert first == "earlier"
    assert second.startswith("2026-05-10 03:00:07 spring/hero: its attempt failed")
    assert second.removeprefix("2026-05-10 ") in capsys.readouterr().err
    assert place.stat().st_mode & 0o777 == 0o600
    with LogFile(tmp_path / "new.log"):
        assert (tmp_path / "new.log").stat().st_mode & 0o777 == 0o600


def test_log_file_on_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    """A log that can no longer be written says so once, and ends nothing."""
    with LogFile(Path("/dev/full")) as file:
        watch = progress([0.0], file=file)
        for _ in range(3):
            watch(Step((FAILED,)), Glimpse())
    assert capsys.readouterr().err.count("can no longer be written") == 1


def test_log_file_that_cannot_be_made(tmp_path: Path) -> None:
    """A log that cannot be opened is refused before anything is sent; also a pipe that nobody reads."""
    with pytest.raises(UsageError, match="--log-file"):
        LogFile(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        LogFile(tmp_path / "no" / "such.log")
    with pytest.raises(UsageError, match="cannot be written"):
        LogFile(Path("a\0b"))


def fits_the_log(lines: str) -> list[dict[str, object]]:
    """Check each line against the log's schema, closed; return them."""
    schema = json.loads((ROOT / "schemas/log.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for kind in schema["oneOf"]:
        kind["additionalProperties"] = False
    validator = jsonschema.Draft202012Validator(schema)
    documents = [json.loads(line) for line in lines.splitlines()]
    for document in documents:
        validator.validate(document)
    return documents


def test_every_event_has_a_schema() -> None:
    """No event is written that a reader of the log has not been told of."""
    schema = json.loads((ROOT / "schemas/log.schema.json").read_text(encoding="utf-8"))
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "batchgen").rglob("*.py"))
    written = {name for text in sources for name in re.findall(r'\bEvent\(\s*"(\w+)"', text)}
    known = {kind["properties"]["event"]["const"] for kind in schema["oneOf"]}
    assert len(written) >= 10
    assert written <= known


def test_json_log(cli: Cli, manifest: Write, workspace: Path) -> None:
    """Under `--log-format json` every line on stderr is an event as its schema says, also the money line and the end."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    called = cli("run", manifest(3), "--sandbox", "--yes", "--log-format", "json", "--faults", "fail=0.3,429=0.2,render=0.05")
    told = fits_the_log(called.err)
    kinds = [str(one["event"]) for one in told]
    assert {"said", "began", "submitted", "attempt", "task", "money", "saved", "progress", "ended"} <= set(kinds)
    assert kinds[-1] == "ended"
    assert {str(one["task"]) for one in told if one["event"] == "submitted"} == {"t1", "t2", "t3"}
    assert "summary" not in called.err
    assert "run 1 (run)" in called.out


def test_json_log_of_trouble(cli: Cli) -> None:
    """What goes wrong is an event too, even a wrong command line."""
    for arguments in (("run", "none.yaml", "--log-format", "json"), ("run", "--log-format=json", "--budegt", "3")):
        called = cli(*arguments)
        assert called.code == 2
        (trouble,) = fits_the_log(called.err)
        assert trouble["exit_code"] == 2
        assert trouble["next"]


def test_json_log_in_a_file(cli: Cli, manifest: Write, workspace: Path) -> None:
    """With --quiet and a log file, cron hears nothing and the file tells everything; the key is never in it."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    options = ("--sandbox", "--quiet", "--log-format", "json", "--log-file", "run.log")
    called = cli("run", manifest(2), *options)
    assert (called.code, called.out, called.err) == (0, "", "")
    assert fits_the_log((workspace / "run.log").read_text(encoding="utf-8"))[-1]["event"] == "ended"
    assert cli("resume", *options).out == ""


def test_quiet_speaks_when_something_is_wrong(cli: Cli, manifest: Write, workspace: Path) -> None:
    """With --quiet a run that did not do everything says what, and what to do; --json prints its document in any case."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    path = manifest(2)
    called = cli("run", path, "--sandbox", "--quiet", "--max-tasks", "1")
    assert called.code == 3
    assert called.err == ""
    assert "next: batchgen run" in called.out
    assert cli("run", path, "--sandbox", "--quiet", "--json").document()["next"] == "nothing is left to do"
    assert "cannot be written" in cli("run", path, "--sandbox", "--quiet", "--log-file", ".").err


def test_a_log_into_a_closed_pipe(manifest: Write, workspace: Path) -> None:
    """A run whose log nobody reads any more ends as it would have ended."""
    (workspace / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    called = in_a_process("run", manifest(3), "--sandbox", "--log-format", "json", redirect="2>&1 >/dev/null | true", cwd=workspace)
    assert (called.code, called.out, called.err) == (0, "", "")


def test_until_is_the_next_such_time(tmp_path: Path) -> None:
    """--until is the next time at which the account's clocks show it, also over midnight and a change to summer time."""
    (tmp_path / "batchgen.yaml").write_text("timezone: Europe/Berlin", encoding="utf-8")
    settings = load((), environ={}, cwd=tmp_path)
    now = datetime(2026, 3, 28, 22, 30, tzinfo=UTC).timestamp()  # 23:30 in Berlin, the night of the change
    assert next_time((23, 45), settings, now) == now + 15 * 60
    assert next_time((6, 0), settings, now) == datetime(2026, 3, 29, 4, 0, tzinfo=UTC).timestamp()
    assert next_time((23, 30), settings, now) == datetime(2026, 3, 29, 21, 30, tzinfo=UTC).timestamp()
