"""The balance on the server beside what this ledger spent and holds."""

from __future__ import annotations

from batchgen.core.answers import Balance
from batchgen.core.facts import MoneyFacts
from batchgen.report.status import money_document, money_lines
from batchgen.report.text import number


def credits_text(balance: Balance, money: MoneyFacts | None) -> str:
    """Return the credits for people. `money` is None where nothing was run yet."""
    lines = [f"balance  {number(balance.credits)} credits on the server"]
    if money is None:
        return "\n".join([*lines, "nothing was run yet with this ledger"])
    return "\n".join([*lines, "", *money_lines(money)])


def credits_document(balance: Balance, money: MoneyFacts | None) -> dict[str, object]:
    """Return the document of `credits --json` (schemas/credits.schema.json)."""
    return {
        "document": "batchgen.credits/1",
        "balance": balance.credits,
        "money": None if money is None else money_document(money),
    }
