"""The plan's table, whole, and what it adds up to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.core.budget import Budgets
from batchgen.core.facts import Spending
from batchgen.core.forecast import EXAMPLES, Forecast, PlanFacts
from batchgen.core.model import Budget, KnownTask, Manifest, Spec, Task
from batchgen.core.pacing import HEADROOM
from batchgen.core.plan import Action, ActionKind, plan_leaver, plan_task
from batchgen.core.policy import Policy
from batchgen.core.pricing import Prices
from batchgen.core.states import AttemptState, TaskState
from tests.core.world import a_task, base_price, reference

K, T, A = ActionKind, TaskState, AttemptState
TASK = a_task("t0")
NO_BUDGET, USUAL = Budget(), Policy()


def known(state: TaskState, live: AttemptState | None = None, *, changed: bool = False) -> KnownTask:
    """Make a task as the ledger has it."""
    return KnownTask("t0", state, "other" if changed else TASK.spec.fingerprint, live)


TABLE = [
    # state, live, the plan unchanged, the plan changed, unchanged and --retry-failed
    (T.PENDING, None, K.NEW, K.CHANGED, K.NEW),
    (T.RENDERING, A.SUBMITTING, K.RESUMED, K.RESUMED, K.RESUMED),
    (T.RENDERING, A.ACCEPTED, K.RESUMED, K.RESUMED, K.RESUMED),
    (T.RENDERED, None, K.TO_FETCH, K.TO_FETCH, K.TO_FETCH),
    (T.DONE, None, K.DONE, K.CHANGED, K.DONE),
    (T.FAILED, None, K.FAILED, K.CHANGED, K.RETRIED),
    (T.BLOCKED, None, K.BLOCKED, K.CHANGED, K.RETRIED),
    (T.BLOCKED, A.IN_DOUBT, K.BLOCKED, K.BLOCKED, K.BLOCKED),
]


@pytest.mark.parametrize(("state", "live", "same", "changed", "retried"), TABLE)
def test_the_table(state: TaskState, live: AttemptState | None, same: ActionKind, changed: ActionKind, retried: ActionKind) -> None:
    """What a run would do with a task, by its state, with its spec unchanged, changed, and asked for again."""
    actions = [
        plan_task(TASK, known(state, live)),
        plan_task(TASK, known(state, live, changed=True)),
        plan_task(TASK, known(state, live), retry_failed=True),
        plan_task(TASK, known(state, live, changed=True), retry_failed=True),
    ]
    assert [a.kind for a in actions] == [same, changed, retried, changed]
    assert all(a.reason for a in actions)
    renews = {K.CHANGED, K.RETRIED} if state is not T.PENDING else set()
    assert [a.renews for a in actions] == [a.kind in renews for a in actions]


def test_a_new_task() -> None:
    """What the ledger does not know is new, and renews nothing."""
    action = plan_task(TASK, None)
    assert (action.kind, action.renews, action.fingerprint) == (K.NEW, False, TASK.spec.fingerprint)


def test_the_reasons_tell_of_an_edit() -> None:
    """A changed task that is in flight is due again afterwards, and the reason says so."""
    assert "due again" in plan_task(TASK, known(T.RENDERING, A.ACCEPTED, changed=True)).reason
    assert "due again" in plan_task(TASK, known(T.RENDERED, changed=True)).reason
    assert "due again" not in plan_task(TASK, known(T.RENDERING)).reason
    assert "due again" not in plan_task(TASK, known(T.RENDERED)).reason
    assert "an attempt is live" in plan_task(TASK, known(T.RENDERING)).reason


AFTERWARDS = "; the manifest has changed, so it is due again after that"


@pytest.mark.parametrize(
    ("state", "live", "same", "changed", "retried"),
    [
        (T.RENDERING, A.ACCEPTED, "an attempt is accepted", f"an attempt is accepted{AFTERWARDS}", "an attempt is accepted"),
        (T.RENDERED, None, *(f"rendered and paid, files are missing{then}" for then in ("", AFTERWARDS, ""))),
        (T.DONE, None, "rendered and on disk", "", "rendered and on disk"),
        (T.FAILED, None, "failed for good; --retry-failed asks again", "", "failed before; asked for again by --retry-failed"),
        (T.BLOCKED, None, "blocked, and a person must look at it", "", "was blocked; asked for again by --retry-failed"),
        (T.BLOCKED, A.IN_DOUBT, *["an attempt is in doubt, and a person must decide"] * 3),
    ],
)
def test_the_reasons(state: TaskState, live: AttemptState | None, same: str, changed: str, retried: str) -> None:
    """What a person reads before agreeing to spend; a changed task that is bought anew says only that it differs."""
    assert plan_task(TASK, known(state, live)).reason == same
    differs = "model, prompt, params or references differ from the last time"
    assert plan_task(TASK, known(state, live, changed=True)).reason == (changed or differs)
    assert plan_task(TASK, known(state, live), retry_failed=True).reason == retried


@pytest.mark.parametrize("state", TaskState)
def test_leavers(state: TaskState) -> None:
    """A task that left is listed; what is in flight is finished."""
    action = plan_leaver(known(state))
    assert (action.kind, action.task, action.renews) == (K.REMOVED, None, False)
    assert (action.known, action.fingerprint) == (known(state), TASK.spec.fingerprint)
    finished = "; what is in flight is finished, nothing new is bought" if state in {T.RENDERING, T.RENDERED} else ""
    assert action.reason == f"left the manifest{finished}"


# ---------------------------------------------------------------- the forecast


def forecast(tasks: list[Task], budget: Budget = NO_BUDGET, policy: Policy = USUAL, uploaded: tuple[str, ...] = ()) -> PlanFacts:
    """Forecast new tasks at 5 credits each; the price of z-image is known to be 2."""
    manifest = Manifest("m", "m", budget)
    prices = Prices(base_price, {"z-image?": 2})
    adding = Forecast(policy, prices, Budgets((manifest,), policy, Spending(today="2027-01-15")))
    adding.manifest(manifest)
    for task in tasks:
        adding.add(manifest, plan_task(task, None))
    adding.add(manifest, plan_leaver(known(T.DONE)))
    adding.add(manifest, plan_task(TASK, known(T.RENDERED)))
    return adding.facts(dict.fromkeys(uploaded, object()), ("careful",))


def test_a_forecast() -> None:
    """Counts, credits, uploads by content, unseen prices and the time add up."""
    refs = (reference("a"), reference("b"))
    tasks = [a_task("t1", *refs), a_task("t2", refs[0], reference("c")), replace(a_task("t3"), spec=Spec("z-image", "x"))]
    facts = forecast(tasks, uploaded=("a" * 64,))
    plan = facts.manifests[0]
    assert plan.counts == {K.NEW: 3, K.REMOVED: 1, K.TO_FETCH: 1}
    assert (facts.to_buy, facts.credits, facts.credits_most, plan.credits) == (3, 12, 12, 12)
    assert (facts.uploads, facts.upload_bytes, facts.unseen_prices) == (2, 2000, ("kling-2-6?",))
    assert facts.binding is None
    assert facts.seconds == pytest.approx((3 * 2 + 1 + 2) / HEADROOM)
    assert facts.warnings == ("careful",)


def test_the_binding_budget() -> None:
    """The first task that a budget does not allow is named; what is allowed is counted up to it."""
    facts = forecast([a_task(f"t{n}") for n in range(9)], Budget(total=22))
    assert facts.credits == 45
    assert facts.credits_most == 20
    assert facts.binding is not None
    assert (facts.binding.budget, facts.binding.task, facts.binding.nth) == ("total of m", "t4", 5)


def test_max_tasks_comes_before_the_budget() -> None:
    """Tasks beyond --max-tasks are not allowed and bind no budget."""
    facts = forecast([a_task(f"t{n}") for n in range(9)], Budget(total=22), Policy(max_tasks=2))
    assert (facts.credits_most, facts.binding) == (10, None)


def test_examples_are_few() -> None:
    """A plan names the first few of each kind."""
    facts = forecast([a_task(f"t{n}") for n in range(50)])
    examples: tuple[Action, ...] = facts.manifests[0].examples[K.NEW]
    assert [a.task.id for a in examples if a.task] == [f"t{n}" for n in range(EXAMPLES)]


def test_what_must_be_on_the_server() -> None:
    """The contents that tasks to buy need, each once."""
    manifest = Manifest("m", "m")
    adding = Forecast(Policy(), Prices(base_price, {}), Budgets((manifest,), Policy(), Spending()))
    adding.manifest(manifest)
    for n in range(3):
        adding.add(manifest, plan_task(a_task(f"t{n}", reference("a")), None))
    assert adding.references() == ("a" * 64,)
