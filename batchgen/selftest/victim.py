"""`python -m batchgen.selftest.victim N before|after ARGUMENTS...`: batchgen, which kills itself at its Nth commit.

`before`: the transaction is whole, but not durable. `after`: it is durable, and nobody in this process has heard so.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys

import sqlalchemy as sa

from batchgen.selftest.witness import Moment


def die_at(number: int, moment: Moment) -> None:
    """Let this process die at a commit of its own; numbers count from 1."""
    left = number

    @sa.event.listens_for(sa.Engine, "commit")
    def _commit(connection: sa.Connection) -> None:
        nonlocal left
        left -= 1
        if left:
            return
        if moment is Moment.AFTER:
            connection.connection.commit()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    die_at(int(sys.argv[1]), Moment(sys.argv[2]))
    sys.argv[:] = ["batchgen", *sys.argv[3:]]
    runpy.run_module("batchgen", run_name="__main__")
