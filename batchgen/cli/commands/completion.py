"""`batchgen completion`: what a shell needs to complete batchgen's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from batchgen.cli.group import COMPLETE_VARIABLE, closing
from batchgen.cli.options import talk
from batchgen.cli.screen import Screen
from batchgen.errors import ExitCode

EXAMPLE = """\
batchgen completion bash > ~/.local/share/bash-completion/completions/batchgen
batchgen completion zsh > ~/.zfunc/_batchgen  # fpath+=~/.zfunc before compinit
batchgen completion fish > ~/.config/fish/completions/batchgen.fish"""


@click.command("completion", epilog=closing(EXAMPLE, ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@talk
@click.pass_context
def command(context: click.Context, shell: str) -> ExitCode:
    """Print the script that completes batchgen's commands and options in a shell.

    Write it to where the shell looks for such scripts, then open a new shell.
    """
    screen = context.find_object(Screen)
    found = get_completion_class(shell)
    assert screen is not None
    assert found is not None
    # The template is filled here: `source()` would first start a bash to ask for its version.
    filled = found(context.find_root().command, {}, "batchgen", COMPLETE_VARIABLE)
    screen.out((filled.source_template % filled.source_vars()).rstrip("\n"))
    return ExitCode.DONE
