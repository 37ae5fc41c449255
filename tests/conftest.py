"""What all tests share: a PostgreSQL server, and the simulation's last line, also when workers ran it."""

from __future__ import annotations

import signal

from tests.postgresql import postgresql
from tests.simulation.line import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown, tally

__all__ = ["postgresql", "pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown", "tally"]

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that starts the tests in the background has them ignore Ctrl-C, and every program that they start would inherit that."""
