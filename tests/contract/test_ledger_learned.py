"""The ledger's port: what a run learns about the service, and when the run before it had sent its last request."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from batchgen.core.looks import RENDER_TIMES
from batchgen.core.messages import Ended, Noted
from batchgen.errors import ExitCode
from batchgen.ledger import tables
from tests.contract.books import Books


def test_render_times_are_kept(books: Books) -> None:
    """The newest of what was learned comes back whole, and leaves no event."""
    assert books.open().render_times == {}
    books.write(Noted(RENDER_TIMES, books.at, detail='{"m?":[1,4.0,0.1]}'))
    books.write(Noted(RENDER_TIMES, books.at, detail='{"m?":[2,5.0,0.25],"m?x=1":[1,4.5,0.0]}'))
    assert books.open().render_times == {"m?": (2, 5.0, 0.25), "m?x=1": (1, 4.5, 0.0)}
    assert not any(RENDER_TIMES in row for row in books.rows()["events"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"m?":5}', '{"m?":[1,"x",2]}', '{"m?":[1]}'])
def test_render_times_that_cannot_be_read_are_learned_again(books: Books, text: str) -> None:
    """They are a convenience, no reason to refuse a run."""
    books.write(Noted(RENDER_TIMES, books.at, detail="{}"))
    with books.store._opened.writing.begin() as connection:
        connection.execute(sa.update(tables.meta).where(tables.meta.c.key == RENDER_TIMES).values(value=text))
    assert books.open().render_times == {}


def test_the_first_run_follows_none(books: Books) -> None:
    """Nothing was ever sent."""
    assert books.open().last_request_by == 0.0


def test_a_run_that_ended_sent_nothing_later(books: Books) -> None:
    """The rate goes on from its end."""
    books.store.end_run(books.run, Ended(ExitCode.DONE, ""), books.at + 5.0)
    books.at += 100.0
    books.begin()
    assert books.open().last_request_by == books.at - 95.0


def test_a_run_that_was_killed_was_gone_when_the_next_began(books: Books) -> None:
    """Its polls wrote nothing, so only that is certain."""
    books.at += 100.0
    books.begin()
    assert books.open().last_request_by == books.at
