"""Tasks as text, kept plans' cuts, and what a plan says has changed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from json.encoder import encode_basestring

from batchgen.core.answers import Answer, Render, RenderStatus, Verdict
from batchgen.core.budget import Budgets
from batchgen.core.changes import explained
from batchgen.core.engine import Engine
from batchgen.core.facts import LiveAttempt, Opening, Spending, TaskFacts, TaskHistory
from batchgen.core.forecast import Forecast
from batchgen.core.lanes import Lane
from batchgen.core.messages import Answered, AskStatus, DueArrived, FetchDue, MoneyKind, MoneyMoved, Noted, Record
from batchgen.core.model import DueTask, Manifest, Spec, Task
from batchgen.core.plan import Action, ActionKind
from batchgen.core.policy import Given, Policy, Quote
from batchgen.core.pricing import Prices
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.written import REMEMBERED, Frames, fingerprint_of, identity_tail, parted, ready_of, spec_from, spec_text
from tests.core.world import a_task, compose, reference

MANIFEST = Manifest("m", "m.yaml")


def due(position: int) -> DueTask:
    """Return a due task at a position of the manifest."""
    task = a_task(f"t{position}", position=position)
    return DueTask(position + 1, task, task.spec.fingerprint)


def quote(spec: Spec) -> Quote:
    """Price everything alike."""
    return Quote(spec.model, 55)


def forecast() -> Forecast:
    """Return a forecast of one manifest."""
    made = Forecast(Policy(), Prices(quote, {}), Budgets((MANIFEST,), Policy(), Spending(today="2026-11-23")))
    made.manifest(MANIFEST)
    return made


def test_a_spec_comes_back_from_its_text() -> None:
    """Text and fingerprint made from parts are those of the whole, also with half a surrogate pair in the prompt."""
    spec = a_task("t", reference()).spec
    text = spec_text(spec)
    head, prompt, _ = parted(text)

    assert spec_from(text) == spec
    assert fingerprint_of(head, prompt, identity_tail(spec.references)) == spec.fingerprint
    half = replace(spec, prompt="half \ud800 a pair")
    assert spec_from(spec_text(half)).prompt == half.prompt
    assert fingerprint_of(head, encode_basestring(half.prompt), identity_tail(spec.references)) == half.fingerprint


def test_frames_remember_only_so_many() -> None:
    """Heads and tails that come again are read once, and their number is bounded."""
    frames = Frames()
    for n in range(REMEMBERED + 1):
        head, _, tail = parted(spec_text(Spec("kling-2-6", "p", {"seed": n})))
        assert frames.frame(head, tail).params == {"seed": n}


def test_prices_by_frame_are_bounded() -> None:
    """A forecast of rows that all differ in their params is right, and remembers only so many prices."""
    made = forecast()
    rows = [ready_of(f"t{n}", Spec("kling-2-6", "p", {"seed": n}), f"m/t{n}", 1) for n in range(REMEMBERED + 1)]
    made.fresh(MANIFEST, rows, "new")
    made.count(MANIFEST, ActionKind.DONE, 7)
    facts = made.facts({})

    assert (facts.to_buy, facts.credits) == (REMEMBERED + 1, 55 * (REMEMBERED + 1))
    assert Counter(dict(facts.manifests[0].counts))[ActionKind.DONE] == 7


def test_a_kept_plan_cuts_its_manifest() -> None:
    """Nothing from the plan's end on is taken, neither from a page nor as due again."""
    lane = Lane(MANIFEST, cut=2)
    fetch = lane.fetch()
    assert isinstance(fetch, FetchDue)
    lane.arrived(DueArrived(fetch, tuple(due(n) for n in range(4)), 3, last=False))
    assert [task.task.position for task in lane.due] == [0, 1]
    lane.again(due(3))
    assert [task.task.position for task in lane.due] == [0, 1]
    assert lane.fetch() is None


@dataclass
class Histories:
    """A ledger that knows the history of one task."""

    known: tuple[TaskHistory, ...]

    def history(self, task: str, manifest: str = "") -> tuple[TaskHistory, ...]:
        """Return it for its id."""
        return tuple(history for history in self.known if (history.task.id, history.task.manifest) == (task, manifest))


def test_a_plan_says_what_has_changed() -> None:
    """Changed tasks tell what differs, a reference with other bytes is warned of; a task without a history keeps its reason."""
    was = a_task("t1", reference(), reference("b", "b.png"))
    references = tuple(r.name for r in was.spec.references)
    facts = TaskFacts(
        row=1,
        manifest="m",
        id="t1",
        state=TaskState.DONE,
        wanted=True,
        line=1,
        model=was.spec.model,
        prompt=was.spec.prompt,
        params=was.spec.params,
        references=references,
        output="m/t1",
        note="",
        attempts=1,
        captured=55,
        held=0,
        latest=None,
    )
    made = forecast()
    for task in (a_task("t1", reference("other bytes"), reference("b", "b.png")), a_task("unknown")):
        made.add(MANIFEST, Action(ActionKind.CHANGED, "differs", task, None, task.spec.fingerprint))
    made.add(MANIFEST, Action(ActionKind.CHANGED, "gone", None, None))
    ledger = Histories((TaskHistory(facts, (), ()),))
    plan = explained(made.facts({}), ledger)  # type: ignore[arg-type] # only its histories are asked for
    reasons = [action.reason for action in plan.manifests[0].examples[ActionKind.CHANGED]]

    assert reasons[0] == "the content of ref.png, b.png differs from the last time"
    assert reasons[1:] == ["differs", "gone"]
    assert plan.warnings == ("references changed: ref.png, b.png; what m rendered from them is bought again",)
    none = explained(forecast().facts({}), ledger)  # type: ignore[arg-type] # the same
    assert (none.warnings, none.manifests[0].examples) == ((), {})


def failed(task: Task) -> LiveAttempt:
    """Return a failed attempt of which the server kept 55 credits at first."""
    return LiveAttempt(
        due=DueTask(1, task, task.spec.fingerprint, attempts=1, failures=1),
        wanted=True,
        key="bg-1",
        number=1,
        fingerprint=task.spec.fingerprint,
        body=b"{}",
        state=AttemptState.FAILED,
        task_state=TaskState.FAILED,
        submitted_at=1.8e9,
        hold=55,
        price_key="kling-2-6?",
        day="2027-01-15",
        this_run=False,
        accepted_at=1.8e9,
        task_id="task_1",
        reserved=55,
        final=55,
    )


def after_a_look(answer: Answer[object]) -> tuple[Record, ...]:
    """Open a run with such an attempt, give it this answer to its look, and return what is written."""
    opening = Opening((MANIFEST,), live=(failed(a_task("t1")),))
    engine = Engine(opening, Policy(requests_per_minute=60_000), Given(quote, compose, lambda _: "2027-01-16", lambda: 0.0))
    step, now = engine.step(1.8e9 + 100, []), 1.8e9 + 100
    asked = [request for request in step.requests if isinstance(request, AskStatus)]
    while not asked:
        now += 1
        step = engine.step(now, [])
        asked = [request for request in step.requests if isinstance(request, AskStatus)]
    return engine.step(now, [Answered(asked[0], answer, now)]).records


def refund_of(answer: Answer[object]) -> list[MoneyMoved]:
    """Return the money that an answer moves."""
    return [record for record in after_a_look(answer) if isinstance(record, MoneyMoved)]


def test_a_late_refund_is_taken_back_once() -> None:
    """What the server gives back after the failed answer becomes a refund; no answer, or no change, moves nothing."""
    render = Render("task_1", RenderStatus.FAILED, reserved=55, final=5)
    moved = refund_of(Answer(Verdict.OK, render))

    assert [(record.kind, record.credits) for record in moved] == [(MoneyKind.REFUND, 50)]
    assert [(note.event, note.key, note.detail) for note in after_a_look(Answer(Verdict.OK, render)) if isinstance(note, Noted)] == [
        ("refunded", "bg-1", "50")
    ]
    assert [record.credits for record in refund_of(Answer(Verdict.OK, replace(render, final=54)))] == [1]
    assert refund_of(Answer(Verdict.OK, replace(render, final=55))) == []
    assert refund_of(Answer(Verdict.LOST)) == []


def test_a_spec_is_taken_apart_at_its_own_prompt() -> None:
    """A parameter may be named as the parts are, and a prompt may quote them: what is bought is still the prompt."""
    params = {"k": [{"a": 1, "prompt": "not this"}], "l": {"a": 1, "references": ["nor these"]}}
    spec = Spec("m", 'say ,"prompt":"this","references":[ to me', params, (reference(),))
    head, prompt, tail = parted(spec_text(spec))
    assert json.loads(prompt) == spec.prompt
    assert Frames().spec(head, prompt, tail) == spec


def test_tasks_are_read_with_their_places() -> None:
    """The position decides the order, the line is where a person finds the task."""
    spec = a_task("t").spec
    rows = [ready_of(f"t{n}", spec, f"m/t{n}", 7 + n) for n in range(2)]
    assert [(task.id, task.output, task.position, task.line) for task in Frames().tasks("m", rows)] == [
        ("t0", "m/t0", 0, 7),
        ("t1", "m/t1", 1, 8),
    ]
