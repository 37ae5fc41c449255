"""How a run behaves: the settings that the engine obeys, as one frozen value. `settings` fills it, nothing here reads anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from batchgen.core.model import Credits, Instant, Spec, Upload


class OnLostAnswer(StrEnum):
    """What to do with a purchase whose answer was lost."""

    REPEAT = "repeat"  # the same bytes with the same key: the vendor's replay is trusted
    HOLD = "hold"  # in doubt at once: a person looks first


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """Seconds: from acceptance to the first look, between looks, and the longest pause between looks."""

    first: float = 2.5
    every: float = 5.0
    slowest: float = 30.0


@dataclass(frozen=True, slots=True)
class AccountBudget:
    """Limits in credits for everything that this ledger buys; None is no limit. `keep_balance` must stay on the server."""

    per_day: Credits | None = None
    per_month: Credits | None = None
    keep_balance: Credits | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything the engine needs to know beside the manifests. Durations in seconds."""

    requests_per_minute: float = 60.0
    in_flight: int = 10
    poll: PollPolicy = PollPolicy()
    account: AccountBudget = AccountBudget()
    run_budget: Credits | None = None  # --budget, for all manifests of the run together
    on_lost_answer: OnLostAnswer = OnLostAnswer.REPEAT
    replay_window: float = 24 * 3600.0
    render_timeout: float = 2 * 3600.0
    outage_patience: float = 15 * 60.0  # without one good answer, then exit 6
    missing_patience: float = 10 * 60.0  # an accepted task that the server does not find
    downloads: int = 6  # at once; the CDN has no part in the account's rate
    until: Instant | None = None  # nothing is submitted from here on
    max_tasks: int | None = None  # submissions of new attempts in this run


@dataclass(frozen=True, slots=True)
class Quote:
    """What an attempt should cost. Attempts with the same `key` cost the same as far as anyone knows.

    `stated` is True for a price that the settings state; else it is the catalogue's base, a guess for most params.
    """

    key: str
    credits: Credits
    stated: bool = False


Quoter = Callable[[Spec], Quote]
"""The price by settings or catalogue. Pure."""

Calendar = Callable[[Instant], str]
"""The day (`YYYY-MM-DD`) of an instant in the account's time zone: budgets by day and month go by it."""

Compose = Callable[[Spec, Mapping[str, Upload], str], bytes]
"""The exact bytes of POST /generations for a spec, its uploads by sha256, and a client_request_id. Same in, same out."""

Dice = Callable[[], float]
"""A number in [0, 1), drawn by the shell, so that the engine stays pure and a seed replays a night."""


@dataclass(frozen=True, slots=True)
class Given:
    """The functions that the engine is given, since it may not look outside. All but the dice are pure."""

    quoter: Quoter
    compose: Compose
    calendar: Calendar
    dice: Dice
