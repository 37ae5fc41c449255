"""Hot queries use indexes: with a million tasks none of them may read a table from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchgen.core.facts import TaskQuery
from batchgen.core.messages import Ended, MoneyKind
from batchgen.core.states import TaskState
from batchgen.errors import ExitCode
from batchgen.ledger import Store
from tests.contract.books import Books
from tests.contract.conftest import emptied
from tests.postgresql import needs_postgresql

HOT: dict[str, Callable[[Books], object]] = {
    "known": lambda books: books.store.known("spring", ["t0"]),
    "leavers": lambda books: list(books.store.leavers("spring", lambda _: True)),
    "due": lambda books: books.due(),
    "owner": lambda books: books.store.owner("x"),
    "bearer": lambda books: books.store.bearer("x"),
    "uploaded": lambda books: books.store.uploaded(["a" * 64]),
    "commit": lambda books: books.finish(1),
    "settle": lambda books: books.write(books.money(books.submit(2)[1], MoneyKind.RELEASE, 40)),
    "adopt": lambda books: books.adopt([books.task(0)]),
    "history": lambda books: books.store.history("t0"),
    "knows": lambda books: books.store.knows("spring"),
    "walk": lambda books: books.store.walk("/m/spring.yaml"),
    "states": lambda books: books.store.states("spring"),
    "in doubt": lambda books: books.store.in_doubt("spring", [TaskState.DONE]),
    "waiting": lambda books: list(books.store.waiting("spring")),
    "kept": lambda books: list(books.store.kept("spring", [TaskState.FAILED])),
    "left": lambda books: list(books.store.left("spring", [TaskState.PENDING, TaskState.FAILED])),
    "named": lambda books: books.store.named("spring", TaskState.DONE, "t*"),
    "in order": lambda books: list(books.store.in_order("spring")),
    "newest": lambda books: books.store.newest(),
    "few in trouble": lambda books: list(books.store.tasks(TaskQuery(states=(TaskState.FAILED, TaskState.BLOCKED), limit=5))),
    "wanted": lambda books: books.store.wanted("spring"),
    "rendered": lambda books: list(books.store.tasks(TaskQuery(states=(TaskState.DONE, TaskState.RENDERED)))),
    "flights": lambda books: list(books.store.flights(1)),
    "credit moves": lambda books: list(books.store.credit_moves(1)),
    "controls": lambda books: books.store.controls(1, 0),
    "obeyed": lambda books: books.store.obeyed(1),
    "begin": lambda books: books.begin(1),
    "end": lambda books: books.store.end_run(1, Ended(ExitCode.DONE, ""), books.at),
    "run's tasks": lambda books: list(books.store.tasks(TaskQuery(manifest="spring", run=1))),
}
PAGED = ("leavers", "due", "waiting", "kept")
"""Actions that read a million rows page by page."""
SUMMED = ("ix_money_day", "ix_tasks_states", "ix_attempts_prices")
"""Indexes that opening a run and the status add up, each from end to end."""
SMALL = {"manifests", "runs", "meta", "migrations", "walks", "CONSTANT", "sqlite_master"}
"""Tables of a few rows, which may be read whole."""
PLANNED = {"SELECT", "UPDATE", "DELETE"}
"""Statements that look for rows."""
FEW = "USING INDEX uq_attempts_live"
"""An index of what is in flight, which may be gone through."""


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A ledger with three pending tasks."""
    with Store.open(tmp_path / "ledger.sqlite3", "sandbox") as store:
        made = Books(store)
        made.begin()
        made.adopt([made.task(n) for n in range(3)])
        yield made


@pytest.fixture
def server(postgresql: str) -> Iterator[Books]:
    """The same in PostgreSQL."""
    with Store.open(emptied(postgresql), "sandbox") as store:
        made = Books(store)
        made.begin()
        made.adopt([made.task(n) for n in range(3)])
        yield made


def steps(books: Books, act: Callable[[Books], object], explain: str = "EXPLAIN QUERY PLAN") -> list[tuple[str, list[str]]]:
    """Return all statements of an action, each with the steps of its plan."""
    said: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        said.append((statement, parameters))

    sa.event.listen(books.store._opened.reading, "before_cursor_execute", note)
    act(books)
    sa.event.remove(books.store._opened.reading, "before_cursor_execute", note)
    assert said
    found = []
    with books.store._opened.reading.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # three rows are read fastest from end to end
        for statement, parameters in said:
            if statement.split()[0] in PLANNED:
                one = parameters[0] if isinstance(parameters, list) else parameters
                assert isinstance(one, tuple | Mapping)
                plan = connection.exec_driver_sql(f"{explain} {statement}", one).all()
                found.append((statement, [str(row[-1]) for row in plan]))
    return found


def whole(step: str) -> bool:
    """True of a step that reads a big table, or an index of one, from end to end."""
    return step.startswith("SCAN") and step.split()[1] not in SMALL and FEW not in step


def scans(books: Books, act: Callable[[Books], object]) -> list[str]:
    """Return the steps of the plans of all statements of an action that read a big table without an index."""
    return [f"{step} | {statement}" for statement, plan in steps(books, act) for step in plan if whole(step)]


@pytest.mark.parametrize("act", HOT.values(), ids=HOT.keys())
def test_no_table_is_read_from_end_to_end(books: Books, act: Callable[[Books], object]) -> None:
    """Every statement finds its rows by an index."""
    assert scans(books, act) == []


@pytest.mark.parametrize("act", [HOT[name] for name in PAGED], ids=PAGED)
def test_a_page_begins_where_the_last_one_ended(books: Books, act: Callable[[Books], object]) -> None:
    """The index gives it from there on, in order: to go through all rows for each page is a million times two thousand."""
    plans = [plan for statement, plan in steps(books, act) if " LIMIT " in statement]
    assert plans
    for plan in plans:
        assert any(">?" in step for step in plan), plan
        assert not any("ORDER BY" in step for step in plan), plan


@needs_postgresql
@pytest.mark.parametrize("act", HOT.values(), ids=HOT.keys())
def test_postgresql_has_an_index_for_each(server: Books, act: Callable[[Books], object]) -> None:
    """Where the tables are large enough for one to be worth it: asked to, it reads no big table from end to end."""
    read = [
        step.partition("Seq Scan on ")[2].split()[:1] for _, plan in steps(server, act, "EXPLAIN") for step in plan if "Seq Scan" in step
    ]
    assert [table for table in read if not SMALL.issuperset(table)] == []


def test_a_run_opens_by_indexes(books: Books) -> None:
    """Opening a run sums over covering indexes and finds live attempts in their own index."""
    left = {step.split(" | ")[0] for step in scans(books, lambda made: made.open())}
    assert all(step.endswith(SUMMED) for step in left), left


def test_status_adds_up_by_indexes(books: Books) -> None:
    """The counts and the book of credits are read from covering indexes, each once."""
    assert sorted(step.split(" | ")[0] for step in scans(books, lambda made: made.store.accounts("2026-05-10"))) == [
        "SCAN money USING COVERING INDEX ix_money_day",
        "SCAN tasks USING COVERING INDEX ix_tasks_states",
    ]


def test_the_page_of_due_tasks_needs_no_sorting(books: Books) -> None:
    """The partial index gives pending tasks in their order."""
    with books.store._opened.reading.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT ident FROM tasks "
            "WHERE state = 'pending' AND wanted = 1 AND manifest_id = 1 AND position > 5 ORDER BY position"
        ).all()
    assert [str(row[3]) for row in plan] == ["SEARCH tasks USING INDEX ix_tasks_due (manifest_id=? AND position>?)"]
