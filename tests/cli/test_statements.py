"""No command reads a big table from end to end unless it tells of all of it: what the program itself asks, not a list of queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.cli.calling import Cli
from tests.cli.test_run import QUICK
from tests.ledger.test_plans import PLANNED, SUMMED, whole

Write = Callable[..., str]
Given = tuple[object, ...]


@contextmanager
def asked() -> Iterator[dict[str, list[str]]]:
    """Give every statement that looks for rows, by whichever connection, with the steps of its plan."""
    found: dict[str, list[str]] = {}

    def note(_connection: sa.Connection, cursor: sqlite3.Cursor, statement: str, given: Given | list[Given], *_: object) -> None:
        if statement.split(maxsplit=1)[0] in PLANNED:
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", given[0] if isinstance(given, list) else given)
            found[statement] = [str(row[-1]) for row in plan]

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_every_command_finds_its_rows(cli: Cli, manifest: Write, workspace: Path) -> None:
    """A night with failures and doubt, the next one after an edit, and what people look at between them."""
    settings = workspace / "batchgen.yaml"
    settings.write_text(f"{QUICK}on_lost_answer: hold\n", encoding="utf-8")
    with asked() as found:
        assert cli("run", manifest(6), "--sandbox", "--yes", "--faults", "drop_after=1").code == 7
        assert cli("resolve", "t1", "--not-accepted", "--sandbox").code == 0
        assert cli("resolve", "t2", "--resend", "--sandbox").code == 0
        assert cli("run", "spring.yaml", "--sandbox", "--yes", "--faults", "fail=1").code in {1, 7}
        assert cli("plan", "spring.yaml", "--sandbox", "--only", "t1", "--retry-failed").code == 0
        assert cli("run", manifest(5), "--sandbox", "--yes", "--retry-failed").code == 7
        for words in ("status", "plan spring.yaml", "fetch", "resume", "credits", "show t1", "tasks --state failed", "report --run 1"):
            assert cli(*words.split(), "--sandbox").code in {0, 7}, words
    read = {step: statement for statement, plan in found.items() for step in plan if whole(step) and not step.endswith(SUMMED)}
    assert not read
    assert len(found) > 60, "the commands were listened to"
