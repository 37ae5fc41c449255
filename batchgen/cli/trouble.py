"""An error as words and an exit code: what happened, what it means for money and work, the one command to do next."""

from __future__ import annotations

from dataclasses import dataclass

import click

from batchgen.errors import (
    BatchgenError,
    ExitCode,
    KeyRefused,
    LedgerBusy,
    LedgerError,
    ManifestError,
    NoLedger,
    NoRun,
    PlanRefused,
    Terminated,
    Unavailable,
    UsageError,
)
from batchgen.report.text import clean


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is said about an error. `what` may have several lines (the problems of a manifest)."""

    code: ExitCode
    what: str
    means: str
    do: str

    def document(self) -> dict[str, object]:
        """Return the last line on stderr under `--json`."""
        return {"code": self.code.name.lower(), "exit_code": int(self.code), "message": self.what, "means": self.means, "next": self.do}


_WORDS: tuple[tuple[type[BatchgenError], str, str], ...] = (
    (
        PlanRefused,
        "Nothing was sent and nothing was bought.",
        "batchgen plan MANIFEST --out FILE{flags}; then: batchgen run --plan FILE{flags}",
    ),
    (ManifestError, "Nothing was sent and nothing was bought.", "correct the file, then: {line}"),
    (NoLedger, "Nothing was sent and nothing was bought.", "batchgen plan MANIFEST{flags}"),
    (NoRun, "Nothing was changed, sent or bought.", "batchgen status{flags}"),
    (UsageError, "Nothing was sent and nothing was bought.", "batchgen {command} --help"),
    (LedgerBusy, "That run goes on undisturbed; this one sent nothing and bought nothing.", "batchgen status{flags}"),
    (KeyRefused, "Nothing was bought with it; what is in the ledger stays as it is.", "set RIVYA_API_KEY, then: batchgen credits{flags}"),
    (Unavailable, "Nothing is lost and nothing will be paid twice: the ledger knows every step.", "{again}"),
)


RUNS = frozenset({"run", "resume", ""})
"""Commands after which `resume` goes on; the others are called again: a `fetch` or a `backup` that failed must buy nothing."""


@dataclass(frozen=True, slots=True)
class Called:
    """What was called, for advice that can be copied."""

    command: str = ""
    flags: str = ""  # those that say which ledger, with a blank before them
    line: str = "batchgen"  # all of it, as it was typed

    @property
    def again(self) -> str:
        """What goes on where this ended."""
        return f"batchgen resume{self.flags}" if self.command in RUNS else self.line


def _interrupted(error: BaseException, called: Called) -> Trouble:
    """Return the words for a signal; click turns one that comes while it asks into an Abort."""
    means = "Nothing is lost: what was in flight is in the ledger."
    # A run may have been interrupted before it was one: while it read its manifests, or asked. Then there is nothing to resume.
    do = f"the same command again, or: {called.again}" if called.command == "run" else called.again
    if isinstance(error, Terminated) or isinstance(error.__context__, Terminated):
        return Trouble(ExitCode.TERMINATED, "Terminated by SIGTERM.", means, do)
    return Trouble(ExitCode.INTERRUPTED, "Interrupted.", means, do)


def trouble_of(error: BaseException, code: ExitCode, called: Called = Called()) -> Trouble:
    """Return the words for whatever ended a command. `code` is what a run itself had ended with by then, if it had."""
    match error:
        case KeyboardInterrupt() | click.Abort():
            return _interrupted(error, called)
        case click.ClickException():
            return _of_click(error, called)
        case BatchgenError() if error.exit_code is not ExitCode.BUG:
            return _of_batchgen(error, called)
        case OSError():
            return _of_system(error, code, called)
        case _:
            return _of_bug(error, called)


def _of_batchgen(error: BatchgenError, called: Called) -> Trouble:
    """Return the words for an error that was raised on purpose."""
    what = "\n".join(clean(line) for line in str(error).splitlines()) or type(error).__name__
    if isinstance(error, LedgerError) and not isinstance(error, LedgerBusy | NoLedger):
        do = error.then or "batchgen status --ledger LEDGER"
        return Trouble(error.exit_code, what, "Nothing was sent; the ledger was left as it is.", do)
    means, do = next(((means, do) for kind, means, do in _WORDS if isinstance(error, kind)), ("", "batchgen --help"))
    do = do.format(command=called.command, flags=called.flags, again=called.again, line=called.line).replace("batchgen  ", "batchgen ")
    return Trouble(error.exit_code, what, means, error.then or do)


def _of_click(error: click.ClickException, called: Called) -> Trouble:
    """Return the words for a wrong command line; click breaks some of its own over several lines."""
    command = f"batchgen {called.command}".strip()
    if isinstance(error, click.UsageError) and error.ctx is not None and error.ctx.parent is not None:
        command = error.ctx.command_path
    what = clean(" ".join(error.format_message().split()))
    return Trouble(ExitCode.WRONG_INPUT, what, "Nothing was sent and nothing was bought.", f"{command} --help")


def _of_system(error: OSError, code: ExitCode, called: Called) -> Trouble:
    """Return the words for what this machine refused; `code` is what the run itself ended with, if it did."""
    place = f"{clean(str(error.filename))}: " if error.filename else ""
    what = f"This machine said no: {place}{clean(error.strerror or str(error))}"
    means = "Nothing is lost and nothing will be paid twice: the ledger knows every step."
    return Trouble(code or ExitCode.UNAVAILABLE, what, means, f"see to that, then: {called.again}")


def _of_bug(error: BaseException, called: Called) -> Trouble:
    """Return the words for an error that nobody foresaw."""
    what = f"This is a bug in batchgen: {type(error).__name__}: {clean(str(error))[:500]}"
    means = "Nothing is lost and nothing will be paid twice: the ledger knows every step."
    return Trouble(ExitCode.BUG, what, means, f"{called.again}; then report the bug, with what the same command says under --verbose")
