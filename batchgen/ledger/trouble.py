"""The database's errors, in words that say what, where and what to do.

Told apart by SQLite's result codes and PostgreSQL's error classes, not by their English.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from batchgen.errors import BatchgenError, LedgerBusy, LedgerConflict, LedgerError, Unavailable

_PRIMARY = 0xFF
"""SQLite's extended result codes keep the primary one in the low byte."""

_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_BROKEN = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_HELD = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@contextmanager
def plain_words(place: str, what: str = "the ledger") -> Iterator[None]:
    """Turn the database's errors into ours. `place` names the ledger, without a password, or what `what` says."""
    try:
        yield
    except exc.IntegrityError as error:
        raise LedgerConflict(f"the ledger {place} refused a write, so nothing was written: {_first_line(error.orig)}") from error
    except exc.DBAPIError as error:
        raise _said(error.orig, place, gone=isinstance(error, exc.OperationalError)) from error
    except sqlite3.Error as error:  # raised by the backup, which SQLAlchemy does not wrap
        raise _sqlite_said(error, place, what) from error


def _said(error: BaseException | None, place: str, *, gone: bool = False) -> BatchgenError:
    """Choose by who has to act. `gone`: a database server was not reached or went away."""
    if isinstance(error, sqlite3.Error):
        return _sqlite_said(error, place)
    reason = _first_line(error)
    if gone:
        return Unavailable(f"the ledger {place} cannot be reached: {reason}; nothing half-written is kept, run again later")
    return LedgerError(f"the ledger {place} cannot be used: {reason}")


def _sqlite_said(error: sqlite3.Error, place: str, what: str = "the ledger") -> BatchgenError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in _FULL:
        return Unavailable(
            f"the disk under {what} {place} cannot take a write ({error}); nothing half-written is kept, free some space and run again"
        )
    if code in _READ_ONLY:
        return LedgerError(f"the ledger {place} cannot be written ({error}); make the file and its folder writable for you")
    if code in _BROKEN:
        return LedgerError(f"{place} is not a ledger, or it is damaged ({error}); name another with --ledger or put back a backup")
    if code in _HELD:
        return LedgerBusy(f"another program keeps the ledger {place} locked ({error}); close it and run again")
    return LedgerError(f"the ledger {place} cannot be used: {error}")


def _first_line(error: BaseException | None) -> str:
    """PostgreSQL adds lines of context that help nobody here."""
    return (str(error).strip().splitlines() or ["no reason given"])[0]
