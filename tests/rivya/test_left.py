"""Who calls is told when the bytes left, over a real connection."""

from __future__ import annotations

import asyncio

import pytest

from batchgen.core.answers import Verdict
from batchgen.core.ports import LEFT
from batchgen.rivya.client import Client

KEY = "rvya_sk_secret_1"
ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n{"credits": 12345 }'


@pytest.mark.anyio
async def test_the_caller_is_told_once_when_its_bytes_have_left() -> None:
    """Before the answer comes, and in the caller's own context: others hear nothing."""
    happened: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            happened.append("answered")
            writer.write(ANSWER)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", KEY) as client:

        async def ask(name: str) -> None:
            LEFT.set(lambda: happened.append(name))
            assert (await client.balance()).verdict is Verdict.OK

        await asyncio.create_task(ask("first"))
        await asyncio.create_task(ask("second"))
        assert (await client.balance()).verdict is Verdict.OK
    server.close()
    assert happened == ["first", "answered", "second", "answered", "answered"]
