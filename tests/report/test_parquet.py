"""Parquet: the CSV's columns, with types."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.parquet as pq

from batchgen.core.facts import TaskFacts
from batchgen.report.parquet import GROUP, write_parquet
from batchgen.report.rows import COLUMNS


def test_rows_come_back_typed(done: TaskFacts, fresh: TaskFacts, task: TaskFacts) -> None:
    """Numbers, times, lists and truth values are what they are; a task without an attempt has no times."""
    stream = io.BytesIO()
    assert write_parquet([done, fresh, task], stream) == 3
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    assert tuple(table.column_names) == COLUMNS
    first, second, third = table.to_pylist()
    assert (first["credits"], first["files"], first["wanted"]) == (55, ["spring/lamp.mp4"], True)
    assert first["submitted_at"] == datetime(2026, 5, 10, 3, 0, 7, 250_000, UTC)
    assert (second["submitted_at"], second["files"]) == (None, [])
    assert (third["error_code"], third["request_id"]) == ("generation_failed", "req-7")


def test_hostile_text_costs_no_row(task: TaskFacts, hostile: str) -> None:
    """Half a surrogate pair is spelt out, everything else is kept."""
    stream = io.BytesIO()
    write_parquet([replace(task, prompt=hostile, params={hostile: hostile}, references=(hostile,))], stream)
    (row,) = pq.read_table(io.BytesIO(stream.getvalue())).to_pylist()
    assert row["prompt"] == hostile.replace("\ud800", "\\ud800")


def test_rows_are_written_in_groups(fresh: TaskFacts) -> None:
    """However many rows there are, only a group of them is in memory."""
    stream = io.BytesIO()
    write_parquet((fresh for _ in range(GROUP + 1)), stream)
    found = pq.ParquetFile(io.BytesIO(stream.getvalue()))
    assert (found.num_row_groups, found.metadata.num_rows) == (2, GROUP + 1)
