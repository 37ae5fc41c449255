"""Print the README's tables, states and example from the program itself: `python tests/make_readme.py`.

A section stands between `<!-- name -->` and `<!-- end -->`. The tests fail while the README differs from what this makes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import click

from batchgen.cli.group import COMMANDS, Commands
from batchgen.core.states import ATTEMPT_MOVES, TASK_MOVES
from batchgen.errors import ExitCode

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
EXAMPLE = "manifests/references.yaml"
STEPS = (
    f"batchgen validate {EXAMPLE}",
    f"batchgen plan {EXAMPLE} --sandbox",
    f"batchgen run {EXAMPLE} --sandbox",
    "batchgen status --sandbox",
)

SHARED = {"--ledger", "--sandbox", "--json", "--verbose", "--quiet"}
"""Options that mean the same wherever they are, which is nearly everywhere."""

State = TypeVar("State", bound=StrEnum)
Move = TypeVar("Move", bound=StrEnum)

VARIABLE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "2026-11-23 22:00:00"),
    (re.compile(r"^\d\d:\d\d:\d\d (?=\d)", re.MULTILINE), "22:00:00 "),
    (re.compile(r"took \d+ \w+( \d+ \w+)?"), "took 2 s"),
    (re.compile(r"/\S*/renders-sandbox"), "/srv/spring/renders-sandbox"),
)
"""What differs from run to run, and what the README shows in its place."""


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def manifest() -> str:
    """Return the example's manifest."""
    return f"```yaml\n{(ROOT / EXAMPLE).read_text(encoding='utf-8')}```"


def example() -> str:
    """Run the example in a workspace of its own, and return what is typed and what is printed."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "manifests", Path(folder, "manifests"))
        environ = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8", "TZ": "UTC"}
        said = [f"$ {step}\n{_output(step, folder, environ)}" for step in STEPS]
    return "```console\n" + "\n".join(said) + "```"


def _output(step: str, folder: str, environ: Mapping[str, str]) -> str:
    words = [sys.executable, "-m", "batchgen", *step.split()[1:]]
    done = subprocess.run(words, cwd=folder, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    text = done.stdout
    for pattern, stand_in in VARIABLE:
        text = pattern.sub(stand_in, text)
    return text


def commands() -> str:
    """Return the table of commands."""
    return table(("command", "does"), [(f"`batchgen {name}`", does) for name, does in COMMANDS.items()])


def options() -> str:
    """Return the table of all options, with the help's own words; what means the same in several commands stands once."""
    together: dict[tuple[str, str], list[str]] = {}
    for name, flag, does in flags():
        together.setdefault((flag, does), []).append(name)
    rows = [(f"`{flag}`", "most" if flag.split()[0] in SHARED else ", ".join(names), does) for (flag, does), names in together.items()]
    return table(("option", "of", "meaning"), sorted(rows, key=lambda row: row[1] != "most"))


def flags() -> Iterator[tuple[str, str, str]]:
    """Yield each option: its command, how it is written, what it does."""
    group = Commands("batchgen")
    context = click.Context(group)
    for name, command in _commands(group):
        for param in command.params:
            if isinstance(param, click.Option):
                value = "" if param.is_flag or param.count else f" {param.make_metavar(context)}"
                yield name, f"{', '.join(param.opts)}{value}".replace("|", "\\|"), (param.help or "").replace("|", "\\|")


def _commands(group: Commands) -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)


def settings() -> str:
    """Return the table of `batchgen.yaml`."""
    schema = json.loads((ROOT / "schemas" / "batchgen.schema.json").read_text(encoding="utf-8"))
    rows = [(f"`{key}`", _default(value), value.get("description", "")) for key, value in schema["properties"].items()]
    return table(("`batchgen.yaml`", "default", "meaning"), rows)


def _default(schema: Mapping[str, object]) -> str:
    return str(schema["default"]) if "default" in schema else ""


def exit_codes() -> str:
    """Return the table of exit codes."""
    return table(("code", "meaning"), [(str(int(code)), code.meaning) for code in ExitCode])


def states() -> str:
    """Return the tables of states as diagrams in text."""
    return f"```text\n{diagram('task', TASK_MOVES)}\n\n{diagram('attempt', ATTEMPT_MOVES)}\n```"


def diagram(name: str, moves: Mapping[State, Mapping[Move, State]]) -> str:
    """Return one line for each move; a state without one is final."""
    lines = [f"{name}:"]
    for before, events in moves.items():
        steps = [f"  {before:<11} -- {event:<15} --> {after}" for event, after in events.items()]
        lines += steps or [f"  {before:<11} (final)"]
    return "\n".join(lines)


def python() -> str:
    """Return the example of the Python API, which a test runs."""
    return f"```python\n{(ROOT / 'tests' / 'api' / 'example.py').read_text(encoding='utf-8')}```"


SECTIONS: Mapping[str, Callable[[], str]] = {
    "manifest": manifest,
    "example": example,
    "commands": commands,
    "options": options,
    "settings": settings,
    "exit codes": exit_codes,
    "states": states,
    "python": python,
}


def filled(text: str) -> str:
    """Return the README with every section made anew."""
    for name, make in SECTIONS.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        made = make()
        text, count = pattern.subn(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)  # type: ignore[misc] # bound at once
        assert count == 1, f"the README has {count} sections named {name}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
