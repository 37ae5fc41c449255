"""An older ledger is backed up and migrated, a newer one refused; both at once or not at all."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchgen.errors import LedgerBusy, LedgerError
from batchgen.ledger import Store
from batchgen.ledger.lock import hold_file
from batchgen.ledger.migrations import MIGRATIONS, Migration
from batchgen.ledger.opening import open_ledger
from tests.ledger.keeping import KEPT, restore

API = "https://api.example"


def add_column(connection: sa.Connection) -> None:
    """A pretend next migration."""
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN mood TEXT")


def break_off(connection: sa.Connection) -> None:
    """A pretend migration that fails half-way."""
    add_column(connection)
    raise RuntimeError("broken off")


NEWEST = MIGRATIONS[-1].number
NEXT = (*MIGRATIONS, Migration(NEWEST + 1, "mood", add_column))
BROKEN = (*MIGRATIONS, Migration(NEWEST + 1, "broken", break_off))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger of today's version."""
    path = tmp_path / "ledger.sqlite3"
    open_ledger(path, API).reading.dispose()
    return path


def columns(path: Path) -> set[str]:
    """Columns of runs."""
    connection = sqlite3.connect(path)
    try:
        return {str(row[1]) for row in connection.execute("PRAGMA table_info(runs)")}
    finally:
        connection.close()


def test_numbers_go_up_by_one() -> None:
    """Migrations are numbered 1, 2, ... in their order."""
    assert [step.number for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_an_older_ledger_is_backed_up_and_migrated(ledger: Path) -> None:
    """The backup is the ledger as it was, private to its owner, and opens by itself."""
    opened = open_ledger(ledger, API, steps=NEXT)
    with opened.reading.connect() as connection:
        assert connection.exec_driver_sql("SELECT number, name FROM migrations").all() == [(step.number, step.name) for step in NEXT]
    opened.reading.dispose()
    backup = ledger.with_name(f"ledger.sqlite3.before-{NEWEST + 1}.bak")
    assert "mood" in columns(ledger)
    assert "mood" not in columns(backup)
    assert backup.stat().st_mode & 0o777 == 0o600
    open_ledger(backup, API, read_only=True).reading.dispose()


def test_a_migration_that_breaks_off_changes_nothing(ledger: Path) -> None:
    """A failed migration leaves version and tables as they were."""
    with pytest.raises(RuntimeError):
        open_ledger(ledger, API, steps=BROKEN)
    assert "mood" not in columns(ledger)
    open_ledger(ledger, API, steps=NEXT).reading.dispose()
    assert "mood" in columns(ledger)


def test_nothing_is_migrated_under_a_run(ledger: Path) -> None:
    """While an older batchgen runs, a newer one waits outside."""
    with hold_file(ledger, command="run", at=0.0), pytest.raises(LedgerBusy, match="another run holds"):
        open_ledger(ledger, API, steps=NEXT)
    assert "mood" not in columns(ledger)


def test_a_newer_ledger_is_refused(ledger: Path) -> None:
    """A ledger that a newer batchgen made is left alone."""
    open_ledger(ledger, API, steps=NEXT).reading.dispose()
    for read_only in (False, True):
        with pytest.raises(
            LedgerError, match=rf"made by a newer batchgen \(version {NEWEST + 1}, this one knows {NEWEST}\); update batchgen"
        ):
            open_ledger(ledger, API, read_only=read_only)


def test_reading_migrates_nothing(ledger: Path) -> None:
    """A report on an older ledger says what would migrate it."""
    with pytest.raises(LedgerError, match=f"is of version {NEWEST}, this batchgen reads {NEWEST + 1}; the next `batchgen run` migrates it"):
        open_ledger(ledger, API, steps=NEXT, read_only=True)
    assert "mood" not in columns(ledger)


def shape(path: Path) -> dict[str, list[str]]:
    """Tables, indexes and triggers: of each its parts in the order of the alphabet, since a column that was added later stands last."""
    with closing(sqlite3.connect(path)) as shell:
        made = shell.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {
        name: sorted(re.sub(r"\s+", " ", part).strip(" ()") for part in re.split(r",\s*\n|, (?=[a-z_]+ [A-Z]+ )|\(\n", sql))
        for name, sql in made
    }


def test_every_version_is_kept() -> None:
    """Whoever adds a migration keeps a ledger of its version: `python -m tests.ledger.keeping`."""
    assert sorted(path.name for path in KEPT.iterdir()) == [f"{step.number}.sql" for step in MIGRATIONS]


@pytest.mark.parametrize("version", [step.number for step in MIGRATIONS])
def test_a_kept_ledger_becomes_todays(tmp_path: Path, version: int) -> None:
    """It gets the shape of a new one, keeps every row, breaks no invariant, and is backed up if it was older.

    Fails when the tables were changed without a migration.
    """
    old, new = tmp_path / "old.sqlite3", tmp_path / "new.sqlite3"
    restore(version, old)
    with Store.open(new, "sandbox"), Store.open(old, "sandbox") as store:
        assert shape(old) == shape(new)
        assert store.check() == ()
        (manifest,) = store.manifests()
        assert {str(state): count for state, count in manifest.by_state.items()} == {"done": 1, "rendering": 1, "failed": 1}
        assert (manifest.captured, manifest.held) == (35, 40)
    assert old.with_name(f"old.sqlite3.before-{version + 1}.bak").exists() == (version < MIGRATIONS[-1].number)


KILLED = """\
import os, signal, sys
from pathlib import Path
from batchgen.ledger.migrations import MIGRATIONS, Migration
from batchgen.ledger.opening import open_ledger

def die(connection):
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN mood TEXT")
    connection.exec_driver_sql("UPDATE runs SET mood = 'calm'")
    os.kill(os.getpid(), signal.SIGKILL)

open_ledger(Path(sys.argv[1]), "sandbox", steps=(*MIGRATIONS, Migration(int(sys.argv[2]), "mood", die)))
"""


def test_killed_while_migrating(tmp_path: Path) -> None:
    """The ledger is what it was, its backup beside it; no lock stays behind, and the next opening migrates."""
    path = tmp_path / "ledger.sqlite3"
    restore(NEWEST, path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(NEWEST + 1)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert "mood" not in columns(path)
    with Store.open(tmp_path / f"ledger.sqlite3.before-{NEWEST + 1}.bak", "sandbox", read_only=True) as kept:
        assert kept.check() == ()
    open_ledger(path, "sandbox", steps=NEXT).reading.dispose()
    assert "mood" in columns(path)
