"""Stands between the client and the sandbox, inside the server: notes when each request came, and may kill the client at one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Moment(StrEnum):
    """When, at a request or a commit, the process dies."""

    BEFORE = "before"  # it has left, nothing is done about it
    AFTER = "after"  # it is done, nobody will hear of it


@dataclass(frozen=True, slots=True)
class Trap:
    """At request `at` (from 1), at that moment, `kill`."""

    at: int
    moment: Moment
    kill: Callable[[], None]


@dataclass(slots=True)
class Witness:
    """An ASGI app around another. `times` has the API's requests (not the downloads) since the beginning."""

    inner: ASGIApp
    times: list[float] = field(default_factory=list)
    refused: int = 0  # answers 429
    trap: Trap | None = None
    _since: int = 0

    def arm(self, trap: Trap | None) -> None:
        """Set the trap; its requests are counted from now on."""
        self.trap, self._since = trap, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note a request, and serve it unless it is the one."""
        if scope["type"] == "http" and str(scope["path"]).startswith("/api/"):
            self.times.append(time.monotonic())
        self._since += 1
        trap = self.trap if self.trap is not None and self._since == self.trap.at else None
        if trap is not None and trap.moment is Moment.BEFORE:
            trap.kill()
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.refused += message["status"] == TOO_MANY
                if trap is not None:
                    trap.kill()
            await send(message)

        await self.inner(scope, receive, answer)

    def most_in(self, seconds: float) -> int:
        """Return the most requests that came within any window of so many seconds."""
        end, most = 0, 0
        for begin, at in enumerate(self.times):
            while end < len(self.times) and self.times[end] < at + seconds:
                end += 1
            most = max(most, end - begin)
        return most


TOO_MANY = 429
