"""What a plan adds up to: counts, uploads, credits, the budget that binds and where, the time at the given rate.

Fed one action at a time, so that a manifest of a million rows is forecast in flat memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from batchgen.core.budget import Budgets
from batchgen.core.model import Credits, Manifest, Spec
from batchgen.core.pacing import HEADROOM
from batchgen.core.plan import BUYING, Action, ActionKind
from batchgen.core.policy import Policy
from batchgen.core.pricing import Prices
from batchgen.core.stops import Stop, StopKind
from batchgen.core.written import REMEMBERED, Frames, Ready

EXAMPLES = 5
"""How many actions of a kind a plan names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The first task that a budget would not allow: `spent` is what is used by then, what the plan buys before it included.

    `nth` counts the tasks to buy in this run, from 1.
    """

    budget: str
    limit: Credits
    spent: Credits
    price: Credits
    manifest: str
    task: str
    nth: int
    kind: StopKind
    owner: str  # the manifest whose budget it is; empty: that of the run or the account

    @property
    def stop(self) -> Stop:
        """Return it as what would end the manifest's way."""
        return Stop(self.kind, self.manifest, self.owner, self.limit, self.spent, self.price)


@dataclass(frozen=True, slots=True)
class ManifestPlan:
    """One manifest's part: how many tasks of each kind, and the first few of each with the reason."""

    manifest: Manifest
    counts: Mapping[ActionKind, int]
    examples: Mapping[ActionKind, tuple[Action, ...]]
    credits: Credits  # if every task to buy succeeds at once and no budget stops it


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A whole plan. `credits` is what the tasks to buy should cost; `credits_most` what budgets allow of it, retries included.

    Failed attempts are refunded, so retries cost nothing in the end, but they hold credits while they run.
    """

    manifests: tuple[ManifestPlan, ...]
    to_buy: int
    credits: Credits
    credits_most: Credits
    uploads: int
    upload_bytes: int
    unseen_prices: tuple[str, ...]  # price keys of which this ledger has never seen a bill
    binding: Binding | None
    seconds: float  # at the given rate, renders not counted
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """The running sums of one manifest."""

    manifest: Manifest
    counts: Counter[ActionKind] = field(default_factory=Counter)
    examples: dict[ActionKind, list[Action]] = field(default_factory=dict)
    credits: Credits = 0

    def add(self, action: Action, price: Credits) -> None:
        """Count an action; `price` is 0 for one that buys nothing."""
        self.counts[action.kind] += 1
        self.credits += price
        shown = self.examples.setdefault(action.kind, [])
        if len(shown) < EXAMPLES:
            shown.append(action)

    def more(self, kind: ActionKind, tasks: int, credits: Credits) -> None:
        """Count tasks of a kind, without examples."""
        self.counts[kind] += tasks
        self.credits += credits

    def done(self) -> ManifestPlan:
        """Freeze."""
        examples = {kind: tuple(actions) for kind, actions in self.examples.items()}
        return ManifestPlan(self.manifest, dict(self.counts), examples, self.credits)


REQUESTS_PER_TASK = 2
"""The least that a task takes of the rate: one create and one look."""

UNFINISHED_KINDS = frozenset({ActionKind.RESUMED, ActionKind.TO_FETCH})
"""Bought already, but they still take a look each."""


class Forecast:
    """Adds a plan up, one action at a time, in the order in which a run would take them."""

    def __init__(self, policy: Policy, prices: Prices, budgets: Budgets) -> None:
        """Start from what the ledger says was spent; `budgets` is used up by the forecast."""
        self._policy = policy
        self._prices = prices
        self._budgets = budgets
        self._tallies: dict[str, Tally] = {}
        self._unseen: dict[str, None] = {}
        self._uploads: dict[str, int] = {}  # size by content
        self._binding: Binding | None = None
        self._stopped: set[str] = set()  # manifests of which a budget allows no more; the others go on
        self._to_buy = 0
        self._taken = 0  # tasks to buy that everything allows
        self._allowed: Credits = 0
        self._requests = 0
        self._frames = Frames()
        self._framed_prices: dict[tuple[str, str], Credits] = {}

    def manifest(self, manifest: Manifest) -> None:
        """Begin with a manifest."""
        self._tallies[manifest.name] = Tally(manifest)

    def add(self, manifest: Manifest, action: Action) -> None:
        """Count what a run would do with one task."""
        price = 0
        if action.kind in BUYING and action.task is not None:
            price = self._buy(manifest, action.task.id, action.task.spec)
        self._requests += REQUESTS_PER_TASK * (action.kind in BUYING) + (action.kind in UNFINISHED_KINDS)
        self._tallies[manifest.name].add(action, price)

    def fresh(self, manifest: Manifest, rows: Sequence[Ready], reason: str, kind: ActionKind = ActionKind.NEW) -> None:
        """Count tasks of a kind that buys, some thousand at a time, with less work for each than `add` has.

        Tasks of the same head and tail have the same references and the same price. So this is not for models whose price
        depends on the prompt's length.
        """
        prices = {kind: self._framed(*kind) for kind in set(map(itemgetter(1, 3), rows))}
        credits = [prices[ready[1], ready[3]] for ready in rows]
        self._allow_all(manifest, rows, credits)
        self._requests += REQUESTS_PER_TASK * len(rows)
        tally = self._tallies[manifest.name]
        few = rows[: EXAMPLES - len(tally.examples.get(kind, ()))]
        for task, ready in zip(self._frames.tasks(manifest.name, few), few, strict=True):
            tally.add(Action(kind, reason, task, None, ready[4]), 0)
        tally.more(kind, len(rows) - len(few), sum(credits))

    def count(self, manifest: Manifest, kind: ActionKind, tasks: int) -> None:
        """Count tasks of a kind that buys nothing and takes no request, without examples."""
        self._tallies[manifest.name].more(kind, tasks, 0)

    def _framed(self, head: str, tail: str) -> Credits:
        """Return the price of tasks with this head and tail, and take note of what they need."""
        known = self._framed_prices.get((head, tail))
        if known is None:
            if len(self._framed_prices) >= REMEMBERED:
                self._framed_prices.clear()
            known = self._framed_prices[head, tail] = self._need(self._frames.frame(head, tail))
        return known

    def _allow_all(self, manifest: Manifest, rows: Sequence[Ready], credits: Sequence[Credits]) -> None:
        """Take prices off the budgets: in one go where all of them fit, one by one where a budget binds among them."""
        whole, most = sum(credits), self._policy.max_tasks
        stopped = manifest.name in self._stopped
        if not stopped and (most is not None or self._budgets.refusal(manifest.name, whole) is not None):
            for ready, price in zip(rows, credits, strict=True):
                self._to_buy += 1
                self._allow(manifest, ready[0], price)
            return
        self._to_buy += len(rows)
        if not stopped:
            self._take(manifest, len(rows), whole)

    def _buy(self, manifest: Manifest, task: str, spec: Spec) -> Credits:
        price = self._need(spec)
        self._to_buy += 1
        self._allow(manifest, task, price)
        return price

    def _need(self, spec: Spec) -> Credits:
        """Return a spec's price, and take note of its references and of a price that was never seen."""
        quote = self._prices.quote(spec)
        if self._prices.unseen(quote.key):
            self._unseen[quote.key] = None
        self._uploads |= {r.sha256: r.size for r in spec.references if r.sha256}
        return quote.credits

    def _allow(self, manifest: Manifest, task: str, price: Credits) -> None:
        """Take a price off the budgets, up to the first that says no to this manifest."""
        full = self._policy.max_tasks is not None and self._taken >= self._policy.max_tasks
        if full or manifest.name in self._stopped:
            return
        refusal = self._budgets.refusal(manifest.name, price)
        if refusal is not None:
            self._stopped.add(manifest.name)
            at = manifest.name, task, self._to_buy
            self._binding = self._binding or Binding(
                refusal.budget, refusal.limit, refusal.used, price, *at, kind=refusal.kind, owner=refusal.owner
            )
            return
        self._take(manifest, 1, price)

    def _take(self, manifest: Manifest, tasks: int, credits: Credits) -> None:
        self._budgets.hold(manifest.name, credits, self._budgets.today)
        self._taken += tasks
        self._allowed += credits

    def references(self) -> tuple[str, ...]:
        """Return the contents that the tasks to buy need on the server."""
        return tuple(self._uploads)

    def facts(self, uploaded: Mapping[str, object], warnings: tuple[str, ...] = ()) -> PlanFacts:
        """Add up. `uploaded` holds the contents that the server has already."""
        missing = {sha256: size for sha256, size in self._uploads.items() if sha256 not in uploaded}
        requests = self._requests + len(missing)
        plans = tuple(tally.done() for tally in self._tallies.values())
        return PlanFacts(
            manifests=plans,
            to_buy=self._to_buy,
            credits=sum(plan.credits for plan in plans),
            credits_most=self._allowed,
            uploads=len(missing),
            upload_bytes=sum(missing.values()),
            unseen_prices=tuple(self._unseen),
            binding=self._binding,
            seconds=requests * 60.0 / self._policy.requests_per_minute / HEADROOM,
            warnings=warnings,
        )
