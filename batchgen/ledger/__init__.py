"""The ledger: the database of everything that was asked, bought and fetched, behind the port `core.ports.Ledger`.

    columns.py     the column types: instants, words from outside, JSON
    tables.py      the tables and their constraints
    guards.py      the triggers: what a constraint cannot say
    migrations/    from nothing, or from an older version, to these tables
    opening.py     finding, making and refusing ledgers
    lock.py        one run at a time
    trouble.py     the database's errors in our words
    places.py      paths and URLs, and where SQLite may not be
    documents.py   values kept as JSON
    statements.py  the statements that write
    journal.py     the log of moves
    adopting.py    the plan becomes tasks
    staging.py     the rows of one commit, written together
    writing.py     a step's records become rows
    starting.py    what a run starts from
    reads.py       what people ask
    store.py       all of it behind the port

Deliberately absent: an ORM (rows are written by guarded statements, never by flushing objects), counters (every number
is a query) and retries (one run holds the ledger, so a lost race is a bug to be seen).
"""

from batchgen.ledger.opening import exists
from batchgen.ledger.store import Store

__all__ = ["Store", "exists"]
