"""A ledger's reading side made of facts, so that a page of any size and any malice is made without a run."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from batchgen.core.answers import Fault
from batchgen.core.facts import AttemptFacts, ManifestFacts, MoneyFacts, RunAsked, RunFacts, TaskFacts, TaskQuery
from batchgen.core.messages import MoneyKind
from batchgen.core.model import Output
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.states import AttemptState, TaskState
from batchgen.report.page import Asked, Limits, write_page
from batchgen.report.page.cards import Poster
from batchgen.report.views import View

T0 = 1_778_382_007.25  # 2026-05-10 03:00:07.25 UTC
RUN = RunFacts(3, 3, RunAsked("run", ("spring",)), T0, T0 + 3600, 0, "everything asked for is done", 4711, "night")
PAID = AttemptFacts(
    number=1,
    key="bg-1234",
    state=AttemptState.SUCCEEDED,
    fingerprint="f" * 64,
    run=3,
    submitted_at=T0,
    accepted_at=T0 + 1,
    ended_at=T0 + 61,
    task_id="task-9",
    held=0,
    captured=55,
    released=0,
    reserved=55,
    final=55,
    lost=0,
    fault=None,
    outputs=(),
    body=b"{}",
)
FAULT = Fault("generation_failed", "the model gave up", "req-7", 200)


def utc(instant: float) -> datetime:
    """Times in UTC."""
    return datetime.fromtimestamp(instant, UTC)


def done(number: int = 0, **changes: object) -> TaskFacts:
    """Return a task that is done, its file in `spring/`; nobody has put it there."""
    output = Output(0, f"spring/t{number}.mp4", "ab" * 32, 12_345, "video/mp4")
    made = TaskFacts(
        row=number,
        manifest="spring",
        id=f"t{number}",
        state=TaskState.DONE,
        wanted=True,
        line=number + 10,
        model="kling-2-6",
        prompt=f"a lamp on a table, number {number}",
        params={"duration": "5"},
        references=("lamp.png",),
        output=f"spring/t{number}",
        note="",
        attempts=1,
        captured=55,
        held=0,
        latest=replace(PAID, key=f"bg-{number}", outputs=(output,)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields' own types are checked where they are used


def failed(number: int = 0, fault: Fault = FAULT, **changes: object) -> TaskFacts:
    """Return a task that failed for good."""
    latest = replace(PAID, state=AttemptState.FAILED, captured=0, released=55, fault=fault)
    return done(number, state=TaskState.FAILED, latest=latest, captured=0, attempts=3, **changes)


@dataclass(frozen=True)
class Shelf:
    """Facts, told as the ledger tells them. `tasks_of` is called for every reading, as a query would be."""

    tasks_of: Callable[[], Iterable[TaskFacts]] = tuple
    all_runs: tuple[RunFacts, ...] = (RUN,)
    sent: tuple[FlightFacts, ...] = ()
    moves: tuple[CreditFacts, ...] = ()

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Newest first."""
        return self.all_runs[:limit]

    def tasks(self, wanted: TaskQuery) -> Iterator[TaskFacts]:
        """All of them: the filters are the ledger's own, and tested there."""
        assert wanted.removed
        return iter(self.tasks_of())

    def flights(self, root: int) -> Iterator[FlightFacts]:
        """Of the one night."""
        return iter(self.sent if root == RUN.root else ())

    def credit_moves(self, root: int) -> Iterator[CreditFacts]:
        """Of the one night."""
        return iter(self.moves if root == RUN.root else ())


def busy_night(count: int) -> Shelf:
    """Return a shelf with so many renders of two models over an hour, and their credits."""
    sent, moves = [], []
    for number in range(count):
        begun = T0 + number * 3500 / count
        model = "kling-2-6" if number % 3 else "nano-banana"
        sent.append(FlightFacts(model, AttemptState.SUCCEEDED, begun, begun + 1, begun + 31 + number % 7))
        moves += [CreditFacts(begun, MoneyKind.HOLD, 60), CreditFacts(begun + 40, MoneyKind.CAPTURE, 55)]
        moves.append(CreditFacts(begun + 40, MoneyKind.RELEASE, 5))
    return Shelf(lambda: map(done, range(count)), sent=tuple(sent), moves=tuple(sorted(moves, key=lambda move: move.at)))


def page(shelf: Shelf, *, folder: str = "renders/", poster: Poster | None = None) -> str:
    """Return the page."""
    stream = io.StringIO()
    write_page(shelf, asked(shelf, folder=folder, poster=poster), stream)
    return stream.getvalue()


def asked(shelf: Shelf, *, folder: str = "renders/", poster: Poster | None = None) -> Asked:
    """Return what a page of this shelf is about."""
    run = next(iter(shelf.all_runs), None)
    manifests = (ManifestFacts("spring", "manifests/spring.yaml", {TaskState.DONE: 1}, 0, 55, 0),) if run else ()
    view = View(run, manifests, MoneyFacts(55, 0, 55, 0, 55, 0), (), (), flags=" --sandbox")
    return Asked(view, utc, Limits(60.0, 10), folder, poster=poster)


def saved(folder: Path, shelf: Shelf) -> Path:
    """Write the page into a folder; return its file."""
    file = folder / "report.html"
    file.write_text(page(shelf), encoding="utf-8")
    return file
