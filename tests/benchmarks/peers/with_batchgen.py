"""batchgen as the other tools are started; started again, it goes on from its ledger."""

from __future__ import annotations

import os
import sys

from tests.benchmarks.peers.errand import asked


def main() -> None:
    """Run it as the benchmark does; its rate is requests a minute, of which a task needs two."""
    said = asked()
    words = [sys.executable, "-m", "tests.benchmarks.work", "ours", "--address", said.address, "--folder", str(said.folder)]
    words += ["--tasks", str(said.tasks), "--in-flight", str(said.in_flight), "--poll", str(said.poll)]
    words += ["--rate", str(said.rate * 2 * 60)] if said.rate else []
    os.execv(sys.executable, words)  # noqa: S606 - our own words


if __name__ == "__main__":
    main()
