"""A proxy that does to TCP streams what a bad night does: delays them, cuts them, lets half of a piece through.

It knows no HTTP, so a cut comes anywhere: in a request's head or body, before the answer, in the middle of it.
Runs in a thread of its own; what happens to the nth piece follows from the seed. Fates are dealt from a deck, so that none can be missed.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PIECE = 16_384
DECK = {"cut": 1, "reset": 1, "halve": 1, "delay": 5, "": 42}
"""Of so many pieces that pass, in either direction; then it is shuffled anew."""


@dataclass
class Proxy:
    """Counts what it did."""

    upstream: int
    seed: int
    address: str = ""
    did: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DECK, 0))
    dice: random.Random = field(init=False)
    deck: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take the dice."""
        self.dice = random.Random(self.seed)  # noqa: S311 - a seed that replays, no secret

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        try:
            there = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            _reset(writer)
            return
        ends = (writer, there[1])
        ways = {
            asyncio.create_task(self._carry(reader, there[1], ends)),
            asyncio.create_task(self._carry(there[0], writer, ends)),
        }
        try:
            await asyncio.wait(ways)
        finally:
            for way in ways:
                way.cancel()
            for end in ends:
                end.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: tuple[asyncio.StreamWriter, ...]) -> None:
        """Carry one direction until it ends or fate strikes; then both ends go."""
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                fate = self._fate()
                if fate == "delay":
                    await asyncio.sleep(self.dice.random() * 0.2)
                if fate == "halve":
                    writer.write(piece[: len(piece) // 2])
                    await writer.drain()
                if fate == "reset":
                    for end in ends:
                        _reset(end)
                if fate in {"cut", "halve", "reset"}:
                    break
                writer.write(piece)
                await writer.drain()
        for end in ends:
            end.close()

    def _fate(self) -> str:
        if not self.deck:
            self.deck = [fate for fate, count in DECK.items() for _ in range(count)]
            self.dice.shuffle(self.deck)
        fate = self.deck.pop()
        self.did[fate] += 1
        return fate


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a reset (RST), as from a machine that crashed."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def between(upstream: int, *, seed: int) -> Iterator[Proxy]:
    """Stand between a client and the server at a port of this machine."""
    proxy = Proxy(upstream, seed)
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()

    async def stand() -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await done.wait()
        server.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(stand()), name="proxy", daemon=True)
    thread.start()
    try:
        assert ready.wait(20)
        yield proxy
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
        loop.close()
