"""The plan in words and as a document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from batchgen.core.forecast import Binding, ManifestPlan, PlanFacts
from batchgen.core.model import KnownTask, Manifest, Spec, Task
from batchgen.core.plan import Action, ActionKind
from batchgen.core.states import TaskState
from batchgen.core.stops import StopKind
from batchgen.report.plan import money_line, plan_document, plan_text, work_left


@pytest.fixture
def plan(hostile: str) -> PlanFacts:
    """A plan with new, removed and finished tasks, a budget that binds and a price not seen."""
    wanted = Task("spring", "hero", Spec("kling-2-6", "p"), "spring/hero", 0)
    new = Action(ActionKind.NEW, "not in the ledger yet", wanted, None)
    gone = Action(ActionKind.REMOVED, "left the manifest", None, KnownTask(hostile, TaskState.DONE, "f"))
    counts = {ActionKind.NEW: 300, ActionKind.REMOVED: 1, ActionKind.DONE: 7}
    part = ManifestPlan(Manifest("spring", "m/spring.yaml"), counts, {ActionKind.NEW: (new,), ActionKind.REMOVED: (gone,)}, 16_500)
    return PlanFacts(
        manifests=(part,),
        to_buy=300,
        credits=16_500,
        credits_most=5_500,
        uploads=25,
        upload_bytes=1_234_567,
        unseen_prices=("kling-2-6?duration=5", "kling-2-6?duration=10", "veo3-1-fast?"),
        binding=Binding("per_run of spring", 5_500, 5_480, 55, "spring", "hero-101", 101, StopKind.RUN, "spring"),
        seconds=615.0,
        warnings=("the clock\x1b was set back",),
    )


def test_text(plan: PlanFacts) -> None:
    """The plan says what, why, how many uploads and credits, which budget binds and where, and how long."""
    text = plan_text(plan)
    for said in (
        "300 new",
        "hero: not in the ledger yet",
        "and 299 more",
        "7 done",
        "25 files, 1.2 MB",
        "300 tasks to buy for about 16,500 credits, of which this run may spend 5,500",
        "per_run of spring of 5,500 stops it before task 101 to buy, hero-101 of spring: 5,480 are used by then, and it costs 55",
        "3 combinations of params of kling-2-6, veo3-1-fast; the first task of each goes alone",
        "10 min 15 s",
        "left the manifest",
        "warning",
    ):
        assert said in text
    assert not {"\x1b", "\r", "\u202e"} & set(text)


def test_what_next_where_a_budget_stops_the_first_task(plan: PlanFacts) -> None:
    """A run that could do nothing is no next step: what lifts the budget comes first. One that can begin, or fetch, is."""
    spent = Binding("total of spring", 5_500, 5_480, 55, "spring", "hero-1", 1, StopKind.TOTAL, "spring")
    stuck = replace(plan, binding=spent, credits_most=0)
    then = "batchgen run m/spring.yaml"
    assert f"next: raise budget.total in m/spring.yaml to 5,535 or more, then: {then}" in plan_text(stuck, then)
    fetching = replace(plan.manifests[0], counts={ActionKind.NEW: 300, ActionKind.TO_FETCH: 1})
    for free in (replace(stuck, credits_most=55), replace(stuck, binding=replace(spent, nth=2)), replace(stuck, manifests=(fetching,))):
        assert f"next: {then}" in plan_text(free, then)


def test_nothing_to_buy(plan: PlanFacts) -> None:
    """A finished manifest says that nothing is to buy."""
    idle = replace(plan, to_buy=0, credits=0, credits_most=0, uploads=0, binding=None, unseen_prices=(), seconds=0.0, warnings=())
    assert money_line(idle) == "nothing to buy, 0 credits"
    assert "uploads   none" in plan_text(idle)
    assert "budget" not in plan_text(idle)
    assert plan_text(idle, "batchgen run x").endswith("next: batchgen run x")
    assert money_line(replace(idle, to_buy=1, credits=1, credits_most=1)) == "1 task to buy for about 1 credit"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({ActionKind.DONE: 8, ActionKind.REMOVED: 1}, "nothing is left to do"),
        ({ActionKind.DONE: 8, ActionKind.FAILED: 2}, "batchgen status --sandbox says what to do about 2 failed tasks"),
        ({ActionKind.BLOCKED: 1, ActionKind.FAILED: 2}, "batchgen status --sandbox says what to do about 1 blocked task"),
    ],
)
def test_next_without_work(plan: PlanFacts, counts: dict[ActionKind, int], said: str) -> None:
    """Where a run would do nothing, blocked and failed tasks are not passed over: they wait for somebody."""
    idle = replace(plan, manifests=(replace(plan.manifests[0], counts=counts, examples={}),))
    assert plan_text(idle, "batchgen run x", flags=" --sandbox").endswith(f"next: {said}")


def test_blocked_beside_work(plan: PlanFacts) -> None:
    """What no run helps is named with where to look, also where a run has other work."""
    held = Action(ActionKind.BLOCKED, "blocked", None, KnownTask("lamp", TaskState.BLOCKED, "f"))
    counts = {ActionKind.NEW: 1, ActionKind.BLOCKED: 1}
    both = replace(plan, manifests=(replace(plan.manifests[0], counts=counts, examples={ActionKind.BLOCKED: (held,)}),))
    assert "lamp: blocked\n            batchgen status --sandbox says what to do\n" in plan_text(both, "batchgen run x", flags=" --sandbox")


def test_empty_manifest(plan: PlanFacts) -> None:
    """A manifest without tasks says so."""
    empty = replace(plan, manifests=(replace(plan.manifests[0], counts={}, examples={}),))
    assert "no tasks" in plan_text(empty)


def test_work_left(plan: PlanFacts) -> None:
    """Work is what is bought, resumed or fetched; what is done or gone is none."""
    counts = {ActionKind.NEW: 1, ActionKind.RESUMED: 2, ActionKind.TO_FETCH: 4, ActionKind.DONE: 8, ActionKind.FAILED: 16}
    assert work_left(replace(plan, manifests=(replace(plan.manifests[0], counts=counts),))) == 7


def test_document(plan: PlanFacts, fits: Callable[[str, object], None]) -> None:
    """`plan --json` is as its schema says, with and without a budget that binds."""
    fits("plan", plan_document(plan))
    fits("plan", plan_document(replace(plan, binding=None, manifests=())))
