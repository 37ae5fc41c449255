"""batchgen renders long lists of prompts through the Rivya API and never pays for one twice.

What a script needs is loaded when it is first named (PEP 562), so that `batchgen --help` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchgen.api import Ended, Glimpse, Limits, PlanFacts, RunFacts, TaskFacts, TaskMoved, TaskState, Workspace
    from batchgen.errors import (
        BatchgenError,
        ExitCode,
        KeyRefused,
        LedgerBusy,
        LedgerError,
        ManifestError,
        NoRun,
        Unavailable,
        UsageError,
    )

__version__ = "0.1.0"

__all__ = [
    "BatchgenError",
    "Ended",
    "ExitCode",
    "Glimpse",
    "KeyRefused",
    "LedgerBusy",
    "LedgerError",
    "Limits",
    "ManifestError",
    "NoRun",
    "PlanFacts",
    "RunFacts",
    "TaskFacts",
    "TaskMoved",
    "TaskState",
    "Unavailable",
    "UsageError",
    "Workspace",
    "__version__",
]

_ERRORS = frozenset(
    {"BatchgenError", "ExitCode", "KeyRefused", "LedgerBusy", "LedgerError", "ManifestError", "NoRun", "Unavailable", "UsageError"}
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'batchgen' has no attribute {name!r}")
    found: object = getattr(import_module("batchgen.errors" if name in _ERRORS else "batchgen.api"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
