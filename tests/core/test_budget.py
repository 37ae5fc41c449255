"""Budgets as arithmetic: never over a limit when asked first, and days that end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.budget import Budgets, Purse, Scope
from batchgen.core.facts import Spending
from batchgen.core.model import Budget, Manifest
from batchgen.core.policy import AccountBudget, Policy
from batchgen.core.stops import Refusal, Stop, StopKind

TODAY = "2027-01-30"
LIMIT = st.none() | st.integers(0, 60)
NO_BUDGET, USUAL = Budget(), Policy()
BUDGET = st.builds(Budget, LIMIT, LIMIT, LIMIT)
ACCOUNT = st.builds(AccountBudget, LIMIT, LIMIT)


def budgets(m: Budget = NO_BUDGET, n: Budget = NO_BUDGET, *, policy: Policy = USUAL, spending: Spending | None = None) -> Budgets:
    """Make the budgets of two manifests."""
    return Budgets((Manifest("m", "m", m), Manifest("n", "n", n)), policy, spending or Spending(today=TODAY))


@given(BUDGET, BUDGET, LIMIT, ACCOUNT, st.data())
def test_never_over_a_limit_when_asked_first(m: Budget, n: Budget, run: int | None, account: AccountBudget, data: st.DataObject) -> None:
    """Any sequence of holds (asked first), releases and new days: a plain sum over the open holds stays within every limit."""
    policy = replace(Policy(), run_budget=run, account=account)
    asked = budgets(m, n, policy=policy)
    today, held = TODAY, list[tuple[str, int, str]]()
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["hold", "hold", "release", "roll"])):
            case "hold":
                name, credits = data.draw(st.sampled_from("mn")), data.draw(st.integers(0, 30))
                if asked.refusal(name, credits) is None:
                    asked.hold(name, credits, today)
                    held.append((name, credits, today))
            case "release" if held:
                name, credits, on = held.pop(data.draw(st.integers(0, len(held) - 1)))
                asked.release(name, credits, on, this_run=True)
            case "roll":
                today = data.draw(st.sampled_from([d for d in (TODAY, "2027-01-31", "2027-02-01") if d >= today]))
                asked.roll(today)
        for name, budget in (("m", m), ("n", n)):
            mine = [h for h in held if h[0] == name]
            assert budget.total is None or sum(h[1] for h in mine) <= budget.total
            assert budget.per_run is None or sum(h[1] for h in mine) <= budget.per_run
            assert budget.per_day is None or sum(h[1] for h in mine if h[2] == today) <= budget.per_day
        assert run is None or sum(h[1] for h in held) <= run
        assert account.per_day is None or sum(h[1] for h in held if h[2] == today) <= account.per_day
        assert account.per_month is None or sum(h[1] for h in held if h[2][:7] == today[:7]) <= account.per_month


def test_the_first_budget_that_says_no_is_named() -> None:
    """In the words of the settings, with its limit and what is used."""
    cases = {
        "total of m": budgets(Budget(total=5)),
        "per_run of m": budgets(Budget(per_run=5)),
        "per_day of m": budgets(Budget(per_day=5)),
        "--budget": budgets(policy=replace(Policy(), run_budget=5)),
        "the account's per_day": budgets(policy=replace(Policy(), account=AccountBudget(per_day=5))),
        "the account's per_month": budgets(policy=replace(Policy(), account=AccountBudget(per_month=5))),
    }
    for name, asked in cases.items():
        assert asked.refusal("m", 5) is None
        asked.hold("m", 3, TODAY)
        refusal = asked.refusal("m", 3)
        assert refusal is not None
        assert (refusal.budget, refusal.limit, refusal.used) == (name, 5, 3)
        assert str(refusal) == f"the budget {name} is 5 credits, of which 3 are spent or held, and the next task costs 3"
        asked.hold("m", 2, TODAY)
        assert str(asked.refusal("m", 3)) == f"the budget {name} is 5 credits, of which 5 are spent or held"


def test_what_a_budget_stopped_is_kept_with_its_numbers() -> None:
    """Whose way ended, whose budget it is, its limit, what is used of it and what the next task would have cost: no two of them alike."""
    asked = budgets(policy=replace(USUAL, run_budget=9))
    asked.hold("n", 7, TODAY)
    refusal = asked.refusal("m", 4)
    assert refusal is not None
    assert refusal.stop("m") == Stop(StopKind.RUN, "m", "", 9, 7, 4)
    own = budgets(Budget(total=9))
    own.hold("m", 7, TODAY)
    refusal = own.refusal("m", 4)
    assert refusal is not None
    assert refusal.stop("m") == Stop(StopKind.TOTAL, "m", "m", 9, 7, 4)


def test_another_manifests_budget_says_nothing() -> None:
    """A manifest's own budgets count its own tasks."""
    asked = budgets(Budget(total=5))
    asked.hold("n", 99, TODAY)
    assert asked.refusal("n", 99) is None
    assert asked.refusal("m", 5) is None


def test_a_start_counts_what_the_ledger_says() -> None:
    """Each scope begins with what was spent in it."""
    spending = Spending({"m": 4}, {"m": 3, "n": 2}, {"m": 2}, 1, 6, TODAY)
    policy = replace(Policy(), run_budget=5, account=AccountBudget(per_day=2, per_month=7))
    asked = budgets(Budget(total=5, per_run=5, per_day=5), policy=policy, spending=spending)
    refusal = asked.refusal("m", 1)
    assert refusal is not None
    assert (refusal.budget, refusal.used) == ("--budget", 5)


@pytest.mark.parametrize(
    ("budget", "policy", "name", "used"),
    [
        (Budget(total=9), USUAL, "total of m", 4),
        (Budget(per_run=9), USUAL, "per_run of m", 3),
        (Budget(per_day=9), USUAL, "per_day of m", 2),
        (NO_BUDGET, replace(USUAL, run_budget=9), "--budget", 5),
        (NO_BUDGET, replace(USUAL, account=AccountBudget(per_day=9)), "the account's per_day", 1),
        (NO_BUDGET, replace(USUAL, account=AccountBudget(per_month=9)), "the account's per_month", 6),
    ],
)
def test_what_an_earlier_run_used_counts_in_each_scope(budget: Budget, policy: Policy, name: str, used: int) -> None:
    """A run that goes on where another stopped may use only the rest of each budget, whichever it is."""
    asked = budgets(budget, policy=policy, spending=Spending({"m": 4}, {"m": 3, "n": 2}, {"m": 2}, 1, 6, TODAY))
    assert asked.refusal("m", 9 - used) is None
    refusal = asked.refusal("m", 9 - used + 1)
    assert refusal is not None
    assert (refusal.budget, refusal.used) == (name, used)


def test_a_month_ends_without_a_limit_on_its_days() -> None:
    """What a month used is forgotten with the month, and not with a day of it."""
    asked = budgets(policy=replace(USUAL, account=AccountBudget(per_month=8)), spending=Spending({}, {}, {}, 0, 8, TODAY))
    asked.roll("2027-01-31")
    assert asked.refusal("m", 1) is not None
    asked.roll("2027-02-01")
    assert asked.refusal("m", 8) is None


def test_days_and_months_end() -> None:
    """A new day forgets the days' sums, a new month also the month's; total and run go on."""
    policy = replace(Policy(), account=AccountBudget(per_day=5, per_month=8))
    asked = budgets(Budget(total=99, per_day=5), policy=policy)
    asked.hold("m", 5, TODAY)
    asked.roll(TODAY)
    assert asked.refusal("m", 1) is not None
    asked.roll("2027-01-31")
    assert asked.refusal("m", 3) is None
    refusal = asked.refusal("m", 4)
    assert refusal is not None
    assert refusal.budget == "the account's per_month"
    asked.release("m", 5, TODAY, this_run=True)
    assert asked.refusal("m", 5) is None, "yesterday's release gives the month back, and today nothing that it did not take"
    asked.roll("2027-02-01")
    assert asked.refusal("m", 5) is None
    assert asked.refusal("m", 6) is not None


def test_an_earlier_runs_attempt_is_no_part_of_this_runs_budget() -> None:
    """Its further hold and its release count for total and day, not for per_run."""
    asked = budgets(Budget(total=50, per_run=5))
    asked.hold("m", 40, TODAY, this_run=False)
    assert asked.refusal("m", 5) is None
    assert asked.refusal("m", 11) is not None
    asked.release("m", 40, TODAY, this_run=False)
    assert asked.refusal("m", 6) is not None
    assert str(Scope(StopKind.RUN, "m")) == "per_run of m"


# ---------------------------------------------------------------- the purse


def test_a_purse_that_watches_nothing() -> None:
    """Without keep_balance no question is asked and nothing is refused."""
    purse = Purse(None)
    purse.hold(99)
    purse.closed()
    assert not purse.stale
    assert purse.refusal(10**9) is None


def test_a_purse_refuses_until_it_knows() -> None:
    """An unknown balance is not bet on; the words say so."""
    purse = Purse(10)
    assert purse.stale
    assert "not known" in str(purse.refusal(1))
    purse.asked(0)
    purse.answered(15)
    assert purse.refusal(5) is None
    assert "5 credits are free above keep_balance 10" in str(purse.refusal(6))
    purse.answered(2)
    assert str(purse.refusal(1)).startswith("0 credits are free"), "below keep_balance nothing is free, and not less than nothing"


def test_a_purse_that_refuses_says_what_is_kept_and_what_was_asked() -> None:
    """As data beside the words, for whoever tells people what to do next."""
    purse = Purse(10)
    unknown = "the balance is not known, so nothing may be spent above keep_balance 10"
    assert purse.refusal(3) == Refusal(StopKind.LATER, unknown, "keep_balance", limit=10, asked=3)
    purse.answered(12)
    short = "2 credits are free above keep_balance 10, 3 are needed"
    assert purse.refusal(3) == Refusal(StopKind.KEEP_BALANCE, short, "keep_balance", limit=10, asked=3)


def test_what_is_held_while_the_balance_is_asked_for_is_taken_off_it() -> None:
    """The answer may be older than each of those holds: all of them are taken off, beside what was open."""
    purse = Purse(10)
    purse.asked(4)
    purse.hold(3)
    purse.hold(2)
    purse.answered(100)
    assert purse.free == 100 - 10 - 4 - 3 - 2
    purse.hold(1)
    assert purse.free == 80


def test_a_keep_balance_of_nothing_leaves_every_credit_free() -> None:
    """`keep_balance: 0` spends down to zero."""
    purse = Purse(0)
    purse.answered(7)
    assert purse.refusal(7) is None
    assert purse.refusal(8) is not None


@given(
    st.integers(0, 50), st.integers(0, 200), st.lists(st.tuples(st.sampled_from(["buy", "ask", "end"]), st.integers(0, 30)), max_size=40)
)
def test_the_balance_never_falls_below_keep_balance(keep: int, balance: int, moves: list[tuple[str, int]]) -> None:
    """However late the server shows what was bought, a purchase that the purse allows leaves keep_balance on the server."""
    purse, open_holds, server, started = Purse(keep), list[int](), balance, balance >= keep
    for move, number in moves:
        match move:
            case "buy" if purse.refusal(number) is None:
                purse.hold(number)
                open_holds.append(number)
            case "ask":
                purse.asked(sum(open_holds))
                purse.answered(server)  # the server may show nothing of what is open
            case "end" if open_holds:
                server -= open_holds.pop()
                purse.closed()
        assert not started or server - sum(open_holds) >= keep
