"""`batchgen models`: which models there are, what they cost and take."""

from __future__ import annotations

from typing import Unpack

import click

from batchgen import service
from batchgen.catalogue import Catalogue
from batchgen.cli.group import closing
from batchgen.cli.options import facts, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, settings_for, where
from batchgen.errors import ExitCode
from batchgen.report.models import model_text, models_document, models_text


class Options(Where):
    """What the command line says."""

    model: str | None
    offline: bool


@click.command("models", epilog=closing("batchgen models kling-2-6", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.argument("model", metavar="[ID]", required=False)
@click.option("--offline", is_flag=True, help="Do not ask the server; show the catalogue that ships.")
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, **options: Unpack[Options]) -> ExitCode:
    """List the models with their base price; with ID, one model's params and references.

    The server is asked for news, without a key; if it does not answer, the catalogue that ships is shown.
    """
    catalogue = Catalogue.shipped()
    fresh = False
    if not options["offline"]:
        answer = service.ask_models(settings_for(screen, options))
        fresh = answer.value is not None
        catalogue = catalogue.merge(answer.value or ())
        if not fresh:
            screen.say("The server did not answer; this is the catalogue that ships with batchgen.")
    name = options["model"]
    chosen = [catalogue.get(name)] if name else list(catalogue)
    if screen.json:
        screen.document(models_document(chosen, fresh=fresh))
    else:
        screen.out(model_text(chosen[0]) if name else models_text(chosen))
    return ExitCode.DONE
