"""Signals, and who holds the ledger."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from batchgen.runner import DRAIN
from tests.processes.program import Program, books_of, check_settled, serving, until

AT = """\
import os, signal, sys
from batchgen.cli.main import main

event, words, before = sys.argv[1], sys.argv[2], int(sys.argv[3])

def heard(name, details):
    global before
    if name == event and words in str(details):
        before -= 1
        if before == -1:
            os.kill(os.getpid(), signal.SIGTERM)

sys.addaudithook(heard)
sys.exit(main(sys.argv[4:]))
"""
"""Terminates itself at an event of Python's own (an audit event) whose details hold these words, after so many others of the kind."""


NEVER = "slow=3600"
PATIENT = """\
import sys
from batchgen import runner
from batchgen.cli.main import main

runner.DRAIN = 3600.0
sys.exit(main(sys.argv[1:]))
"""
"""Would wait an hour for what is in the air: nothing but a second signal ends it before."""


def test_drained_and_terminated(program: Program, tmp_path: Path) -> None:
    """SIGTERM lets what is in the air land and ends with 143 within 10 s; what was bought is in the ledger, whole.

    Then: a second run names the holder and exits 4, and the lock that a killed process leaves does not block.
    """
    with serving(tmp_path / "server", "slow=0.3,stall=1") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        manifest = program.images(12)
        first = program.start("run", manifest, "--yes")
        until(lambda: service.bought() >= 3)
        first.process.send_signal(signal.SIGTERM)
        said = first.end(patience=10)
        assert (said.code, "SIGTERM" in said.out) == (143, True), said
        assert program.query("SELECT exit_code FROM runs") == [(143,)]
        assert program.query("SELECT state, count(*) FROM attempts GROUP BY state") == [("accepted", service.bought())]
        holder = program.start("resume")
        # Both: on a busy machine the first run has bought all twelve before it hears the signal, and this one does not hold the lock yet.
        until(lambda: program.query("SELECT count(*) FROM runs") == [(2,)] and service.bought() == 12)
        second = program("run", manifest, "--yes")
        assert second.code == 4
        assert f"process {holder.process.pid} " in second.err
        assert program("status").code == 0  # readers do not wait
        holder.process.kill()
        assert holder.end().code == -signal.SIGKILL
        service.finish_renders()
        assert program("resume").code == 0
        check_settled(program, service.books(), 12)


def test_interrupted_twice(program: Program, tmp_path: Path) -> None:
    """Against a server that does not answer, the second SIGINT ends the run at once with 130; nothing is lost by it."""
    with serving(tmp_path / "server", NEVER) as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        running = program.start_python("-c", PATIENT, "run", program.images(3), "--yes")
        until(program.submits)
        running.interrupt()
        assert "goes on" in program("status").out, "it must wait for what is in the air"
        running.interrupt()
        said = running.end()
        assert (said.code, "SIGINT" in said.out) == (130, True), said
        service.stop()
        service.start()
        assert program("resume").code == 0
        check_settled(program, service.books(), 3)


def test_drain_has_an_end(program: Program, tmp_path: Path) -> None:
    """Against a server that never answers, SIGTERM ends the run all the same, before `docker stop` would kill it (10 s)."""
    assert DRAIN < 10.0
    with serving(tmp_path / "server", NEVER) as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        running = program.start("run", program.images(3), "--yes")
        until(program.submits)
        running.process.send_signal(signal.SIGTERM)
        assert running.end().code == 143
        assert program.query("SELECT state, count(*) FROM attempts GROUP BY state") == [("submitting", 1)]


MOMENTS = {
    "the manifest is read": ("open", "m.yaml"),
    "the ledger is made": ("open", "ledger.sqlite3'"),
    "the ledger is opened": ("sqlite3.connect", "ledger"),
    "the lock is taken": ("fcntl.flock", ""),
    "the HTTP library is imported": ("import", "httpx2"),
    "the first connection is made": ("socket.connect", ""),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_terminated_before_anything_runs(program: Program, moment: str) -> None:
    """SIGTERM before, and just after, the run begins to listen for it: 143, plain words, and the next run loses and repeats nothing."""
    manifest = program.images(3)
    said = program.start_python("-c", AT, *MOMENTS[moment], "0", "run", manifest, "--yes", *program.flags).end()
    assert said.code == 143, said
    assert "SIGTERM" in said.out + said.err
    assert "batchgen resume" in said.out + said.err
    assert "Traceback" not in said.err
    assert program("run", manifest, "--yes", *program.flags).code == 0
    check_settled(program, books_of(program.folder / ".batchgen" / "sandbox" / "account.sqlite3"), 3)


def test_terminated_after_the_run(program: Program) -> None:
    """SIGTERM when the run is over, while its figures are written for Prometheus: 143, and the ledger says that the run was whole."""
    with (program.folder / "batchgen.yaml").open("a", encoding="utf-8") as settings:
        settings.write("  metrics: night.prom\n")
    said = program.start_python("-c", AT, "open", "night.prom", "1", "run", program.images(1), "--yes", *program.flags).end()
    assert (said.code, "SIGTERM" in said.out + said.err) == (143, True), said
    assert program.query("SELECT exit_code FROM runs") == [(0,)]
    check_settled(program, books_of(program.folder / ".batchgen" / "sandbox" / "account.sqlite3"), 1)
