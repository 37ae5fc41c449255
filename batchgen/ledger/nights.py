"""The rows behind a night's charts, streamed: a run with the runs that resumed it."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from batchgen.core.messages import MoneyKind
from batchgen.core.night import CreditFacts, FlightFacts
from batchgen.core.pricing import model_of
from batchgen.core.states import AttemptState
from batchgen.ledger.tables import attempts, manifests, money, runs

PAGE = 2000
"""Rows fetched together; each is a few dozen bytes."""


def flights(connection: sa.Connection, root: int) -> Iterator[FlightFacts]:
    """Yield the attempts that a night submitted, in the order of submission."""
    # by number too: a step submits several attempts at one instant
    query = (
        sa.select(attempts.c.price_key, attempts.c.state, attempts.c.submitted_at, attempts.c.accepted_at, attempts.c.ended_at)
        .where(attempts.c.run_id.in_(sa.select(runs.c.id).where(runs.c.root == root)))
        .order_by(attempts.c.submitted_at, attempts.c.id)
    )
    with connection.execution_options(yield_per=PAGE).execute(query) as rows:
        for price_key, state, submitted_at, accepted_at, ended_at in rows:
            yield FlightFacts(model_of(price_key), AttemptState(state), submitted_at, accepted_at, ended_at)


def credit_moves(connection: sa.Connection, root: int) -> Iterator[CreditFacts]:
    """Yield how the credits of a night's attempts moved, in the order of the book."""
    of_any = money.c.manifest_id.in_(sa.select(manifests.c.id))  # named, so that the index on (manifest, run) serves
    query = sa.select(money.c.at, money.c.kind, money.c.credits).where(of_any, money.c.run_root == root).order_by(money.c.id)
    with connection.execution_options(yield_per=PAGE).execute(query) as rows:
        for at, kind, credits in rows:
            yield CreditFacts(at, MoneyKind(kind), credits)
