"""A command line read by the program's own parser, and not run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from batchgen.cli.main import batchgen


def parsed(arguments: Sequence[str]) -> click.Context:
    """Return what the program understands; a command's name alone stands for it. Raises click.ClickException as it does."""
    command: click.Command | None = batchgen
    context, rest = click.Context(batchgen), list(arguments)
    if rest[0] in {"--help", "--version"}:
        return context
    while isinstance(command, click.Group) and rest:
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        context = click.Context(command, context, name)
    if command is None or not rest:
        return context
    return command.make_context(context.info_name, rest, parent=context.parent)
