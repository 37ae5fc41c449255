"""The benchmark's own server: Rivya's create, status and download over bare asyncio, so cheap that the client is what is measured.

    python -m tests.benchmarks.stub [--limit 10] [--window 1] [--fixed] [--render 0] [--slow 0]

It prints its port on a line of its own and serves until its standard input closes. A request above the limit of a
sliding (or fixed) window is answered 429; a request counts when its last byte has come. `GET /stats` tells what was
counted, `POST /reset` forgets it. Downloads come from `/media` and do not count, as with a CDN. `/v1/chat/completions` is
for tools that know no other API: one call buys and answers when the render is done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic

MEDIA_BYTES = 20_000
CHAT = "/chat/completions"


def picture() -> bytes:
    """Return a whole PNG of one pixel, filled up to the size of a small result with a private chunk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return head + chunk(b"fiLl", bytes(MEDIA_BYTES - len(head) - len(tail) - 12)) + tail


@dataclass(slots=True)
class Counted:
    """What the server saw."""

    requests: int = 0
    busy: int = 0  # answered 429
    creates: int = 0
    bought: int = 0
    again: int = 0  # bought for a prompt that had been bought before
    polls: int = 0
    downloads: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    most: int = 0  # in any window

    def told(self) -> dict[str, float]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Service:
    """The account: its limit, and what was bought."""

    limit: int
    window: float
    fixed: bool
    render: float
    slow: float = 0.0  # seconds from a purchase to its answer
    counted: Counted = field(default_factory=Counted)
    recent: deque[float] = field(default_factory=deque)
    tasks: dict[str, float] = field(default_factory=dict)  # when bought, by id
    ids: dict[str, str] = field(default_factory=dict)  # by Idempotency-Key
    prompts: set[str] = field(default_factory=set)  # that were bought
    media: bytes = field(default_factory=picture)

    def wait(self, path: str) -> float:
        """Return how many seconds the answer to a POST is held back."""
        return self.slow + (self.render if path.endswith(CHAT) else 0.0)

    def answer(self, method: str, path: str, headers: Mapping[str, str], sent: bytes) -> tuple[int, str, bytes]:
        """Return status, type and body."""
        if path.startswith("/media/"):
            return 200, "image/png", self.media
        if path in {"/stats", "/reset"}:
            return self._books(path)
        if not self._allowed():
            return self._json({"error": {"code": "rate_limited", "message": "Too many requests."}}, 429)
        if path.endswith(CHAT):
            return self._chat(sent)
        if method == "POST":
            return self._create(headers.get("idempotency-key", ""), json.loads(sent)["prompt"])
        return self._status(path.rpartition("/")[2], headers.get("host", ""))

    def _books(self, path: str) -> tuple[int, str, bytes]:
        told = self.counted.told()
        if path == "/reset":
            self.counted = Counted()  # the window goes on
        return self._json(told)

    def _allowed(self) -> bool:
        """Count a request, and say whether the limit lets it pass. Refused requests do not use the window up."""
        now, counted = monotonic(), self.counted
        counted.requests += 1
        counted.first_at = counted.first_at or now
        counted.last_at = now
        edge = now // self.window * self.window if self.fixed else now - self.window
        while self.recent and self.recent[0] <= edge:
            self.recent.popleft()
        if self.limit and len(self.recent) >= self.limit:
            counted.busy += 1
            return False
        self.recent.append(now)
        counted.most = max(counted.most, len(self.recent))
        return True

    def _create(self, key: str, prompt: str) -> tuple[int, str, bytes]:
        self.counted.creates += 1
        task = self.ids.get(key) or f"task_{len(self.tasks)}"
        if key:
            self.ids[key] = task
        if task not in self.tasks:
            self._buy(task, prompt)
        return self._json({"id": task, "status": "queued", "reserved_credits": 1, "final_credits": 0}, 202)

    def _buy(self, task: str, prompt: str) -> None:
        self.counted.bought += 1
        self.counted.again += prompt in self.prompts
        self.prompts.add(prompt)
        self.tasks[task] = monotonic()

    def _chat(self, sent: bytes) -> tuple[int, str, bytes]:
        messages = json.loads(sent)["messages"]
        if not messages:  # asked only for the headers
            return self._json({"error": {"message": "No messages."}}, 400)
        task = f"task_{len(self.tasks)}"
        self._buy(task, messages[-1]["content"])
        said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": task}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return self._json({"id": task, "object": "chat.completion", "created": 0, "model": "m", "choices": [said], "usage": usage})

    def _status(self, task: str, host: str) -> tuple[int, str, bytes]:
        self.counted.polls += 1
        if task not in self.tasks:
            return self._json({"error": {"code": "not_found", "message": "No such task."}}, 404)
        if monotonic() - self.tasks[task] < self.render:
            return self._json({"id": task, "status": "processing", "reserved_credits": 1})
        result = {"primary_url": f"http://{host}/media/{task}.png"}
        return self._json({"id": task, "status": "succeeded", "reserved_credits": 1, "final_credits": 1, "result": result})

    @staticmethod
    def _json(value: object, status: int = 200) -> tuple[int, str, bytes]:
        return status, "application/json", json.dumps(value).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 as far as well-behaved clients need it: keep-alive, Content-Length or chunked bodies."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = self._body_length(end + 4, headers)
            if length is None:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._reply(lines[0], headers, body)

    def _body_length(self, start: int, headers: dict[str, str]) -> int | None:
        if headers.get("transfer-encoding", "") == "chunked":
            end = self._buffer.find(b"0\r\n\r\n", start)
            return None if end < 0 else end + 5 - start
        length = int(headers.get("content-length", "0"))
        return length if len(self._buffer) - start >= length else None

    def _reply(self, line: str, headers: dict[str, str], sent: bytes) -> None:
        method, path, _ = line.split(" ", 2)
        status, mime, body = self._service.answer(method, path, headers, sent)
        close = headers.get("connection", "").lower() == "close"
        last = "connection: close\r\n" if close else ""
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {mime}\r\ncontent-length: {len(body)}\r\n{last}\r\n"
        wait = self._service.wait(path) if method == "POST" and status < HTTPStatus.BAD_REQUEST else 0.0
        if wait:
            asyncio.get_running_loop().call_later(wait, self._write, head.encode() + body, path, close)
        else:
            self._write(head.encode() + body, path, close)

    def _write(self, data: bytes, path: str, close: bool) -> None:
        assert self._transport is not None
        if self._transport.is_closing():  # whoever asked is gone
            return
        if path.startswith("/media/") or (path.endswith(CHAT) and b" 200 " in data[:20]):
            self._service.counted.downloads += 1
        self._transport.write(data)
        if close:
            self._transport.close()


async def serve(service: Service, port: int) -> None:
    """Serve until standard input ends: with the benchmark that started it, however that ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="requests in a window; 0 is no limit")
    parser.add_argument("--window", type=float, default=1.0, help="seconds")
    parser.add_argument("--fixed", action="store_true", help="windows begin at whole multiples of their length")
    parser.add_argument("--render", type=float, default=0.0, help="seconds that a render takes")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds from a purchase to its answer")
    parser.add_argument("--port", type=int, default=0)
    said = parser.parse_args()
    asyncio.run(serve(Service(said.limit, said.window, said.fixed, said.render, said.slow), said.port))


if __name__ == "__main__":
    main()
