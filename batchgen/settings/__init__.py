"""Flags over environment over `batchgen.yaml` over defaults, into one frozen value.

Deliberately absent: a `.env` file (a key that lies in a file of the workspace gets committed), a key in `batchgen.yaml`
(the same), the server's address in `batchgen.yaml` (whoever hands a manifest on must not choose where a key is sent).
"""

from batchgen.settings.secret import ApiKey
from batchgen.settings.sources import Flags, load, sandbox_ledger
from batchgen.settings.values import SANDBOX_ADDRESS, VENDOR, Price, Prices, Settings

__all__ = ["SANDBOX_ADDRESS", "VENDOR", "ApiKey", "Flags", "Price", "Prices", "Settings", "load", "sandbox_ledger"]
