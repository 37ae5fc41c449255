"""What all tests share: the simulation's last line, also when workers ran it."""

from __future__ import annotations

from tests.postgresql import postgresql
from tests.simulation.line import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown, tally

__all__ = ["postgresql", "pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown", "tally"]
