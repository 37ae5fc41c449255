"""`batchgen credits`: the balance on the server, and what was spent from here."""

from __future__ import annotations

import time
from typing import Unpack

import click

from batchgen import app, service
from batchgen.cli.group import closing
from batchgen.cli.options import facts, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, settings_for, where
from batchgen.core.answers import Answer, Balance, Verdict
from batchgen.errors import ExitCode, KeyRefused, Unavailable
from batchgen.report.credits import credits_document, credits_text


@click.command(
    "credits", epilog=closing("batchgen credits", ExitCode.DONE, ExitCode.WRONG_INPUT, ExitCode.KEY_REFUSED, ExitCode.UNAVAILABLE)
)
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Where]) -> ExitCode:
    """Ask the server for the balance, and add up what this ledger spent and holds: today, this month and in all."""
    settings = settings_for(screen, options)
    balance = balance_of(service.ask_balance(settings))
    with app.reading(settings) as ledger:
        money = ledger.money(settings.calendar(time.time()))
    screen.document(credits_document(balance, money)) if screen.json else screen.out(credits_text(balance, money))
    return ExitCode.DONE


def balance_of(answer: Answer[Balance]) -> Balance:
    """Return the balance. Raises KeyRefused or Unavailable with the server's words."""
    if answer.value is not None:
        return answer.value
    fault = answer.fault
    said = f"{fault.code}: {fault.message}" if fault else str(answer.verdict)
    asked = f" (requestId {fault.request_id})" if fault and fault.request_id else ""
    if answer.verdict is Verdict.KEY:
        raise KeyRefused(f"the server refused the key: {said}{asked}")
    raise Unavailable(f"the server did not tell the balance: {said}{asked}")
