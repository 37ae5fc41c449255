"""`batchgen control`: steer a run that is going on."""

from __future__ import annotations

import re
from typing import Unpack

import click

from batchgen import app
from batchgen.cli.group import closing
from batchgen.cli.options import facts, talk
from batchgen.cli.screen import Screen
from batchgen.cli.where import Where, flags_of, settings_for, where
from batchgen.core.steering import VALUED, Control, ControlKind
from batchgen.errors import ExitCode, UsageError
from batchgen.report.text import number
from batchgen.settings.words import NotUnderstood, credits_of, rate

_SAID = {
    ControlKind.PAUSE: "Nothing new is bought or uploaded; what is in flight goes on. next: batchgen control go{flags}",
    ControlKind.GO: "The run buys again.",
    ControlKind.DRAIN: "Nothing new leaves; the run ends with exit code 3 when what is in the air has landed. next: batchgen resume{flags}",
    ControlKind.BUDGET: "The budget of this run is {value} credits from now on, also when it is resumed.",
    ControlKind.RATE: "The run sends at most {value} requests a minute from now on; a pause that the server asked for stays.",
}


class Steering(click.Command):
    """`control`, to which `-1` is a number that is wrong, and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line. Raises UsageError."""
        below = next((word for word in args if re.match(r"-\.?\d", word)), None)
        kind = next((kind for kind in ControlKind if kind in VALUED and kind in args), None)
        if below is not None and kind is not None and not ctx.resilient_parsing:
            _control(kind, below)
        return super().parse_args(ctx, args)


@click.command(
    "control", cls=Steering, epilog=closing("batchgen control budget 8000", ExitCode.DONE, ExitCode.WRONG_INPUT, ExitCode.UNAVAILABLE)
)
@click.argument("what", type=click.Choice([str(kind) for kind in ControlKind]))
@click.argument("value", metavar="[N]", required=False)
@where
@facts
@talk
@click.pass_obj
def command(screen: Screen, what: str, value: str | None, **options: Unpack[Where]) -> ExitCode:
    """Steer a run that is going on, from another shell: pause, go, drain, budget N, rate N.

    It takes effect within two seconds, is recorded in the ledger's events, and is for this run only; a budget stays with
    the run when it is resumed.
    """
    control = _control(ControlKind(what), value)
    obeyed = app.steer(settings_for(screen, options), control)
    amount, flags = number(int(control.value)) if control.value.is_integer() else f"{control.value:g}", flags_of(options)
    said = _SAID[control.kind].format(value=amount, flags=flags)
    if screen.json:
        value_said = control.value if control.kind in VALUED else None
        screen.document({"document": "batchgen.control/1", "control": str(control.kind), "value": value_said, "obeyed": obeyed})
    elif obeyed:
        screen.out(said)
    else:
        screen.say(f"The run has not taken `{control}` yet: it is busy reading its manifests, or it has just ended.")
        screen.say(f"What it has not taken when it ends is forgotten; no money is at stake. next: batchgen status{flags}")
    return ExitCode.DONE if obeyed else ExitCode.UNAVAILABLE


def _control(kind: ControlKind, text: str | None) -> Control:
    """Read what was typed. Raises UsageError."""
    if (text is None) == (kind in VALUED):
        raise UsageError(f"`{kind}` needs a number: batchgen control {kind} 100" if text is None else f"`{kind}` takes no number")
    if text is None:
        return Control(0, kind)
    try:
        # As the settings and the options read them.
        return Control(0, kind, float(credits_of(text) if kind is ControlKind.BUDGET else rate(text)))
    except NotUnderstood as error:
        raise UsageError(f"{kind}: {error}; {error.right}") from error
