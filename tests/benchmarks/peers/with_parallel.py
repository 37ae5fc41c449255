"""GNU parallel: a shell with curl for each task, and its own log of jobs, with which it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.peers.errand import asked

ERRAND = Path(__file__).with_name("errand.sh")


def main() -> None:
    """Start it with every name; `--resume-failed` leaves out what its log tells as done."""
    said = asked()
    (said.folder / "out").mkdir(exist_ok=True)
    words = ["parallel", "--joblog", "jobs.log", "--resume-failed", "--jobs", str(said.in_flight)]
    words += ["--delay", str(1 / said.rate)] if said.rate else []
    environ = {**os.environ, "ADDRESS": said.address, "POLL": str(said.poll), "KEYS": "yes" if said.keys else ""}
    names = "\n".join(said.names)
    done = subprocess.run([*words, "sh", str(ERRAND)], input=names, text=True, cwd=said.folder, env=environ, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
