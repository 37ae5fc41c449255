"""Column types that mean the same in SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from batchgen.core.model import Instant


class Utc(sa.TypeDecorator[Instant]):
    """An instant (float seconds since the epoch) kept as `2026-11-23T06:10:00.000000Z`.

    As text, so that a person reads it and SQLite sorts it; all of one length, so that text order is time's order.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Instant | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy gives it
        """Seconds to text."""
        if value is None:
            return None
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="microseconds")[:26] + "Z"

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Instant | None:  # noqa: ARG002 - SQLAlchemy gives it
        """Text to seconds."""
        return None if value is None else datetime.fromisoformat(value).timestamp()


class Words(sa.TypeDecorator[str]):
    """Text that may come from outside: a server's message, a prompt, a file name.

    Neither database takes half a surrogate pair and PostgreSQL takes no NUL, but a server may send both. They are
    kept as backslash escapes, because an error message must never be the reason that a purchase is not recorded.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy gives it
        """Escape what a database would refuse."""
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Row numbers and credits. SQLite makes only INTEGER an alias of its row id, and its integers have 64 bits anyway."""
