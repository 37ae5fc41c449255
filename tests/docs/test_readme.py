"""The README tells the truth about today."""

from __future__ import annotations

import re

import click
import pytest

from batchgen.cli.group import COMMANDS, Commands
from tests import make_readme

TEXT = make_readme.README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", make_readme.SECTIONS)
def test_section_is_what_the_program_says(name: str) -> None:
    """Every generated section equals what the program prints; `python tests/make_readme.py` mends it."""
    match = re.search(rf"<!-- {re.escape(name)} -->\n(.*?)\n<!-- end -->", TEXT, re.DOTALL)

    assert match is not None
    assert make_readme.SECTIONS[name]() == match[1]


def test_the_first_two_shell_blocks_are_one_line_each() -> None:
    """A newcomer copies two lines: one does the main job, one passes the tests."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)

    assert [block.count("\n") for block in blocks] == [1, 1]


def test_every_command_and_option_in_the_text_exists() -> None:
    """No flag in the README is invented: each stands in the help of some command."""
    group = Commands("batchgen")
    known = {"--help", "--verbose", "--version"}
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        known |= {option for param in command.params for option in param.opts}
    prose = re.sub(r"```.*?```|`python -m tests[^`]*`", "", TEXT, flags=re.DOTALL)  # the benchmark's options are its own
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose))

    assert used <= known
    assert set(re.findall(r"`batchgen ([a-z]+)", TEXT)) <= set(COMMANDS)
