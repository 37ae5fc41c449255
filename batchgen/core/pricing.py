"""What an attempt will cost, and how sure we are.

A price is sure once the server has reserved it for the same model and params, and has taken a purchase of the model in this
run: what it reserved last night may not hold any more. The first task of a price that is not sure goes alone until then, so
that a surprise costs at most one task.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchgen.core.model import Credits, Spec
from batchgen.core.policy import Quote, Quoter


class Prices:
    """The prices seen so far, and the attempts that are finding one out."""

    def __init__(self, quoter: Quoter, seen: Mapping[str, Credits]) -> None:
        """Start from what the ledger saw; `quoter` gives the settings' or the catalogue's price."""
        self._quoter = quoter
        self._seen = {key: credits for key, credits in seen.items() if credits}
        self._probes: dict[str, str] = {}  # by model: one surprise at a time
        self._confirmed: set[str] = set()  # models of which this run has bought
        self._shaken: set[str] = set()  # prices seen before another of their model rose

    def quote(self, spec: Spec) -> Quote:
        """Return what to hold: what the server reserved last, but never less than the settings state."""
        quote = self._quoter(spec)
        seen = self._seen.get(quote.key)
        if seen is None:
            return quote
        return Quote(quote.key, max(seen, quote.credits) if quote.stated else seen, quote.stated)

    def must_wait(self, price_key: str) -> bool:
        """True if this price is not sure and another attempt of the same model is finding one out."""
        return model_of(price_key) in self._probes and not self._sure(price_key)

    def unseen(self, price_key: str) -> bool:
        """True if no bill was ever seen for this price."""
        return price_key not in self._seen

    def _sure(self, price_key: str) -> bool:
        return price_key in self._seen and price_key not in self._shaken and model_of(price_key) in self._confirmed

    def probe(self, price_key: str, key: str) -> None:
        """Let the attempt `key` find out a price that is not sure."""
        if not self._sure(price_key):
            self._probes.setdefault(model_of(price_key), key)

    def saw(self, price_key: str, credits: Credits) -> None:
        """Take a price from the server. 0 is none: holding nothing for the next would be a bet.

        One that is higher than before says that the model has become dearer, so each of its other prices is found out again, from
        what it was. A lower one counts from the next run on: what is held too much is released.
        """
        if credits > self._seen.get(price_key, credits):
            model = model_of(price_key)
            self._shaken |= {seen for seen in self._seen if model_of(seen) == model}
        if credits:
            self._seen[price_key] = max(credits, self._seen.get(price_key, 0))
            self._shaken.discard(price_key)

    def confirm(self, price_key: str, key: str) -> None:
        """Take it that the attempt `key`, which this run bought, was accepted: prices of its model that were seen before hold.

        A server that says what it reserves has said so by now; with one that does not, there is nothing to wait for.
        """
        self._confirmed.add(model_of(price_key))
        if self._sure(price_key):
            self.found(price_key, key)

    def found(self, price_key: str, key: str) -> None:
        """Take it that the attempt `key` needs no longer go alone: its price is known, or it ended without one."""
        if self._probes.get(model_of(price_key)) == key:
            del self._probes[model_of(price_key)]


def price_key(model: str, params: Mapping[str, object]) -> str:
    """Name a price: the model and everything that may make it cost more, in one spelling."""
    return model + "?" + "&".join(f"{name}={params[name]}" for name in sorted(params))


def model_of(price_key: str) -> str:
    """Return the model of a price key."""
    return price_key.partition("?")[0]


def paid(final: Credits | None, reserved: Credits | None, hold: Credits) -> Credits:
    """Return what a succeeded attempt cost: final_credits; reserved_credits where that still says 0; else what was held."""
    return final or reserved or hold
