"""Run a Python process to its end, and print what it took as JSON: `python -m tests.benchmarks.called WORDS...`.

A process of its own, and a small one: Linux counts the memory of whoever starts a process into that process's peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Run `python WORDS...`; seconds of the wall and of the processor, megabytes at the peak."""
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        out = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = {"code": process.returncode, "out": out, "seconds": time.perf_counter() - begun}
    print(json.dumps({**found, "peak": used.ru_maxrss / 1024, "cpu": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
