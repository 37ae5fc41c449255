"""The pretend account at the vendor: balance, prices, purchases, files, and what it answers, as bytes.

It follows the vendor's documentation where there is any; where there is none, `Rules` draws one of the ways it may be.
It keeps books of its own, which know nothing of the ledger: that is what the ledger is compared with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from batchgen.core.messages import ApiRequest, AskStatus, CheckUpload, SendCreate, SendUpload
from batchgen.core.model import Credits, Instant
from batchgen.core.pricing import price_key
from batchgen.rivya.refusals import Reply
from tests.simulation.timeline import Timeline
from tests.simulation.troubles import Trouble, Weather

BAD = "[bad]"
"""A prompt with this word is refused as invalid."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How this night's server does what the documentation leaves open."""

    prices: Mapping[str, Credits]
    later_prices: Mapping[str, Credits] = field(default_factory=dict)  # from `changes_at` on
    changes_at: Instant = 0.0
    key_first: bool = True  # looks at the key before the other checks
    key_memory: float = 365 * DAY
    remembers_refusals: bool = False
    in_work: float = 0.0  # seconds for which a repeat is told that the first is in work
    success: int = 201
    same_upload: bool = True  # the same client_request_id gives the same file
    file_life: float = 365 * DAY
    reference_code: tuple[int, str] = (400, "validation_failed")
    tells: str = "both"  # credits in answers: both, reserved, final
    hopeless: frozenset[str] = frozenset()  # prompts whose renders always fail
    first_fails: frozenset[str] = frozenset()  # prompts whose first render fails
    renders_take: tuple[float, float] = (5.0, 300.0)
    shared: bool = False  # others spend from the wallet just when it hurts
    shows_after: float = 0.0  # seconds until a charge is seen in the balance that is told
    keeps_at_first: bool = False  # a failed render says that it keeps everything
    two_results: float = 0.1  # share of renders with two files


@dataclass(slots=True)
class Purchase:
    """One charged generation: the world's truth about it."""

    key: str
    body: bytes
    prompt: str
    task_id: str
    price: Credits
    at: Instant
    results: int = 1
    state: str = "queued"  # queued, succeeded, failed
    extra: Credits = 0  # charged at the end on top
    refunded: Credits = 0
    refunded_at: Instant = 0.0  # the last time
    final: Credits | None = 0  # what an answer says
    found_from: Instant = 0.0  # not_found before
    named_from: Instant = 0.0  # results are not named before
    forgotten: bool = False

    @property
    def net(self) -> Credits:
        """What the account has paid for it by now."""
        return self.price + self.extra - self.refunded


@dataclass(slots=True)
class File:
    """An upload."""

    file_id: str
    url: str
    expires: Instant


@dataclass(slots=True)
class Remembered:
    """What the server keeps for an idempotency key."""

    body: bytes
    at: Instant
    purchase: Purchase | None
    refusal: Reply | None = None


class World:
    """The server. Every method is what happens at the instant `timeline.now`."""

    def __init__(self, timeline: Timeline, weather: Weather, rules: Rules, balance: Credits) -> None:
        self.timeline = timeline
        self.weather = weather
        self.rules = rules
        self.balance = balance
        self.lowest_bought = 10**12  # the lowest that a purchase ever left
        self.purchases: dict[str, Purchase] = {}  # by task id
        self.key_works = True
        self.disabled_until = 0.0
        self._unseen: Credits = 0  # charged, but not in the balance that is told
        self._keys: dict[str, Remembered] = {}
        self._files: dict[str, File] = {}  # by url
        self._uploads: dict[str, File] = {}  # by client_request_id
        self._requests = 0

    # ---------------------------------------------------------------- requests

    def receive(self, request: ApiRequest) -> Reply:
        """Do what a request asks for, and answer."""
        self._requests += 1
        gate = self._gate()
        if gate is not None:
            return gate
        match request:
            case SendCreate(key=key, body=body):
                return self._create(key, body)
            case AskStatus(task_id=task_id):
                return self._status(task_id)
            case SendUpload():
                return self._upload(request)
            case CheckUpload(upload=upload):
                return self._file(upload.file_id)
            case _:
                return self._say(200, {"current_credits": self.balance + self._unseen})

    def _gate(self) -> Reply | None:
        if not self.key_works and not self.weather.calm:
            return self._error(401, "api_key_revoked")
        if self.timeline.now < self.disabled_until and not self.weather.calm:
            return self._error(503, "public_api_disabled")
        return None

    def _create(self, key: str, body: bytes) -> Reply:
        asked = json.loads(body)
        assert asked["client_request_id"] == key
        if self.rules.key_first:
            known = self._known(key, body)
            if known is not None:
                return known
        refusal = self._checks(asked)
        if refusal is not None:
            self._remember_refusal(key, body, refusal)
            return refusal
        known = self._known(key, body)
        return known or self._show(self._buy(key, body, asked), self.rules.success)

    def _known(self, key: str, body: bytes) -> Reply | None:
        """Answer a key that is known already."""
        now = self.timeline.now
        for old in [old for old, kept in self._keys.items() if now - kept.at > self.rules.key_memory]:
            del self._keys[old]
            self.weather.note(Trouble.KEYS_FORGOTTEN)
        known = self._keys.get(key)
        if known is None:
            return None
        if known.body != body:
            return self._error(409, "idempotency_conflict")
        if known.refusal is not None:
            return known.refusal
        if now - known.at < self.rules.in_work and not self.weather.calm:
            self.weather.note(Trouble.CONFLICT_IN_WORK)
            return self._error(409, "idempotency_conflict")
        assert known.purchase is not None
        return self._show(known.purchase, 200)

    def _remember_refusal(self, key: str, body: bytes, refusal: Reply) -> None:
        known = self._keys.get(key)
        if known is not None and known.purchase is not None:
            self.weather.note(Trouble.REFUSED_REPEAT)
        elif known is None and self.rules.remembers_refusals:
            self.weather.note(Trouble.REFUSAL_REMEMBERED)
            self._keys[key] = Remembered(body, self.timeline.now, None, refusal)

    def _checks(self, asked: Mapping[str, object]) -> Reply | None:
        """Refuse what cannot be bought."""
        if BAD in str(asked.get("prompt")):
            self.weather.note(Trouble.INVALID)
            return self._error(400, "validation_failed")
        for url in _urls(asked):
            file = self._files.get(url)
            if not url.startswith("https://pictures.example/") and (file is None or file.expires < self.timeline.now):
                self.weather.note(Trouble.UPLOAD_EXPIRED)
                return self._error(*self.rules.reference_code)
        if self.price(asked) > self.balance:
            self.weather.note(Trouble.CREDITS_SHORT)
            return self._error(402, "insufficient_credits")
        return None

    # ---------------------------------------------------------------- purchases

    def price(self, asked: Mapping[str, object]) -> Credits:
        """Return what this request costs at this instant."""
        facts = asked["params"]
        assert isinstance(facts, dict)
        name = price_key(str(asked["model"]), {k: v for k, v in facts.items() if k != "referenceMediaItems"})
        if self.rules.later_prices and self.timeline.now >= self.rules.changes_at:
            if self.rules.later_prices[name] != self.rules.prices[name]:
                self.weather.note(Trouble.PRICE_CHANGED)
            return self.rules.later_prices[name]
        return self.rules.prices[name]

    def _buy(self, key: str, body: bytes, asked: Mapping[str, object]) -> Purchase:
        rng, now = self.weather.rng, self.timeline.now
        price = self.price(asked)
        prompt = str(asked["prompt"])
        purchase = Purchase(key, body, prompt, f"task_{len(self.purchases) + 1:04d}", price, now)
        purchase.results += rng.random() < self.rules.two_results
        self.purchases[purchase.task_id] = purchase
        self._keys[key] = Remembered(body, now, purchase)
        self._pay(price)
        self._unseen += price
        self.timeline.at(now + self.rules.shows_after, lambda: self._see(price))
        took = rng.uniform(*self.rules.renders_take)
        if self.weather.strikes(Trouble.RENDER_STALLED):
            took = rng.choice((3600.0, 6 * 3600.0, 40 * DAY))
        if self.weather.strikes(Trouble.RENDER_MISSING):
            purchase.found_from = now + rng.choice((20.0, 200.0, 900.0))
        purchase.forgotten = self.weather.strikes(Trouble.RENDER_FORGOTTEN)
        earlier = [p for p in self.purchases.values() if p.prompt == prompt]
        fails = prompt in self.rules.hopeless or (prompt in self.rules.first_fails and len(earlier) == 1)
        fails = fails or self.weather.strikes(Trouble.RENDER_FAILED, times=6)
        self.timeline.at(now + took, lambda: self._finish(purchase, fails=fails))
        return purchase

    def _finish(self, purchase: Purchase, *, fails: bool) -> None:
        if purchase.state != "queued":
            return
        if fails:
            self._fail(purchase)
            return
        purchase.state = "succeeded"
        purchase.final = purchase.price
        if self.weather.strikes(Trouble.FINAL_SILENT, times=3):
            purchase.final = self.weather.rng.choice((0, None))
        if self.weather.strikes(Trouble.URLS_LATE):
            purchase.named_from = self.timeline.now + self.weather.rng.choice((5.0, 100.0))

    def _fail(self, purchase: Purchase) -> None:
        rng = self.weather.rng
        purchase.state = "failed"
        if self.rules.keeps_at_first:
            purchase.final = purchase.price
        elif self.weather.strikes(Trouble.REFUND_LATE, times=6):
            purchase.final = rng.choice((purchase.price, None))
            self.timeline.at(self.timeline.now + rng.choice((30.0, 3600.0, 1.5 * DAY)), lambda: self.refund(purchase, 0))
        elif self.weather.strikes(Trouble.REFUND_PART, times=6):
            self.refund(purchase, rng.randint(1, purchase.price))
        else:
            self.refund(purchase, 0)

    def refund(self, purchase: Purchase, kept: Credits) -> None:
        """Give back all but `kept`."""
        back = purchase.net - kept
        purchase.refunded += back
        purchase.refunded_at = self.timeline.now
        purchase.final = kept
        self.balance += back

    def _see(self, credits: Credits) -> None:
        self._unseen -= credits

    def _pay(self, credits: Credits) -> None:
        self.balance -= credits
        self.lowest_bought = min(self.lowest_bought, self.balance)

    def spend_elsewhere(self) -> None:
        """Somebody else uses the same wallet."""
        if self.balance > 0 and not self.weather.calm:
            self.weather.note(Trouble.SPENT_ELSEWHERE)
            self.balance = self.weather.rng.choice((0, 15))

    def calm_down(self) -> None:
        """No further trouble; what hangs is finished soon, and the account is filled up."""
        self.weather.calm = True
        self.key_works = True
        self.balance += 1_000_000
        for purchase in self.purchases.values():
            purchase.found_from = purchase.named_from = 0.0
            if purchase.state == "queued":
                self.timeline.at(self.timeline.now + 30, lambda purchase=purchase: self._finish(purchase, fails=False))  # type: ignore[misc]  # bound now

    # ---------------------------------------------------------------- questions

    def _status(self, task_id: str) -> Reply:
        purchase = self.purchases.get(task_id)
        forgotten = purchase is not None and purchase.forgotten and purchase.state != "succeeded" and not self.weather.calm
        if purchase is None or forgotten or self.timeline.now < purchase.found_from:
            return self._error(404, "not_found")
        return self._show(purchase, 200)

    def _show(self, purchase: Purchase, status: int) -> Reply:
        said = purchase.state
        if said == "queued" and self.weather.strikes(Trouble.STATUS_UNKNOWN):
            said = "warming_up"
        urls = [f"https://media.example/{purchase.task_id}/{n}" for n in range(purchase.results)]
        named = said == "succeeded" and self.timeline.now >= purchase.named_from
        shown: dict[str, object] = {
            "id": purchase.task_id,
            "status": said,
            "reserved_credits": purchase.price,
            "final_credits": purchase.final,
            "result": {"primary_url": urls[0], "urls": urls} if named else None,
            "error": {"code": "generation_failed", "message": "The generation failed."} if said == "failed" else None,
        }
        if self.rules.tells == "reserved" and said != "failed":
            del shown["final_credits"]
        if self.rules.tells == "final" and purchase.final and said == "succeeded":
            del shown["reserved_credits"]
        return self._say(status, shown)

    # ---------------------------------------------------------------- files

    def _upload(self, request: SendUpload) -> Reply:
        known = self._uploads.get(request.client_request_id)
        if known is None or not self.rules.same_upload or known.expires < self.timeline.now:
            name = hashlib.sha256(f"{request.client_request_id}{len(self._files)}".encode()).hexdigest()[:12]
            known = File(f"file_{name}", f"https://files.example/{name}", self.timeline.now + self.rules.file_life)
            self._files[known.url] = self._uploads[request.client_request_id] = known
        return self._say(201, {"id": known.file_id, "url": known.url})

    def _file(self, file_id: str) -> Reply:
        for file in self._files.values():
            if file.file_id == file_id and file.expires >= self.timeline.now:
                return self._say(200, {"id": file.file_id, "url": file.url})
        return self._error(404, "not_found")

    # ---------------------------------------------------------------- bytes

    def _say(self, status: int, document: Mapping[str, object]) -> Reply:
        return Reply(status, {}, json.dumps(document).encode())

    def _error(self, status: int, code: str) -> Reply:
        error = {"code": code, "message": f"The server says {code}.", "requestId": f"req_{self._requests}"}
        return self._say(status, {"error": error})


def _urls(asked: Mapping[str, object]) -> list[str]:
    params = asked["params"]
    assert isinstance(params, dict)
    return [item["url"] for item in params.get("referenceMediaItems", [])]


def day_of(instant: Instant) -> str:
    """Return the day of an instant: this world's account lives in UTC."""
    return _day(int(instant // DAY))


@lru_cache(maxsize=64)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY, UTC).strftime("%Y-%m-%d")
