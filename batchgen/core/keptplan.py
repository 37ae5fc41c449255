"""A plan that is kept in a file, so that a person can agree to it today and a run can do exactly that tonight.

What is kept is not the tasks but digests of them: a plan of a million rows is a small file, and a run that makes the same
digests again has the same tasks before it. What people ask after when a plan is refused is kept in the open: the
references' content, the prices, the counts and the credits.

A budget may allow only the first tasks of a manifest. Then the plan ends there (`cut`), and the run too, whatever comes
back to the budget meanwhile.

Deliberately absent: signatures. The digest of the file finds slips and cut files; who may write the file may also buy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from batchgen.core.budget import Budgets
from batchgen.core.facts import RunAsked
from batchgen.core.messages import BudgetLeft
from batchgen.core.model import Credits, Instant, Manifest, canonical_json
from batchgen.core.plan import BUYING, Action, ActionKind
from batchgen.core.pricing import Prices

DOCUMENT = "batchgen.kept-plan/1"
NAMED = 3
"""Changes of a kind that a refusal names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class KeptManifest:
    """One manifest's part. `header`, `wants` and `does` are SHA-256: of its limits, of its tasks, of what is done with each."""

    name: str
    file: str  # absolute
    header: str
    wants: str
    does: str
    buys: int
    credits: Credits
    cut: int | None = None  # the position of the first task that is not bought; None: all are


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """What a run was agreed to do. `credits` is all that it may spend."""

    id: str
    made_at: Instant
    address: str
    ledger: str  # a digest of where it is: the address may hold a password
    only: str
    retry_failed: bool
    buys: int
    credits: Credits
    manifests: tuple[KeptManifest, ...]
    prices: Mapping[str, Credits] = field(default_factory=dict)  # by price key
    references: Mapping[str, str] = field(default_factory=dict)  # SHA-256 by path
    budgets: tuple[BudgetLeft, ...] = ()  # as they were; for people

    @property
    def cuts(self) -> tuple[tuple[str, int], ...]:
        """Return where the manifests end that are not bought whole."""
        return tuple((part.name, part.cut) for part in self.manifests if part.cut is not None)

    def asked(self, *, until: Instant | None) -> RunAsked:
        """Return the run that does exactly this."""
        return RunAsked(
            command="run",
            manifests=tuple(part.name for part in self.manifests),
            only=self.only,
            retry_failed=self.retry_failed,
            budget=self.credits,
            until=until,
            plan=self.id,
            cuts=self.cuts,
        )


@dataclass(slots=True)
class _Part:
    """The running sums of one manifest."""

    manifest: Manifest
    file: str
    wants: hashlib._Hash = field(default_factory=hashlib.sha256)
    does: hashlib._Hash = field(default_factory=hashlib.sha256)
    buys: int = 0
    credits: Credits = 0
    cut: int | None = None

    def done(self) -> KeptManifest:
        header = asdict(replace(self.manifest, path=""))
        return KeptManifest(
            name=self.manifest.name,
            file=self.file,
            header=hashlib.sha256(canonical_json(header).encode()).hexdigest(),
            wants=self.wants.hexdigest(),
            does=self.does.hexdigest(),
            buys=self.buys,
            credits=self.credits,
            cut=self.cut,
        )


class Keeper:
    """Feed it the actions of a plan in their order; it keeps what is bought of them."""

    def __init__(self, prices: Prices, budgets: Budgets, *, max_tasks: int | None, cuts: Mapping[str, int] | None = None) -> None:
        """`budgets` is used up. `cuts` are those of the plan that is looked at again: nothing behind them is counted."""
        self._prices = prices
        self._budgets = budgets
        self._max_tasks = max_tasks
        self._cuts = cuts or {}
        self._before = budgets.left
        self._parts: dict[str, _Part] = {}
        self._buys = 0
        self._seen: dict[str, Credits] = {}
        self._references: dict[str, str] = {}

    def manifest(self, manifest: Manifest, file: str) -> None:
        """Begin with a manifest; `file` is its absolute path."""
        self._parts[manifest.name] = _Part(manifest, file, cut=self._cuts.get(manifest.name))

    def add(self, manifest: str, action: Action) -> None:
        """Keep one task's part."""
        part = self._parts[manifest]
        ident = action.task.id if action.task else action.known.id if action.known else ""
        _feed(part.does, ident, action.kind)
        if action.task is None:
            return
        _feed(part.wants, ident, action.fingerprint, action.task.output)
        if _buys(action) and not (part.cut is not None and action.task.position >= part.cut):
            self._buy(part, action)

    def _buy(self, part: _Part, action: Action) -> None:
        assert action.task is not None
        quote = self._prices.quote(action.task.spec)
        self._seen[quote.key] = quote.credits
        full = self._max_tasks is not None and self._buys >= self._max_tasks
        if full or self._budgets.refusal(part.manifest.name, quote.credits):
            part.cut = action.task.position
            return
        self._budgets.hold(part.manifest.name, quote.credits, self._budgets.today)
        self._buys += 1
        part.buys += 1
        part.credits += quote.credits
        self._references.update((r.path, r.sha256) for r in action.task.spec.references if r.sha256)

    def plan(self, plan: str, asked: RunAsked, *, at: Instant, address: str, ledger: str) -> KeptPlan:
        """Return what is kept, under the id `plan`."""
        parts = tuple(part.done() for part in self._parts.values())
        return KeptPlan(
            id=plan,
            made_at=at,
            address=address,
            ledger=hashlib.sha256(ledger.encode("utf-8", "surrogateescape")).hexdigest(),
            only=asked.only,
            retry_failed=asked.retry_failed,
            buys=self._buys,
            credits=sum(part.credits for part in parts),
            manifests=parts,
            prices=dict(self._seen),
            references=dict(self._references),
            budgets=self._before,
        )


def _buys(action: Action) -> bool:
    """True if a run buys an attempt: also after what is in flight has ended, where the manifest has changed meanwhile."""
    again = action.kind in {ActionKind.RESUMED, ActionKind.TO_FETCH}
    return action.kind in BUYING or (again and action.known is not None and action.known.fingerprint != action.fingerprint)


def _feed(digest: hashlib._Hash, *words: str) -> None:
    digest.update(("\x00".join(words) + "\n").encode("utf-8", "surrogatepass"))


# ---------------------------------------------------------------- refusing


def differences(plan: KeptPlan, now: KeptPlan) -> Iterator[str]:
    """Yield, in words, why a plan can no longer be done exactly; nothing if it can. `now` is the same plan made anew."""
    if plan.address != now.address:
        yield f"it was made for {plan.address}, and this run is for {now.address}"
    elif plan.ledger != now.ledger:
        yield "it was made with another ledger"
    yield from _named("the reference {} has changed", plan.references, now.references)
    priced = {_priced(key): credits for key, credits in plan.prices.items()}
    for key, credits in now.prices.items():
        if key in plan.prices and plan.prices[key] != credits:
            yield f"the price of {_priced(key)} was {priced[_priced(key)]} credits and is {credits}"
    for was in plan.manifests:
        yield from _manifest(was, next((part for part in now.manifests if part.name == was.name), None))
    if now.credits > plan.credits:
        yield f"it would cost {now.credits} credits, and {plan.credits} were agreed to"


def _named(words: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    changed = [name for name, value in was.items() if name in now and now[name] != value]
    for name in changed[:NAMED]:
        yield words.format(name)
    if len(changed) > NAMED:
        yield f"{len(changed) - NAMED} more references have changed"


def _priced(key: str) -> str:
    """Return a price key for people."""
    model, _, params = key.partition("?")
    return f"{model} ({params.replace('&', ', ')})" if params else model


def _manifest(was: KeptManifest, now: KeptManifest | None) -> Iterator[str]:
    if now is None:
        yield f"{was.file} no longer holds the manifest {was.name}"
    elif was.header != now.header:
        yield f"the manifest {was.name} has other budgets or limits by now"
    elif was.wants != now.wants:
        yield f"the manifest {was.name} has changed: its tasks are no longer those of the plan"
    elif was.does != now.does:
        yield f"another run has worked on the manifest {was.name} since"
    elif now.buys < was.buys:
        yield f"the budgets allow only {now.buys} of the {was.buys} tasks of {was.name} by now"


# ---------------------------------------------------------------- the file


def kept_document(plan: KeptPlan) -> dict[str, object]:
    """Return the plan as a document (schemas/kept-plan.schema.json)."""
    document: dict[str, object] = {"document": DOCUMENT, **asdict(plan)}
    document |= {name: list(map(asdict, parts)) for name, parts in (("manifests", plan.manifests), ("budgets", plan.budgets))}
    return {**document, "digest": _digest(document)}


def kept_plan(document: Mapping[str, object]) -> KeptPlan | None:
    """Read a document that fits its schema; None if it is not as it was written."""
    said = {key: value for key, value in document.items() if key != "digest"}
    if _digest(said) != document["digest"]:
        return None
    del said["document"]
    said["manifests"] = tuple(KeptManifest(**part) for part in _list(said["manifests"]))
    said["budgets"] = tuple(BudgetLeft(**budget) for budget in _list(said["budgets"]))
    return KeptPlan(**said)  # type: ignore[arg-type]  # its schema says that these are the fields and their types


def _list(value: object) -> list[dict[str, Any]]:
    """`Any`, because the schema has checked the fields."""
    assert isinstance(value, list)
    return value


def _digest(document: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical_json(document).encode("utf-8", "surrogatepass")).hexdigest()
