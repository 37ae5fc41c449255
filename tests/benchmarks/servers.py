"""The benchmark's server as a process of its own, and what it counted."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is up."""

    address: str

    def stats(self) -> dict[str, float]:
        """Return what it counted since the last reset."""
        return self._ask("/stats")

    def reset(self) -> None:
        """Make it forget what it counted; what was bought stays."""
        self._ask("/reset")

    def _ask(self, path: str) -> dict[str, float]:
        with urllib.request.urlopen(self.address + path) as answer:  # noqa: S310 - our own server on loopback
            found = json.load(answer)
        assert isinstance(found, dict)
        return found


@contextmanager
def serving(*arguments: str) -> Iterator[Served]:
    """Start the stub server in a process; it ends with the block."""
    words = [sys.executable, "-m", "tests.benchmarks.stub", *arguments]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Served(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
