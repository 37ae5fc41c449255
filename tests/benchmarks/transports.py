"""What an HTTP client costs: creates, polls and downloads of 20 KB against the benchmark's server, 20 at once.

    python -m tests.benchmarks.transports [--rounds 3] [--tasks 500] [--readme]

Every client that can be imported takes part, in a process of its own, in turns; the median of the rounds counts.
`httpx2` is the one that batchgen uses; install `httpx`, `aiohttp`, `httpx-aiohttp`, `pyreqwest` and `uvloop` to see the others.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

from tests.benchmarks.servers import ROOT, serving

AT_ONCE = 20
KEY = {"authorization": "Bearer rvya_sk_benchmark", "user-agent": "batchgen", "accept": "application/json"}

Ask = Callable[[str, str, dict[str, str], bytes], Awaitable[bytes]]
"""Method, URL, headers and body in; the answer's body out."""


async def _httpx_like(stack: AsyncExitStack, module: str, **more: object) -> Ask:
    http: Any = importlib.import_module(module)  # Any: a benchmark of libraries that need not be installed
    limits = http.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    client = await stack.enter_async_context(http.AsyncClient(headers=KEY, limits=limits, trust_env=False, verify=False, **more))

    async def ask(method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
        async with client.stream(method, url, headers=headers, content=body or None) as response:
            return b"".join([piece async for piece in response.aiter_bytes()])

    return ask


async def _httpx_aiohttp(stack: AsyncExitStack) -> Ask:
    transport: Any = importlib.import_module("httpx_aiohttp").AiohttpTransport()
    return await _httpx_like(stack, "httpx", transport=transport)


async def _pyreqwest(stack: AsyncExitStack) -> Ask:
    client: Any = importlib.import_module("pyreqwest.client").ClientBuilder().build()
    transport: Any = importlib.import_module("pyreqwest.compatibility.httpx").HttpxTransport(client)
    return await _httpx_like(stack, "httpx", transport=transport)


async def _aiohttp(stack: AsyncExitStack) -> Ask:
    aiohttp: Any = importlib.import_module("aiohttp")
    session = await stack.enter_async_context(aiohttp.ClientSession(headers=KEY, connector=aiohttp.TCPConnector(limit=AT_ONCE)))

    async def ask(method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
        async with session.request(method, url, headers=headers, data=body or None) as response:
            return bytes(await response.read())

    return ask


CLIENTS: dict[str, tuple[Callable[[AsyncExitStack], Awaitable[Ask]], tuple[str, ...]]] = {
    "httpx2": (lambda stack: _httpx_like(stack, "httpx2"), ("httpx2",)),
    "httpx": (lambda stack: _httpx_like(stack, "httpx"), ("httpx",)),
    "httpx over httpx-aiohttp": (_httpx_aiohttp, ("httpx-aiohttp",)),
    "httpx over pyreqwest": (_pyreqwest, ("pyreqwest",)),
    "aiohttp": (_aiohttp, ("aiohttp",)),
}


async def measured(name: str, address: str, tasks: int) -> dict[str, float]:
    """Buy, look and fetch; return processor time per request and the 99th percentile, in ms."""
    took: list[float] = []
    numbers = iter(range(tasks))
    async with AsyncExitStack() as stack:
        ask = await CLIENTS[name][0](stack)

        async def timed(method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
            begun = time.perf_counter()
            answer = await ask(method, url, headers, body)
            took.append(time.perf_counter() - begun)
            return answer

        async def worker() -> None:
            for number in numbers:
                key = f"bg-{name}-{number}-{time.time_ns()}"
                headers = {"content-type": "application/json", "idempotency-key": key}
                bought = json.loads(await timed("POST", f"{address}/api/v1/generations", headers, b'{"prompt": "a red shoe"}'))
                seen = json.loads(await timed("GET", f"{address}/api/v1/generations/{bought['id']}", {}, b""))
                await timed("GET", seen["result"]["primary_url"], {}, b"")

        begun = time.process_time()
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        cpu = time.process_time() - begun
    return {"cpu": cpu / len(took) * 1e3, "p99": statistics.quantiles(took, n=100)[-1] * 1e3}


def entrants() -> Iterator[tuple[str, bool]]:
    """Yield each client that is installed, without and with uvloop."""
    for name, (_, packages) in CLIENTS.items():
        if all(importlib.util.find_spec(package.replace("-", "_")) for package in packages):
            yield name, False
            if importlib.util.find_spec("uvloop"):
                yield name, True


def one(name: str, *, loop: bool, address: str, tasks: int) -> dict[str, float]:
    """Measure in a process of its own."""
    words = [sys.executable, "-m", "tests.benchmarks.transports", "--only", name, "--address", address, "--tasks", str(tasks)]
    done = subprocess.run([*words, *(["--uvloop"] if loop else [])], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(rounds: int, tasks: int) -> str:
    """Measure all in turns; return the table."""
    found: dict[tuple[str, bool], list[dict[str, float]]] = {}
    with serving() as server:
        for _ in range(rounds):
            for name, loop in entrants():
                found.setdefault((name, loop), []).append(one(name, loop=loop, address=server.address, tasks=tasks))
    lines = ["| client | processor ms per request | 99 of 100 within, ms |", "|---|---|---|"]
    for (name, loop), runs in found.items():
        named = f"{name} {version(CLIENTS[name][1][0])}{' with uvloop' if loop else ''}"
        cpu, p99 = (statistics.median(run[what] for run in runs) for what in ("cpu", "p99"))
        lines.append(f"| {named} | {cpu:.2f} | {p99:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Read the arguments; measure one client (a process of this one) or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--only", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--uvloop", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.only is None:
        print(table(said.rounds, said.tasks))
        return
    factory = importlib.import_module("uvloop").new_event_loop if said.uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measured(said.only, said.address, said.tasks))))


if __name__ == "__main__":
    main()
