"""Budgets as arithmetic: what is held and spent in each scope, what may still be spent, and which budget says no.

"Used" is committed plus held: the sum of holds minus releases. A scope without a limit is not counted here; the ledger
counts everything. An attempt belongs to the day of its first hold, also when it ends on another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.core.facts import Spending
from batchgen.core.messages import BudgetLeft
from batchgen.core.model import Credits, Manifest
from batchgen.core.policy import Policy

ACCOUNT = ""
"""Stands where a scope has a manifest's name: all manifests together."""
RUN_BUDGET = "--budget"
"""What a run's own budget is called."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a budget counts: `span` is one of total, run, day, month; `manifest` a name or ACCOUNT."""

    span: str
    manifest: str

    def __str__(self) -> str:
        """Name it as the settings do."""
        if not self.manifest:
            return {"run": RUN_BUDGET, "day": "the account's per_day", "month": "the account's per_month"}[self.span]
        word = "total" if self.span == "total" else f"per_{self.span}"
        return f"{word} of {self.manifest}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A budget that says no: its name, its limit, what is used of it already, and what is asked of it."""

    budget: str
    limit: Credits
    used: Credits
    asked: Credits
    words: str = ""

    def __str__(self) -> str:
        """In words; where something is left, what the next task costs explains why it is not enough."""
        if self.words:
            return self.words
        said = f"the budget {self.budget} is {self.limit:,} credits, of which {self.used:,} are spent or held"
        return said if self.used >= self.limit else f"{said}, and the next task costs {self.asked:,}"


class Budgets:
    """The budgets that apply to a run. Feed it every hold and release; ask it before every hold."""

    def __init__(self, manifests: Iterable[Manifest], policy: Policy, spending: Spending) -> None:
        """Start from what the ledger says was used."""
        self.today = spending.today
        self._limits = {scope: limit for scope, limit in _limits(manifests, policy) if limit is not None}
        self._used: Counter[Scope] = Counter(_spent(spending))
        self._left: tuple[BudgetLeft, ...] | None = None  # until the next change; whoever watches asks after each step

    def roll(self, today: str) -> None:
        """Begin a new day: what was used on another day no longer counts against it."""
        if today == self.today:
            return
        for scope in list(self._used):
            if scope.span == "day" or (scope.span == "month" and today[:7] != self.today[:7]):
                del self._used[scope]
        self.today = today
        self._left = None

    @property
    def left(self) -> tuple[BudgetLeft, ...]:
        """Return every budget that applies, for whoever watches."""
        if self._left is None:
            self._left = tuple(BudgetLeft(str(scope), limit, self._used[scope], scope.manifest) for scope, limit in self._limits.items())
        return self._left

    def limit_run(self, credits: Credits) -> None:
        """Set what this run may use, in place of --budget."""
        self._limits[Scope("run", ACCOUNT)] = credits
        self._left = None

    def refusal(self, manifest: str, credits: Credits) -> Refusal | None:
        """Return the first budget that `credits` more would exceed."""
        for scope, limit in self._limits.items():
            used = self._used[scope]
            if scope.manifest in {manifest, ACCOUNT} and used + credits > limit:
                return Refusal(str(scope), limit, used, credits)
        return None

    def hold(self, manifest: str, credits: Credits, day: str, *, this_run: bool = True) -> None:
        """Count a hold of an attempt whose first hold was on `day`."""
        self._left = None
        for scope in self._scopes(manifest, day, this_run=this_run):
            self._used[scope] += credits

    def release(self, manifest: str, credits: Credits, day: str, *, this_run: bool) -> None:
        """Give back a hold, or part of it."""
        self._left = None
        for scope in self._scopes(manifest, day, this_run=this_run):
            self._used[scope] -= credits

    def _scopes(self, manifest: str, day: str, *, this_run: bool) -> Iterable[Scope]:
        for name in (manifest, ACCOUNT):
            yield Scope("total", name)
            if this_run:
                yield Scope("run", name)
            if day == self.today:
                yield Scope("day", name)
            if day[:7] == self.today[:7]:
                yield Scope("month", name)


def _limits(manifests: Iterable[Manifest], policy: Policy) -> Iterable[tuple[Scope, Credits | None]]:
    for manifest in manifests:
        yield Scope("total", manifest.name), manifest.budget.total
        yield Scope("run", manifest.name), manifest.budget.per_run
        yield Scope("day", manifest.name), manifest.budget.per_day
    yield Scope("run", ACCOUNT), policy.run_budget
    yield Scope("day", ACCOUNT), policy.account.per_day
    yield Scope("month", ACCOUNT), policy.account.per_month


def _spent(spending: Spending) -> dict[Scope, Credits]:
    spent = {Scope("total", name): used for name, used in spending.total.items()}
    spent |= {Scope("run", name): used for name, used in spending.run.items()}
    spent |= {Scope("day", name): used for name, used in spending.day.items()}
    spent[Scope("run", ACCOUNT)] = sum(spending.run.values())
    spent[Scope("day", ACCOUNT)] = spending.account_day
    spent[Scope("month", ACCOUNT)] = spending.account_month
    return spent


class Purse:
    """The account's balance on the server, for `keep_balance`.

    The vendor does not say when a reservation leaves the balance, so everything that was open when the balance was
    asked for, and everything held since, is taken off it: too careful by what is in flight, and exact again once asked
    with less in flight. Other users of the same wallet are seen only at the next question.
    """

    def __init__(self, keep: Credits | None) -> None:
        """Know nothing yet. `keep` None watches nothing."""
        self.keep = keep
        self.free: Credits | None = None
        self.stale = keep is not None
        self._pending: Credits = 0

    def asked(self, open_holds: Credits) -> None:
        """Note the holds that are open at the moment of asking."""
        self._pending = open_holds
        self.stale = False

    def answered(self, balance: Credits) -> None:
        """Take the balance, less all that it may not show yet."""
        self.free = balance - (self.keep or 0) - self._pending

    def hold(self, credits: Credits) -> None:
        """Count a hold made since."""
        self._pending += credits
        if self.free is not None:
            self.free -= credits

    def closed(self) -> None:
        """An attempt ended, so asking again may show more."""
        self.stale = self.keep is not None

    def refusal(self, credits: Credits) -> Refusal | None:
        """Return why `credits` may not be spent now, or None."""
        if self.keep is None:
            return None
        if self.free is None:
            return Refusal(
                "keep_balance", self.keep, 0, credits, f"the balance is not known, so nothing may be spent above keep_balance {self.keep}"
            )
        if self.free < credits:
            return Refusal(
                "keep_balance",
                self.keep,
                0,
                credits,
                f"{max(0, self.free)} credits are free above keep_balance {self.keep}, {credits} are needed",
            )
        return None
