"""`report`: files for people and for other programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.dom import minidom

import pytest

from tests.cli.calling import Cli


def test_every_format_of_a_run(cli: Cli, workspace: Path, manifest: Callable[..., str]) -> None:
    """One call writes the page and the tables, each file whole, and says what is in it."""
    assert cli("run", manifest(2), "--sandbox", "--yes").code == 0
    called = cli("report", "--sandbox", "--html", "r.html", "--junit", "r.xml", "--parquet", "r.parquet", "--jsonl", "-")
    assert (called.code, called.out.count("\n")) == (0, 2)
    assert "a page with 2 tasks written to r.html" in called.err
    assert "href" in (workspace / "r.html").read_text(encoding="utf-8")
    assert minidom.parse(str(workspace / "r.xml")).getElementsByTagName("testcase").length == 2  # noqa: S318  our own file
    assert (workspace / "r.parquet").read_bytes()[:4] == b"PAR1"
    assert sorted(path.name for path in workspace.glob("r.*")) == ["r.html", "r.parquet", "r.xml"]
    (workspace / "sub").mkdir()
    cli("report", "--sandbox", "--html", "sub/r.html", "--run", "1")
    assert '"folder": "../renders-sandbox/"' in (workspace / "sub/r.html").read_text(encoding="utf-8")
    again = cli("report", "--sandbox", "--html", "no/such/r.html")
    assert (again.code, "no/such/r.html cannot be written" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--html", "-"), "--html needs a file"),
        (("--parquet", "-"), "--parquet needs a file"),
        (("--embed",), "say which with --html FILE"),
        (("--junit", "-", "--csv", "-"), "only one document fits on stdout"),
    ],
)
def test_what_cannot_be_is_refused_at_once(cli: Cli, words: tuple[str, ...], said: str) -> None:
    """A wrong combination is an error before anything is read or written."""
    called = cli("report", "--sandbox", *words)
    assert (called.code, said in called.err) == (2, True)


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [("av", ["--html", "r.html", "--embed"], "batchgen[media]"), ("pyarrow", ["--parquet", "r.parquet"], "batchgen[parquet]")],
)
def test_a_missing_extra_is_named(workspace: Path, module: str, words: list[str], extra: str) -> None:
    """Where a library of an extra is not installed, the error says how to get it."""
    program = f"import sys; sys.modules[{module!r}] = None; from batchgen.cli.main import main; sys.exit(main({['report', *words]!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=workspace, capture_output=True, text=True, check=False)
    assert (done.returncode, f"pip install '{extra}'" in done.stderr) == (2, True)
