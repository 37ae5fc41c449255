"""What a call of the command line did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Called:
    """What a call did."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, object]:
        """Return stdout as one JSON document."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Cli = Callable[..., Called]


def in_a_process(*arguments: str, cwd: Path, redirect: str = "", environ: str = "") -> Called:
    """Call batchgen in a process of its own, with an empty environment as cron has it; `redirect` and `environ` are for the shell."""
    command = " ".join([environ, sys.executable, "-m", "batchgen", *arguments, redirect])
    done = subprocess.run(["/bin/bash", "-c", f"set -o pipefail; {command}"], cwd=cwd, env={}, capture_output=True, text=True, check=False)
    return Called(done.returncode, done.stdout, done.stderr)
