"""Measure, and write one table: `python -m tests.benchmarks [--quick] [--out FOLDER] [--readme]`.

Every row is a ratio of things measured side by side in this run, so that a slow machine does not change it; what says
tasks or seconds says so of this machine. The tools that people use today are measured with `--peers`, which installs each
into an environment of its own, and writes a second table.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks import rows, scale
from tests.benchmarks.peers import table
from tests.benchmarks.peers.cast import PEERS
from tests.benchmarks.peers.measure import Sizes
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import ROOT


def measures(*, quick: bool) -> Sequence[Callable[[], Row | tuple[Row, ...]]]:
    """Return what to measure; a quick run measures less of the same."""
    tasks = 40 if quick else 200
    return (
        lambda: rows.rate(tasks),
        lambda: rows.rate(tasks, fixed=True),
        lambda: rows.rate_over_a_kill(tasks),
        lambda: rows.throughput(200 if quick else 1000, 1 if quick else 3),
        lambda: rows.cost_per_task(*((100, 1000) if quick else (1000, 10_000))),
        lambda: rows.polls(300 if quick else 2000),
        lambda: rows.nights((100, 1000) if quick else (100, 1000, 10_000, 100_000), (10, 60, 600, 6000)),
        lambda: rows.start_up(3 if quick else 10),
        lambda: scale.first_create(100_000, 3, 150),
        lambda: scale.references(50 if quick else 200, 4),
        lambda: scale.finished(100_000),
        lambda: scale.adoption_growth(2_000 if quick else 10_000, 100_000),
        *(
            ()
            if quick
            else (
                lambda: scale.first_create(1_000_000, 30, 200),
                lambda: scale.one_wrong(1_000_000, 200),
                lambda: scale.looked_at(1_000_000),
            )
        ),
    )


def measured(*, quick: bool) -> Iterator[Row]:
    """Measure one after the other."""
    for measure in measures(quick=quick):
        found = measure()
        yield from (found,) if isinstance(found, Row) else found


def markdown(found: Sequence[Row]) -> str:
    """Return the table."""
    lines = ["| what | measured | goal | reached | how |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.found} | {row.goal} | {'yes' if row.reached else 'no'} | {row.how} |" for row in found]
    return "\n".join([*lines, "", f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}", ""])


def into_readme(name: str, text: str) -> None:
    """Put a table into the README, between its marks."""
    readme = ROOT / "README.md"
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    readme.write_text(marks.sub(lambda match: f"{match[1]}{text}{match[2]}", readme.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Read the arguments, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute instead of a quarter of an hour")
    place = Path(tempfile.gettempdir()) / "batchgen-benchmarks"
    parser.add_argument("--out", type=Path, default=place, help="a folder for table.md and table.json")
    parser.add_argument("--readme", action="store_true", help="also put the table into the README")
    parser.add_argument("--peers", nargs="?", choices=["also", "only"], const="also", help="measure what people use today, too or only")
    homes = Path(tempfile.gettempdir()) / "batchgen-peers"
    parser.add_argument("--peers-folder", type=Path, default=homes, help="where their environments are made, and found again")
    said = parser.parse_args()
    said.out.mkdir(parents=True, exist_ok=True)
    if said.peers != "only":
        kept = write(said.out / "table.md", markdown, tuple(told(measured(quick=said.quick))))
        print(kept)
        if said.readme:
            into_readme("benchmarks", kept.read_text(encoding="utf-8"))
    if said.peers:
        sizes = Sizes(40, 200) if said.quick else Sizes()
        kept = write(said.out / "peers.md", table.markdown, tuple(table.measured(PEERS, said.peers_folder, sizes)))
        print(kept)
        if said.readme:
            into_readme("peers", kept.read_text(encoding="utf-8"))


def told(found: Iterable[Row]) -> Iterator[Row]:
    """Tell each row when it is there."""
    for row in found:
        print(f"{'ok  ' if row.reached else 'MISS'} {row.what}: {row.found} (goal: {row.goal}; {row.how})", file=sys.stderr, flush=True)
        yield row


def write(kept: Path, form: Callable[[Sequence[Any]], str], found: Sequence[Any]) -> Path:
    """Write a table as Markdown and JSON, and return where that is."""
    kept.write_text(form(found), encoding="utf-8")
    kept.with_suffix(".json").write_text(json.dumps([asdict(row) for row in found], indent=1), encoding="utf-8")
    return kept


if __name__ == "__main__":
    main()
