"""A ledger in PostgreSQL, from the first run on, with real processes as on two machines."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgresql import INITDB, needs_postgresql
from tests.processes.program import Program, serving, until

pytestmark = needs_postgresql


@pytest.fixture
def ledger(postgresql: str) -> str:
    """A database in which nothing is yet; its URL."""
    return fresh(postgresql, "empty")


def fresh(postgresql: str, name: str) -> str:
    """Make a database in which nothing is; return its URL."""
    engine = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return postgresql.replace("/postgres?", f"/{name}?")


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


def test_copied_by_its_own_tool(program: Program, ledger: str, postgresql: str) -> None:
    """`ledger backup` names the command that copies such a ledger, without its password; the copy is a ledger that holds."""
    assert INITDB
    secret = ledger.replace("tester@", "tester:hunter2@")
    assert program("run", program.images(2), "--yes", "--sandbox", "--ledger", secret).code == 0
    said = program("ledger", "backup", "the copy", "--sandbox", "--ledger", secret)
    assert (said.code, "hunter2" in said.out + said.err) == (2, False), said
    (command,) = re.findall("next: (.*)", said.err)
    tools = {"PATH": f"{Path(INITDB).resolve().parent}:/usr/bin"}
    subprocess.run(shlex.split(command), check=True, cwd=program.folder, env=tools)
    restored = fresh(postgresql, "restored")
    address = restored.replace("postgresql+psycopg:", "postgresql:")
    subprocess.run(["psql", "-q", "-f", "the copy", address], check=True, cwd=program.folder, env=tools, stdout=subprocess.DEVNULL)
    assert program("ledger", "check", "--sandbox", "--ledger", restored).code == 0
    assert "next: nothing is left to do" in program("status", "--sandbox", "--ledger", restored).out
