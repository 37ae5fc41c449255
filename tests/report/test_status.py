"""Status, summary, history, credits and models in words and as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from batchgen.catalogue import Catalogue
from batchgen.core.answers import Balance, Fault
from batchgen.core.facts import AttemptFacts, ManifestFacts, MoneyFacts, RunFacts, TaskFacts, TaskHistory, TaskQuery
from batchgen.core.model import Manifest
from batchgen.core.ports import Ledger
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode, Problem, UsageError
from batchgen.report.check import checked_document, checked_text, problems_document
from batchgen.report.credits import credits_document, credits_text
from batchgen.report.models import model_text, models_document, models_text
from batchgen.report.show import show_document, show_text
from batchgen.report.status import run_document, status_document, status_text, summary_text, what_next
from batchgen.report.text import When
from batchgen.report.views import View, look

Fits = Callable[[str, object], None]
CONTROL = {"\x1b", "\x9b", "\r", "\x00", "\u202e", "\u2066"}


def test_status(view: View, when: When) -> None:
    """The status counts by state, adds up credits, names what is in flight and what needs a look, and says what to do."""
    text = status_text(view, when)
    for said in (
        "run 3 (run), started 2026-05-10 03:00:07, took 2 min 5 s, exit 1: 1 task failed",
        "spring/flying: rendering",
        "spring/hero: failed, failed 3 times",
        "1,110",
        "next: batchgen resume goes on with 1 unfinished task",
    ):
        assert said in text


def test_summary(view: View, when: When) -> None:
    """The summary says what was made, where, what it cost, what failed and why."""
    text = summary_text(view, when, "/w/renders")
    for said in (
        "1 rendering, 2 done, 1 failed; 1,110 credits spent in all, 55 held",
        "renders are in /w/renders",
        "spring/hero: failed, failed 3 times",
    ):
        assert said in text


def test_renders_on_another_machine(view: View, when: When) -> None:
    """Where the ledger is a server's, another machine made the renders: the folder here is said to hold them only if it may."""
    here, there = (summary_text(view, when, "/w/renders", host=host) for host in ("night", "day"))
    assert "renders are in /w/renders" in here
    assert "that run was on night: its renders are there, or in /w/renders if that folder is shared" in there
    assert "renders are in" not in there
    assert "renders are in /w/renders" in summary_text(replace(view, run=None), when, "/w/renders", host="day")


def test_unended_run(view: View, run: RunFacts, when: When) -> None:
    """A run without an end says who worked on it, and that it may have been killed."""
    text = status_text(replace(view, run=replace(run, ended_at=None, exit_code=None)), when)
    assert "has not ended: process 4711 on night works on it, or was killed" in text


def test_whether_it_goes_on(view: View, run: RunFacts, when: When) -> None:
    """Where it is known whether some process holds the ledger, the status says it, and advises to resume only a run that is dead."""
    unended = replace(view, run=replace(run, ended_at=None, exit_code=None), flags=" --sandbox")
    going, dead = (status_text(replace(unended, running=running), when) for running in (True, False))
    assert "goes on: process 4711 on night" in going
    assert "next: nothing to do: it goes on; batchgen status --sandbox --watch follows it" in going
    assert "did not end: process 4711 on night is gone" in dead
    assert "next: batchgen resume --sandbox" in dead


@pytest.mark.parametrize(("code", "said"), [(3, "stopped early"), (99, "another version")])
def test_exit_code_in_words(view: View, run: RunFacts, when: When, code: int, said: str) -> None:
    """A run that gave no reason is explained by its exit code."""
    assert said in status_text(replace(view, run=replace(run, reason="", exit_code=code)), when)


@pytest.mark.parametrize(
    ("by_state", "said"),
    [
        ({TaskState.DONE: 3}, "nothing is left"),
        ({TaskState.PENDING: 3, TaskState.FAILED: 1}, "batchgen resume goes on with 3 unfinished tasks"),
        ({TaskState.BLOCKED: 1}, "batchgen show hero says what it waits for"),
        ({TaskState.BLOCKED: 1, TaskState.FAILED: 9}, "batchgen show hero says what it waits for"),
        ({TaskState.FAILED: 1}, "batchgen show hero tells why; batchgen run manifests/spring.yaml --retry-failed"),
    ],
)
def test_what_next(view: View, by_state: dict[TaskState, int], said: str) -> None:
    """There is always one thing to do next."""
    trouble = tuple(replace(task, state=state) for task in view.trouble for state in by_state)
    assert said in what_next(replace(view, manifests=(replace(view.manifests[0], by_state=by_state),), trouble=trouble))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (ExitCode.STOPPED_EARLY, "batchgen run manifests/spring.yaml goes on with 1 unfinished task"),
        (ExitCode.KEY_REFUSED, "set RIVYA_API_KEY to a key that the server takes, then: batchgen resume goes on with 1 unfinished task"),
        (ExitCode.UNAVAILABLE, "see to that, or wait, then: batchgen resume goes on with 1 unfinished task"),
        (ExitCode.TERMINATED, "batchgen resume goes on with 1 unfinished task"),
    ],
)
def test_what_next_with_work_left(view: View, run: RunFacts, code: ExitCode, said: str) -> None:
    """What ended the run comes first, where a person has to see to it; a run that ended at a limit is not resumed into that limit."""
    assert what_next(replace(view, run=replace(run, exit_code=code))) == said


M, N = "manifests/spring.yaml", "n.yaml"


@pytest.mark.parametrize(
    ("stops", "said"),
    [
        ((Stop(StopKind.TOTAL, "spring", "spring", 75, 60, 55),), f"raise budget.total in {M} to 115 or more, then: AGAIN"),
        ((Stop(StopKind.RUN, "spring", "spring", 75, 60, 55),), "AGAIN"),
        ((Stop(StopKind.RUN, "spring", "spring", 40, 0, 55),), f"raise budget.per_run in {M} to 55 or more, then: AGAIN"),
        ((Stop(StopKind.RUN, "spring", "", 40, 0, 55),), "AGAIN"),
        (
            (Stop(StopKind.DAY, "spring", "spring", 75, 60, 55),),
            f"wait for another day, or raise budget.per_day in {M}, then: AGAIN",
        ),
        ((Stop(StopKind.DAY, "spring", "spring", 40, 0, 55),), f"raise budget.per_day in {M} to 55 or more, then: AGAIN"),
        ((Stop(StopKind.DAY, "spring", "", 40, 0, 55),), "raise budget.per_day in batchgen.yaml to 55 or more, then: AGAIN"),
        (
            (Stop(StopKind.MONTH, "spring", "", 75, 60, 55),),
            "wait for another month, or raise budget.per_month in batchgen.yaml, then: AGAIN",
        ),
        ((Stop(StopKind.KEEP_BALANCE, "spring", "", 40, 0, 55),), "buy credits, or lower keep_balance in batchgen.yaml, then: AGAIN"),
        ((Stop(StopKind.FUNDS, "spring"),), "buy credits, then: AGAIN"),
        ((Stop(StopKind.UNTIL, "spring"),), "AGAIN"),
        ((Stop(StopKind.LATER, "spring"),), "AGAIN"),
        ((Stop(StopKind.DRAIN),), "AGAIN"),
        # some of its renders are still on the server: those the next run fetches
        (
            (Stop(StopKind.LATER, "spring"), Stop(StopKind.TOTAL, "spring", "spring", 75, 60, 55)),
            f"AGAIN; before it buys more of spring: raise budget.total in {M} to 115 or more",
        ),
    ],
)
def test_what_next_after_a_stop(view: View, run: RunFacts, stops: tuple[Stop, ...], said: str) -> None:
    """Where another run would be stopped at once, what lifts that comes first, with the file in which it is written."""
    again = f"batchgen run {M} goes on with 1 unfinished task"
    assert what_next(replace(view, run=replace(run, exit_code=ExitCode.STOPPED_EARLY, stops=stops))) == said.replace("AGAIN", again)


@pytest.mark.parametrize(
    ("stops", "said"),
    [
        (
            (Stop(StopKind.TOTAL, "spring", "spring", 75, 60, 55), Stop(StopKind.TOTAL, "n", "n", 1, 1, 1)),
            f"raise budget.total in {M} to 115 or more, and raise budget.total in {N} to 2 or more, then: AGAIN",
        ),
        (
            (Stop(StopKind.DAY, "spring", "", 75, 75, 55), Stop(StopKind.DAY, "n", "", 75, 75, 1)),
            "wait for another day, or raise budget.per_day in batchgen.yaml, then: AGAIN",
        ),
        (
            (Stop(StopKind.TOTAL, "spring", "spring", 75, 60, 55), Stop(StopKind.RUN, "n", "n", 3, 3, 1)),
            f"AGAIN; before it buys more of spring: raise budget.total in {M} to 115 or more",
        ),
        ((Stop(StopKind.TOTAL, "n", "n", 1, 1, 1),), f"AGAIN; before it buys more of n: raise budget.total in {N} to 2 or more"),
    ],
)
def test_what_next_after_two_manifests_stopped(view: View, run: RunFacts, stops: tuple[Stop, ...], said: str) -> None:
    """Each has its own; the next run goes on with the one that nothing stops for good."""
    parts = (view.manifests[0], replace(view.manifests[0], name="n", path=N))
    stopped = replace(view, manifests=parts, run=replace(run, exit_code=ExitCode.STOPPED_EARLY, stops=stops), flags=" --sandbox")
    again = f"batchgen run {M} {N} --sandbox goes on with 2 unfinished tasks"
    assert what_next(stopped) == said.replace("AGAIN", again)


def test_what_next_after_a_stop_and_worse(view: View, run: RunFacts, fits: Fits) -> None:
    """A run that ended by something more urgent had been stopped all the same: `resume` would keep to that limit."""
    stop = Stop(StopKind.TOTAL, "spring", "spring", 75, 60, 55)
    worse = replace(view, run=replace(run, exit_code=ExitCode.UNAVAILABLE, stops=(stop,)))
    again = f"raise budget.total in {M} to 115 or more, then: batchgen run {M} goes on with 1 unfinished task"
    assert what_next(worse) == f"see to that, or wait, then: {again}"
    document = status_document(worse)
    fits("status", document)
    stops = [{"kind": "total", "manifest": "spring", "owner": "spring", "limit": 75, "used": 60, "asked": 55}]
    assert cast("dict[str, object]", document["run"])["stops"] == stops


def test_what_next_in_doubt(view: View, task: TaskFacts, attempt: AttemptFacts) -> None:
    """An attempt in doubt comes with the command that decides about it, for this very task, in this very ledger."""
    doubt = replace(task, state=TaskState.BLOCKED, latest=replace(attempt, state=AttemptState.IN_DOUBT))
    blocked = (replace(view.manifests[0], by_state={TaskState.BLOCKED: 2}),)

    said = what_next(replace(view, manifests=blocked, trouble=(replace(task, id="a", state=TaskState.BLOCKED), doubt), flags=" --sandbox"))

    command = "batchgen resolve hero --manifest spring --sandbox --accepted TASK_ID, --not-accepted or --resend"
    assert said == f"look hero up at the vendor, then {command}"


def test_commands_can_be_copied(view: View, run: RunFacts, task: TaskFacts, attempt: AttemptFacts) -> None:
    """A path with a blank and an id with a # reach the shell as they are."""
    part = replace(view.manifests[0], path="my clips/n.yaml", by_state={TaskState.PENDING: 1})
    stopped = replace(view, manifests=(part,), run=replace(run, exit_code=ExitCode.STOPPED_EARLY))
    assert what_next(stopped) == "batchgen run 'my clips/n.yaml' goes on with 1 unfinished task"
    odd = replace(task, id="#1", state=TaskState.BLOCKED)
    blocked = replace(view, manifests=(replace(part, by_state={TaskState.BLOCKED: 1}),), trouble=(odd,))
    assert what_next(blocked) == "batchgen show '#1' says what it waits for"
    doubt = replace(odd, latest=replace(attempt, state=AttemptState.IN_DOUBT))
    assert "batchgen resolve '#1' --manifest spring --accepted" in what_next(replace(blocked, trouble=(doubt,)))


def test_rare_columns(view: View, when: When) -> None:
    """The table of states fits 80 columns: what is rare has a column only where some manifest has it."""
    usual = ManifestFacts("references", "r.yaml", {TaskState.DONE: 300}, removed=0, captured=16_500, held=1_100)
    head, row = status_text(replace(view, manifests=(usual,)), when).splitlines()[2:4]
    assert (head.split(), row.split()[1:]) == (
        ["manifest", "pending", "rendering", "done", "failed", "blocked", "spent", "held"],
        ["0", "0", "300", "0", "0", "16,500", "1,100"],
    )
    assert len(head) <= 80
    both = replace(usual, name="b", by_state={TaskState.RENDERED: 7}, removed=4)
    head, *rows = status_text(replace(view, manifests=(usual, both)), when).splitlines()[2:5]
    assert head.split()[3] == "rendered"
    assert [(cells.split()[3], cells.split()[7]) for cells in rows] == [("0", "0"), ("7", "4")]


def test_nothing_was_run(when: When, fits: Fits) -> None:
    """An empty ledger says how to begin."""
    empty = View(None, (), MoneyFacts(0, 0, 0, 0, 0, 0), (), ())
    assert "nothing was run yet" in status_text(empty, when)
    assert "batchgen plan" in what_next(empty)
    fits("status", status_document(empty))


def test_hostile_words(view: View, history: TaskHistory, when: When, hostile: str) -> None:
    """Names, notes and messages from outside never reach the terminal raw."""
    task = replace(history.task, id=hostile, manifest=hostile, note=hostile, prompt=hostile, references=(hostile,), model=hostile)
    attempt = replace(history.attempts[0], fault=Fault(hostile, hostile, hostile), task_id=hostile, body=hostile.encode("utf-8", "replace"))
    event = replace(history.events[1], detail=hostile, event=hostile)
    part = replace(view.manifests[0], name=hostile, path=hostile)
    bad = replace(
        view,
        trouble=(task,),
        in_flight=(task,),
        manifests=(part,),
        run=replace(view.run, reason=hostile, host=hostile) if view.run else None,
    )
    texts = (
        status_text(bad, when),
        summary_text(bad, when, hostile),
        show_text([TaskHistory(task, (attempt,), (event,))], when),
    )
    for text in texts:
        assert not CONTROL & set(text)
        text.encode("utf-8")


def test_documents(view: View, history: TaskHistory, fits: Fits) -> None:
    """`status`, `run` and `show` with --json are as their schemas say."""
    fits("status", status_document(view))
    fits("run", run_document(view, "/w/renders"))
    fits("show", show_document([history]))


def test_show(history: TaskHistory, when: When) -> None:
    """The history tells attempts, credits, errors with the requestId, what was sent, and the log."""
    text = show_text([history], when)
    assert "0 held, 1 attempt\n" in show_text([replace(history, task=replace(history.task, attempts=1))], when)
    for said in (
        "0 held, 2 attempts",
        "attempt 2: failed (run 3)",
        "requestId req-7",
        "1 lost",
        "bg-1234",
        '"prompt":"a lamp"',
        "pending to rendering",
        "55 credits came back",
    ):
        assert said in text


def test_credits(fits: Fits) -> None:
    """The balance stands beside what was spent, and alone where nothing was run."""
    money = MoneyFacts(1110, 55, 110, 55, 1000, 55)
    assert "12,345 credits on the server" in credits_text(Balance(12_345), money)
    assert "nothing was run yet" in credits_text(Balance(1), None)
    fits("credits", credits_document(Balance(12_345), money))
    fits("credits", credits_document(Balance(0), None))


def test_models(fits: Fits) -> None:
    """Every model that ships can be listed, told about, and written as its schema says."""
    models = list(Catalogue.shipped())
    assert len(models_text(models).splitlines()) == len(models) + 1
    for model in models:
        assert model.id in model_text(model)
    kling = model_text(Catalogue.shipped().get("kling-2-6"))
    assert "55 at base" in kling
    assert "one of 5, 10" in kling
    assert "at most 1: image" in kling
    fits("models", models_document(models, fresh=False))


@dataclass
class CheckedForTest:
    """What `manifest.check` gives, as far as the report looks."""

    header: Manifest = field(default_factory=lambda: Manifest("spring", "m/spring.yaml"))
    task_count: int = 300
    tasks_by_model: dict[str, int] = field(default_factory=lambda: {"kling-2-6": 300})


def test_validate(fits: Fits) -> None:
    """`validate` tells a line per manifest; its documents are as the schema says, right or wrong."""
    assert checked_text([CheckedForTest()]) == "m/spring.yaml: spring is right, 300 tasks (300 with kling-2-6)"
    fits("validate", checked_document([CheckedForTest()]))
    fits("validate", problems_document([Problem("a.yaml", 3, 1, "hero", "no", "yes")]))


class LedgerForTest:
    """The reading part of a ledger, over facts in memory."""

    def __init__(self, runs: list[RunFacts], tasks: list[TaskFacts]) -> None:
        self._runs = runs
        self._tasks = tasks

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return the newest runs."""
        return tuple(self._runs[:limit])

    def accounts(self, today: str) -> tuple[tuple[ManifestFacts, ...], MoneyFacts]:
        """Return no manifests and nothing spent."""
        return (), MoneyFacts(0, 0, 0, 0, 0, 0)

    def tasks(self, wanted: TaskQuery) -> Iterator[TaskFacts]:
        """Yield those of the states asked for."""
        return (task for task in self._tasks if task.state in wanted.states)


def test_look(run: RunFacts, task: TaskFacts) -> None:
    """A view takes the newest run, or the one that was asked for, or says that there is none such."""
    ledger = cast("Ledger", LedgerForTest([run, replace(run, id=2)], [task]))
    newest, older = look(ledger, "2026-05-10"), look(ledger, "2026-05-10", run=2)
    assert newest.run is not None
    assert older.run is not None
    assert (newest.run.id, older.run.id, newest.trouble) == (3, 2, (task,))
    with pytest.raises(UsageError, match="the newest is 3"):
        look(ledger, "2026-05-10", run=9)
    with pytest.raises(UsageError, match="nothing was run yet"):
        look(cast("Ledger", LedgerForTest([], [])), "2026-05-10", run=1)
