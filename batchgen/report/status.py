"""Counts by state, credits, what is in flight, what needs a look: `status`, and the end of `run` and `resume`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from batchgen.core.facts import ManifestFacts, MoneyFacts, RunFacts, TaskFacts
from batchgen.core.model import Instant
from batchgen.core.states import UNFINISHED, AttemptState, TaskState
from batchgen.core.stops import Stop
from batchgen.errors import ExitCode
from batchgen.report.columns import cut, table
from batchgen.report.doubt import ANSWERS, doubt_lines, whose
from batchgen.report.rows import task_row
from batchgen.report.stops import lifted
from batchgen.report.text import When, clean, counted, iso, number, shown, span
from batchgen.report.views import IN_FLIGHT, TROUBLE, View

_WIDTH = 160
_FIRST: Mapping[int | None, str] = {
    ExitCode.KEY_REFUSED: "set RIVYA_API_KEY to a key that the server takes, then: ",
    ExitCode.UNAVAILABLE: "see to that, or wait, then: ",
}
"""What comes before going on, by exit code."""
_HEAD = ("manifest", *(state.value for state in TaskState), "removed", "spent", "held")
_RARE = {TaskState.RENDERED.value, "removed"}


def status_text(view: View, when: When) -> str:
    """Return the status for people."""
    lines = [_run_line(view, when), ""]
    if view.manifests:
        lines += [*_manifest_table(view.manifests), ""]
    lines += money_lines(view.money)
    lines += _task_lines("in flight", view.in_flight, total=view.total(*IN_FLIGHT), flags=view.flags)
    lines += _task_lines("needs a look", view.trouble, total=view.total(*TROUBLE), flags=view.flags)
    lines += _doubts(view, when)
    return "\n".join([*lines, "", f"next: {what_next(view)}"])


def status_line(view: View, when: When, now: Instant) -> str:
    """Return the status in one line, for a log."""
    counts = ((view.total(state), state.value) for state in TaskState)
    said = ", ".join(f"{number(count)} {state}" for count, state in counts if count) or "no tasks"
    run = f"run {view.run.id}: " if view.run else ""
    return f"{shown(now, when)} {run}{said}; {number(view.money.captured)} credits spent, {number(view.money.held)} held"


def summary_text(view: View, when: When, outputs: str, *, host: str = "") -> str:
    """Return what a run that ended has to say: what was made, where, what it cost, what failed and why, what to do now.

    `host` is the machine that it is told on: the ledger may be a server's, and the run another machine's.
    """
    lines = [_run_line(view, when)]
    for part in view.manifests:
        counts = ", ".join(f"{number(part.by_state[state])} {state}" for state in TaskState if part.by_state.get(state))
        lines.append(
            f"  {clean(part.name)}: {counts or 'no tasks'}; {number(part.captured)} credits spent in all, {number(part.held)} held"
        )
    lines.append(_whereabouts(view, outputs, host))
    lines += _task_lines("failed or blocked", view.trouble, total=view.total(*TROUBLE), flags=view.flags)
    lines += _doubts(view, when)
    return "\n".join([*lines, f"next: {what_next(view)}"])


def _run_line(view: View, when: When) -> str:
    """Say which run this is, and how it ended."""
    run = view.run
    if run is None:
        return "nothing was run yet"
    begun = f"run {run.id} ({clean(run.asked.command)}), started {shown(run.started_at, when)}"
    if run.ended_at is not None and run.exit_code is not None:
        return f"{begun}, took {span(run.ended_at - run.started_at)}, exit {run.exit_code}: {clean(run.reason) or _meaning(run.exit_code)}"
    process = f"process {run.pid} on {clean(run.host)}"
    if view.running is None:
        return f"{begun}, has not ended: {process} works on it, or was killed"
    return f"{begun}, goes on: {process}" if view.running else f"{begun}, did not end: {process} is gone"


def _whereabouts(view: View, outputs: str, host: str) -> str:
    """Say where the renders are, as far as that is known here."""
    if view.run is None or host in {"", view.run.host}:
        return f"renders are in {clean(outputs)}"
    return f"that run was on {clean(view.run.host)}: its renders are there, or in {clean(outputs)} if that folder is shared"


def _meaning(code: int) -> str:
    """Return an exit code's meaning."""
    return next((known.meaning for known in ExitCode if known == code), "an exit code of another version")


def _manifest_table(parts: Sequence[ManifestFacts]) -> list[str]:
    """Return a row for each manifest; what is rare has a column only where there is any, so that 80 columns are enough."""
    rows = [_manifest_cells(part) for part in parts]
    shown_ones = [at for at, name in enumerate(_HEAD) if name not in _RARE or any(row[at] != "0" for row in rows)]
    return table([_HEAD[at] for at in shown_ones], [[row[at] for at in shown_ones] for row in rows], right=frozenset(_HEAD[1:]))


def _manifest_cells(part: ManifestFacts) -> list[str]:
    """Return one manifest's row."""
    states = [number(part.by_state.get(state, 0)) for state in TaskState]
    return [cut(part.name, 64), *states, number(part.removed), number(part.captured), number(part.held)]


def money_lines(money: MoneyFacts) -> list[str]:
    """Say what was spent and is held."""
    rows = [
        ("in all", number(money.captured), number(money.held)),
        ("this month", number(money.captured_month), number(money.held_month)),
        ("today", number(money.captured_today), number(money.held_today)),
    ]
    return table(("credits", "spent", "held"), rows, right=frozenset({"spent", "held"}))


def _task_lines(title: str, tasks: tuple[TaskFacts, ...], *, total: int, flags: str) -> list[str]:
    """Name the first few tasks with the reason."""
    if not tasks:
        return []
    lines = ["", f"{title}:"]
    lines += [f"  {clean(task.manifest)}/{clean(task.id)}: {task.state}{cut(_why(task), _WIDTH)}" for task in tasks]
    if total > len(tasks):
        lines.append(f"  and {number(total - len(tasks))} more: batchgen tasks{flags} lists them")
    return lines


def _doubts(view: View, when: When) -> list[str]:
    """Say of every task shown whose attempt is in doubt what to look up at the vendor."""
    lines: list[str] = []
    for task in view.trouble:
        said = list(doubt_lines(task, task.latest, when, flags=view.flags)) if task.latest else []
        lines += ["", f"{clean(task.manifest)}/{clean(task.id)}:", *(f"  {line}" for line in said)] if said else []
    return lines


def _why(task: TaskFacts) -> str:
    """Say why a task is where it is: its note, or its last error."""
    fault = task.latest.fault if task.latest else None
    said = f"{fault.code}: {fault.message}" if fault else ""
    words = task.note or said
    return f", {words}" if words else ""


def what_next(view: View) -> str:
    """Return the one command to do next."""
    run, flags = view.run, view.flags
    if run is None:
        return f"batchgen plan MANIFEST{flags} says what a run would do, batchgen run MANIFEST{flags} does it"
    if run.ended_at is None and view.running:
        return f"nothing to do: it goes on; batchgen status{flags} --watch follows it, batchgen control drain{flags} ends it in peace"
    return _after(view, run)


def _after(view: View, run: RunFacts) -> str:
    """Return what to do after a run."""
    flags = view.flags
    left = view.total(*UNFINISHED)
    if left and (run.exit_code == ExitCode.STOPPED_EARLY or run.stops):
        return _FIRST.get(run.exit_code, "") + _after_stops(view, run.stops, left)
    if left:
        return f"{_FIRST.get(run.exit_code, '')}batchgen resume{flags} goes on with {counted(left, 'unfinished task')}"
    if view.total(TaskState.BLOCKED):
        doubt = next((task for task in view.trouble if _in_doubt(task)), None)
        show = f"batchgen show {_first(view, TaskState.BLOCKED)}{flags} says what it waits for"
        return show if doubt is None else f"look {clean(doubt.id)} up at the vendor, then batchgen resolve {whose(doubt, flags)} {ANSWERS}"
    if view.total(TaskState.FAILED):
        again = f"batchgen run {_paths(view, TaskState.FAILED)}{flags} --retry-failed"
        return f"batchgen show {_first(view, TaskState.FAILED)}{flags} tells why; {again} asks again"
    return "nothing is left to do"


def _after_stops(view: View, stops: Sequence[Stop], left: int) -> str:
    """Return what goes on where limits ended a run, and what to do about each that would end the next one at once."""
    again = f"batchgen run {_paths(view, *UNFINISHED)}{view.flags} goes on with {counted(left, 'unfinished task')}"
    files = {part.name: part.path for part in view.manifests}
    lifts = {stop: lift for stop in stops if (lift := lifted(stop, files))}
    if not lifts:
        return again
    first = ", and ".join(dict.fromkeys(lifts.values()))
    free = [part.name for part in view.manifests if any(part.by_state.get(state) for state in UNFINISHED)]
    free = [name for name in free if not {name, ""} & {stop.manifest for stop in lifts}]
    if not free and len(lifts) == len(stops):
        return f"{first}, then: {again}"
    held = clean(", ".join(dict.fromkeys(stop.manifest for stop in lifts)))
    return f"{again}; before it buys more of {held}: {first}"


def _in_doubt(task: TaskFacts) -> bool:
    """True if only a person can say what became of a task's attempt."""
    return task.latest is not None and task.latest.state is AttemptState.IN_DOUBT


def _paths(view: View, *states: TaskState) -> str:
    """Return the manifests that have tasks in these states, for a command to copy."""
    return clean(shlex.join(part.path for part in view.manifests if any(part.by_state.get(state) for state in states)))


def _first(view: View, state: TaskState) -> str:
    """Return the id of the first task in a state, for a command to copy."""
    return next((clean(shlex.quote(task.id)) for task in view.trouble if task.state is state), "TASK")


def status_document(view: View) -> dict[str, object]:
    """Return the document of `status --json` (schemas/status.schema.json)."""
    return {"document": "batchgen.status/1", **_view_document(view)}


def run_document(view: View, outputs: str) -> dict[str, object]:
    """Return the document of `run --json`, `resume --json` and `report --json` (schemas/run.schema.json)."""
    return {"document": "batchgen.run/1", "outputs": outputs, **_view_document(view)}


def _view_document(view: View) -> dict[str, object]:
    """Return what both documents say."""
    return {
        "run": None if view.run is None else _run_facts(view.run),
        "manifests": [_manifest_facts(part) for part in view.manifests],
        "money": money_document(view.money),
        "in_flight": [task_row(task) for task in view.in_flight],
        "trouble": [task_row(task) for task in view.trouble],
        "next": what_next(view),
    }


def _run_facts(run: RunFacts) -> dict[str, object]:
    """Return a run."""
    asked = run.asked
    return {
        "id": run.id,
        "root": run.root,
        "command": asked.command,
        "manifests": list(asked.manifests),
        "only": asked.only,
        "retry_failed": asked.retry_failed,
        "budget": asked.budget,
        "max_tasks": asked.max_tasks,
        "until": iso(asked.until),
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "exit_code": run.exit_code,
        "reason": run.reason,
        "stops": [_stop(stop) for stop in run.stops],
        "pid": run.pid,
        "host": run.host,
    }


def _stop(stop: Stop) -> dict[str, object]:
    """Return what ended a manifest's way through a run."""
    return {
        "kind": stop.kind.value,
        "manifest": stop.manifest,
        "owner": stop.owner,
        "limit": stop.limit,
        "used": stop.used,
        "asked": stop.asked,
    }


def _manifest_facts(part: ManifestFacts) -> dict[str, object]:
    """Return one manifest."""
    return {
        "name": part.name,
        "path": part.path,
        "tasks": {state.value: part.by_state.get(state, 0) for state in TaskState},
        "removed": part.removed,
        "spent": part.captured,
        "held": part.held,
    }


def money_document(money: MoneyFacts) -> dict[str, object]:
    """Return the credits, spent and held, in all, this month and today."""
    return {
        "spent": money.captured,
        "held": money.held,
        "spent_month": money.captured_month,
        "held_month": money.held_month,
        "spent_today": money.captured_today,
        "held_today": money.held_today,
    }
