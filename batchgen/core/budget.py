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
from batchgen.core.stops import Refusal, StopKind

ACCOUNT = ""
"""Stands where a scope has a manifest's name: all manifests together."""
RUN_BUDGET = "--budget"
"""What a run's own budget is called."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a budget counts: `span` is one of total, run, day, month; `manifest` a name or ACCOUNT."""

    span: StopKind
    manifest: str

    def __str__(self) -> str:
        """Name it as the settings do."""
        if not self.manifest:
            return RUN_BUDGET if self.span is StopKind.RUN else f"the account's per_{self.span}"
        word = "total" if self.span is StopKind.TOTAL else f"per_{self.span}"
        return f"{word} of {self.manifest}"


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
            if scope.span is StopKind.DAY or (scope.span is StopKind.MONTH and today[:7] != self.today[:7]):
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
        self._limits[Scope(StopKind.RUN, ACCOUNT)] = credits
        self._left = None

    def refusal(self, manifest: str, credits: Credits) -> Refusal | None:
        """Return the first budget that `credits` more would exceed."""
        for scope, limit in self._limits.items():
            used = self._used[scope]
            if scope.manifest in {manifest, ACCOUNT} and used + credits > limit:
                return Refusal(scope.span, "", str(scope), scope.manifest, limit, used, credits)
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
            yield Scope(StopKind.TOTAL, name)
            if this_run:
                yield Scope(StopKind.RUN, name)
            if day == self.today:
                yield Scope(StopKind.DAY, name)
            if day[:7] == self.today[:7]:
                yield Scope(StopKind.MONTH, name)


def _limits(manifests: Iterable[Manifest], policy: Policy) -> Iterable[tuple[Scope, Credits | None]]:
    for manifest in manifests:
        yield Scope(StopKind.TOTAL, manifest.name), manifest.budget.total
        yield Scope(StopKind.RUN, manifest.name), manifest.budget.per_run
        yield Scope(StopKind.DAY, manifest.name), manifest.budget.per_day
    yield Scope(StopKind.RUN, ACCOUNT), policy.run_budget
    yield Scope(StopKind.DAY, ACCOUNT), policy.account.per_day
    yield Scope(StopKind.MONTH, ACCOUNT), policy.account.per_month


def _spent(spending: Spending) -> dict[Scope, Credits]:
    spent = {Scope(StopKind.TOTAL, name): used for name, used in spending.total.items()}
    spent |= {Scope(StopKind.RUN, name): used for name, used in spending.run.items()}
    spent |= {Scope(StopKind.DAY, name): used for name, used in spending.day.items()}
    spent[Scope(StopKind.RUN, ACCOUNT)] = sum(spending.run.values())
    spent[Scope(StopKind.DAY, ACCOUNT)] = spending.account_day
    spent[Scope(StopKind.MONTH, ACCOUNT)] = spending.account_month
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
            words = f"the balance is not known, so nothing may be spent above keep_balance {self.keep}"
            return Refusal(StopKind.LATER, words, "keep_balance", limit=self.keep, asked=credits)
        if self.free < credits:
            words = f"{max(0, self.free)} credits are free above keep_balance {self.keep}, {credits} are needed"
            return Refusal(StopKind.KEEP_BALANCE, words, "keep_balance", limit=self.keep, asked=credits)
        return None
