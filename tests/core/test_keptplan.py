"""Kept plans as values: what is kept, where they end, and what makes them differ."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from batchgen.core.budget import Budgets
from batchgen.core.changes import change
from batchgen.core.facts import RunAsked, Spending, TaskFacts
from batchgen.core.forecast import Forecast
from batchgen.core.keptplan import Keeper, KeptPlan, differences, kept_document, kept_plan
from batchgen.core.model import Budget, KnownTask, Manifest, MediaKind, Reference
from batchgen.core.plan import Action, plan_leaver, plan_task
from batchgen.core.policy import Policy
from batchgen.core.pricing import Prices
from batchgen.core.states import AttemptState, TaskState
from tests.core.world import a_task, base_price, reference

ONE, TWO = Manifest("m", "m.yaml"), Manifest("n", "n.yaml")
TASK = a_task("t0")


def keep(*, budget: int | None = None, max_tasks: int | None = None, limited: Manifest = ONE, asked: RunAsked | None = None) -> KeptPlan:
    """Keep a plan of two manifests with three tasks each, of 55 credits."""
    manifests = [limited, TWO]
    budgets = Budgets(manifests, Policy(run_budget=budget), Spending(today="2026-05-10"))
    asked = asked or RunAsked("run")
    keeper = Keeper(Prices(base_price, {}), budgets, max_tasks=max_tasks, cuts=dict(asked.cuts))
    for manifest in manifests:
        keeper.manifest(manifest, f"/w/{manifest.path}")
        for n in range(3):
            keeper.add(manifest.name, plan_task(replace(a_task(f"t{n}"), position=n), None))
    return keeper.plan("p" * 32, asked, at=1.0, address="https://a", ledger="l")


def test_all_of_it() -> None:
    """Without a limit all tasks are kept, with their prices, and nothing differs from itself."""
    plan = keep()
    assert (plan.buys, plan.credits, plan.cuts) == (6, 6 * plan.manifests[0].credits // 3, ())
    assert list(differences(plan, keep())) == []


def test_where_it_ends() -> None:
    """A manifest's own budget ends that manifest alone, the run's budget and --max-tasks end all."""
    price = keep().credits // 6
    own = keep(limited=replace(ONE, budget=Budget(total=2 * price)))
    assert (own.buys, own.cuts) == (5, (("m", 2),))
    assert keep(budget=4 * price).cuts == (("n", 1),)
    limited = keep(max_tasks=2)
    assert limited.cuts == (("m", 2), ("n", 0))
    assert limited.asked(until=5.0) == RunAsked("run", ("m", "n"), budget=2 * price, until=5.0, plan="p" * 32, cuts=limited.cuts)
    assert keep(asked=limited.asked(until=None)).buys == 2
    narrow = keep(asked=RunAsked("run", only="t*", retry_failed=True))
    assert narrow.asked(until=None) == RunAsked("run", ("m", "n"), "t*", retry_failed=True, budget=30, plan="p" * 32)
    assert [(left.name, left.limit, left.used) for left in keep(budget=4 * price).budgets] == [("--budget", 20, 0)], "as they were"


def test_what_differs() -> None:
    """Every difference is said in words."""
    plan = keep()
    part = plan.manifests[0]
    for now, words in (
        (replace(plan, address="https://b"), "https://b"),
        (replace(plan, ledger="x"), "another ledger"),
        (replace(plan, prices=dict.fromkeys(plan.prices, 99)), "and is 99"),
        (replace(plan, credits=plan.credits + 1), "were agreed to"),
        (replace(plan, manifests=plan.manifests[1:]), "no longer holds the manifest m"),
        (replace(plan, manifests=(replace(part, header="x"), plan.manifests[1])), "other budgets"),
        (replace(plan, manifests=(replace(part, wants="x"), plan.manifests[1])), "has changed"),
        (replace(plan, manifests=(replace(part, does="x"), plan.manifests[1])), "another run"),
        (replace(plan, manifests=(replace(part, buys=1), plan.manifests[1])), "only 1 of the 3 tasks"),
    ):
        (said,) = differences(plan, now)
        assert words in said
    many = {str(n): "a" for n in range(9)}
    named = list(differences(replace(plan, references=many), replace(plan, references=dict.fromkeys(many, "b") | {"8": "a", "new": "b"})))
    assert named == [*(f"the reference {n} has changed" for n in range(3)), "5 more references have changed"]
    assert len(list(differences(replace(plan, references={"0": "a", "1": "a", "2": "a"}), replace(plan, references={"0": "b"})))) == 1
    three = dict.fromkeys("012", "a")
    assert len(list(differences(replace(plan, references=three), replace(plan, references=dict.fromkeys(three, "b"))))) == 3
    for key, words in (("m?a=x&b=1?", "m (a=x, b=1?)"), ("m?", "m")):
        (dearer,) = differences(replace(plan, prices={key: 5}), replace(plan, prices={key: 6}))
        assert dearer == f"the price of {words} was 5 credits and is 6"


def kept(*actions: Action, manifest: Manifest = ONE, file: str = "/w/m.yaml", ledger: str = "l") -> KeptPlan:
    """Keep a plan of one manifest."""
    keeper = Keeper(Prices(base_price, {}), Budgets([manifest], Policy(), Spending()), max_tasks=None)
    keeper.manifest(manifest, file)
    for action in actions:
        keeper.add("m", action)
    return keeper.plan("p", RunAsked("run"), at=0.0, address="", ledger=ledger)


def test_what_is_kept_of_a_task() -> None:
    """Its id, its fingerprint and where its file goes; and what is done with it. Any of them that differs is another plan."""
    task = a_task("t0")
    new = plan_task(task, None)
    done = plan_task(task, KnownTask("t0", TaskState.DONE, task.spec.fingerprint))
    (plan,) = kept(new).manifests
    assert plan.wants == hashlib.sha256(f"t0\0{task.spec.fingerprint}\0m/t0\n".encode()).hexdigest()
    assert plan.does == hashlib.sha256(b"t0\0new\n").hexdigest()
    for other in (replace(task, id="t1"), replace(task, output="m/x"), a_task("t0", prompt="another")):
        assert kept(plan_task(other, None)).manifests[0].wants != plan.wants
    assert kept(done).manifests[0].does != plan.does
    left = [kept(plan_leaver(KnownTask(ident, TaskState.DONE, "f"))).manifests[0].does for ident in ("t0", "t1")]
    assert left[0] != left[1]
    assert kept(new, plan_task(a_task("t1"), None)).manifests[0].does != kept(done, plan_task(a_task("t1"), None)).manifests[0].does


def test_what_is_kept_of_a_manifest() -> None:
    """Its limits, not where it lies: a manifest that was moved is the same, one with other limits is not."""
    (plan,) = kept().manifests
    assert kept(manifest=replace(ONE, path="elsewhere.yaml")).manifests == (plan,)
    for other in (replace(ONE, retries=9), replace(ONE, canary=1), replace(ONE, budget=Budget(per_day=5)), replace(ONE, in_flight=1)):
        assert kept(manifest=other).manifests[0].header != plan.header


def test_what_is_kept_of_references_and_of_the_ledger() -> None:
    """The content of each file by its path, whichever bytes its path is made of; the ledger's address as a digest."""
    linked = Reference(MediaKind.IMAGE, "image/png", "x.png", url="https://example.org/x.png")
    plan = kept(plan_task(a_task("t0", reference("a"), reference("b", "b.png"), linked), None), ledger="sqlite:////w/\udcff.db")
    assert plan.references == {"/refs/ref.png": "a" * 64, "/refs/b.png": "b" * 64}
    assert plan.ledger == hashlib.sha256(b"sqlite:////w/\xff.db").hexdigest()
    odd = kept(plan_task(replace(a_task("t\ud800"), output="m/\ud800"), None))
    assert kept_plan(kept_document(replace(odd, only="\ud800"))) is not None


def test_document() -> None:
    """A plan comes back from its document as it was; a changed document is no plan."""
    plan = keep(max_tasks=2)
    document = kept_document(plan)
    assert kept_plan(document) == plan
    assert kept_plan({**document, "credits": 1}) is None


@pytest.mark.parametrize(
    ("action", "buys"),
    [
        (plan_task(TASK, KnownTask("t0", TaskState.RENDERING, "other")), 1),
        (plan_task(TASK, KnownTask("t0", TaskState.RENDERED, "other")), 1),
        (plan_task(TASK, KnownTask("t0", TaskState.RENDERING, TASK.spec.fingerprint)), 0),
        (plan_leaver(KnownTask("t0", TaskState.RENDERING, "other")), 0),
        (plan_task(TASK, KnownTask("t0", TaskState.DONE, TASK.spec.fingerprint)), 0),
        (plan_task(TASK, KnownTask("t0", TaskState.BLOCKED, "other", AttemptState.IN_DOUBT)), 0),
        (plan_task(TASK, KnownTask("t0", TaskState.DONE, "other")), 1),
    ],
)
def test_what_is_bought_after_it_has_landed(action: Action, buys: int) -> None:
    """A task in flight that its manifest wants otherwise is bought again in the same run, so it counts; one that left does not."""
    assert kept(action).buys == buys


def test_changes() -> None:
    """What differs of a task is named: model, prompt, params, references; if nothing of it does, it is a file's content."""
    task = a_task("t0")
    task = replace(task, spec=replace(task.spec, references=(reference("r"),), params={"duration": "5", "sound": "true"}))
    spec = task.spec
    names = tuple(r.name for r in spec.references)
    was = TaskFacts(
        1, "m", "t0", TaskState.DONE, wanted=True, line=1, model=spec.model, prompt=spec.prompt, params=dict(spec.params),
        references=names, output="o", note="", attempts=1, captured=55, held=0, latest=None,
    )  # fmt: skip
    assert change(task, was).content == names
    linked = replace(task, spec=replace(spec, references=()))
    assert change(linked, replace(was, references=())).words == "the content of a reference differs from the last time"
    assert change(task, replace(was, model="veo")).words == f"the model was veo and is {spec.model}"
    assert change(task, replace(was, prompt="x", references=())).words == "the prompt differs; it has other references"
    said = change(task, replace(was, params={"duration": "10", "seed": 1})).words
    assert said == "duration was 10 and is 5; seed was 1 and is not given; sound was not given and is true"


def test_the_forecast_says_the_same() -> None:
    """A manifest whose own budget is used up ends alone: what the others cost is in the plan's most, as it is in the kept plan."""
    price = keep().credits // 6
    limited = replace(ONE, budget=Budget(total=2 * price))
    for most in (None, 4):
        policy = Policy(max_tasks=most)
        forecast = Forecast(policy, Prices(base_price, {}), Budgets([limited, TWO], policy, Spending(today="2026-05-10")))
        for manifest in (limited, TWO):
            forecast.manifest(manifest)
            for n in range(3):
                forecast.add(manifest, plan_task(replace(a_task(f"t{n}"), position=n), None))
        facts = forecast.facts({})
        assert facts.credits_most == keep(limited=limited, max_tasks=most).credits == (most or 5) * price
        assert facts.binding is not None
        assert (facts.binding.manifest, facts.binding.nth) == ("m", 3)
