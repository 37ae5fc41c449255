"""The service, real or not: the API's client and the downloads, built for these settings; with --sandbox, the sandbox too.

Apart from `app` because asking for a balance or serving the sandbox needs neither a ledger nor a manifest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import anyio

from batchgen.core.answers import Answer, Balance
from batchgen.core.ports import Api, Media
from batchgen.sandbox import SANDBOX_KEY
from batchgen.sandbox.account import Account
from batchgen.sandbox.faults import Faults
from batchgen.settings import Settings

T = TypeVar("T")


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[tuple[Api, Media]]:
    """Give the API and the results' downloads, ready to use; the key is looked at here.

    Raises KeyRefused if there is none, UsageError for an address or a sandbox that cannot be used.
    """
    # Imported here because the HTTP library takes 0.1 s: `plan`, and a run of a finished manifest, ask nobody.
    from batchgen.media import Downloads  # noqa: PLC0415
    from batchgen.rivya.client import Client  # noqa: PLC0415

    with _address(settings) as (address, key):
        async with Client(address, key) as api, Downloads(settings.outputs, allow_loopback=settings.local_service) as media:
            yield api, media


@contextmanager
def _address(settings: Settings, *, keyless: bool = False) -> Iterator[tuple[str, str | None]]:
    """Give the API's address and the key for it; with --sandbox, the sandbox's, which is started here."""
    if not settings.sandbox:
        yield settings.address, None if keyless else settings.key.reveal()
        return
    # Imported here because a web server is slow to import, and only sandbox runs need it.
    from batchgen.sandbox.app import build  # noqa: PLC0415
    from batchgen.sandbox.serve import in_process  # noqa: PLC0415

    with _account(settings) as account, in_process(build(account, Faults.parse(settings.faults)), port=account.port) as address:
        account.port = int(address.rpartition(":")[2])
        yield address, SANDBOX_KEY


def ask_balance(settings: Settings) -> Answer[Balance]:
    """Ask for the account's credits."""
    return _ask(settings, lambda api: api.balance())


def ask_models(settings: Settings) -> Answer[list[object]]:
    """Ask for the models; that needs no key."""
    return _ask(settings, lambda api: api.models(), keyless=True)


def _ask(settings: Settings, question: Callable[[Api], Awaitable[T]], *, keyless: bool = False) -> T:
    from batchgen.rivya.client import Client  # noqa: PLC0415 - see `service`

    async def ask() -> T:
        with _address(settings, keyless=keyless) as (address, key):
            async with Client(address, key) as api:
                return await question(api)

    return anyio.run(ask)


def serve_sandbox(settings: Settings, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the sandbox until SIGINT or SIGTERM. `ready` is told the base URL. Raises UsageError if the port cannot be had."""
    # Imported here because a web server is slow to import, and only this command and sandbox runs need it.
    from batchgen.sandbox.app import build  # noqa: PLC0415
    from batchgen.sandbox.serve import serve  # noqa: PLC0415

    with _account(settings) as account:
        serve(build(account, Faults.parse(settings.faults)), host=host, port=port, ready=ready)


@contextmanager
def _account(settings: Settings) -> Iterator[Account]:
    settings.books.parent.mkdir(parents=True, exist_ok=True)
    with Account(settings.books, starting_credits=settings.sandbox_credits) as account:
        yield account
