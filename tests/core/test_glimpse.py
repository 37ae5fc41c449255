"""What whoever watches a run is told, beside the records."""

from __future__ import annotations

import pytest

from batchgen.core.budget import Budgets
from batchgen.core.facts import Spending
from batchgen.core.messages import BudgetLeft
from batchgen.core.model import Budget, Manifest
from batchgen.core.pacing import Pace
from batchgen.core.policy import AccountBudget, Policy


def test_budgets_left() -> None:
    """Every budget that applies is named with its limit and what is used of it, after each hold, release and new day."""
    manifest = Manifest("m", "m.yaml", budget=Budget(total=500, per_day=200))
    policy = Policy(run_budget=300, account=AccountBudget(per_day=250))
    budgets = Budgets([manifest], policy, Spending(total={"m": 100}, today="2026-05-10"))
    budgets.hold("m", 55, "2026-05-10")
    assert [(b.limit, b.used, b.left) for b in budgets.left] == [(500, 155, 345), (200, 55, 145), (300, 55, 245), (250, 55, 195)]
    assert budgets.left is budgets.left
    budgets.release("m", 50, "2026-05-10", this_run=True)
    assert [b.used for b in budgets.left] == [105, 5, 5, 5]
    budgets.roll("2026-05-11")
    assert [b.used for b in budgets.left] == [105, 0, 5, 0]


def test_an_exceeded_budget_has_nothing_left() -> None:
    """A budget that was lowered below what is spent has nothing left, and not less."""
    assert BudgetLeft("total of m", 10, 30).left == 0


def test_rate_now() -> None:
    """The rate now is the stated one, and lower after a 429."""
    pace = Pace(60, 0.0)
    assert pace.per_minute == pytest.approx(60)
    pace.slow_down(1.0, lambda: 0.5, after=None, sent_at=0.5)
    assert pace.per_minute == pytest.approx(40)
