"""Ledgers are made private, recognised, and refused in plain words."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchgen.errors import LedgerBusy, LedgerConflict, LedgerError, Unavailable
from batchgen.ledger import Store, exists
from batchgen.ledger.opening import _BACKUP_PAUSE, BUSY_SECONDS, _patience, open_ledger
from batchgen.ledger.places import place_of, read_mounts, refuse_network

API = "https://api.example"


def refused(where: str | Path, words: str, address: str | None = API, *, read_only: bool = False) -> None:
    """Opening must fail with these words, and with the ledger's place in them."""
    with pytest.raises(LedgerError, match=words) as caught:
        Store.open(where, address, read_only=read_only)
    assert not isinstance(caught.value, LedgerConflict)


def mode(path: Path) -> int:
    """Permissions."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger that was closed."""
    path = tmp_path / "ledger.sqlite3"
    Store.open(path, API).close()
    return path


def test_a_new_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    """Folders, file, log and shared memory can be read by their owner only, whatever the umask."""
    before = os.umask(0)
    try:
        path = tmp_path / "a" / "b" / "ledger.sqlite3"
        with Store.open(path, API) as store:
            assert [mode(p) for p in (path.parent.parent, path.parent)] == [0o700, 0o700]
            store.wanted("x")
            assert {p.name: mode(p) for p in path.parent.iterdir()} == dict.fromkeys(
                ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"), 0o600
            )
    finally:
        os.umask(before)


def test_a_ledger_is_found_again(ledger: Path) -> None:
    """The same path, URL or a link to it open the same ledger; a commit in it is durable and in WAL mode."""
    link = ledger.with_name("link")
    link.symlink_to(ledger)
    for where in (ledger, str(ledger), f"sqlite:///{ledger}", link):
        with Store.open(where, API) as store:
            assert (store.address, store.place) == (API, str(ledger))
            with store._opened.writing.begin() as connection:
                pragmas = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous", "foreign_keys")]
            assert pragmas == ["wal", 2, 1]


def test_exists(ledger: Path, tmp_path: Path) -> None:
    """Whether there is a ledger can be asked without making one."""
    assert exists(ledger)
    assert exists("postgresql://somewhere/x")
    assert not exists(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_another_address(ledger: Path) -> None:
    """A ledger belongs to one address; None takes what it has."""
    refused(ledger, "belongs to https://api.example, not to sandbox", "sandbox")
    refused(ledger, "belongs to", "sandbox", read_only=True)
    with Store.open(ledger, None) as store:
        assert store.address == API


def test_strange_file_names(tmp_path: Path) -> None:
    """Characters that mean something in a URI are only characters in a file's name."""
    path = tmp_path / "a?mode=memory#b%20c d.db"
    Store.open(path, API).close()
    assert path.stat().st_size > 0


@pytest.mark.parametrize("content", [b"tasks: []\n" * 500, b"\x00" * 5000, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_not_a_ledger(tmp_path: Path, content: bytes) -> None:
    """A file that is something else is refused and left as it was."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    refused(path, "not a ledger, or it is damaged")
    refused(path, "not a ledger, or it is damaged", read_only=True)
    assert path.read_bytes() == content


def test_another_database(tmp_path: Path) -> None:
    """Another program's SQLite database is refused, and gets no tables of ours."""
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (name)")
    other.close()
    refused(path, "is a database, but not a batchgen ledger")
    refused(path, "is a database, but not a batchgen ledger", read_only=True)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_a_damaged_ledger(ledger: Path) -> None:
    """A ledger of which a part was overwritten is refused, not repaired by guessing."""
    content = bytearray(ledger.read_bytes())
    content[4096:12288] = b"\xaa" * 8192
    ledger.write_bytes(content)
    refused(ledger, "damaged")


def test_an_empty_file_is_no_ledger_yet(tmp_path: Path) -> None:
    """A crash before the first commit leaves an empty file, which the next opening fills."""
    path = tmp_path / "ledger.sqlite3"
    path.touch()
    assert not exists(path)
    refused(path, "no ledger yet", read_only=True)
    Store.open(path, API).close()
    assert exists(path)


def test_nothing_there(tmp_path: Path) -> None:
    """Reading makes nothing; neither does opening without an address."""
    path = tmp_path / "none" / "ledger.sqlite3"
    refused(path, f"no ledger yet at {path}", read_only=True)
    assert not path.parent.exists()
    refused(path, "no ledger yet", None)


def test_a_folder(tmp_path: Path) -> None:
    """A folder is refused with a name that would do."""
    refused(tmp_path, f"is a folder; name a file in it, as {tmp_path}/ledger.sqlite3")


def test_a_nul_in_the_path() -> None:
    """A path that no system has is refused."""
    refused("a\0b", "holds a NUL character")


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A path through a file is refused."""
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "ledger.sqlite3", "cannot be made")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    """What the file system refuses is refused in plain words."""
    refused(tmp_path / ("x" * 300), "cannot be made: File name too long")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:geheim@host/db", r"cannot be kept in mysql://me:\*\*\*@host/db"),
        ("sqlite://", "cannot be kept in"),
        ("sqlite:///:memory:", "cannot be kept in"),
        ("://", "cannot be understood"),
        ("postgresql://h:port:geheim/", "cannot be understood"),
    ],
)
def test_urls_that_are_no_ledger(url: str, words: str) -> None:
    """A database that is neither SQLite in a file nor PostgreSQL is refused; passwords stay out of the message."""
    with pytest.raises(LedgerError, match=words) as caught:
        Store.open(url, API)
    assert "geheim" not in str(caught.value)


def test_a_network_file_system() -> None:
    """A path on NFS is refused with a way out; a local mount below it is not."""
    mounts = "/dev/sda / ext4 rw 0 0\nserver:/x /mnt/team\\040share nfs4 rw 0 0\ntmpfs /mnt/team\\040share/local tmpfs rw 0 0\nbroken\n"
    with pytest.raises(LedgerError, match=r"network file system \(nfs4\).*or use PostgreSQL"):
        refuse_network(Path("/mnt/team share/a/ledger.sqlite3"), mounts)
    refuse_network(Path("/mnt/team share/local/ledger.sqlite3"), mounts)
    refuse_network(Path("/mnt/team shared/ledger.sqlite3"), mounts)
    refuse_network(Path("/home/ledger.sqlite3"), "")
    with pytest.raises(LedgerError, match="nfs4"):  # what was mounted last over a place is what stands there
        refuse_network(Path("/mnt/ledger.sqlite3"), "/dev/sda /mnt ext4 rw 0 0\nserver:/x /mnt nfs4 rw 0 0\n")


def test_the_mounts_are_this_systems() -> None:
    """Where there is such a list, it is looked at."""
    assert read_mounts() == Path("/proc/mounts").read_text("utf-8")


@pytest.fixture
def other_user() -> Iterator[Path]:
    """A folder of a user who is not root, as whom the test then acts (root may write everywhere)."""
    folder = Path(tempfile.mkdtemp(prefix="bg-user-"))
    me = os.geteuid()
    if me == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    folder.chmod(0o700)
    os.seteuid(me)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_read_only_file(other_user: Path) -> None:
    """A ledger that may not be written is refused for a run and serves for a report."""
    path = other_user / "ledger.sqlite3"
    Store.open(path, API).close()
    path.chmod(0o400)
    refused(path, "cannot be (made|written)")
    with Store.open(path, API, read_only=True) as store:
        assert store.runs() == ()


def test_a_folder_without_permission(other_user: Path) -> None:
    """A ledger cannot be made where nothing may be written."""
    other_user.chmod(0o500)
    refused(other_user / "ledger.sqlite3", "cannot be made: Permission denied; name another place with --ledger")


def test_a_locked_database(ledger: Path) -> None:
    """Another program's lock is told as one."""
    other = sqlite3.connect(ledger, isolation_level=None)
    with Store.open(ledger, API) as store:
        other.execute("BEGIN IMMEDIATE")
        with store._opened.reading.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 1")  # of the one connection in the pool
        with pytest.raises(LedgerBusy, match="another program keeps the ledger"), store._write() as connection:
            connection.exec_driver_sql("SELECT 1")  # never reached: BEGIN waits and gives up
        other.execute("ROLLBACK")
    other.close()


def test_a_postgresql_that_is_not_there() -> None:
    """A server that does not answer is unavailable, which is no mistake of the user's command."""
    with pytest.raises((Unavailable, LedgerError), match=r"cannot be reached|needs psycopg"):
        Store.open("postgresql://nobody:geheim@127.0.0.1:1/x", API)


def test_a_reader_cannot_write(ledger: Path) -> None:
    """What is open for a report is refused by SQLite itself."""
    with (
        Store.open(ledger, API, read_only=True) as store,
        pytest.raises(LedgerError, match="cannot be written"),
        store._read() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM meta")


def test_a_connection_waits_and_may_change_its_thread(ledger: Path) -> None:
    """Its patience is ours, not SQLite's five seconds; the pool hands a connection from one thread to the next."""
    with Store.open(ledger, API) as store, ThreadPoolExecutor(1) as elsewhere:
        assert store.runs() == ()
        assert elsewhere.submit(store.runs).result() == ()
        with store._read() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == BUSY_SECONDS * 1000


def test_a_backup_is_a_ledger_and_replaces_nothing(ledger: Path, tmp_path: Path) -> None:
    """It opens, it is its owner's alone, and a file that is there already stays as it is."""
    target = tmp_path / "copy.sqlite3"
    with Store.open(ledger, API) as store:
        store.backup(target)
        with pytest.raises(LedgerError, match=r"copy\.sqlite3 exists already"):
            store.backup(target)
        with pytest.raises(LedgerError, match=r"none/copy\.sqlite3 cannot be made: Not a directory"):
            store.backup(ledger / "none" / "copy.sqlite3")
    assert mode(target) == 0o600
    with Store.open(target, API, read_only=True) as copy:
        assert copy.address == API


def test_a_copy_is_given_up_only_when_it_was_locked_out_for_long() -> None:
    """Pages that were copied cost no patience; each pause for a lock does, until the time that a transaction would wait is over."""
    look = _patience()
    for _ in range(10_000):
        look(sqlite3.SQLITE_OK, 5, 9)
    for tries in range(int(BUSY_SECONDS / _BACKUP_PAUSE)):
        look((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)[tries % 2], 5, 9)
    with pytest.raises(LedgerBusy, match="could not be copied"):
        look(sqlite3.SQLITE_BUSY, 5, 9)


def test_a_password_is_in_no_place() -> None:
    """The driver is ours, whichever was named; people are told the rest of the URL."""
    place = place_of("postgresql://nobody:geheim@host/base")
    assert place.url
    assert (place.name, place.url.drivername, place.url.password) == ("postgresql://nobody:***@host/base", "postgresql+psycopg", "geheim")


def test_mounts_given_are_the_ones_looked_at(tmp_path: Path) -> None:
    """A ledger on a network file system is refused before anything is made there."""
    with pytest.raises(LedgerError, match="network file system"):
        open_ledger(tmp_path / "new" / "ledger.sqlite3", API, mounts="server:/x / nfs4 rw 0 0\n")
    assert not (tmp_path / "new").exists()
