"""The README tells the truth about today."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from batchgen.settings.document import SANDBOX, TOP
from tests import make_readme
from tests.docs.parsing import parsed

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


TYPED = re.compile(r"(?:^|&& |ExecStart=)(?:\S+/)?(batchgen .+)$")


def commands() -> list[str]:
    """Return every command of the README, in its sentences, tables and blocks, as it would be typed."""
    text = re.sub(r"<!-- (example|options|states|python) -->.*?<!-- end -->", "", TEXT, flags=re.DOTALL)
    inline = re.findall(r"`(batchgen [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    fenced = re.findall(r"^```(?:sh|cron|systemd)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return sorted({*inline, *(match[1] for block in fenced for line in block.splitlines() if (match := TYPED.search(line)))})


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_that_the_program_takes(command: str) -> None:
    """Each reads as it stands: its name, its options, their values."""
    assert parsed(shlex.split(command, comments=True)[1:]).command is not None


def test_commands_are_found() -> None:
    """The search above finds those of sentences, of tables, of cron and of the first block; and parsing can fail."""
    found = commands()
    for part in (
        "selftest",
        "run MANIFEST --retry-failed",
        "run manifests/ --quiet --until 06:00",
        "run manifests/marketing.yaml --sandbox",
    ):
        assert any(command.startswith(f"batchgen {part}") for command in found), part
    for wrong in (["run", "m.yaml", "--until", "25:00"], ["ledger", "chekc"], ["status", "--wtach"]):
        with pytest.raises(click.ClickException):
            parsed(wrong)


def test_every_option_in_the_text_exists() -> None:
    """No flag in the README's sentences is invented: each stands in the help of some command."""
    known = {"--help", "--verbose", "--version"}
    known |= {option for _, command in make_readme.called() for param in command.params for option in param.opts}
    prose = re.sub(r"```.*?```|`python -m tests[^`]*`", "", TEXT, flags=re.DOTALL)  # the benchmark's options are its own

    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose)) <= known


def test_every_variable_is_told() -> None:
    """The README names the environment variables that the program reads, and no others."""
    read = set()
    for file in (make_readme.ROOT / "batchgen").rglob("*.py"):
        read |= set(re.findall(r'"((?:RIVYA|BATCHGEN)_[A-Z_]+)"', file.read_text(encoding="utf-8")))

    assert set(re.findall(r"\b(?:RIVYA|BATCHGEN)_[A-Z_]+", TEXT)) == read


def test_every_exit_code_has_advice() -> None:
    """The table of what to do knows each exit code that is somebody's work, and has a command in each row."""
    when = re.search(r"<!-- when -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    assert when is not None
    rows = when[1].splitlines()[2:]

    assert {int(code) for code in re.findall(r"^\| exit (\d+):", when[1], re.MULTILINE)} == {1, 2, 3, 4, 5, 6, 7, 70}
    assert all(row.count("|") == 4 and "`batchgen " in row.split("|")[3] for row in rows)


def test_every_key_of_the_settings_is_told() -> None:
    """The table of settings holds each key that `batchgen.yaml` may have, also those inside of another."""
    keys = set(re.findall(r"^\| `([A-Za-z_.]+)` \|", make_readme.settings(), re.MULTILINE))

    assert {key for key in keys if "." not in key} == set(TOP)
    assert {key.removeprefix("sandbox.") for key in keys if key.startswith("sandbox.")} == set(SANDBOX)
    assert keys >= {"poll.first", "budget.per_month", "notify.events", "prices.MODEL"}
