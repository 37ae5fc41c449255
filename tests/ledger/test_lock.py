"""One run at a time, with real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from batchgen.errors import LedgerBusy, LedgerError
from batchgen.ledger import Store
from batchgen.ledger.lock import hold_file, lock_path

AT = 1_763_000_000.0

HOLDER = """
import sys
from batchgen.ledger import Store
with Store.open(sys.argv[1], "sandbox") as store, store.lock(command="run spring.yaml", at=1763000000.0):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(ledger: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until it is killed or its input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(ledger)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_run_says_who_holds_it(tmp_path: Path) -> None:
    """A second run names process, machine, beginning and command of the first; a dead one holds nothing."""
    ledger = tmp_path / "ledger.sqlite3"
    with holder(ledger) as process, Store.open(ledger, "sandbox") as store:
        with pytest.raises(LedgerBusy, match=rf"process {process.pid} on .* since 2025-11-13 02:13:20\+00:00 \(`run spring.yaml`\)"):
            store.lock(command="run", at=AT).__enter__()
        process.kill()
        process.wait()
        with store.lock(command="run", at=AT):
            assert str(process.pid) not in lock_path(ledger).read_text()


def test_the_lock_is_free_after_a_run(tmp_path: Path) -> None:
    """A run that ends, well or badly, leaves the lock to the next, and its facts to nobody."""
    ledger = tmp_path / "ledger.sqlite3"
    with pytest.raises(RuntimeError), hold_file(ledger, command="one", at=AT):
        raise RuntimeError
    with hold_file(ledger, command="two", at=AT):
        assert '"two"' in lock_path(ledger).read_text()
    assert lock_path(ledger).read_text() == ""
    assert lock_path(ledger).stat().st_mode & 0o777 == 0o600


def test_one_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    """Two runs in one process are two runs; facts that cannot be read are not needed."""
    ledger = tmp_path / "ledger.sqlite3"
    with hold_file(ledger, command="one", at=AT):
        lock_path(ledger).write_bytes(b"\xff{")
        with pytest.raises(LedgerBusy, match="only just started"), hold_file(ledger, command="two", at=AT):
            pass


def test_the_lock_reads_no_links_apart(tmp_path: Path) -> None:
    """Two names of one ledger have one lock."""
    ledger = tmp_path / "ledger.sqlite3"
    (tmp_path / "link").symlink_to(ledger)
    with (
        Store.open(ledger, "sandbox") as one,
        Store.open(tmp_path / "link", "sandbox") as two,
        one.lock(command="a", at=AT),
        pytest.raises(LedgerBusy),
        two.lock(command="b", at=AT),
    ):
        pass


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    """What stands in the lock's place is named."""
    ledger = tmp_path / "ledger.sqlite3"
    lock_path(ledger).mkdir()
    with pytest.raises(LedgerError, match=r"ledger\.sqlite3\.lock cannot be made: Is a directory"), hold_file(ledger, command="a", at=AT):
        pass
