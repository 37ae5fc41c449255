"""The one place where errors become words and exit codes."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from click.shell_completion import shell_complete

from batchgen import __version__
from batchgen.cli.group import COMMANDS, COMPLETE_VARIABLE, Commands
from batchgen.cli.screen import Screen, abandon_stdout, abandon_unwritable_stderr, abandon_unwritable_stdout, settle_streams
from batchgen.cli.trouble import Called, Trouble, trouble_of
from batchgen.core.address import without_password
from batchgen.errors import ExitCode, Terminated
from batchgen.report.text import clean, iso, to_json

HELP = """Render long lists of prompts through the Rivya API, within a credit budget, and never pay for one twice.

\b
Start with:
  batchgen init spring && cd spring
  batchgen run manifests/first.yaml --sandbox

The key is read from RIVYA_API_KEY (or the file that RIVYA_API_KEY_FILE names). The sandbox needs none.
"""


@click.command(cls=Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="batchgen", message="%(prog)s %(version)s")
@click.option("--verbose", is_flag=True, expose_value=False, help="Show tracebacks.")
def batchgen() -> None:
    """Hold the commands; called without one, click shows the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    settle_streams()
    if COMPLETE_VARIABLE in os.environ:
        return shell_complete(batchgen, {}, "batchgen", COMPLETE_VARIABLE, os.environ[COMPLETE_VARIABLE])
    screen = Screen(json="--json" in arguments, verbose="--verbose" in arguments, json_log=_json_log(arguments))
    with _terminable():
        try:
            return int(_called(arguments, screen))
        except BrokenPipeError:
            # Whoever read the results has seen enough (`| head`); that changes nothing about what was done.
            abandon_stdout()
            return int(screen.code)
        except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001  the last resort: a bug must say what it means for the money
            _trace(screen, error)
            abandon_unwritable_stdout()
            return _tell(screen, trouble_of(error, screen.code, called_by(arguments)))
        finally:
            abandon_unwritable_stderr()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does where no run listens: what is half written goes, and what to do next is said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, _frame: object) -> None:
    """Raise; the next one kills at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Terminated


def called_by(arguments: Sequence[str]) -> Called:
    """Return what was called, also if click could not read it."""
    ledger = _given(arguments, "--ledger")
    flags = (f" --ledger {shlex.quote(without_password(ledger))}" if ledger else "") + (" --sandbox" if "--sandbox" in arguments else "")
    at = next((at for at, name in enumerate(arguments) if name in COMMANDS), len(arguments))
    words = 2 if arguments[at : at + 1] == ["ledger"] else 1  # its commands have commands
    command = " ".join(name for name in arguments[at : at + words] if not name.startswith("-"))
    return Called(command, clean(flags), clean(shlex.join(["batchgen", *map(without_password, arguments)])))


def _given(arguments: Sequence[str], option: str) -> str:
    """Return the value of an option, as `--option VALUE` or `--option=VALUE`; '' without it."""
    apart = (value for name, value in itertools.pairwise(arguments) if name == option)
    joined = (name.removeprefix(f"{option}=") for name in arguments if name.startswith(f"{option}="))
    return next(itertools.chain(apart, joined), "")


def _json_log(arguments: Sequence[str]) -> bool:
    """True if what is said on stderr shall be JSON: also what goes wrong before click has read the options."""
    said = _given(arguments, "--log-format") == "json"
    file = any(argument.partition("=")[0] == "--log-file" for argument in arguments)
    # With a file for the log, a terminal keeps its live view and its plain words.
    return said and not (file and sys.stderr.isatty())


def _called(arguments: list[str], screen: Screen) -> int:
    """Call the command. `make_context` and `invoke` are what click's own `main` calls, which would exit and print by itself."""
    try:
        with batchgen.make_context("batchgen", arguments or ["--help"], obj=screen) as context:
            code = batchgen.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.NoArgsIsHelpError as asking:
        # `batchgen ledger` alone: its text is the help, which is shown as `batchgen` alone shows its own.
        screen.out(asking.message)
        return ExitCode.DONE
    return int(code) if isinstance(code, int) else ExitCode.DONE


def _trace(screen: Screen, error: BaseException) -> None:
    """Show where an error came from, to whoever asked for it."""
    if screen.verbose:
        screen.say("".join(traceback.format_exception(error)).rstrip())


def _tell(screen: Screen, trouble: Trouble) -> int:
    """Say what happened; under `--json` the last line is an object."""
    if screen.json_log:
        screen.line(to_json({"at": iso(time.time()), "level": "error", "event": "trouble", **trouble.document()}))
        return int(trouble.code)
    screen.say(f"batchgen: {trouble.what}")
    screen.say(trouble.means)
    screen.say(f"next: {trouble.do}")
    if screen.json:
        screen.say(to_json(trouble.document()))
    return int(trouble.code)
