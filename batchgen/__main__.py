"""`python -m batchgen`, and what the installed command calls."""

from __future__ import annotations

import sys

from batchgen.cli.main import main


def entry() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
