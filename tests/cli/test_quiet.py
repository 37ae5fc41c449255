"""`--quiet`, which cron wants of whatever it calls: silent when all is well, and never about what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Cli

Write = Callable[..., str]

CALLS = [
    ("validate", "spring.yaml"),
    ("plan", "spring.yaml", "--sandbox", "--out", "kept.plan"),
    ("run", "spring.yaml", "--sandbox", "--yes"),
    ("resume", "--sandbox"),
    ("fetch", "--sandbox"),
    ("report", "--sandbox", "--html", "report.html", "--csv", "report.csv"),
    ("ledger", "check", "--sandbox"),
    ("ledger", "backup", "copy.sqlite3", "--sandbox"),
]


@pytest.mark.parametrize("call", CALLS, ids=[" ".join(call[: 1 + (call[0] == "ledger")]) for call in CALLS])
def test_silent_when_all_is_well(cli: Cli, manifest: Write, call: tuple[str, ...]) -> None:
    """Nothing on either stream, and the work is done all the same."""
    assert cli("run", manifest(2), "--sandbox", "--yes", "--quiet").code == 0
    called = cli(*call, "--quiet")
    assert (called.code, called.out, called.err) == (0, "", "")
    for file in ("kept.plan", "report.html", "report.csv", "copy.sqlite3"):
        assert Path(file).exists() == (file in call)


def test_not_silent_when_something_is_wrong(cli: Cli, workspace: Path) -> None:
    """What is wrong is said as without it."""
    Path("bad.yaml").write_text("version: 1\nname: bad\ntasks: []\n", encoding="utf-8")
    for call in (("validate", "bad.yaml"), ("plan", "bad.yaml"), ("ledger", "check"), ("report", "--html", "r.html")):
        loud, quiet = cli(*call), cli(*call, "--quiet")
        assert (quiet.code, quiet.err) == (loud.code, loud.err)
        assert (quiet.code, quiet.err != "") == (2, True)


def test_a_document_is_no_talk(cli: Cli, manifest: Write) -> None:
    """--json prints its document all the same: whoever asks for both reads it."""
    called = cli("plan", manifest(2), "--sandbox", "--quiet", "--json")
    assert json.loads(called.out)["to_buy"] == 2
