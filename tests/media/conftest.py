"""What the tests of downloads share: a result server on loopback whose every answer is written by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from batchgen.core.messages import Download

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@dataclass
class Server:
    """Answers requests in turn with raw bytes; keeps what was asked."""

    url: str = ""
    answers: list[bytes] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, stream: SocketStream) -> None:
        """Read one request, send the next answer, hang up."""
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            lines = head.decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
            self.asked.append({"": lines[0], **headers})
            await stream.send(self.answers.pop(0))


Answer = Callable[..., bytes]
Serving = Callable[[], AbstractAsyncContextManager[Server]]


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what batchgen runs on."""
    return "asyncio"


@pytest.fixture
def serving() -> Serving:
    """Start the result server."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Server]:
        server = Server()
        handle: Callable[[SocketStream], Awaitable[None]] = server.handle
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        server.url = f"http://127.0.0.1:{listener.extra_attributes[SocketAttribute.local_port]()}/result"
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            yield server
            tasks.cancel_scope.cancel()

    return run


@pytest.fixture
def answer() -> Answer:
    """Write a raw answer; `length` may lie."""

    def make(body: bytes = PNG, status: str = "200 OK", *, length: int | None = None, **headers: str) -> bytes:
        size = len(body) if length is None else length
        named = {"Content-Type": "image/png", "Content-Length": str(size), **{k.replace("_", "-"): v for k, v in headers.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
        return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body

    return make


@pytest.fixture
def png() -> bytes:
    """A result: the mark of a PNG and some bytes."""
    return PNG


@pytest.fixture
def wish() -> Callable[..., Download]:
    """Make a request to download."""

    def make(url: str = "https://media.example/r", **changes: object) -> Download:
        fields: dict[str, object] = {
            "key": "bg-2",
            "index": 0,
            "url": url,
            "stem": "launch/hero",
            "attempt_number": 2,
            "model": "kling-2-6",
            "sidecar": '{"manifest": "launch", "task": "hero", "prompt": "grüße"}',
        }
        return Download(**{**fields, **changes})  # type: ignore[arg-type]  # a test names the fields it changes

    return make
