"""An attempt on which a run works, with what only this run knows of it. The one mutable value of the core."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.core.facts import LiveAttempt
from batchgen.core.lanes import Lane
from batchgen.core.model import Credits, DueTask, Instant
from batchgen.core.states import AttemptState, TaskState


@dataclass(slots=True)
class Live:
    """The first block is the ledger's (see facts.LiveAttempt), the second belongs to this run alone."""

    lane: Lane
    due: DueTask
    wanted: bool
    key: str
    number: int
    alike: int  # which attempt at its fingerprint it is; 0: an earlier run's, which its task's count has already
    fingerprint: str
    body: bytes
    state: AttemptState
    task_state: TaskState
    submitted_at: Instant
    hold: Credits
    price_key: str
    day: str
    this_run: bool
    accepted_at: Instant = 0.0
    ended_at: Instant = 0.0
    lost: int = 0
    task_id: str = ""
    reserved: Credits | None = None
    final: Credits | None = None
    urls: tuple[str, ...] = ()
    saved: set[int] = field(default_factory=set)
    ordered: bool = False  # a person ordered its repeat
    not_before: Instant = 0.0  # from when on its files may be asked for, if their server said so

    sent_at: Instant = 0.0  # when that request left
    wake_at: Instant | None = None
    looked_at: Instant = 0.0  # when it was last seen unfinished
    tries: int = 0  # troubles in a row
    trouble_since: Instant | None = None
    missing_since: Instant | None = None
    nameless_since: Instant | None = None  # succeeded, but no result is named
    strange: str = ""  # an unknown status that was noted already
    refreshes: int = 0  # fresh URLs asked for
    transfers: int = 0  # rounds of downloads in a row that saved nothing
    gone: bool = False  # a URL of this round was refused
    fetch_after: float = 0.0  # the longest Retry-After of this round
    trouble: str = ""  # the last trouble with a download
    fetching: int = 0  # downloads that wait or are in the air
    left: bool = False  # this run leaves it to the next

    @property
    def in_flight(self) -> bool:
        """True while it takes a place in flight."""
        return self.state in {AttemptState.SUBMITTING, AttemptState.ACCEPTED}

    @property
    def superseded(self) -> bool:
        """True if the manifest wants something else by now."""
        return self.fingerprint != self.due.fingerprint


def take_over(fact: LiveAttempt, lane: Lane) -> Live:
    """Make a live attempt of one that an earlier run left."""
    return Live(
        lane=lane,
        due=fact.due,
        wanted=fact.wanted,
        key=fact.key,
        number=fact.number,
        alike=0,
        fingerprint=fact.fingerprint,
        body=fact.body,
        state=fact.state,
        task_state=fact.task_state,
        submitted_at=fact.submitted_at,
        hold=fact.hold,
        price_key=fact.price_key,
        day=fact.day,
        this_run=fact.this_run,
        accepted_at=fact.accepted_at,
        # A process that died may have died between sending and hearing: its last answer counts as lost.
        lost=max(1, fact.lost) if fact.state is AttemptState.SUBMITTING else fact.lost,
        task_id=fact.task_id,
        reserved=fact.reserved,
        final=fact.final,
        urls=fact.urls,
        saved=set(fact.saved),
        ordered=fact.ordered,
        not_before=fact.not_before,
    )
