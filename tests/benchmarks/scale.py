"""Rows about manifests of 100,000 and 1,000,000 rows: to the first create, run again, planned, looked at, refused.

`python -m tests.benchmarks.scale first FOLDER` is what is measured for the first: a run, up to the moment when its first create leaves.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import anyio

from batchgen import app
from batchgen.core.facts import RunAsked
from batchgen.core.messages import Glimpse, SendCreate, Step
from batchgen.settings import Settings
from batchgen.settings.secret import ApiKey
from tests.benchmarks.ledgers import Fates, live_through
from tests.benchmarks.rows import Row, folder
from tests.benchmarks.servers import ROOT

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there: what is measured ends before an answer would come, or asks nobody."""

_MANIFEST = """\
version: 1
name: big
defaults: {model: kling-2-6, params: {duration: 5, sound: false}}
tasks:
  - id: ${sku}
    prompt: ${name} on ${surface}, slow dolly in, soft light
    params: {aspect_ratio: "${aspect_ratio}"}
    foreach: rows.csv
"""
_REFERENCES = """\
version: 1
name: big
defaults: {model: qwen-image}
tasks:
  - {id: "x-${n}", prompt: a cup, references: ["${n}.png"], foreach: rows.csv}
"""
_SURFACES, _RATIOS = ("marble", "oak", "linen", "steel"), ("1:1", "16:9", "9:16")
_LONG_AGO = 1_700_000_000


def write(place: Path, rows: int, *, wrong: bool = False) -> Path:
    """Write a manifest with so many rows; with `wrong`, the last but one has an aspect ratio that no model takes."""
    with (place / "rows.csv").open("w", encoding="utf-8") as file:
        file.write("sku,name,surface,aspect_ratio\n")
        for n in range(rows):
            ratio = "5:4" if wrong and n == rows - 2 else _RATIOS[n % 3]
            file.write(f"sku-{n:07d},Porcelain cup no. {n} with a golden rim,{_SURFACES[n % 4]},{ratio}\n")
    (place / "batchgen.yaml").write_text("{}\n", encoding="utf-8")
    manifest = place / "big.yaml"
    manifest.write_text(_MANIFEST, encoding="utf-8")
    for path in (manifest, place / "rows.csv"):
        os.utime(path, (_LONG_AGO, _LONG_AGO))
    return manifest


@dataclass(frozen=True, slots=True)
class Called:
    """A process that ended. Seconds of the wall and of the processor, megabytes at the peak."""

    code: int
    out: str
    seconds: float
    peak: float
    cpu: float


def call(*words: str, cwd: Path = ROOT) -> Called:
    """Run a process to its end."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "RIVYA_API_KEY": "rvya_sk_benchmark", "RIVYA_BASE_URL": NOWHERE}
    words = (sys.executable, "-m", "tests.benchmarks.called", *words)
    done = subprocess.run(words, cwd=cwd, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return Called(**json.loads(done.stdout))


def bare(place: Path) -> float:
    """Return the seconds of the least that could be done: each row read, its prompt made and kept, nothing checked."""
    begun = time.perf_counter()
    with (place / "rows.csv").open(encoding="utf-8", newline="") as file, sqlite3.connect(place / "bare.sqlite3") as kept:
        kept.execute("CREATE TABLE tasks (id TEXT PRIMARY KEY, prompt TEXT, ratio TEXT)")
        rows = csv.reader(file)
        made = ((sku, f"{name} on {surface}, slow dolly in, soft light", ratio) for sku, name, surface, ratio in rows)
        kept.executemany("INSERT INTO tasks VALUES (?, ?, ?)", made)
    kept.close()
    return time.perf_counter() - begun


def first_create(rows: int, seconds: float, megabytes: float) -> Row:
    """Measure from the start of the process to the first create, durable commits included."""
    with folder() as place:
        write(place, rows)
        found = call("-m", "tests.benchmarks.scale", "first", str(place))
        least = bare(place)
    assert found.out.endswith("first create\n"), found.out
    return Row(
        f"{rows:,} CSV rows, to the first create / peak memory",
        f"{found.seconds:.1f} s / {found.peak:.0f} MB",
        f"{seconds:g} s / {megabytes:g} MB",
        found.seconds <= seconds and found.peak <= megabytes,
        f"{found.cpu:.1f} s of processor; {found.seconds / least:.1f} times reading the rows and keeping them in SQLite ({least:.1f} s)",
    )


def one_wrong(rows: int, megabytes: float) -> Row:
    """Find the one wrong row of many, before there is a ledger."""
    with folder() as place:
        write(place, rows, wrong=True)
        found = call("-m", "batchgen", "run", "big.yaml", "--yes", cwd=place)
        nothing = not (place / ".batchgen").exists()
    told = f"rows.csv:{rows}" in found.out
    return Row(
        f"{rows:,} CSV rows of which one is wrong: found with its line, nothing written or sent / peak memory",
        f"{'found' if told else 'not found'}, exit {found.code} after {found.seconds:.1f} s / {found.peak:.0f} MB",
        f"found, exit 2 / {megabytes:g} MB",
        told and nothing and found.code == 2 and found.peak <= megabytes,
        f"run --yes; {found.cpu:.1f} s of processor",
    )


def references(files: int, megabytes: int) -> Row:
    """Check rows with a file each against hashing the files one after the other, in turns; take the median of the ratios."""
    ratios = []
    with folder() as place:
        for n in range(files):
            (place / f"{n}.png").write_bytes(b"\x89PNG\r\n\x1a\n%8d" % n + bytes(megabytes << 20))
        (place / "rows.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(files)), encoding="utf-8")
        (place / "big.yaml").write_text(_REFERENCES, encoding="utf-8")
        idle = call("-m", "batchgen", "--version", cwd=place).seconds
        for _ in range(5):
            found = call("-m", "batchgen", "validate", "big.yaml", cwd=place)
            ratios.append((found.seconds - idle) / _hashed(place))
    ratio = statistics.median(ratios)
    return Row(
        f"check of {files} rows with a file of {megabytes} MiB each / hashing the files one after the other",
        f"{ratio:.2f}",
        "at most 0.8 on two cores",
        ratio <= 0.8,
        f"{min(ratios):.2f} to {max(ratios):.2f}; the files in the kernel's cache, the start of the process taken off",
    )


def _hashed(place: Path) -> float:
    """Return the seconds that one thread needs to hash the files."""
    begun = time.perf_counter()
    for path in place.glob("*.png"):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
    return time.perf_counter() - begun


def finished(rows: int) -> Row:
    """Run a finished manifest again."""
    with folder() as place:
        _adopted(place, rows)
        _lived(place, Fates(rows))
        found = call("-m", "batchgen", "run", "big.yaml", "--yes", "--ledger", "ledger.sqlite3", cwd=place)
    return Row(
        f"finished manifest of {rows:,} CSV rows, run again unchanged",
        f"exit {found.code} after {found.seconds:.2f} s, {found.peak:.0f} MB",
        "exit 0 in under 1 s, no request that costs",
        found.code == 0 and found.seconds < 1,
        f"{found.cpu:.2f} s of processor; nobody listens at its address",
    )


def looked_at(rows: int) -> tuple[Row, Row, Row]:
    """Ask for the status and for plans of a large ledger, with all tasks pending and with all done but 4,000."""
    words = ("--ledger", "ledger.sqlite3")
    with folder() as place:
        _adopted(place, rows)
        pending = call("-m", "batchgen", "plan", "big.yaml", *words, cwd=place)
        _lived(place, Fates(rows - 4000, failed=1000, flying=1000, doubted=1000))
        plan = call("-m", "batchgen", "plan", "big.yaml", *words, cwd=place)
        status = call("-m", "batchgen", "status", *words, cwd=place)
    name = f"on a ledger of {rows:,} tasks"
    return (
        Row(
            f"`status` {name}",
            f"{status.seconds:.2f} s",
            "under 1 s",
            status.code == 0 and status.seconds < 1,
            f"{status.cpu:.2f} s of processor; all done but 4,000",
        ),
        Row(
            f"`plan` {name}",
            f"{plan.seconds:.2f} s",
            "under 5 s",
            plan.code == 0 and plan.seconds < 5,
            f"{plan.cpu:.2f} s of processor; all done but 4,000",
        ),
        Row(
            f"`plan` {name}",
            f"{pending.seconds:.2f} s",
            "under 5 s",
            pending.code == 0 and pending.seconds < 5,
            f"{pending.cpu:.2f} s of processor; all to buy",
        ),
    )


def adoption_growth(few: int, many: int) -> Row:
    """Compare what a task costs from its row to the first create in a small and in a large manifest, start-up taken off."""
    with folder() as none, folder() as one, folder() as other:
        for place, rows in ((none, 2), (one, few), (other, many)):
            write(place, rows)
        idle, small, large = (call("-m", "tests.benchmarks.scale", "first", str(place)).cpu for place in (none, one, other))
    ratio = ((large - idle) / many) / ((small - idle) / few)
    what = f"processor time per task to the first create, {many:,} rows against {few:,}"
    return Row(what, f"{ratio:.2f}", "at most 1.2", ratio <= 1.2, f"{(large - idle) / many * 1e6:.0f} us a row")


# ---------------------------------------------------------------- ledgers


def _adopted(place: Path, rows: int) -> None:
    """Make a ledger that has taken a manifest's tasks over."""
    write(place, rows)
    call("-m", "tests.benchmarks.scale", "first", str(place))


def _lived(place: Path, fates: Fates) -> None:
    """Let nights pass over a ledger, in a process of its own: a child's peak memory counts that of the process that made it."""
    call("-m", "tests.benchmarks.scale", "nights", str(place), *map(str, astuple(fates)))


# ---------------------------------------------------------------- what is measured


def _stop_at_create(step: Step, glimpse: Glimpse) -> None:
    """End the process when a create was committed and started."""
    if any(isinstance(request, SendCreate) for request in step.requests):
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB, first create", flush=True)
        os._exit(0)


def main(words: Sequence[str]) -> None:
    """Run up to the first create; or let nights pass."""
    what, place = words[0], Path(words[1])
    if what == "nights":
        live_through(place / "ledger.sqlite3", Fates(*map(int, words[2:])))
        return
    assert what == "first"
    settings = Settings(
        workspace=place,
        ledger=str(place / "ledger.sqlite3"),
        outputs=place / "renders",
        address=NOWHERE,
        key=ApiKey("rvya_sk_benchmark"),
        requests_per_minute=6000,
        in_flight=20,
    )
    checked = app.check([place / "big.yaml"], settings)
    asked = RunAsked("run", ("big",))
    app.plan(checked, settings, asked)  # as `batchgen run` does
    anyio.run(partial(app.run, checked, settings, asked, watch=_stop_at_create))


if __name__ == "__main__":
    main(sys.argv[1:])
