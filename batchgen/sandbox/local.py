"""The sandbox, put together: books on disk, the app over them, a server around it.

`hosted` is what a `--sandbox` run uses, `serve_until_stopped` what `batchgen sandbox` does. Both take the port that
served the same books last, if it is free: the links in earlier answers then go on working, as a real server's would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.core.model import Credits
from batchgen.sandbox.account import DEFAULT_CREDITS, Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.serve import LOOPBACK, in_process, serve


@contextmanager
def hosted(books: Path, *, faults: Faults | None = None, starting_credits: Credits = DEFAULT_CREDITS) -> Iterator[str]:
    """Serve the account in the file `books` from a thread while the block runs; gives the base URL.

    `starting_credits` count only where the file is new. Raises UsageError if the file cannot be used.
    """
    with Account(books, starting_credits=starting_credits) as account, in_process(build(account, faults), port=account.port) as url:
        account.port = urlsplit(url).port or 0
        yield url


def serve_until_stopped(
    books: Path, *, faults: Faults | None = None, host: str = LOOPBACK, port: int = 0, ready: Callable[[str], None] | None = None
) -> None:
    """Serve the account in the file `books` until SIGINT or SIGTERM, then return. Main thread only.

    `ready` is told the base URL. Raises UsageError if the file or the port cannot be used.
    """
    with Account(books) as account:
        serve(build(account, faults), host=host, port=port, ready=ready)
