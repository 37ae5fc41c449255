"""What an attempt will cost, and how sure we are.

A price is sure once the server has reserved it for the same model and params. The first task of an unseen price goes
alone until then, so that a surprise costs at most one task.
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
        self._seen = dict(seen)
        self._probes: dict[str, str] = {}

    def quote(self, spec: Spec) -> Quote:
        """Return what to hold: what the server reserved last, but never less than the settings state."""
        quote = self._quoter(spec)
        seen = self._seen.get(quote.key)
        if seen is None:
            return quote
        return Quote(quote.key, max(seen, quote.credits) if quote.stated else seen, quote.stated)

    def probed(self, price_key: str) -> bool:
        """True if another attempt is finding out this price, so that a second must wait."""
        return price_key not in self._seen and price_key in self._probes

    def unseen(self, price_key: str) -> bool:
        """True if no bill was ever seen for this price."""
        return price_key not in self._seen

    def probe(self, price_key: str, key: str) -> None:
        """Let the attempt `key` find out an unseen price."""
        if price_key not in self._seen:
            self._probes.setdefault(price_key, key)

    def saw(self, price_key: str, credits: Credits) -> None:
        """Take a price from the server."""
        self._seen[price_key] = credits
        self._probes.pop(price_key, None)

    def ended(self, price_key: str, key: str) -> bool:
        """Take the end of an attempt. True if it was finding out a price and did not: the next one must."""
        if self._probes.get(price_key) == key:
            del self._probes[price_key]
            return True
        return False
