"""One run at a time, wherever the ledger is; and in PostgreSQL a run that lost its lock writes nothing more."""

from __future__ import annotations

import os
import socket

import pytest
import sqlalchemy as sa

from batchgen.core.messages import Ended
from batchgen.errors import ExitCode, LedgerBusy, Unavailable
from batchgen.ledger import Store
from tests.contract.books import NOW, Books
from tests.postgresql import needs_postgresql

END_SESSION = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'batchgen %'"


def test_the_second_run_says_who_holds_it(store: Store, place: str) -> None:
    """Process, machine, beginning and command, in the same words for both databases; the lock is free as soon as it is given back."""
    with Store.open(place, "sandbox") as other:
        for _ in range(3):
            with (
                store.lock(command="run", at=NOW),
                pytest.raises(LedgerBusy, match=rf"process {os.getpid()} on {socket.gethostname()}, since 20\d\d-.* \(`run`\)"),
                other.lock(command="resume", at=NOW),
            ):
                pass
            with other.lock(command="resume", at=NOW):
                assert store.held


@needs_postgresql
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_run_that_lost_its_lock_writes_nothing_more(books: Books, place: str) -> None:
    """The server ended its session (a restart, a failover, a cut cable): the next run may begin, and the first cannot go on beside it."""
    with Store.open(place, "sandbox") as other, books.store.lock(command="run", at=NOW):
        with other._opened.reading.connect() as connection:
            assert connection.scalar(sa.text(END_SESSION))
        with other.lock(command="run", at=NOW):
            for words in ("cannot be reached", "the session that had its lock is gone"):
                with pytest.raises(Unavailable, match=words):
                    books.store.end_run(books.run, Ended(ExitCode.DONE, "done"), NOW)
        assert books.store.runs()[0].ended_at is None


@needs_postgresql
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_silent_machine_is_asked_whether_it_lives(store: Store) -> None:
    """The server asks whether the holder's machine is still there; by default it would do so after two hours."""
    names = ["tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval"]
    said = "SELECT source FROM pg_settings WHERE name = ANY(:names)"  # their values are 0 on a socket of the same machine
    with store.lock(command="run", at=NOW), store._write() as session:
        assert session.scalars(sa.text(said), {"names": names}).all() == ["session"] * len(names)


@needs_postgresql
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_run_in_another_database_is_none_of_ours(store: Store, place: str) -> None:
    """One server may have the ledgers of several teams, each in a database of its own."""
    with store._opened.reading.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS elsewhere")
        connection.exec_driver_sql("CREATE DATABASE elsewhere")
    with Store.open(place.replace("/postgres?", "/elsewhere?"), "sandbox") as other, other.lock(command="run", at=NOW):
        assert other.held
        assert not store.held
        with store.lock(command="run", at=NOW):
            assert store.held
