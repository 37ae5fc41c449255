"""Tasks as Parquet, for notebooks and warehouses. Needs pyarrow, the extra `parquet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from batchgen.core.facts import TaskFacts
from batchgen.core.model import canonical_json
from batchgen.report.rows import COLUMNS, task_row

GROUP = 5_000
"""Rows of one row group: enough to compress well, and some ten MB of memory."""

_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("credits", "held", "attempts", "line"), pa.int64()),
    **dict.fromkeys(("references", "files"), pa.list_(pa.string())),
    **dict.fromkeys(("submitted_at", "accepted_at", "ended_at"), pa.timestamp("ms", tz="UTC")),
    "wanted": pa.bool_(),
}
SCHEMA = pa.schema([(column, _TYPES.get(column, pa.string())) for column in COLUMNS])
"""The columns of the CSV, with types; params are JSON text, because their keys differ from model to model."""


def write_parquet(tasks: Iterable[TaskFacts], stream: BinaryIO) -> int:
    """Write one row per task, in groups. Returns the number of rows."""
    count = 0
    with pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
        for group in _groups(_row(task) for task in tasks):
            writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))
            count += len(group)
    return count


def _groups(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    while group := list(islice(rows, GROUP)):
        yield group


def _row(task: TaskFacts) -> dict[str, object]:
    return {name: _value(name, value) for name, value in task_row(task).items()}


def _value(name: str, value: object) -> object:
    """Return a value as its column wants it."""
    if name == "params":
        return _text(canonical_json(value))
    if name.endswith("_at") and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    if isinstance(value, list):
        return [_text(str(item)) for item in value]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Half a surrogate pair is spelt out: no UTF-8 holds it, and one bad prompt must not cost the file."""
    return text.encode("utf-8", "backslashreplace").decode()
