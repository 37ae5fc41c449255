"""What every peer that runs a user's own code does for a task: buy a render, look until it is done, fetch the 20 KB, write a file.

It is run in the peers' own environments, so it imports nothing but the standard library. One kept connection for each
thread is the least that a user's function could cost: faster than the clients that people reach for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 60.0
"""Seconds to an answer."""

PAUSES = (1, 2, 4, 8, 16, 32)
"""Seconds after a 429, as most libraries that try again have them."""

_kept = threading.local()


class Busy(Exception):
    """The account's rate is used up."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a peer is to do. `rate` is tasks a second, 0 for no limit; `poll` is seconds between looks."""

    address: str
    folder: Path
    tasks: int
    in_flight: int
    rate: float
    poll: float
    keys: bool

    @property
    def names(self) -> list[str]:
        """The tasks."""
        return [f"t{n}" for n in range(self.tasks)]

    def buy(self, name: str) -> str:
        """Buy a render and return its id; with `keys`, the same task is told as the same."""
        head = {"content-type": "application/json", "authorization": "Bearer none"}
        if self.keys:
            head["idempotency-key"] = f"key-{name}"
        body = json.dumps({"model": "z-image", "prompt": f"a red shoe {name}"})
        made = json.loads(self._ask("POST", "/v1/renders", body, head))
        return str(made["id"])

    def done(self, render: str) -> str:
        """Look until a render is done and return the address of its file."""
        while True:
            seen = json.loads(self._ask("GET", f"/v1/renders/{render}"))
            if seen["status"] == "succeeded":
                return str(seen["result"]["primary_url"])
            time.sleep(self.poll)

    def fetch(self, name: str, url: str) -> None:
        """Fetch a file and keep it under the task's name."""
        self.keep(name, self._ask("GET", urlsplit(url).path))

    def keep(self, name: str, result: bytes) -> None:
        """Write a task's result, whole or not at all."""
        place = self.folder / "out"
        place.mkdir(exist_ok=True)
        part = place / f".{name}.part"
        part.write_bytes(result)
        part.rename(place / name)

    def finish(self, name: str, render: str) -> None:
        """Wait for a render that was bought, and fetch it."""
        self.fetch(name, patiently(lambda: self.done(render)))

    def _ask(self, method: str, path: str, body: str | None = None, head: Mapping[str, str] | None = None) -> bytes:
        host = urlsplit(self.address).netloc
        found: http.client.HTTPConnection | None = getattr(_kept, "connection", None)
        if found is None:
            found = _kept.connection = http.client.HTTPConnection(host, timeout=TIMEOUT)
        found.request(method, path, body, dict(head or {}))
        answer = found.getresponse()
        data = answer.read()
        if answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
            raise Busy(path)
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise OSError(f"{path} answered {answer.status}: {data[:100]!r}")
        return data


def patiently(call: Callable[[], str]) -> str:
    """Call again after a 429, with growing pauses: by request, so that no purchase is made again because a look was refused."""
    for pause in PAUSES:
        try:
            return call()
        except Busy:
            time.sleep(pause)
    return call()


def asked() -> Asked:
    """Read the arguments with which every peer is started."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--poll", type=float, default=0.01)
    parser.add_argument("--keys", action="store_true")
    said = parser.parse_args()
    return Asked(said.address, said.folder, said.tasks, said.in_flight, said.rate, said.poll, said.keys)
