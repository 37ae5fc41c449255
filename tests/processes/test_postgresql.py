"""A ledger in PostgreSQL, from the first run on, with real processes as on two machines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgresql import needs_postgresql
from tests.processes.program import Program, serving, until

pytestmark = needs_postgresql


@pytest.fixture
def ledger(postgresql: str) -> str:
    """A database in which nothing is yet; its URL."""
    engine = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS empty WITH (FORCE)")
        connection.exec_driver_sql("CREATE DATABASE empty")
    return postgresql.replace("/postgres?", "/empty?")


def test_from_an_empty_database_on(program: Program, ledger: str, tmp_path: Path) -> None:
    """The first run makes the ledger; a second names who holds it; killed, it holds nothing; nothing is bought twice."""
    program.sandboxed = False
    program.environ["BATCHGEN_LEDGER"] = ledger
    manifest = program.images(3)
    with serving(tmp_path / "server", "stall=1") as service:
        program.environ["RIVYA_BASE_URL"] = service.address
        planned = program("plan", manifest)
        assert (planned.code, "3 new" in planned.out) == (0, True), planned
        first = program.start("run", manifest, "--yes")
        until(lambda: service.bought() == 3 or first.process.poll() is not None)
        second = program("run", manifest, "--yes")
        assert second.code == 4, second
        assert re.search(rf"process {first.process.pid} on \S+, since \S+ \S+ \(`run`\)", second.err)
        first.process.kill()
        first.end()
        service.finish_renders()
        until(lambda: (said := program("resume")).code != 4 or "holds the ledger" not in said.err)
        assert program("run", manifest, "--yes").code == 0
        assert service.bought() == 3
    assert program("ledger", "check").code == 0
