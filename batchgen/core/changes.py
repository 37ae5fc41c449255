"""Why a task is bought again: what of it is no longer as it was when the ledger took it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from batchgen.core.facts import TaskFacts
from batchgen.core.forecast import ManifestPlan, PlanFacts
from batchgen.core.model import Task
from batchgen.core.plan import Action, ActionKind
from batchgen.core.ports import Ledger


@dataclass(frozen=True, slots=True)
class Change:
    """What differs, in words; `content` names the references whose files hold something else under the same name."""

    words: str
    content: tuple[str, ...] = ()


def change(task: Task, was: TaskFacts) -> Change:
    """Compare a task, as its manifest wants it now, with what the ledger has."""
    spec = task.spec
    names = tuple(reference.url or reference.name for reference in spec.references)
    said = []
    if spec.model != was.model:
        said.append(f"the model was {was.model} and is {spec.model}")
    if spec.prompt != was.prompt:
        said.append("the prompt differs")
    said += _params(dict(was.params), dict(spec.params))
    if names != was.references:
        said.append("it has other references")
    if said:
        return Change("; ".join(said))
    files = tuple(reference.name for reference in spec.references if not reference.url)
    return Change(f"the content of {', '.join(files) or 'a reference'} differs from the last time", files)


def _params(was: dict[str, object], now: dict[str, object]) -> Iterator[str]:
    for key in {**was, **now}:
        if key not in now:
            yield f"{key} was {was[key]} and is not given"
        elif key not in was:
            yield f"{key} was not given and is {now[key]}"
        elif was[key] != now[key]:
            yield f"{key} was {was[key]} and is {now[key]}"


def explained(facts: PlanFacts, ledger: Ledger) -> PlanFacts:
    """Say of the changed tasks that a plan names what has changed, and warn of files that hold something else."""
    parts, warnings = [], list(facts.warnings)
    for part in facts.manifests:
        files: dict[str, None] = {}
        changed = tuple(_explained(action, part, ledger, files) for action in part.examples.get(ActionKind.CHANGED, ()))
        parts.append(replace(part, examples={**part.examples, ActionKind.CHANGED: changed}) if changed else part)
        if files:
            warnings.append(f"references changed: {', '.join(files)}; what {part.manifest.name} rendered from them is bought again")
    return replace(facts, manifests=tuple(parts), warnings=tuple(warnings))


def _explained(action: Action, part: ManifestPlan, ledger: Ledger, files: dict[str, None]) -> Action:
    was = next(iter(ledger.history(action.task.id, part.manifest.name)), None) if action.task else None
    if action.task is None or was is None:
        return action
    found = change(action.task, was.task)
    files.update(dict.fromkeys(found.content))
    return replace(action, reason=found.words)
