"""The ledger copied while a run writes it: each copy is whole, and a night can go on from it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from batchgen.ledger import Store
from tests.processes.program import Program, serving, tasks_of, until

TASKS = 20


def test_copied_under_a_run(program: Program, tmp_path: Path) -> None:
    """Copies hold all invariants. Restored after the run was killed, one buys nothing that was bought since a second time."""
    with serving(tmp_path / "server", "slow=0.05,render=0.3") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        running = program.start("run", program.images(TASKS), "--yes")
        until(lambda: service.bought() >= 2)
        copies = [f"copy-{number}.sqlite3" for number in range(3)]
        for copy in copies:
            assert program("ledger", "backup", copy).code == 0
            assert program("ledger", "check", "--ledger", copy).code == 0
            assert (program.folder / copy).stat().st_mode & 0o077 == 0
        assert program("ledger", "backup", copies[0]).code == 2, "an older copy is never written over"
        until(lambda: service.bought() == TASKS)
        running.process.kill()
        running.end()
        for path in program.ledger.parent.glob("ledger.sqlite3*"):
            path.unlink()
        with Store.open(program.folder / copies[0], None, read_only=True) as store:
            (before,) = store.manifests()
        assert sum(before.by_state.values()) == TASKS
        shutil.copyfile(program.folder / copies[0], program.ledger)
        assert program("resume").code == 0
        tasks = tasks_of(service.books())
        assert len(tasks) == TASKS
        assert len({task["client_request_id"] for task in tasks}) == TASKS
        assert program.query("SELECT state, count(*) FROM tasks GROUP BY state") == [("done", TASKS)]
        assert program("ledger", "check").code == 0
        assert running.process.returncode in {0, -signal.SIGKILL}
