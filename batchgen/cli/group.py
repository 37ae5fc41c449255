"""The list of commands, each loaded only when it is called.

`batchgen --help` shows this table and imports nothing else: no HTTP, no database, no YAML. So the heavy imports can
stand at the top of the modules that need them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from textwrap import fill

import click
from click.shell_completion import CompletionItem

from batchgen.errors import ExitCode

COMMANDS: Mapping[str, str] = {
    "init": "Write a workspace to start from.",
    "validate": "Check manifests offline.",
    "plan": "Say what a run would do, and why. Sends nothing that costs.",
    "run": "Render what the manifests want and the ledger lacks.",
    "resume": "Go on with everything unfinished in the ledger.",
    "control": "Steer a run that is going on, from another shell.",
    "status": "Count tasks by state, and credits.",
    "tasks": "List tasks.",
    "show": "Tell one task's whole history.",
    "report": "Tell what a run did; write it as a page to look at, CSV, JSON lines, JUnit or Parquet.",
    "fetch": "Download again what is paid and missing or damaged on disk.",
    "credits": "Ask for the balance, and add up what was spent.",
    "resolve": "Say what became of an attempt in doubt.",
    "ledger": "Prove the ledger's invariants; copy it while a run goes on.",
    "models": "List the models, their prices and params.",
    "selftest": "Prove the promises on this machine, against the sandbox.",
    "schema": "Print the JSON Schema of manifests, settings or documents.",
    "completion": "Print the script that completes commands in your shell.",
    "sandbox": "Serve the local imitation of the API, which never costs anything.",
}
"""In the order of work. The module of a command has its name and holds a `command`."""


COMPLETE_VARIABLE = "_BATCHGEN_COMPLETE"
"""Set by the shell when it asks what may be typed next; the name that click's scripts expect."""


class Commands(click.Group):
    """The group behind `batchgen`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names in the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Load a command's module and return its `command`; None if there is none such."""
        if cmd_name not in COMMANDS:
            return None
        found: object = import_module(f"batchgen.cli.commands.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, or say what may have been meant; of a line that a shell completes, nothing is said."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name[:40], COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"There is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, or an option of the group, without loading the commands."""
        names = [CompletionItem(name, help=words) for name, words in COMMANDS.items() if name.startswith(incomplete)]
        return names or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


RUN_CODES = tuple(code for code in ExitCode if code is not ExitCode.BUG)
"""What a run can end with."""


WIDTH = 76
"""Columns of what click does not wrap itself; it sets two before them, and the common terminal has 80."""


def closing(example: str, *codes: ExitCode, failed: str = ExitCode.SOME_FAILED.meaning) -> str:
    """Return the end of a command's help: an example and its exit codes. `failed` is what 1 means where no tasks are rendered."""
    meanings = {code: code.meaning for code in (*codes, ExitCode.INTERRUPTED)}
    meanings |= {code: failed for code in meanings if code is ExitCode.SOME_FAILED}
    lines = [fill(f"{int(code):>3}  {meaning}", WIDTH, subsequent_indent=" " * 5) for code, meaning in meanings.items()]
    return "\b\nExample:\n  " + example.replace("\n", "\n  ") + "\n\n\b\nExit codes:\n" + "\n".join(lines)
