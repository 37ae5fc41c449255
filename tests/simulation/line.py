"""Adds up what the simulation saw, over all workers of pytest-xdist, and prints it as the last thing.

Hooks of a folder's conftest are unknown to xdist's controller, which collects nothing; so `tests/conftest.py` takes them in.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulation.troubles import Tally, Trouble

TALLY = pytest.StashKey[Tally]()
_WORKER = "simulation"


@pytest.fixture
def tally(pytestconfig: pytest.Config) -> Tally:
    """The session's count."""
    return pytestconfig.stash.setdefault(TALLY, Tally())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its count to the controller."""
    output = getattr(session.config, "workeroutput", None)
    seen = session.config.stash.get(TALLY, None)
    if output is not None and seen is not None:
        output[_WORKER] = json.dumps([seen.nights, seen.seconds, seen.crashes, seen.runs, seen.injected])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ANN401 - xdist's node has no type of its own
    """The controller adds a worker's count."""
    said = getattr(node, "workeroutput", {}).get(_WORKER)
    if said:
        nights, seconds, crashes, runs, injected = json.loads(said)
        worker = Tally(nights, seconds, crashes, runs)
        worker.injected.update(injected)
        node.config.stash.setdefault(TALLY, Tally()).add(worker)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the simulation's line. The zeros are what passing means: the first violation fails its night."""
    seen = config.stash.get(TALLY, None)
    if seen is None or not seen.nights:
        return
    faults = ", ".join(f"{trouble} {seen.injected[trouble]}" for trouble in Trouble)
    reports = [report for kind in ("failed", "error") for report in terminalreporter.getreports(kind)]
    wrong = any("tests/simulation" in getattr(report, "nodeid", "") for report in reports)
    held = "A PROMISE WAS BROKEN" if wrong else "double charges 0, lost renders 0, budgets exceeded 0, unexplained credits 0"
    terminalreporter.section("simulation")
    terminalreporter.write_line(
        f"{seen.nights} nights, {seen.seconds / 3600:.0f} virtual hours, {seen.runs} runs, {seen.crashes} crashes, "
        f"{sum(seen.injected.values())} faults ({faults}); {held}"
    )
