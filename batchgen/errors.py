"""Every error that batchgen raises on purpose, cut by what the caller will do about it.

    BatchgenError                    base: has an exit code; its text is one that a person can act on
    ├── UsageError            exit 2   the command line, a setting or a file is wrong; nothing was sent
    │   ├── PlanRefused       exit 2   a kept plan was used, or can no longer be done exactly
    │   ├── ManifestError     exit 2   one or more problems in manifests, each with its place
    │   └── NoRun             exit 2   what was said to a run that is going on: there is none
    ├── LedgerError           exit 2   the ledger cannot be used: not a ledger, newer, read-only, another account's
    │   ├── NoLedger          exit 2   there is none yet
    │   ├── LedgerConflict    exit 70  a guarded write matched no row: a bug or a second writer; nothing was written
    │   └── LedgerBusy        exit 4   another run holds it
    ├── KeyRefused            exit 5   the API key is missing or was refused
    ├── Unavailable           exit 6   the service (or the disk) is not available; work is left
    └── IllegalMove           exit 70  an event that the state does not allow; raised before anything changed

Only `cli` turns these into exit codes and words on the screen. Anything that is not in this tree is a bug and is
reported as one (exit 70, sysexits' EX_SOFTWARE, a code that no promise uses).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the process says to cron; the README's table is printed from these docstrings."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Keep the words beside the number."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "everything asked for is done"
    SOME_FAILED = 1, "finished, but some tasks failed for good"
    WRONG_INPUT = 2, "the command line, the manifest or a file is wrong; nothing was sent"
    STOPPED_EARLY = 3, "stopped early, nothing wrong: budget, balance, --until, --max-duration, --max-tasks, control drain; run again later"
    LEDGER_BUSY = 4, "another run holds this ledger"
    KEY_REFUSED = 5, "the key was refused (missing, invalid, revoked, expired, lacks scope)"
    UNAVAILABLE = 6, "the service, or the disk here, is not available; work left, run again later"
    IN_DOUBT = 7, "attempts in doubt need `batchgen resolve`"
    BUG = 70, "a bug in batchgen; nothing is lost, run again and report it"
    INTERRUPTED = 130, "interrupted by SIGINT (Ctrl-C) after draining; run again"
    TERMINATED = 143, "interrupted by SIGTERM after draining; run again"


class BatchgenError(Exception):
    """Base of all; never raised itself. `then` is the command that helps, where whoever raises it knows that best."""

    exit_code = ExitCode.BUG

    def __init__(self, *words: object, then: str = "") -> None:
        """Keep what to do."""
        super().__init__(*words)
        self.then = then


class UsageError(BatchgenError):
    """The command line, a setting or a file is wrong. Nothing was sent."""

    exit_code = ExitCode.WRONG_INPUT


class PlanRefused(UsageError):
    """A kept plan was used, or can no longer be done exactly. Nothing was sent."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a manifest or a file that it names.

    `line` and `column` count from 1; 0 means that the place inside the file is not known.
    """

    file: str
    line: int
    column: int
    task: str
    wrong: str
    right: str = ""

    def __str__(self) -> str:
        """Print as `file:line:column: task: what is wrong; what would be right`."""
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        said = "; ".join(part for part in (self.wrong, self.right) if part)
        return ": ".join(part for part in (place, self.task, said) if part)


class ManifestError(UsageError):
    """Problems in manifests, all of them at once."""

    def __init__(self, problems: list[Problem]) -> None:
        """Keep the problems; the text is one line for each."""
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


class NoRun(UsageError):
    """Something was said to a run that is going on, but there is none."""


class LedgerError(BatchgenError):
    """The ledger cannot be used."""

    exit_code = ExitCode.WRONG_INPUT


class NoLedger(LedgerError):
    """There is no ledger yet: nothing was run."""


class LedgerConflict(LedgerError):
    """A guarded write matched no row, so nothing of its transaction was written."""

    exit_code = ExitCode.BUG


class LedgerBusy(LedgerError):
    """Another run holds the ledger."""

    exit_code = ExitCode.LEDGER_BUSY


class KeyRefused(BatchgenError):
    """The API key is missing or was refused."""

    exit_code = ExitCode.KEY_REFUSED


class Unavailable(BatchgenError):
    """The service, or the disk, is not available."""

    exit_code = ExitCode.UNAVAILABLE


class Terminated(KeyboardInterrupt):
    """SIGTERM where no run listens for it: before a run has begun, after it has ended, and in every other command."""


class IllegalMove(BatchgenError):
    """An event that the state does not allow. It is raised before anything changed."""
