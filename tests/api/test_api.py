"""`import batchgen`: what a script needs, loaded when it is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

import batchgen
from batchgen import BatchgenError, Ended, ExitCode, LedgerError, Limits, ManifestError, NoRun, TaskState, UsageError, Workspace

EXAMPLE = Path(__file__).with_name("example.py")
QUICK = "sandbox: {faults: render=0.05, poll: {first: 0.05, every: 0.05}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with two manifests, one of which is wrong."""
    monkeypatch.chdir(tmp_path)
    tasks = "".join(f"  - {{id: t{n}, prompt: Clip {n}}}\n" for n in range(4))
    (tmp_path / "m.yaml").write_text(f"version: 1\nname: m\ndefaults: {{model: z-image}}\ntasks:\n{tasks}", encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text("version: 1\nname: w\ntasks:\n  - {id: a}\n", encoding="utf-8")
    (tmp_path / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    return tmp_path


def test_plan_run_and_ask(folder: Path) -> None:
    """A plan, a run within its limits with callbacks, the rest of it, and what the ledger knows then."""
    workspace = Workspace(folder, sandbox=True)
    assert workspace.check("m.yaml") == 4
    assert (workspace.plan("m.yaml").to_buy, workspace.plan("m.yaml").credits) == (4, 4)
    moves, glimpses = list[tuple[str, TaskState]](), list[batchgen.Glimpse]()

    ended = workspace.run(
        "m.yaml",
        limits=Limits(max_tasks=3, until=datetime.now(UTC) + timedelta(hours=1)),
        on_task=lambda move: moves.append((move.task, move.after)),
        on_progress=glimpses.append,
    )
    assert (ended.code, "--max-tasks 3" in ended.reason) == (ExitCode.STOPPED_EARLY, True)
    assert sorted(task for task, state in moves if state is TaskState.DONE) == ["t0", "t1", "t2"]
    assert glimpses[-1].saved == 3
    assert workspace.run("m.yaml").code is ExitCode.DONE

    done = list(workspace.tasks(states=["done"], only="t[01]"))
    assert [(task.id, task.captured) for task in done] == [("t0", 1), ("t1", 1)]
    assert done[0].latest is not None
    assert (workspace.outputs / done[0].latest.outputs[0].path).is_file()
    assert workspace.money().captured == 4
    assert [facts.name for facts in workspace.manifests()] == ["m"]
    assert [run.exit_code for run in workspace.runs(5)] == [0, 3]
    assert workspace.history("t0")[0].attempts[0].number == 1
    assert workspace.resume().code is ExitCode.DONE
    assert workspace.fetch("m").code is ExitCode.DONE
    assert workspace.folder == folder


def test_errors_say_what_to_do(folder: Path) -> None:
    """Each is of the tree, with its problems as values, and raised before anything was sent."""
    workspace = Workspace(folder, sandbox=True)
    with pytest.raises(ManifestError) as caught:
        workspace.plan("wrong.yaml")
    assert caught.value.problems[0].line == 4
    with pytest.raises(LedgerError, match="no ledger yet"):
        workspace.money()
    assert workspace.run("m.yaml").code is ExitCode.DONE
    with pytest.raises(NoRun, match="no run holds"):
        workspace.control("pause")
    with pytest.raises(UsageError):
        Workspace(folder, faults="nonsense=1", sandbox=True)
    with pytest.raises(UsageError, match="sandbox only"):
        Workspace(folder, faults="fail=1")
    assert issubclass(ManifestError, BatchgenError)


def test_inside_an_event_loop_and_in_a_thread(folder: Path) -> None:
    """Where a loop runs already there is `run_async`; a thread that is not the main one leaves the signals alone."""
    workspace = Workspace(folder, sandbox=True)

    async def some() -> Ended:
        return await workspace.run_async("m.yaml", limits=Limits(only="t[01]"))

    assert anyio.run(some).code is ExitCode.DONE
    ends = list[Ended]()
    thread = threading.Thread(target=lambda: ends.append(workspace.run("m.yaml")))
    thread.start()
    thread.join()
    assert [ended.code for ended in ends] == [ExitCode.DONE]
    assert workspace.money().captured == 4


def test_a_scripts_own_signal_handlers_stay(folder: Path) -> None:
    """A run hears SIGINT and SIGTERM while it goes on; afterwards the script does again."""

    def mine(_number: int, _frame: object) -> None:
        raise AssertionError("nobody sends one")

    before = {number: signal.signal(number, mine) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert Workspace(folder, sandbox=True).run("m.yaml").code is ExitCode.DONE
        assert [signal.getsignal(number) for number in before] == [mine, mine]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_a_callback_raises_comes_out_and_nothing_is_lost(folder: Path) -> None:
    """It ends the run as a crash would; the next one goes on and pays for nothing twice."""
    workspace = Workspace(folder, sandbox=True)

    def stumble(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        workspace.run("m.yaml", on_task=stumble)
    assert workspace.run("m.yaml").code is ExitCode.DONE
    assert workspace.money().captured == 4


def test_every_name_is_there_and_no_other() -> None:
    """The names of `__all__` and nothing else; a wrong one is an AttributeError as of any module."""
    assert dir(batchgen) == sorted(batchgen.__all__)
    assert all(getattr(batchgen, name) is not None for name in batchgen.__all__)
    with pytest.raises(AttributeError, match="'nonsense'"):
        batchgen.nonsense  # noqa: B018 - the access is the test


def test_the_import_is_light() -> None:
    """`import batchgen` loads neither HTTP nor database, so that the command line starts fast."""
    code = "import batchgen, sys; print([m for m in ('httpx2', 'sqlalchemy', 'anyio', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_runs(tmp_path: Path) -> None:
    """The README's example, as it stands there, in a workspace that `init` writes."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "batchgen", "init", "spring"], cwd=tmp_path, env=environ, capture_output=True, check=True)
    done = subprocess.run([sys.executable, str(EXAMPLE)], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "everything asked for is done" in done.stdout
    assert "credits" in done.stdout
