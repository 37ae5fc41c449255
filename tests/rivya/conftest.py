"""What the tests of the API's client share."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from batchgen.core.messages import SendUpload
from batchgen.core.model import MediaKind, Reference

Handler = Callable[[SocketStream], Awaitable[None]]
Serve = Callable[[Handler], AbstractAsyncContextManager[str]]


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what batchgen runs on."""
    return "asyncio"


@pytest.fixture
def serve() -> Serve:
    """Start a raw TCP server on loopback; its handler has the connection to itself."""

    @asynccontextmanager
    async def run(handler: Handler) -> AsyncIterator[str]:
        async def one(stream: SocketStream) -> None:
            async with stream:
                await handler(stream)

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra_attributes[SocketAttribute.local_port]()
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, one)
            yield f"http://127.0.0.1:{port}"
            tasks.cancel_scope.cancel()

    return run


@pytest.fixture
def upload_of(tmp_path: Path) -> Callable[[bytes], SendUpload]:
    """Make a request to upload a file with these bytes."""

    def make(content: bytes) -> SendUpload:
        path = tmp_path / "hero.png"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        reference = Reference(MediaKind.IMAGE, "image/png", 'he"ro\r\n.png', sha256=sha256, path=str(path), size=len(content))
        return SendUpload(reference, "kling-2-6", "bg-file-1")

    return make
