"""The one place where adapters are built and joined to what uses them.

    check    manifests alone, offline
    plan     manifests against the ledger; writes nothing, sends nothing
    run      lock, begin, adopt the manifests, drive
    resume   the same from the ledger alone

Deliberately absent: words for people (`cli`, `report`) and decisions (`core`).
"""

from __future__ import annotations

import math
import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from batchgen.catalogue import Billing, Catalogue, price_params, prompt_units
from batchgen.core.budget import Budgets
from batchgen.core.changes import explained
from batchgen.core.engine import Engine
from batchgen.core.facts import Opening, RunAsked, RunFacts, TaskQuery
from batchgen.core.forecast import Forecast, PlanFacts
from batchgen.core.glob import matches
from batchgen.core.keptplan import Keeper, KeptPlan, differences
from batchgen.core.losses import Census, delivery, pages, records_of
from batchgen.core.messages import Ended, FetchDue, Glimpse, Step
from batchgen.core.model import Instant, Spec
from batchgen.core.policy import Given, Quote, Quoter
from batchgen.core.ports import Ledger, Watch
from batchgen.core.pricing import Prices, price_key
from batchgen.core.resolve import Decision, InDoubt, resolve
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.steering import Control
from batchgen.errors import ExitCode, LedgerError, NoLedger, PlanRefused, UsageError
from batchgen.intake import actions as actions  # noqa: PLC0414 - for those who look at a run before it begins
from batchgen.intake import adopt, foresee, unchanged
from batchgen.ledger import Store, exists
from batchgen.ledger.check import Broken
from batchgen.manifest import Checked, Sight, called
from batchgen.manifest import check as check_manifests
from batchgen.notices import Herald
from batchgen.notices.words import Place
from batchgen.rivya.wire import compose, is_identifier
from batchgen.runner import Runner, SystemClock, settle
from batchgen.service import service
from batchgen.settings import Settings, sandbox_ledger

ALL_RUNS = 100_000
"""Runs among which a kept plan's is looked for: more than a ledger will ever have."""

CHUNK = 1000
"""Tasks looked up in the ledger at once."""


def check(paths: Sequence[Path], settings: Settings | None = None, sight: Sight | None = None) -> Checked:
    """Check manifests, offline. Raises ManifestError with every problem.

    With settings, manifests that are as they were when the ledger took their tasks are recognised and not walked again.
    `sight` is told how far the walk has come.
    """
    return (_recognised(paths, settings) if settings else None) or check_manifests(paths, Catalogue.shipped(), sight=sight)


def _recognised(paths: Sequence[Path], settings: Settings) -> Checked | None:
    if not exists(settings.ledger):
        return None
    try:
        with _store(settings) as ledger:
            return unchanged(called(paths), ledger)
    except LedgerError:
        return None  # whoever needs the ledger says what is wrong with it


# ---------------------------------------------------------------- plan


def plan(checked: Checked, settings: Settings, asked: RunAsked) -> PlanFacts:
    """Say what a run would do. Reads the ledger if there is one; writes nothing and sends nothing."""
    policy, today = settings.policy(asked), settings.calendar(time.time())
    manifests = [loaded.header for loaded in checked.manifests]
    with _ledger_if_any(settings) as ledger:
        opening = Opening(tuple(manifests)) if ledger is None else ledger.preview(manifests, today=today)
        spending = replace(opening.spending, today=today)
        forecast = Forecast(policy, Prices(quoter(settings), opening.prices), Budgets(manifests, policy, spending))
        for loaded in checked.manifests:
            forecast.manifest(loaded.header)
            foresee(forecast, loaded, ledger, asked)
        uploaded = {} if ledger is None else ledger.uploaded(forecast.references())
        facts = forecast.facts(uploaded)
        return facts if ledger is None else explained(facts, ledger)


def keep(checked: Checked, settings: Settings, asked: RunAsked) -> KeptPlan:
    """Return a plan to keep in a file. Reads the ledger if there is one; writes nothing and sends nothing."""
    with _ledger_if_any(settings) as ledger:
        return _keep(checked, settings, asked, ledger)


def refuse_changed(kept: KeptPlan, checked: Checked, settings: Settings) -> None:
    """Raise PlanRefused if a kept plan can no longer be done exactly, or was used."""
    with _ledger_if_any(settings) as ledger:
        _refuse_changed(kept, checked, settings, ledger)


def _refuse_changed(kept: KeptPlan, checked: Checked, settings: Settings, ledger: Ledger | None) -> None:
    used = next((run for run in (ledger.runs(ALL_RUNS) if ledger else ()) if run.asked.plan == kept.id), None)
    if used is not None:
        raise PlanRefused(f"the plan was used already, by run {used.id} of {settings.local(used.started_at):%Y-%m-%d %H:%M}")
    changed = list(differences(kept, _keep(checked, settings, kept.asked(until=None), ledger)))
    if changed:
        raise PlanRefused("the plan can no longer be done as it was agreed to:\n" + "\n".join(f"  {why}" for why in changed))


def _keep(checked: Checked, settings: Settings, asked: RunAsked, ledger: Ledger | None) -> KeptPlan:
    policy, now = settings.policy(asked), time.time()
    headers, today = [loaded.header for loaded in checked.manifests], settings.calendar(now)
    opening = Opening(tuple(headers)) if ledger is None else ledger.preview(headers, today=today)
    budgets = Budgets(headers, policy, replace(opening.spending, today=today))
    keeper = Keeper(Prices(quoter(settings), opening.prices), budgets, max_tasks=asked.max_tasks, cuts=dict(asked.cuts))
    for loaded in checked.manifests:
        keeper.manifest(loaded.header, str(Path(loaded.header.path).absolute()))
        for action in actions(loaded, ledger, asked):
            if action.task is None or matches(action.task.id, asked.only):
                keeper.add(loaded.header.name, action)
    return keeper.plan(uuid4().hex, asked, at=now, address=settings.address, ledger=settings.ledger)


@contextmanager
def _ledger_if_any(settings: Settings) -> Iterator[Store | None]:
    ledger = None
    with suppress(NoLedger):  # an empty database of a server is found out only by looking into it
        ledger = _store(settings) if exists(settings.ledger) else None
    with ledger or nullcontext():
        yield ledger


def quoter(settings: Settings) -> Quoter:
    """Return what prices an attempt: the settings' price, else the catalogue's base credits.

    A metered model's price depends on how much text it is given, so the prompt's length is part of its price key: no
    length is taken for another.
    """
    catalogue = Catalogue.shipped()

    def quote(spec: Spec) -> Quote:
        model = catalogue.get(spec.model)
        facts: dict[str, object] = dict(price_params(model, spec.params))
        for reference in spec.references:
            kind = f"{reference.kind} references"
            facts[kind] = int(str(facts.get(kind, 0))) + 1
        if model.billing is Billing.METERED:
            facts["prompt length"] = prompt_units(spec.prompt)
        stated = settings.prices.of(spec.model, facts)
        return Quote(price_key(spec.model, facts), (model.base_credits or 0) if stated is None else stated, stated is not None)

    return quote


# ---------------------------------------------------------------- run and resume


async def run(checked: Checked, settings: Settings, asked: RunAsked, *, watch: Watch, kept: KeptPlan | None = None) -> Ended:
    """Do what the manifests want; with a kept plan, exactly that. Raises what stops it before anything was sent."""
    with _held(settings, asked.command) as ledger, _herald(settings, ledger, asked.command) as herald:
        now = _clock(ledger).now()
        if kept is not None:
            _refuse_changed(kept, checked, settings, ledger)
        begun = ledger.begin_run(asked, resumes=None, at=now)
        for loaded in checked.manifests:
            adopt(ledger, loaded, begun, settings.workspace)
        ledger.adopted(begun.id)
        names = [loaded.header.name for loaded in checked.manifests]
        herald.begins(names)
        return herald.over(await _drive(settings, ledger, begun, _Desired(names), herald.watching(watch)))


async def resume(settings: Settings, *, watch: Watch, max_duration: float | None = None) -> Ended:
    """Go on with what the last run was asked for, from the ledger alone, and finish what other manifests have in flight.

    Its budgets count on: a night's cap is not refilled by being interrupted.
    """
    with _held(settings, "resume") as ledger, _herald(settings, ledger, "resume") as herald:
        now = _clock(ledger).now()
        last = next(iter(ledger.runs()), None)
        if last is None:
            raise UsageError(f"the ledger {ledger.place} has no run to resume; start one with `batchgen run MANIFEST...`")
        until = _ahead(last.asked.until, now)
        if max_duration is not None:
            until = min(now + max_duration, until or math.inf)
        asked = replace(last.asked, command="resume", retry_failed=False, until=until)
        names = [facts.name for facts in ledger.manifests()]
        if not last.adopted:
            # Killed, or the disk was full, while its tasks were written: to call that finished would be a lie.
            wrong = f"the last run ended before all of its tasks were in the ledger {ledger.place}"
            raise UsageError(f"{wrong}; start it again with `batchgen run MANIFEST...`")
        begun = ledger.begin_run(asked, resumes=last.id, at=now)
        desired = _Desired(names, frozenset(names) - frozenset(asked.manifests))
        herald.begins(names)
        return herald.over(await _drive(settings, ledger, begun, desired, herald.watching(watch)))


def _ahead(until: Instant | None, now: Instant) -> Instant | None:
    """Return a deadline that is still to come; one that has passed was for that night."""
    return until if until is not None and until > now else None


async def fetch(settings: Settings, manifest: str, only: str, *, watch: Watch) -> Fetched:
    """Download again what is paid and missing or damaged on disk, of a manifest ('' takes all) and the task ids of a glob.

    Buys nothing: neither a purchase whose answer was lost is repeated, nor one that renders looked at. What is damaged is
    set aside, never overwritten. Raises UsageError for a manifest that the ledger does not know.
    """
    from batchgen.media.census import take_census  # noqa: PLC0415 - see _service

    _refuse_without_ledger(settings)
    with _held(settings, "fetch") as ledger:
        manifests = {facts.name: facts for facts in ledger.manifests()}
        last = next(iter(ledger.runs()), None)
        if last is None or (manifest and manifest not in manifests):
            known = ", ".join(manifests) or "none"
            raise UsageError(f"the ledger {ledger.place} has no manifest {manifest or 'yet'}; it has {known}")
        wanted = TaskQuery(manifest, (TaskState.DONE,), only, removed=True)
        census = take_census(ledger, settings.outputs, wanted)
        names = [manifest] if manifest else list(manifests)
        if not census.losses and not any(manifests[name].by_state.get(TaskState.RENDERED) for name in names):
            return Fetched(census, Ended(ExitCode.DONE, "every file of the renders that tasks have now is in its place"))
        now = _clock(ledger).now()
        # It counts on the last run, so that `resume` goes on as that one was asked to.
        begun = ledger.begin_run(replace(last.asked, command="fetch"), resumes=last.id, at=now)
        for page in pages(census.losses):
            records = [record for loss in page for record in records_of(loss, now)]
            ledger.commit(begun.id, records)
            watch(Step(tuple(records)), Glimpse())
        return Fetched(census, await _drive(settings, ledger, begun, _Desired(names, fetch=wanted), watch))


@dataclass(frozen=True, slots=True)
class Fetched:
    """What `fetch` found, and how it ended."""

    census: Census
    ended: Ended


@dataclass(frozen=True, slots=True)
class _Desired:
    """The manifests of a run, by name, and those among them for which nothing is bought."""

    names: Sequence[str]
    finish_only: frozenset[str] = frozenset()
    fetch: TaskQuery | None = None  # nothing but files, of these tasks


@contextmanager
def _held(settings: Settings, command: str) -> Iterator[Store]:
    """Open the ledger and keep every other run out of it."""
    with Store.open(settings.ledger, settings.address) as ledger, ledger.lock(command=command, at=time.time()):
        yield ledger


def _herald(settings: Settings, ledger: Ledger, command: str) -> Herald:
    """Return who tells people about a run. Made once the ledger is held: the run that has it tells, and nobody beside it."""
    place = Place(socket.gethostname(), str(settings.workspace), command, settings.sandbox)
    return Herald(settings.announce, place, ledger)


def _clock(ledger: Ledger) -> SystemClock:
    return SystemClock(ledger.newest(), wall=time.time, monotonic=time.monotonic)


async def _drive(settings: Settings, ledger: Store, begun: RunFacts, desired: _Desired, watch: Watch) -> Ended:
    asked, clock = begun.asked, _clock(ledger)
    opening = ledger.open_run(desired.names, run=begun.id, today=settings.calendar(clock.now()), only=asked.only)
    opening = replace(opening, cuts=dict(asked.cuts))
    opening = replace(opening, finish_only=desired.finish_only) if desired.fetch is None else delivery(opening, desired.fetch.only)
    given = Given(quoter(settings), compose, settings.calendar, random.Random().random)  # noqa: S311 - jitter, no secret
    engine = Engine(opening, settings.policy(asked), given)
    if not _has_work(ledger, opening):
        ended = settle(engine, ledger, clock.now())
        ledger.end_run(begun.id, ended, clock.now())
        return ended
    async with service(settings) as (api, media):
        return await Runner(engine, ledger, api, media, clock=clock, watch=watch, run_id=begun.id).drive()


def _has_work(ledger: Ledger, opening: Opening) -> bool:
    """Say whether a run will need the service at all: a finished manifest needs neither a key nor a connection."""
    buying = (m.name for m in opening.manifests if m.name not in opening.finish_only)
    return bool(opening.live) or any(ledger.due(FetchDue(name, -1, 1, opening.only)).tasks for name in buying)


# ---------------------------------------------------------------- what a person decides


def decide(settings: Settings, task: str, manifest: str, decision: Decision, *, task_id: str = "") -> InDoubt:
    """Write what a person found out about a task's attempt in doubt; the next run goes on from there. Sends nothing.

    Raises UsageError if there is no such attempt, if several manifests have one, or if `task_id` is none or another attempt's.
    """
    if decision is Decision.ACCEPTED and not is_identifier(task_id):
        raise UsageError("--accepted needs the task id that the vendor shows, such as task_2f6a")
    _refuse_without_ledger(settings)
    with _held(settings, "resolve") as ledger:
        doubt = _doubt(ledger, task, manifest, flags=" --sandbox" if settings.sandbox else "")
        bearer = ledger.bearer(task_id)
        if bearer not in {None, doubt.attempt.key}:
            known = f"the vendor's task {task_id!r} belongs to another attempt, {bearer}"
            raise UsageError(f"{known}; look up the one with {doubt.attempt.key}")
        ledger.commit(None, resolve(doubt, decision, at=_clock(ledger).now(), task_id=task_id))
    return doubt


def _doubt(ledger: Ledger, task: str, manifest: str, *, flags: str = "") -> InDoubt:
    histories = ledger.history(task, manifest)
    found = [(history.task, attempt) for history in histories for attempt in history.attempts if attempt.state is AttemptState.IN_DOUBT]
    if not found:
        where = f" of a manifest {manifest!r}" if manifest else ""
        known = f"the task {task!r} has no attempt in doubt" if histories else f"the ledger has no task {task!r}{where}"
        raise UsageError(f"{known}; `batchgen tasks --state blocked{flags}` lists those that have")
    if len(found) > 1:
        names = ", ".join(facts.manifest for facts, _ in found)
        raise UsageError(f"the task {task!r} is in doubt in several manifests; say which with --manifest: {names}")
    facts, attempt = found[0]
    return InDoubt(facts.row, attempt)


HEARD_WITHIN = 10.0
"""Seconds that `steer` waits for the run: it looks every 0.75 s, but may be at a long commit, or still reading its manifests."""


def _refuse_without_ledger(settings: Settings) -> None:
    """Raise NoLedger if there is none: it is not made for this."""
    with _store(settings):
        pass


def steer(settings: Settings, control: Control) -> bool:
    """Say something to the run that is going on, without its lock. True once the run has obeyed, False if it has not yet.

    Raises NoRun if nobody is there to hear it, LedgerError if there is no ledger.
    """
    _refuse_without_ledger(settings)
    with Store.open(settings.ledger, settings.address) as ledger:
        row = ledger.steer(control, time.time())
        patience = time.monotonic() + HEARD_WITHIN
        while not (obeyed := ledger.obeyed(row)) and ledger.held and time.monotonic() < patience:
            time.sleep(0.1)
    return obeyed


# ---------------------------------------------------------------- reading


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """Open the ledger for reading; it never waits for a run. Raises LedgerError if there is none."""
    with _store(settings) as ledger:
        yield ledger


def check_ledger(settings: Settings) -> tuple[Broken, ...]:
    """Prove the invariants on the ledger; return every row that breaks one."""
    with _store(settings) as ledger:
        return ledger.check()


def backup_ledger(settings: Settings, target: Path) -> None:
    """Copy the ledger, consistently, also while a run goes on."""
    with _store(settings) as ledger:
        ledger.backup(target)


def _store(settings: Settings) -> Store:
    try:
        return Store.open(settings.ledger, settings.address, read_only=True)
    except NoLedger as error:
        if settings.sandbox or not sandbox_ledger(settings.workspace).is_file():
            raise
        raise NoLedger(f"{error}; the sandbox has one: add --sandbox to see it") from error
