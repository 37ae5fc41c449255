"""Sums over the book of credits: one pass over an index that covers it gives every one that is asked for.

A million tasks have two million rows of money. A sum of cases over them costs three times as much as this one by day, manifest and kind
of move, in the index's own order, and status and budgets ask for five; what comes out is some rows a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from batchgen.core.messages import MoneyKind
from batchgen.core.model import Credits
from batchgen.ledger.tables import manifests, money, quoted

_M = money.c
USED = sa.func.coalesce(
    sa.func.sum(
        sa.case(
            (_M.kind == sa.literal_column(quoted([MoneyKind.HOLD])), _M.credits),
            (_M.kind.in_(sa.literal_column(quoted([kind])) for kind in (MoneyKind.RELEASE, MoneyKind.REFUND)), -_M.credits),
            else_=0,
        )
    ),
    0,
)
"""`Moves.used`, as SQL."""

_BY_DAY = sa.select(_M.day, _M.manifest_id, _M.kind, sa.func.sum(_M.credits)).group_by(_M.day, _M.manifest_id, _M.kind)
_BY_RUN = (
    sa.select(sa.literal(""), _M.manifest_id, _M.kind, sa.func.sum(_M.credits))
    # named, so that the index on (manifest, run) serves
    .where(_M.manifest_id.in_(sa.select(manifests.c.id)), _M.run_root == sa.bindparam("root"))
    .group_by(_M.manifest_id, _M.kind)
)


@dataclass(frozen=True, slots=True)
class Moved:
    """The credits of one kind that moved on a day (empty: on any), in a manifest (its row)."""

    day: str
    manifest: int
    kind: MoneyKind
    credits: Credits


class Moves:
    """What moved, to be added up by any of these."""

    def __init__(self, moved: list[Moved]) -> None:
        """Take sums."""
        self._moved = moved

    def of(self, wanted: Callable[[Moved], bool]) -> Moves:
        """Return part of it."""
        return Moves([one for one in self._moved if wanted(one)])

    def by_manifest(self) -> dict[int, Moves]:
        """Return the part of each manifest, by its row."""
        parts: dict[int, list[Moved]] = {}
        for one in self._moved:
            parts.setdefault(one.manifest, []).append(one)
        return {manifest: Moves(part) for manifest, part in parts.items()}

    def _sum(self, *kinds: MoneyKind) -> Credits:
        return sum(one.credits for one in self._moved if one.kind in kinds)

    @property
    def captured(self) -> Credits:
        """Spent, less what came back."""
        return self._sum(MoneyKind.CAPTURE) - self._sum(MoneyKind.REFUND)

    @property
    def held(self) -> Credits:
        """Set aside, and neither captured nor released yet."""
        return self._sum(MoneyKind.HOLD) - self._sum(MoneyKind.CAPTURE, MoneyKind.RELEASE)

    @property
    def used(self) -> Credits:
        """Committed plus held: a capture only says that what is held stays spent."""
        return self._sum(MoneyKind.HOLD) - self._sum(MoneyKind.RELEASE, MoneyKind.REFUND)


def by_day(connection: sa.Connection) -> Moves:
    """Add up the whole book."""
    return _moves(connection.execute(_BY_DAY))


def of_run(connection: sa.Connection, root: int) -> Moves:
    """Add up what a night moved."""
    return _moves(connection.execute(_BY_RUN, {"root": root}))


def _moves(rows: Iterable[Sequence[object]]) -> Moves:
    return Moves([Moved(str(day), int(str(manifest)), MoneyKind(str(kind)), int(str(credits))) for day, manifest, kind, credits in rows])
