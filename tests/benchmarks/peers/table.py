"""The table of what people use today, with batchgen measured by the same code in the same run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.benchmarks.peers.cast import BATCHGEN, Peer, Unavailable, install
from tests.benchmarks.peers.measure import IN_FLIGHT, LIMIT, Cut, Sizes, Used, cut, rate, speed, tried


@dataclass(frozen=True, slots=True)
class PeerRow:
    """What was measured of one tool; text stands where it was not, and why. `ratio` is its time against batchgen's."""

    tool: str
    sizes: Sizes
    used: Used | str
    seconds: float | str
    ratio: float | None
    renders: Cut | str  # killed while renders ran
    wire: Cut | str  # killed while the answers to purchases were on their way
    keyed: tuple[Cut | str, Cut | str] | str  # the same two, with a key of the task's own
    differs: str


def measured(peers: Sequence[Peer], home: Path, sizes: Sizes) -> Iterator[PeerRow]:
    """Measure batchgen, then each peer, and tell each row when it is there."""
    home.mkdir(parents=True, exist_ok=True)
    first = _row(BATCHGEN, home.resolve(), sizes, None)
    yield first
    for peer in peers:
        yield _row(peer, home.resolve(), sizes, first.seconds if isinstance(first.seconds, float) else None)


def _row(peer: Peer, home: Path, sizes: Sizes, against: float | None) -> PeerRow:
    print(f"{peer.name} ...", file=sys.stderr, flush=True)
    try:
        install(peer, home)
    except Unavailable as reason:
        why = str(reason)
        return PeerRow(peer.name, sizes, why, why, None, why, why, why, peer.differs)
    seconds = tried(lambda: speed(peer, home, sizes))
    row = PeerRow(
        version(peer, home),
        sizes,
        tried(lambda: rate(peer, home, sizes)),
        seconds,
        seconds / (against or seconds) if isinstance(seconds, float) else None,
        "has no such moment" if peer.requests == 1 else tried(lambda: cut(peer, home, sizes, "render", keys=False)),
        tried(lambda: cut(peer, home, sizes, "slow", keys=False)),
        _keyed(peer, home, sizes),
        peer.differs,
    )
    print(_line(row), file=sys.stderr, flush=True)
    return row


def _keyed(peer: Peer, home: Path, sizes: Sizes) -> tuple[Cut | str, Cut | str] | str:
    if peer is BATCHGEN:
        return "always has one"
    if peer.requests == 1:
        return "cannot send one"
    return (tried(lambda: cut(peer, home, sizes, "render", keys=True)), tried(lambda: cut(peer, home, sizes, "slow", keys=True)))


def version(peer: Peer, home: Path) -> str:
    """Return a tool's name with its version."""
    if peer.pins:
        return f"{peer.name} {peer.pins[0].partition('==')[2]}"
    if peer.debian:
        words = [peer.debian, "--version"]
        told = subprocess.run(words, env=peer.environ(home, home), capture_output=True, text=True, timeout=60, check=False).stdout
        return f"{peer.name} {(told.split() or ['?'])[2 if told else 0]}"
    return f"{peer.name} {metadata.version('batchgen')}" if peer is BATCHGEN else peer.name


def markdown(found: Sequence[PeerRow]) -> str:
    """Return the table, and how it came to be."""
    sizes = found[0].sizes
    head = (
        "tool",
        f"share of a limit of {LIMIT}/s that is used, {sizes.rate_tasks} tasks",
        f"{sizes.tasks} tasks, {IN_FLIGHT} in flight, no latency (times batchgen's)",
        f"killed with {IN_FLIGHT} renders running, started again",
        f"killed with {IN_FLIGHT} answers to creates on their way",
        "the same two, with an Idempotency-Key made of the task's name",
        "what is not the same",
    )
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *map(_line, found)]
    machine = f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}, {os.cpu_count()} cores"
    return "\n".join([*lines, "", f"{machine}; each kill in a run of {sizes.cut_tasks} tasks.", ""])


def _line(row: PeerRow) -> str:
    seconds = row.seconds if isinstance(row.seconds, str) else f"{row.seconds:.1f} s ({row.ratio:.2f})"
    keyed = row.keyed if isinstance(row.keyed, str) else "; ".join(map(_cut, row.keyed))
    return f"| {row.tool} | {_used(row.used)} | {seconds} | {_cut(row.renders)} | {_cut(row.wire)} | {keyed} | {row.differs} |"


def _used(found: Used | str) -> str:
    if isinstance(found, str):
        return found
    again = f", {found.again} bought twice" if found.again else ""
    return f"{found.share:.0%}, {found.busy} answers 429{again}"


def _cut(found: Cut | str) -> str:
    if isinstance(found, str):
        return found
    return f"{found.again} bought twice, {found.lost} lost"
