"""Forecasts of many tasks at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.budget import Budgets
from batchgen.core.facts import Spending
from batchgen.core.forecast import Binding, Forecast, PlanFacts
from batchgen.core.model import Budget, Manifest, MediaKind, Reference, Spec, Task
from batchgen.core.plan import NOT_YET, plan_task
from batchgen.core.policy import Policy, Quote
from batchgen.core.pricing import Prices
from batchgen.core.stops import StopKind
from batchgen.core.written import ready_of

PICTURES = [Reference(MediaKind.IMAGE, "image/png", f"{n}.png", sha256=str(n) * 64, path=f"/{n}.png", size=10 + n) for n in range(3)]


def quote(spec: Spec) -> Quote:
    """Price a spec by one of its params."""
    return Quote(f"{spec.model}?{spec.params['duration']}", int(str(spec.params["duration"])) * 10)


tasks = st.lists(st.tuples(st.sampled_from(["5", "10"]), st.lists(st.sampled_from(PICTURES), max_size=2)), max_size=30)


@given(tasks, st.none() | st.integers(0, 1_500), st.none() | st.integers(1, 20), st.integers(1, 9))
def test_many_at_once_add_up_to_what_they_are_one_by_one(
    wanted: list[tuple[str, list[Reference]]], total: int | None, most: int | None, size: int
) -> None:
    """`fresh` gives what `add` gives, also where a budget or --max-tasks binds in the middle of a chunk."""
    manifest, policy = Manifest("m", "m.yaml", Budget(total=total)), Policy(max_tasks=most)
    one_by_one, at_once = (
        Forecast(policy, Prices(quote, {}), Budgets((manifest,), policy, Spending(today="2026-11-23"))) for _ in range(2)
    )
    made = [
        Task("m", f"t{n}", Spec("kling-2-6", f"p {n}", {"duration": duration}, tuple(references)), f"m/t{n}", n, 7)
        for n, (duration, references) in enumerate(wanted)
    ]
    one_by_one.manifest(manifest)
    at_once.manifest(manifest)
    for task in made:
        one_by_one.add(manifest, plan_task(task, None))
    rows = [ready_of(task.id, task.spec, task.output, task.line) for task in made]
    for start in range(0, len(rows), size):
        at_once.fresh(manifest, rows[start : start + size], NOT_YET)
    assert set(at_once.references()) == set(one_by_one.references())
    left, right = at_once.facts({}), one_by_one.facts({})
    assert sorted(left.unseen_prices) == sorted(right.unseen_prices)
    assert (left.to_buy, left.credits, left.credits_most, left.uploads, left.upload_bytes, left.binding, left.seconds) == (
        right.to_buy,
        right.credits,
        right.credits_most,
        right.uploads,
        right.upload_bytes,
        right.binding,
        right.seconds,
    )
    if made:
        assert [(plan.counts, plan.credits) for plan in left.manifests] == [(plan.counts, plan.credits) for plan in right.manifests]
        assert named(left) == named(right)


def named(facts: PlanFacts) -> list[tuple[str, str, str]]:
    """Return the tasks that a plan names, with their fingerprints and reasons."""
    actions = [action for plan in facts.manifests for kind in plan.examples.values() for action in kind]
    return [(action.task.id if action.task else "", action.fingerprint, action.reason) for action in actions]


def test_a_manifest_that_a_budget_stopped_takes_nothing_more() -> None:
    """Not even what would still fit, as it comes with the next thousand rows: a run ends its manifest there."""
    manifest = Manifest("m", "m.yaml", Budget(total=60))
    made = Forecast(Policy(), Prices(quote, {}), Budgets((manifest,), Policy(), Spending(today="2026-11-23")))
    made.manifest(manifest)
    for ident, duration in (("dear", "10"), ("cheap", "5")):
        made.fresh(manifest, [ready_of(ident, Spec("kling-2-6", "p", {"duration": duration}), f"m/{ident}", 1)], NOT_YET)
    facts = made.facts({})
    assert (facts.to_buy, facts.credits, facts.credits_most) == (2, 150, 0)
    assert facts.binding == Binding("total of m", 60, 0, 100, "m", "dear", 1, StopKind.TOTAL, "m")
