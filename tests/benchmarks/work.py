"""One run of batchgen, or of the bare loop, in a process of its own.

`python -m tests.benchmarks.work ours|bare ...` prints what it took as JSON.

The bare loop does the same creates, polls and downloads with the same client and the same number in flight, writes the
20 KB to a file and nothing else: no ledger, no fsync, no checks, no sidecar.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import httpx2
import sqlalchemy as sa

from batchgen import app
from batchgen.core.facts import RunAsked
from batchgen.core.messages import Glimpse, Step
from batchgen.core.model import canonical_json
from batchgen.core.policy import PollPolicy
from batchgen.ledger.opening import WRITES
from batchgen.rivya.client import Client
from batchgen.settings import Settings
from batchgen.settings.secret import ApiKey

KEY = "rvya_sk_benchmark"
QUICK = PollPolicy(first=0.001, every=0.001, slowest=0.01)
"""As low as a server of one's own allows."""


class Commits:
    """Counts the ledger's durable commits in this process, and the processor's seconds that went into them."""

    def __init__(self) -> None:
        self.count, self.cpu = 0, 0.0
        self._begun: dict[int, float] = {}  # by thread
        sa.event.listen(sa.Engine, "begin", self._begin)
        sa.event.listen(sa.Engine, "commit", self._note)
        sa.event.listen(sa.Pool, "checkin", self._over)

    def _begin(self, connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WRITES):
            self._begun[threading.get_ident()] = time.thread_time()

    def _note(self, connection: sa.Connection) -> None:
        self.count += bool(connection.get_execution_options().get(WRITES))

    def _over(self, *_: object) -> None:
        begun = self._begun.pop(threading.get_ident(), None)
        self.cpu += time.thread_time() - begun if begun is not None else 0.0


def write_manifest(folder: Path, tasks: int) -> Path:
    """Write a manifest of images, each with a prompt of its own."""
    path = folder / "m.yaml"
    if not path.exists():
        rows = "".join(f"  - {{id: t{n}, prompt: a red shoe {n}}}\n" for n in range(tasks))
        path.write_text(f"version: 1\nname: m\ndefaults: {{model: z-image}}\ntasks:\n{rows}", encoding="utf-8")
    return path


def silent(step: Step, glimpse: Glimpse) -> None:
    """Watch a run without a word."""


def ours(said: argparse.Namespace) -> dict[str, object]:
    """Run a manifest as `batchgen run` does."""
    folder = Path(said.folder)
    manifest = write_manifest(folder, said.tasks)
    settings = Settings(
        workspace=folder,
        ledger=str(folder / "ledger.sqlite3"),
        outputs=folder / "renders",
        address=said.address,
        key=ApiKey(KEY),
        requests_per_minute=said.rate,
        in_flight=said.in_flight,
        poll=PollPolicy(said.poll, said.poll, max(said.poll, 0.01)) if said.poll else QUICK,
    )
    commits, cpu, loop, begun = Commits(), time.process_time(), time.thread_time(), time.perf_counter()
    ended = anyio.run(partial(app.run, app.check([manifest]), settings, RunAsked("run", ("m",)), watch=silent))
    seconds = time.perf_counter() - begun
    spent = {"cpu": time.process_time() - cpu, "loop": time.thread_time() - loop, "ledger": commits.cpu}
    return {"seconds": seconds, **spent, "commits": commits.count, "code": int(ended.code), "reason": ended.reason}


def bare(said: argparse.Namespace) -> dict[str, object]:
    """Do the same without a ledger."""
    folder = Path(said.folder)
    cpu, begun = time.process_time(), time.perf_counter()
    anyio.run(_bare, said, folder)
    return {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}


async def _bare(said: argparse.Namespace, folder: Path) -> None:
    numbers = iter(range(said.tasks))
    limits = httpx2.Limits(max_keepalive_connections=0)
    media = httpx2.AsyncClient(limits=limits, trust_env=False)
    async with Client(said.address, KEY) as api, media, anyio.create_task_group() as group:
        for _ in range(said.in_flight):
            group.start_soon(_worker, api, media, numbers, folder)


async def _worker(api: Client, media: httpx2.AsyncClient, numbers: Iterator[int], folder: Path) -> None:
    for number in numbers:
        key = f"bg-bare-{number}"
        body = canonical_json({"model": "z-image", "prompt": f"a red shoe {number}", "params": {}, "client_request_id": key}).encode()
        bought = await api.create(body, key)
        assert bought.value is not None, bought
        seen = await api.status(bought.value.task_id)
        assert seen.value is not None, seen
        (folder / f"{number}.png").write_bytes((await media.get(seen.value.urls[0])).content)


def main() -> None:
    """Read the arguments, work, print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["ours", "bare"])
    parser.add_argument("--address", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e7, help="requests per minute")
    parser.add_argument("--poll", type=float, default=0.0, help="seconds between polls")
    said = parser.parse_args()
    print(json.dumps({"ours": ours, "bare": bare}[said.what](said)))


if __name__ == "__main__":
    main()
