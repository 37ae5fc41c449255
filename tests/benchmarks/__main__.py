"""Measure, and write one table: `python -m tests.benchmarks [--quick] [--out FOLDER] [--readme]`.

Every row is a ratio of things measured side by side in this run, so that a slow machine does not change it; what says
tasks or seconds says so of this machine. The tools that people use today (`--peers`) are not measured here.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import rows, scale
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


def into_readme(text: str) -> None:
    """Put the table into the README, between its marks."""
    readme = ROOT / "README.md"
    marks = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- end -->)", re.DOTALL)
    readme.write_text(marks.sub(lambda match: f"{match[1]}{text}{match[2]}", readme.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Read the arguments, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute instead of a quarter of an hour")
    place = Path(tempfile.gettempdir()) / "batchgen-benchmarks"
    parser.add_argument("--out", type=Path, default=place, help="a folder for table.md and table.json")
    parser.add_argument("--readme", action="store_true", help="also put the table into the README")
    said = parser.parse_args()
    found: list[Row] = []
    for row in measured(quick=said.quick):
        found.append(row)
        print(f"{'ok  ' if row.reached else 'MISS'} {row.what}: {row.found} (goal: {row.goal}; {row.how})", file=sys.stderr, flush=True)
    said.out.mkdir(parents=True, exist_ok=True)
    (said.out / "table.md").write_text(markdown(found), encoding="utf-8")
    (said.out / "table.json").write_text(json.dumps([asdict(row) for row in found], indent=1), encoding="utf-8")
    if said.readme:
        into_readme(markdown(found))
    print(said.out / "table.md")


if __name__ == "__main__":
    main()
