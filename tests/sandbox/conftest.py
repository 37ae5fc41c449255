from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from batchgen.sandbox import SANDBOX_KEY
from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults

MEDIA = Path(__file__).parents[2] / "batchgen" / "sandbox" / "media"


class Clock:
    """Time that only passes when told to."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


Connect = Callable[..., httpx2.AsyncClient]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone."""
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Name a file for the books, in a folder that is not there yet."""
    return tmp_path / "account" / "books.sqlite3"


@pytest.fixture
def account(books: Path, clock: Clock) -> Iterator[Account]:
    """Open an account with 1000 credits."""
    with Account(books, starting_credits=1000, clock=clock) as opened:
        yield opened


@pytest.fixture
async def connect(account: Account) -> AsyncIterator[Connect]:
    """Make clients of an app over the account: `connect("late,429=0.5", key=...)`."""
    async with AsyncExitStack() as stack:

        def make(faults: str = "", key: str = SANDBOX_KEY) -> httpx2.AsyncClient:
            transport = httpx2.ASGITransport(app=build(account, Faults.parse(faults)))
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            client = httpx2.AsyncClient(transport=transport, base_url="http://sandbox.test", headers=headers)
            stack.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def png() -> bytes:
    """Give a real picture."""
    return (MEDIA / "image-1x1-a.png").read_bytes()
