"""What a person says to a run, on its way from one process to another: rows that the run reads about once a second.

The run lock says whether there is a run to hear it. A row belongs to one run, so that what nobody heard is not obeyed by
the next.
"""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from batchgen.core.messages import Controlled
from batchgen.core.model import Instant
from batchgen.core.steering import Control, ControlKind
from batchgen.errors import LedgerConflict, NoRun
from batchgen.ledger.documents import asked_from, asked_text
from batchgen.ledger.tables import controls, runs

_ASKED = sa.select(controls).where(controls.c.run_id == sa.bindparam("run"), controls.c.id > sa.bindparam("after")).order_by(controls.c.id)
_GOING_ON = sa.select(runs.c.id).where(runs.c.ended_at.is_(None)).order_by(runs.c.id.desc()).limit(1)
_TAKEN = sa.select(controls.c.taken_at).where(controls.c.id == sa.bindparam("row"))


def ask(connection: sa.Connection, control: Control, at: Instant) -> int:
    """Write what was said to the run that is going on; return its row. Raises NoRun if every run has ended."""
    run = connection.scalar(_GOING_ON)
    if run is None:
        raise NoRun("no run is going on in this ledger, so nobody would hear it")
    values = {"run_id": run, "kind": control.kind, "value": control.value, "asked_at": at}
    return int(connection.execute(sa.insert(controls).values(values).returning(controls.c.id)).scalar_one())


def heard(connection: sa.Connection, run: int, after: int) -> tuple[Control, ...]:
    """Return what was said to a run since row `after`, in order."""
    rows = connection.execute(_ASKED, {"run": run, "after": after}).all()
    return tuple(Control(row.id, ControlKind(row.kind), row.value) for row in rows)


def taken(connection: sa.Connection, row: int) -> bool:
    """Say whether the run has obeyed."""
    return connection.scalar(_TAKEN, {"row": row}) is not None


def obey(connection: sa.Connection, run: int | None, record: Controlled) -> None:
    """Mark that a run obeyed; a new budget goes also into how the run was asked for. Raises LedgerConflict the second time."""
    control = record.control
    mine = sa.and_(controls.c.id == control.id, controls.c.run_id == run, controls.c.taken_at.is_(None))
    if connection.execute(sa.update(controls).where(mine).values(taken_at=record.at)).rowcount != 1:
        raise LedgerConflict(f"the control {control.id} ({control}) is not one that run {run} has yet to take; nothing was written")
    if control.kind is ControlKind.BUDGET:
        asked = asked_from(connection.execute(sa.select(runs.c.asked).where(runs.c.id == run)).scalar_one())
        changed = asked_text(replace(asked, budget=int(control.value)))
        connection.execute(sa.update(runs).where(runs.c.id == run).values(asked=changed))
