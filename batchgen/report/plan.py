"""The plan: what a run would do and why, as text and as a document."""

from __future__ import annotations

from batchgen.core.forecast import Binding, ManifestPlan, PlanFacts
from batchgen.core.keptplan import KeptPlan
from batchgen.core.plan import BUYING, Action, ActionKind
from batchgen.core.pricing import model_of
from batchgen.report.columns import cut
from batchgen.report.stops import lifted
from batchgen.report.text import clean, counted, number, size, span

_QUIET = frozenset({ActionKind.DONE})
"""Kinds of which no example is shown: nothing is left to explain."""
_GOING_ON = frozenset({ActionKind.RESUMED, ActionKind.TO_FETCH})
"""Kinds for which a run does something without buying."""
_WIDTH = 100


def plan_text(facts: PlanFacts, then: str = "", *, flags: str = "") -> str:
    """Return the plan for people: some lines for each manifest, what it adds up to, what to look at twice, and what to do `then`.

    `flags` go into the other commands that it advises.
    """
    lines = []
    for part in facts.manifests:
        lines += [f"{clean(part.manifest.name)} ({clean(part.manifest.path)})", *_manifest_lines(part, flags), ""]
    lines += [*_sum_lines(facts), *_warnings(facts)]
    if then:
        lines += ["", f"next: {_first(facts)}{clean(then)}" if work_left(facts) else f"next: {_idle(facts, flags)}"]
    return "\n".join(lines)


def _first(facts: PlanFacts) -> str:
    """Say what comes before a run that could do nothing at all, because a budget stops it at its first task."""
    binding = facts.binding
    if binding is None or binding.nth > 1 or facts.credits_most or _total(facts, *_GOING_ON):
        return ""
    lift = lifted(binding.stop, {part.manifest.name: part.manifest.path for part in facts.manifests})
    return f"{lift}, then: " if lift else ""


def _idle(facts: PlanFacts, flags: str) -> str:
    """Say what to do where a run would do nothing: that is not always because everything is done."""
    for kind in (ActionKind.BLOCKED, ActionKind.FAILED):
        count = _total(facts, kind)
        if count:
            return f"batchgen status{flags} says what to do about {counted(count, f'{kind} task')}"
    return "nothing is left to do"


def _manifest_lines(part: ManifestPlan, flags: str) -> list[str]:
    """Say how many tasks of each kind, and name the first few; for those that no run helps, who does."""
    lines = []
    for kind in ActionKind:
        count = part.counts.get(kind, 0)
        if not count:
            continue
        lines.append(f"  {number(count):>9} {kind}")
        examples = () if kind in _QUIET else part.examples.get(kind, ())
        lines += [f"            {cut(f'{_task(action)}: {action.reason}', _WIDTH)}" for action in examples]
        if examples and count > len(examples):
            lines.append(f"            and {number(count - len(examples))} more")
        if kind is ActionKind.BLOCKED:
            lines.append(f"            batchgen status{flags} says what to do")
    return lines or ["            no tasks"]


def _task(action: Action) -> str:
    """Return the id of an action's task."""
    if action.task is not None:
        return action.task.id
    return action.known.id if action.known is not None else ""


def _sum_lines(facts: PlanFacts) -> list[str]:
    """Say what everything adds up to."""
    lines = [f"credits   {money_line(facts)}"]
    lines.append(f"uploads   {counted(facts.uploads, 'file')}, {size(facts.upload_bytes)}" if facts.uploads else "uploads   none")
    if facts.seconds >= 1:
        lines.append(f"time      at least {span(facts.seconds)} at the given rate, renders not counted")
    return lines


def _warnings(facts: PlanFacts) -> list[str]:
    """Say what a person should look at twice before it is bought."""
    lines = []
    if facts.binding is not None:
        lines.append(f"warning   {binding_line(facts.binding)}")
    if facts.unseen_prices:
        models = ", ".join(cut(model, 60) for model in dict.fromkeys(model_of(key) for key in facts.unseen_prices))
        kinds = counted(len(facts.unseen_prices), "combination")
        lines.append(f"warning   price unknown: no bill seen yet for {kinds} of params of {models}; the first task of each goes alone")
    return lines + [f"warning   {cut(text, 2 * _WIDTH)}" for text in facts.warnings]


def kept_money_line(plan: KeptPlan) -> str:
    """Return the line about money that `run --plan` shows before it asks."""
    return f"{counted(plan.buys, 'task')} to buy for at most {number(plan.credits)} credits, as planned,"


def kept_line(plan: KeptPlan, file: str) -> str:
    """Say what was kept of a plan, and where."""
    bought = f"{counted(plan.buys, 'task')} for at most {number(plan.credits)} credits"
    return f"kept in {clean(file)}: {bought}, to be used once"


def money_line(facts: PlanFacts) -> str:
    """Return the one line about money that `run` shows before it asks."""
    if not facts.to_buy:
        return "nothing to buy, 0 credits"
    line = f"{counted(facts.to_buy, 'task')} to buy for about {counted(facts.credits, 'credit')}"
    if facts.credits_most != facts.credits:
        line += f", of which this run may spend {number(facts.credits_most)}"
    return line


def binding_line(binding: Binding) -> str:
    """Say which budget stops the run, and where."""
    task = f"{cut(binding.task, 60)} of {clean(binding.manifest)}"
    return (
        f"the budget {clean(binding.budget)} of {number(binding.limit)} stops it before task {number(binding.nth)} to buy, "
        f"{task}: {number(binding.spent)} are used by then, and it costs {number(binding.price)}"
    )


def work_left(facts: PlanFacts) -> int:
    """Return how many tasks a run would do something for."""
    return _total(facts, *BUYING, *_GOING_ON)


def _total(facts: PlanFacts, *kinds: ActionKind) -> int:
    """Return how many tasks are of these kinds, over all manifests."""
    return sum(part.counts.get(kind, 0) for part in facts.manifests for kind in kinds)


def plan_document(facts: PlanFacts) -> dict[str, object]:
    """Return the document of `plan --json` (schemas/plan.schema.json)."""
    return {
        "document": "batchgen.plan/1",
        "manifests": [_manifest_document(part) for part in facts.manifests],
        "to_buy": facts.to_buy,
        "credits": facts.credits,
        "credits_most": facts.credits_most,
        "uploads": facts.uploads,
        "upload_bytes": facts.upload_bytes,
        "unseen_prices": list(facts.unseen_prices),
        "binding": None if facts.binding is None else _binding_document(facts.binding),
        "seconds": facts.seconds,
        "warnings": list(facts.warnings),
    }


def _manifest_document(part: ManifestPlan) -> dict[str, object]:
    """Return one manifest's part."""
    examples = {
        kind.value: [{"task": _task(action), "reason": action.reason} for action in actions] for kind, actions in part.examples.items()
    }
    return {
        "name": part.manifest.name,
        "path": part.manifest.path,
        "counts": {kind.value: part.counts.get(kind, 0) for kind in ActionKind},
        "examples": examples,
        "credits": part.credits,
    }


def _binding_document(binding: Binding) -> dict[str, object]:
    """Return the budget that binds."""
    return {
        "budget": binding.budget,
        "limit": binding.limit,
        "spent": binding.spent,
        "price": binding.price,
        "manifest": binding.manifest,
        "task": binding.task,
        "nth": binding.nth,
    }
