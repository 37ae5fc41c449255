"""What a plan adds up to: counts, uploads, credits, the budget that binds and where, the time at the given rate.

Fed one action at a time, so that a manifest of a million rows is forecast in flat memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from batchgen.core.model import Credits, Manifest
from batchgen.core.plan import Action, ActionKind

EXAMPLES = 5
"""How many actions of a kind a plan names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The first task that a budget would not allow. `nth` counts the tasks to buy in this run, from 1."""

    budget: str
    limit: Credits
    spent: Credits
    manifest: str
    task: str
    nth: int


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

    def done(self) -> ManifestPlan:
        """Freeze."""
        examples = {kind: tuple(actions) for kind, actions in self.examples.items()}
        return ManifestPlan(self.manifest, dict(self.counts), examples, self.credits)
