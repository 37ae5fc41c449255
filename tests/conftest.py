"""What all tests share: a PostgreSQL server, a machine in another zone, and the simulation's last line, also when workers ran it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgresql import postgresql
from tests.simulation.line import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown, tally

__all__ = ["postgresql", "pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown", "tally"]

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that starts the tests in the background has them ignore Ctrl-C, and every program that they start would inherit that."""

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
"""How long an example takes tells what else the machine does, and nothing about batchgen."""


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine be nine hours before UTC."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()
