"""A server that means harm: the sandbox with poisoned answers, and a neighbour that notes what reaches it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.serve import in_process

MARKS = ("\x1b]", "\x1b[66;66H", "\x1b[35;45m", "\x1b[2J", "\x07", "\x9b", "\u202e", "\x00", "\x7f")
"""What a server's or a manifest's text must never bring to a terminal; our own live view draws with none of these."""
ESCAPES = f"{MARKS[0]}0;pwned{''.join(MARKS[1:])}evil\r\n"
PNG = next((Path(__file__).parents[2] / "manifests" / "assets").glob("vase.png")).read_bytes()
HUGE = 50 * 1024**3

Poison = Callable[[str, dict[str, object]], dict[str, object]]
"""Change the JSON of an answer to `METHOD path`; it is told the answer."""


@dataclass
class Neighbour:
    """Another server of this machine: it answers everything with a picture, and keeps the headers and bodies of what came."""

    got: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note and answer."""
        more = True
        while more:
            piece = await receive()
            self.bodies.append(piece.get("body", b""))
            more = piece.get("more_body", False)
        self.got.append((f"{scope['method']} {scope['path']}", {k.decode(): v.decode() for k, v in scope["headers"]}))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
        await send({"type": "http.response.body", "body": PNG})


@dataclass
class Hostile:
    """The sandbox with poison. `traps` answer GETs of their path: status, headers, body."""

    inner: ASGIApp
    account: Account
    poison: Poison
    traps: dict[str, tuple[int, Mapping[str, str], bytes]] = field(default_factory=dict)
    address: str = ""
    met: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = str(scope["path"])
        self.met.append(path)
        if path in self.traps:
            status, headers, body = self.traps[path]
            await self._send(send, status, headers, body)
            return
        await self.inner(scope, receive, self._poisoned(scope, send) if path.startswith("/api/") else send)

    def _poisoned(self, scope: Scope, send: Send) -> Send:
        start: Message = {}
        key = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")

        async def poisoned(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            answer = self.poison(f"{scope['method']} {scope['path']} {key}", json.loads(message["body"]))
            status = int(str(answer.pop("status_code", start["status"])))
            headers = {"content-type": "application/json", "x-echo": key, "set-cookie": f"k={key}", "x-request-id": f"req-{key}"}
            await self._send(send, status, headers, json.dumps(answer).encode())

        return poisoned

    @staticmethod
    async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
        length = {} if "content-length" in headers else {"content-length": str(len(body))}
        pairs = [(name.encode(), value.encode()) for name, value in {**headers, **length}.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        more = int(dict(headers).get("content-length", len(body))) > len(body)
        await send({"type": "http.response.body", "body": body, "more_body": more})


@contextmanager
def hostile(folder: Path, poison: Poison) -> Iterator[tuple[Hostile, Neighbour, str]]:
    """Serve the hostile API and its neighbour; gives the neighbour's address too."""
    neighbour = Neighbour()
    with Account(folder / "hostile.sqlite3") as account:
        server = Hostile(build(account, Faults.parse("render=0")), account, poison)
        with in_process(server) as address, in_process(neighbour) as other:
            server.address = address
            yield server, neighbour, other


def bomb() -> bytes:
    """Make 100 kB that inflate to 100 MB."""
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(press.compress(bytes(1024 * 1024)) for _ in range(100)) + press.flush()
