"""uvicorn around the app: alone in a process (`serve`), or in a thread of another one (`in_process`).

The h11 protocol is subclassed for one thing only: to put into the scope a function that cuts the connection (`DROP`),
because an ASGI app has no other way to drop one. It is the protocol that works without compiled parts.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchgen.errors import Unavailable, UsageError
from batchgen.sandbox.disturbed import DROP

LOOPBACK = "127.0.0.1"
_BACKLOG = 512
_START = 20.0  # seconds; a loaded machine takes one
_DRAIN = 1  # seconds that answers under way get at the end


class _Droppable(H11Protocol):
    """HTTP/1.1 whose app may cut the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn narrows it so as well
        """Wrap the app, for this connection."""
        super().connection_made(transport)
        inner = cast("ASGIApp", self.app)

        def drop(politely: bool) -> None:
            if politely:
                transport.close()
                return
            # lingering for 0 seconds makes the close a reset (RST), which is what a crashed peer looks like
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[DROP] = drop
            await inner(scope, receive, send)

        self.app = app


def listen(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """Take a port (0: any that is free) and listen. Raises UsageError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it each answer waits 40 ms for an ACK
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        taken.close()
        raise UsageError(f"the sandbox cannot listen on {host} port {port}: {error}") from error
    return taken


def address(taken: socket.socket) -> str:
    """Return the base URL of a listening socket."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server, which tells another thread when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        """Prepare to serve."""
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        self.settled.set()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve to the end; a start that failed is told as well."""
        try:
            super().run(sockets)
        finally:
            self.settled.set()


def _server(app: ASGIApp) -> _Server:
    """Configure uvicorn to be quiet and to leave the process's logging alone."""
    config = uvicorn.Config(
        app,
        http=_Droppable,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        timeout_graceful_shutdown=_DRAIN,
    )
    return _Server(config)


def serve(app: ASGIApp, *, host: str = LOOPBACK, port: int = 0, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then return. `ready` is told the base URL once it answers. Main thread only.

    Raises UsageError if the port cannot be had.
    """
    taken = listen(port, host)
    server = _server(app)

    def stop(*_: object) -> None:
        server.should_exit = True

    # Ours while uvicorn's handlers are not yet there; and uvicorn raises what it caught again after its end, so that
    # with the default handlers we would not return.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if ready:
            ready(address(taken))  # the socket listens already: who comes early waits in its queue
        server.run(sockets=[taken])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        taken.close()


@contextmanager
def in_process(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serve in a daemon thread while the block runs, and give its base URL. Touches no signal handler.

    `port` is a wish: if another program has it, any free one is taken.
    """
    try:
        taken = listen(port)
    except UsageError:
        taken = listen()
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, name="sandbox", daemon=True)
    url = address(taken)  # asked now: the server closes the socket at its end
    thread.start()
    try:
        if not server.settled.wait(_START) or not server.started:
            raise Unavailable("the sandbox's server did not start")
        yield url
    finally:
        server.should_exit = True
        thread.join(_START)
        taken.close()
