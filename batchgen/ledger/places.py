"""Where a ledger is, and whether a SQLite ledger may be there at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from batchgen.core.address import without_password
from batchgen.errors import LedgerError

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ncpfs"})
"""SQLite's WAL needs memory that all processes share, and network file systems lock by habit at best (sqlite.org/wal.html)."""

SQLITE = "sqlite"
POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Place:
    """A ledger's address: `path` for a SQLite file, `url` for PostgreSQL."""

    name: str  # for people, without a password
    path: Path | None = None
    url: sa.URL | None = None


def place_of(where: str | Path) -> Place:
    """Understand a path or a database URL. Raises LedgerError for a URL that means neither SQLite nor PostgreSQL."""
    if isinstance(where, Path) or "://" not in where:
        return _file(Path(where))
    try:
        url = sa.make_url(where)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise LedgerError("the ledger's URL cannot be understood; write a path, or postgresql+psycopg://user@host/database") from error
    backend = url.get_backend_name()
    if backend == SQLITE and url.database and url.database != ":memory:":
        return _file(Path(url.database))
    if backend == POSTGRESQL:
        return Place(without_password(where), url=url.set(drivername="postgresql+psycopg"))
    raise LedgerError(f"a ledger cannot be kept in {without_password(where)}; name a file, or postgresql+psycopg://user@host/database")


def _file(path: Path) -> Place:
    """Links are followed, so that one ledger has one lock whatever it is called by."""
    try:
        resolved = Path(os.path.realpath(path))
    except ValueError as error:
        raise LedgerError(f"the ledger's path {str(path)!r} holds a NUL character; name another with --ledger") from error
    return Place(str(resolved), path=resolved)


def refuse_network(path: Path, mounts: str) -> None:
    """Raise LedgerError if `path` is on a network file system. `mounts` is the text of /proc/mounts; empty tells nothing."""
    kind = ""
    longest = -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = Path(fields[1].encode().decode("unicode_escape")) if len(fields) > 2 else None  # noqa: PLR2004 - device, point, kind
        if point is not None and path.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = fields[2], len(point.parts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise LedgerError(
            f"{path} is on a network file system ({kind}), where SQLite can lose what it wrote; "
            "put the ledger on a local disk with --ledger, or use PostgreSQL"
        )


def read_mounts() -> str:
    """Return the text of /proc/mounts, or nothing where a system has none."""
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def has_content(path: Path) -> bool:
    """Say whether there is a file with something in it; an empty one is what a crash before the first commit leaves."""
    try:
        return path.stat().st_size > 0 and path.is_file()
    except OSError:
        return False


def touch(path: Path) -> None:
    """Make an empty file that only its owner reads (SQLite gives its side files the same mode), and the folders to it."""
    try:
        _make_folders(path.parent)
        make_private(path)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be made: {error.strerror}; name another place with --ledger") from error


def make_private(path: Path) -> None:
    """Make an empty file that only its owner reads, if there is none. Raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _make_folders(folder: Path) -> None:
    """As `mkdir -p`, but new ones are their owner's alone (`parents=True` would use the default mode for those between)."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
