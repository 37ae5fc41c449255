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


KINDS = ("html", "csv", "jsonl", "junit", "parquet")


@pytest.mark.parametrize(
    "words", [*(("report", f"--{kind}") for kind in KINDS), ("plan", "spring.yaml", "--out")], ids=lambda words: words[-1]
)
def test_a_file_takes_the_place_of_its_like_only(cli: Cli, workspace: Path, manifest: Callable[..., str], words: tuple[str, ...]) -> None:
    """Last night's file is replaced; the ledger, a manifest, a render or another kind of report that was named by mistake stays."""
    assert cli("run", manifest(1), "--sandbox", "--yes").code == 0
    for kind in KINDS:
        assert cli("report", f"--{kind}", f"r.{kind}", "--sandbox").code == 0
    assert cli("plan", "spring.yaml", "--out", "r.out", "--sandbox").code == 0
    ours = f"r.{words[-1].removeprefix('--')}"
    others = {workspace / f"r.{kind}" for kind in (*KINDS, "out")} - {workspace / ours}
    others |= {
        workspace / "spring.yaml",
        *(workspace / ".batchgen/sandbox").glob("*.sqlite3"),
        *(workspace / "renders-sandbox").rglob("*.*"),
    }
    before = {path: path.read_bytes() for path in others}
    assert len(before) == 10
    for path in sorted(before):
        called = cli(*words, str(path), "--sandbox")
        assert (called.code, f"{path} is there and no file of this kind" in called.err) == (2, True), called
    assert {path: path.read_bytes() for path in others} == before
    (workspace / "empty").touch()
    for fine in (ours, "empty", "/dev/null"):
        assert cli(*words, fine, "--sandbox").code == 0


def test_a_log_is_not_written_into_a_database(cli: Cli, workspace: Path, manifest: Callable[..., str]) -> None:
    """Nor into a picture; nothing is sent then."""
    assert cli("run", manifest(1), "--sandbox", "--yes").code == 0
    ledger = workspace / ".batchgen/sandbox/ledger.sqlite3"
    before = ledger.read_bytes()
    called = cli("run", manifest(2), "--sandbox", "--yes", "--log-file", str(ledger))
    assert (called.code, f"the log {ledger} is there and no text" in called.err) == (2, True)
    assert ledger.read_bytes() == before
