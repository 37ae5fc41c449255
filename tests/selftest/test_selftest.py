"""The selftest finds what it looks for, and finds nothing in a program that keeps its promises."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import anyio
import jsonschema
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from batchgen.selftest.witness import Moment, Trap, Witness
from batchgen.selftest.workshop import Bill, png

ROOT = Path(__file__).parents[2]
GOOD = Bill(bought=9, twice=0, charged=171, booked=171, open=0, done=9, files=9, lost=0, broken=0, sent=40, refused=0)


@pytest.fixture(scope="module")
def batchgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it into an environment of its own, and return the program there. Needs no network.

    What batchgen depends on is taken from the environment of the tests; batchgen itself is not, since it is linked there
    by a `.pth` file, which counts only in an environment's own folder.
    """
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    subprocess.run([*pip, "--python", str(python), "install", *offline, *map(str, folder.glob("*.whl"))], check=True)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    where = subprocess.run(
        [str(python), "-c", "import batchgen; print(batchgen.__file__)"], cwd=folder, env={}, capture_output=True, text=True, check=True
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    return python.with_name("batchgen")


def test_a_first_workspace_runs_from_the_wheel(batchgen: Path, tmp_path: Path) -> None:
    """What `init` writes, the schemas and the page's templates are in it."""
    home = tmp_path / "spring"
    for words in (
        ["init", str(home)],
        ["run", str(home / "manifests/first.yaml"), "--sandbox", "--yes", "--quiet"],
        ["report", "--sandbox", "--html", "report.html", "--quiet"],
        ["schema", "plan"],
    ):
        done = subprocess.run(
            [str(batchgen), *words], cwd=home if home.exists() else tmp_path, env={}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["$schema"]
    assert "<html" in (home / "report.html").read_text(encoding="utf-8")


def test_the_promises_hold_here(batchgen: Path, tmp_path: Path) -> None:
    """Installed from the wheel, in an empty folder, without a key: exit 0, one line for each promise, and nothing is left behind."""
    command = [str(batchgen), "selftest", "--quick", "--json", "--seed", "7"]
    environ = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads((ROOT / "schemas/selftest.schema.json").read_text(encoding="utf-8")))
    assert (document["seed"], document["holds"], len(document["proofs"])) == (7, True, 5)
    assert all(line.startswith("holds") for line in done.stderr.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_a_good_bill() -> None:
    """Nothing is wrong with it."""
    assert GOOD.trouble(9) == ""


@pytest.mark.parametrize(
    ("bill", "said"),
    [
        (replace(GOOD, twice=1), "1 purchases were made twice"),
        (replace(GOOD, bought=10), "10 renders were bought for 9 tasks"),
        (replace(GOOD, charged=190), "the server charged 190 credits, the ledger has 171"),
        (replace(GOOD, open=5), "5 credits are still held"),
        (replace(GOOD, done=8), "8 of 9 tasks are done"),
        (replace(GOOD, lost=1), "1 of 9 files are missing or damaged"),
        (replace(GOOD, files=8), "files are missing or damaged"),
        (replace(GOOD, broken=2), "2 rows of the ledger break an invariant"),
    ],
)
def test_a_broken_promise_is_seen(bill: Bill, said: str) -> None:
    """Each way in which a promise can be broken is said in words."""
    assert said in bill.trouble(9)


def scope(path: str) -> Scope:
    """Return a request's."""
    return {"type": "http", "method": "GET", "path": path, "headers": []}


async def nothing() -> Message:
    """Receive an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


def test_the_witness_kills_at_its_request() -> None:
    """Before, the server does nothing about it; after, it has done it and the answer follows the kill."""
    served: list[str] = []
    order: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        served.append(scope["path"])
        await PlainTextResponse("x", 429)(scope, receive, send)

    async def send(message: Message) -> None:
        order.append(str(message["type"]))

    witness = Witness(inner)

    async def call() -> None:
        witness.arm(Trap(2, Moment.BEFORE, lambda: order.append("killed")))
        await witness(scope("/api/v1/1"), nothing, send)
        await witness(scope("/results/2"), nothing, send)
        witness.arm(Trap(1, Moment.AFTER, lambda: order.append("killed after")))
        await witness(scope("/api/v1/3"), nothing, send)

    anyio.run(call)
    answer = ["http.response.start", "http.response.body"]
    assert order == [*answer, "killed", "killed after", *answer]
    assert served == ["/api/v1/1", "/api/v1/3"]
    assert (len(witness.times), witness.refused) == (2, 2)


def test_the_witness_counts_windows() -> None:
    """The most requests in any half-open window."""

    async def inner(_scope: Scope, _receive: Receive, _send: Send) -> None: ...

    assert Witness(inner, [0.0, 0.5, 1.0, 1.9, 2.0, 3.5]).most_in(1.0) == 2
    assert Witness(inner).most_in(1.0) == 0


def test_the_picture_is_one() -> None:
    """Its signature and size are a PNG's."""
    assert png(2)[:8] == b"\x89PNG\r\n\x1a\n"
