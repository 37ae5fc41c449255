"""`batchgen sandbox`: the local imitation of the API."""

from __future__ import annotations

import click

from batchgen import service
from batchgen.cli.group import closing
from batchgen.cli.options import Whole, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, settings_for
from batchgen.errors import ExitCode
from batchgen.sandbox import SANDBOX_KEY


@click.command("sandbox", epilog=closing("batchgen sandbox --port 8765 --faults fail=0.1,429=0.05", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.option("--host", default="127.0.0.1", metavar="HOST", help="Where to listen; this machine only, by default.")
@click.option("--port", metavar="PORT", default=8765, type=Whole(min=0, max=65535), help="8765 by default; 0 takes any free one.")
@click.option("--faults", metavar="SPEC", help="What it shall do wrong, such as fail=0.1,429=0.05,seed=7.")
@talk
@click.pass_obj
def command(screen: Screen, host: str, port: int, faults: str | None) -> ExitCode:
    """Serve the local imitation of the API until Ctrl-C: for trials, tests and rehearsals. It never costs anything.

    Point any client to it with RIVYA_BASE_URL. `batchgen run --sandbox` needs none of this: it brings its own.
    """
    settings = settings_for(screen, Where(ledger=None, sandbox=True), faults=faults)

    def ready(address: str) -> None:
        screen.say(f"The sandbox answers at {address}; its account is {settings.books}. Ctrl-C ends it. In another shell:")
        screen.out(f"export RIVYA_BASE_URL={address} RIVYA_API_KEY={SANDBOX_KEY}")

    service.serve_sandbox(settings, host=host, port=port, ready=ready)
    return ExitCode.DONE
