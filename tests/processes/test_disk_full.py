"""A disk that fills up: the run stops with exit 6 and plain words, and goes on after space is made.

Where this process may mount (root), the disk is a small tmpfs; elsewhere a limit on the size of files stands for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchgen.ledger import Store
from batchgen.ledger.migrations import MIGRATIONS
from tests.processes.program import Program, Said, books_of, check_settled, tasks_of

TASKS = 30
LIMITED = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
from batchgen.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Put a disk of `size` bytes at a folder; False if that is not allowed here."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def stopped(said: Said) -> None:
    """The words of a full disk: no bug, no traceback, and what to do."""
    assert said.code == 6, said
    text = said.out + said.err
    assert "bug" not in text
    assert "Traceback" not in text
    assert "full" in text or "too large" in text, text
    assert "batchgen resume" in text


def test_outputs(program: Program) -> None:
    """The renders' disk is full: what is paid is kept as rendered, and fetched after space is made; nothing is bought twice."""
    account = program.folder / ".batchgen" / "sandbox" / "account.sqlite3"
    with small_disk(program.outputs, 256 * 1024) as mounted:
        filler = program.outputs / "filler"
        filler.write_bytes(bytes(220 * 1024))
        words = ("run", program.images(TASKS), "--yes", "--sandbox", "--faults", "render=0.1")
        said = program(*words) if mounted else program.start_python("-c", LIMITED.format(size=1024), *words, "--ledger", "l").end()
        stopped(said)
        filler.unlink()
        if mounted:
            assert program("resume", "--sandbox").code == 0
            check_settled(program, books_of(account), TASKS)


def test_ledger(program: Program) -> None:
    """The ledger's disk is full: nothing is sent that is not written down, and the next run goes on after space is made."""
    disk = program.folder / "disk"
    account = program.folder / ".batchgen" / "sandbox" / "account.sqlite3"
    ledger = disk / "ledger.sqlite3"
    with small_disk(disk, 8 * 1024 * 1024) as mounted:
        words = ("run", program.images(TASKS), "--yes", "--sandbox", "--ledger", str(ledger))
        assert program(*words, "--max-tasks", "1").code == 3
        filler = disk / "filler"
        if mounted:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler.write_bytes(bytes(free - 96 * 1024))
            said = program(*words)
        else:
            said = program.start_python("-c", LIMITED.format(size=ledger.stat().st_size + 96 * 1024), *words).end()
        stopped(said)
        written = {key for (key,) in program.query("SELECT client_request_id FROM attempts", ledger)}
        assert {task["client_request_id"] for task in tasks_of(books_of(account))} <= written
        filler.unlink(missing_ok=True)
        assert program("resume", "--sandbox", "--ledger", str(ledger)).code == 0
        tasks = tasks_of(books_of(account))
        assert len({task["client_request_id"] for task in tasks}) == len(tasks) == TASKS
        assert program.query("SELECT state, count(*) FROM tasks GROUP BY state", ledger) == [("done", TASKS)]


def test_copy(program: Program) -> None:
    """The disk of a backup is full: the words are about the copy and not the ledger, nothing is left there, and the command is complete."""
    disk = program.folder / "disk"
    assert program("run", program.images(1), "--yes", "--sandbox").code == 0
    with small_disk(disk, 64 * 1024) as mounted:
        words = ("ledger", "backup", str(disk / "l.bak"), "--sandbox")
        said = program(*words) if mounted else program.start_python("-c", LIMITED.format(size=64 * 1024), *words).end()
        assert said.code == 6, said
        assert said.err.startswith(f"batchgen: the disk under the copy {disk / 'l.bak'}")
        assert f"next: batchgen ledger backup {disk / 'l.bak'} --sandbox" in said.err
        assert not list(disk.iterdir())


BACKUP = f"ledger.sqlite3.before-{len(MIGRATIONS) + 1}.bak"
MIGRATING = """\
import sys
from pathlib import Path
from batchgen.errors import BatchgenError
from batchgen.ledger.migrations import MIGRATIONS, Migration
from batchgen.ledger.opening import open_ledger

def fill(connection):
    connection.exec_driver_sql("CREATE TABLE filler (x BLOB)")
    for _ in range(int(sys.argv[2])):
        connection.exec_driver_sql("INSERT INTO filler VALUES (randomblob(10000))")

try:
    open_ledger(Path(sys.argv[1]), "sandbox", steps=(*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "filler", fill)))
except BatchgenError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(("room", "rows", "kept"), [(96, 0, set()), (2, 100, {BACKUP})])
def test_migration(program: Program, room: int, rows: int, kept: set[str]) -> None:
    """The disk is full before a migration has its backup, or before it is over: the ledger is as it was, and no half backup beside it."""
    disk = program.folder / "disk"
    path = disk / "ledger.sqlite3"
    with small_disk(disk, 512 * 1024) as mounted:
        Store.open(path, "sandbox").close()
        size = path.stat().st_size
        least = room * 1024 if not rows else size + 128 * 1024  # without a disk of its own: of a file
        if mounted and not rows:
            (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - room * 1024))
        limited = LIMITED.partition("from batchgen")[0].format(size=least) if not mounted else ""
        said = program.start_python("-c", limited + MIGRATING, str(path), str(rows)).end()
        (disk / "filler").unlink(missing_ok=True)
        assert (said.code, said.err.partition(" (")[0]) == (1, f"Unavailable: the disk under the ledger {path} cannot take a write")
        assert {file.name for file in disk.iterdir()} - {path.name, f"{path.name}.lock"} == kept
        with Store.open(path, "sandbox") as ledger:
            assert ledger.check() == ()
        assert program.start_python("-c", MIGRATING, str(path), "0").end().code == 0
        assert (disk / BACKUP).stat().st_size == size
