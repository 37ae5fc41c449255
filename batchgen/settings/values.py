"""The settings as everything else knows them: one frozen value, whole and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.core.address import is_loopback
from batchgen.core.announce import Announce
from batchgen.core.facts import RunAsked
from batchgen.core.model import Credits, Instant, canonical_json
from batchgen.core.policy import AccountBudget, OnLostAnswer, Policy, PollPolicy
from batchgen.settings.secret import ApiKey

VENDOR = "https://rivya.ai"
SANDBOX_ADDRESS = "sandbox"
"""What a sandbox's ledger remembers as the address it belongs to."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs with these params (as text); params that are not named here may be anything."""

    credits: Credits
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices that a person wrote down, by model; the first that fits counts."""

    by_model: Mapping[str, tuple[Price, ...]] = field(default_factory=dict)

    def of(self, model: str, params: Mapping[str, object]) -> Credits | None:
        """Return the price in credits, None if nobody wrote one down. `params` are best handed in with the model's defaults filled."""
        said = {key: as_text(value) for key, value in params.items()}
        for price in self.by_model.get(model, ()):
            if all(said.get(key) == value for key, value in price.params.items()):
                return price.credits
        return None


def as_text(value: object) -> str:
    """Return a param's value as a person would write it: `"5"` and `5` are the same."""
    return value if isinstance(value, str) else canonical_json(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command needs to know. Paths are absolute, durations are seconds.

    With `sandbox` the rate, the polling, the ledger, the outputs, the books and the address are the sandbox's own, and
    the account's budgets are off: they belong to the real account.
    """

    workspace: Path
    ledger: str = field(repr=False)  # an absolute path or a SQLAlchemy URL, which may hold a password
    outputs: Path = Path("renders")
    address: str = VENDOR
    key: ApiKey = field(default_factory=ApiKey)
    sandbox: bool = False
    books: Path = Path(".batchgen/sandbox/account.sqlite3")  # the sandbox's account
    faults: str = ""  # what the sandbox shall do wrong
    sandbox_credits: Credits = 100_000
    requests_per_minute: float = 60.0
    in_flight: int = 10
    poll: PollPolicy = field(default_factory=PollPolicy)
    account: AccountBudget = field(default_factory=AccountBudget)
    zone: tzinfo | None = None  # None: the system's
    prices: Prices = Prices()
    replay_window: float = 24 * 3600.0
    render_timeout: float = 2 * 3600.0
    on_lost_answer: OnLostAnswer = OnLostAnswer.REPEAT
    announce: Announce = field(default_factory=Announce)

    @property
    def local_service(self) -> bool:
        """True if the service runs on this machine: only then may results come from here, and over plain HTTP."""
        return self.sandbox or is_loopback(urlsplit(self.address).hostname or "")

    def policy(self, asked: RunAsked) -> Policy:
        """Return what the engine obeys in a run that was asked for so."""
        return Policy(
            requests_per_minute=self.requests_per_minute,
            in_flight=self.in_flight,
            poll=self.poll,
            account=self.account,
            run_budget=asked.budget,
            on_lost_answer=self.on_lost_answer,
            replay_window=self.replay_window,
            render_timeout=self.render_timeout,
            until=asked.until,
            max_tasks=asked.max_tasks,
        )

    def local(self, instant: Instant) -> datetime:
        """Return an instant as a date and time in the account's zone."""
        return datetime.fromtimestamp(instant, UTC).astimezone(self.zone)

    def calendar(self, instant: Instant) -> str:
        """Return the day (`YYYY-MM-DD`) of an instant in the account's zone; a `core.policy.Calendar`."""
        return self.local(instant).strftime("%Y-%m-%d")
