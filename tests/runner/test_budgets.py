"""Every budget at its very edge, through a whole run: a price of N is bought with N credits left, and not with N - 1."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batchgen import app
from batchgen.core.model import Spec
from batchgen.core.policy import AccountBudget
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode
from tests.runner.place import CREDITS, Place, opened

PRICE = 55
FILM = """\
version: 1
name: film
{more}tasks:
  - {{id: f, model: kling-2-6, prompt: a vase turns}}
"""
BUDGETS = {
    "total of film": StopKind.TOTAL,
    "per_run of film": StopKind.RUN,
    "per_day of film": StopKind.DAY,
    "--budget": StopKind.RUN,
    "the account's per_day": StopKind.DAY,
    "the account's per_month": StopKind.MONTH,
}


def film(place: Place, more: str = "") -> Path:
    """Write a manifest of one film at PRICE credits."""
    return place.manifest(FILM.format(more=more), "film.yaml")


def limited(place: Place, name: str, credits: int) -> tuple[Path, int | None]:
    """Set one budget; return the manifest and the run's own budget."""
    word = name.split(" ", maxsplit=1)[0]
    if name.endswith("of film"):
        return film(place, f"budget: {{{word}: {credits}}}\n"), None
    if name.startswith("the account"):
        place.settings = replace(place.settings, account=AccountBudget(**{name.rpartition(" ")[2]: credits}))
    return film(place), credits if name == "--budget" else None


@pytest.mark.parametrize("name", BUDGETS)
def test_at_the_edge(place: Place, name: str) -> None:
    """One credit less than the price buys nothing, and `plan` names budget and task; the price itself buys."""
    manifest, budget = limited(place, name, PRICE - 1)
    facts = app.plan(app.check([manifest]), place.settings, place.asked(manifest, budget=budget))
    assert facts.binding is not None
    assert (facts.binding.budget, facts.binding.task, facts.binding.nth, facts.credits_most) == (name, "f", 1, 0)
    ended = place.run(manifest, budget=budget)
    assert (ended.code, name in ended.reason, place.bought()) == (ExitCode.STOPPED_EARLY, True, 0), ended
    owner = "film" if name.endswith("of film") else ""
    assert ended.stops == (Stop(BUDGETS[name], "film", owner, PRICE - 1, 0, PRICE),)
    manifest, budget = limited(place, name, PRICE)
    facts = app.plan(app.check([manifest]), place.settings, place.asked(manifest, budget=budget))
    assert (facts.binding, facts.credits_most) == (None, PRICE)
    assert place.run(manifest, budget=budget).code == ExitCode.DONE
    assert (place.spent(), place.bought(), place.money()) == (PRICE, 1, (PRICE, 0))


def test_the_balance_at_the_edge(place: Place) -> None:
    """`keep_balance` counts what the server has: it may fall to it, not below."""
    manifest, has = film(place), 1_000
    place.settings = replace(place.settings, account=AccountBudget(keep_balance=has - PRICE + 1))
    ended = place.run(manifest)
    assert (ended.code, "keep_balance" in ended.reason, place.bought()) == (ExitCode.STOPPED_EARLY, True, 0), ended
    assert [stop.kind for stop in ended.stops] == [StopKind.KEEP_BALANCE]
    assert place.server.count("GET", CREDITS) > 0
    place.settings = replace(place.settings, account=AccountBudget(keep_balance=has - PRICE))
    assert place.run(manifest).code == ExitCode.DONE
    assert place.spent() == PRICE


def test_two_manifests_in_one_run(place: Place) -> None:
    """Each has its own total, and both share the account's day; the one that is spent does not stop the other."""
    one = place.images(4, name="one", more="budget: {total: 1}\n")
    two = place.images(4, name="two", more="budget: {per_run: 3}\n", prompt="a blue shoe")
    ended = place.run(one, two)
    assert ended.code == ExitCode.STOPPED_EARLY
    assert ended.stops == (Stop(StopKind.TOTAL, "one", "one", 1, 1, 1), Stop(StopKind.RUN, "two", "two", 3, 3, 1))
    spent = "SELECT m.name, sum(credits) FROM money JOIN manifests m ON m.id = manifest_id WHERE kind = 'capture' GROUP BY m.name"
    assert place.query(spent) == [("one", 1), ("two", 3)]
    place.settings = replace(place.settings, account=AccountBudget(per_day=5))
    two = place.images(4, name="two", prompt="a blue shoe")
    one = place.images(4, name="one", more="budget: {total: 2}\n")
    assert place.run(one, two).code == ExitCode.STOPPED_EARLY
    assert place.spent() == 5


@pytest.mark.parametrize(("budget", "back"), [("per_day", 1), ("per_month", 32)])
def test_a_day_and_a_month_end(tmp_path: Path, budget: str, back: int) -> None:
    """What was bought before midnight, or last month, in the account's zone leaves today's budget whole; what was bought today does not."""
    zone = ZoneInfo("Pacific/Kiritimati")  # 14 hours ahead: mostly another day than in UTC
    with opened(tmp_path) as place:
        place.settings = replace(place.settings, zone=zone, account=AccountBudget(**{budget: 2}))
        manifest = place.images(6)
        assert place.run(manifest).code == ExitCode.STOPPED_EARLY
        assert place.run(manifest).code == ExitCode.STOPPED_EARLY
        assert place.spent() == 2
        (day,) = place.query("SELECT DISTINCT day FROM money")
        assert day == (place.settings.calendar(time.time()),)
        earlier = (datetime.fromisoformat(str(day[0])) - timedelta(days=back)).date().isoformat()
        with closing(sqlite3.connect(place.settings.ledger, isolation_level=None)) as shell:
            for name in ("guard_money_update", "guard_attempts_identity"):
                shell.execute(f"DROP TRIGGER {name}")
            shell.execute("UPDATE money SET day = ?", (earlier,))
        assert place.run(manifest).code == ExitCode.STOPPED_EARLY
        assert place.spent() == 4


@pytest.mark.parametrize(("model", "keys"), [("elevenlabs-turbo-2-5", 2), ("kling-2-6", 1)])
def test_what_is_charged_by_length_is_known_by_it(place: Place, model: str, keys: int) -> None:
    """The bill of a short speech says nothing about a long one, which goes alone until its own is seen; a clip's prompt costs nothing."""
    quote = app.quoter(place.settings)
    assert len({quote(Spec(model, "x" * length, {}, ())).key for length in (100, 2000, 100)}) == keys
