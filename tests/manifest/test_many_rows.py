"""A manifest of many rows is checked without holding them, and one wrong row among them is found."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from batchgen.errors import Problem

from .conftest import PNG, Folder

TASK = "  - {id: '${sku}', prompt: '${text}', params: {duration: '${seconds}'}, foreach: rows.csv}\n"
FEW, MANY = 3_000, 60_000


def wrong_row(folder: Folder, rows: int) -> tuple[list[Problem], int]:
    """Check a manifest whose last row but one is wrong; return what is said, and the bytes that were held at most."""
    seconds = ["5"] * rows
    seconds[-2] = "6"
    text = "".join(f"sku-{n:07d},Porcelain cup no. {n} with a golden rim on marble,{length}\n" for n, length in enumerate(seconds))
    folder.write("rows.csv", "sku,text,seconds\n" + text)
    del text
    tracemalloc.start()
    try:
        problems = folder.of_tasks(TASK).problems()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return problems, peak


def test_one_wrong_row_of_many_is_found_in_flat_memory(folder: Folder) -> None:
    """Its line and its id are named, and nothing else. All that is kept of a row are its names: 40 bytes in each of two tables, or 80."""
    wrong_row(folder, FEW)  # what is imported and remembered once is not counted
    few, peak = wrong_row(folder, FEW)
    many, larger = wrong_row(folder, MANY)
    assert [(p.file, p.line, p.task) for p in few] == [("rows.csv", FEW, f"sku-{FEW - 2:07d}")]
    assert [(p.file, p.line, p.task) for p in many] == [("rows.csv", MANY, f"sku-{MANY - 2:07d}")]
    assert (larger - peak) / (MANY - FEW) <= 160, (peak, larger)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_long_rows_are_not_read_ahead_by_the_dozen(folder: Folder, kind: str) -> None:
    """A row may have a megabyte; of such rows one is held, and perhaps the one before it."""
    long = "x" * 500_000
    folder.write("0.png", PNG)
    folder.write("1.png", PNG)
    rows = [{"sku": f"{n}", "picture": f"{n % 2}", "notes": long} for n in range(40)]
    csv = "sku,picture,notes\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    folder.write(f"rows.{kind}", csv if kind == "csv" else "".join(json.dumps(row) + "\n" for row in rows))
    folder.of_tasks(f"  - {{id: '${{sku}}', prompt: p, references: ['${{picture}}.png'], foreach: rows.{kind}}}\n")
    del rows, csv
    tracemalloc.start()
    try:
        folder.check()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(long), peak
