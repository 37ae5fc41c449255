"""Where settings come from, and which one wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from batchgen.core.address import BASE_URL, check_base_url
from batchgen.core.announce import Announce
from batchgen.core.policy import AccountBudget, PollPolicy
from batchgen.errors import UsageError
from batchgen.settings.document import NAME, Given, read_document
from batchgen.settings.secret import read_key
from batchgen.settings.values import SANDBOX_ADDRESS, VENDOR, Prices, Settings
from batchgen.settings.words import NotUnderstood
from batchgen.settings.words import ping as read_ping

LEDGER = "BATCHGEN_LEDGER"
OUTPUTS = "BATCHGEN_OUTPUTS"
NOTIFY = "BATCHGEN_NOTIFY"
PING = "BATCHGEN_PING"
"""These two hold tokens, so they need not stand in a file."""
T = TypeVar("T")

SANDBOX_RATE = 60_000.0
SANDBOX_IN_FLIGHT = 50
SANDBOX_POLL = PollPolicy(first=0.2, every=0.2, slowest=2.0)
"""The sandbox has no neighbours to be kind to, so that 300 tasks take seconds."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says. None and empty leave it to the other sources."""

    ledger: str | None = None
    sandbox: bool = False
    faults: str | None = None


def load(manifests: Sequence[Path] = (), flags: Flags | None = None, *, environ: Mapping[str, str], cwd: Path) -> Settings:
    """Return the settings for these manifests (or, without any, for the folder `cwd`).

    Raises:
        ManifestError: `batchgen.yaml` has problems; all of them.
        UsageError: a flag or an environment variable is wrong, or the manifests belong to different workspaces.

    """
    flags = flags or Flags()
    workspace = find_workspace(manifests, cwd)
    file = workspace / NAME
    given = read_document(file) if _there(file) else Given()
    base = Settings(
        workspace=workspace,
        ledger=_ledger(flags, environ, given, (workspace, cwd)),
        outputs=_outputs(environ, given, (workspace, cwd)),
        address=check_base_url(environ.get(BASE_URL) or VENDOR),
        key=read_key(environ),
        requests_per_minute=_of(given.values, "requests_per_minute", 60.0),
        in_flight=_of(given.values, "in_flight", 10),
        poll=_of(given.values, "poll", PollPolicy()),
        account=_account(given),
        prices=_of(given.values, "prices", Prices()),
        announce=_announce(environ, given.values, workspace),
    )
    said = {key: given.values[key] for key in ("replay_window", "render_timeout", "on_lost_answer") if key in given.values}
    settings = replace(base, zone=given.values.get("timezone"), **said)  # type: ignore[arg-type]  # read_document read each by its own type
    return _in_sandbox(settings, given, flags, cwd) if flags.sandbox else settings


def find_workspace(manifests: Sequence[Path], cwd: Path) -> Path:
    """Return the folder with `batchgen.yaml`: upward from the manifests, else upward from `cwd`, else `cwd` itself.

    Raises UsageError if the manifests belong to different workspaces: one run has one ledger.
    """
    homes = {path: _upward(cwd / path) or _upward(cwd) or cwd for path in manifests}
    if len(set(homes.values())) > 1:
        lines = "; ".join(f"{path} belongs to {home}" for path, home in list(homes.items())[:4])
        raise UsageError(f"these manifests belong to different workspaces, and one run has one ledger: {lines}")
    return next(iter(homes.values()), _upward(cwd) or cwd)


def _upward(start: Path) -> Path | None:
    """Return the nearest folder, from `start` upward, that holds a `batchgen.yaml`."""
    try:
        start = start.resolve()
        return next((folder for folder in (start, *start.parents) if _there(folder / NAME)), None)
    except (OSError, RuntimeError) as error:  # RuntimeError is how Python 3.11 and 3.12 say that links go round in a circle
        raise UsageError(f"{start} cannot be looked at: {getattr(error, 'strerror', None) or error}") from error


def _there(file: Path) -> bool:
    """True also for a settings file that cannot be read (a link to nowhere): whoever reads it says so.

    Taken for none, it would give another workspace, whose ledger knows nothing of what was bought before.
    """
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _of(values: Mapping[str, object], key: str, default: T) -> T:
    """Return a value that the file gave, else the default; both have the default's type."""
    value = values.get(key, default)
    assert isinstance(value, type(default)), key
    return value


def _account(given: Given) -> AccountBudget:
    """Join `budget` and `keep_balance`."""
    keep = given.values.get("keep_balance")
    assert keep is None or isinstance(keep, int)
    return replace(_of(given.values, "budget", AccountBudget()), keep_balance=keep)


def _announce(environ: Mapping[str, str], values: Mapping[str, object], workspace: Path) -> Announce:
    """Join `notify`, `ping` and `metrics`; the environment's addresses take the place of the file's."""
    said = _of(values, "notify", Announce())
    try:
        ping = read_ping(environ[PING]) if environ.get(PING) else _of(values, "ping", "")
    except NotUnderstood as error:
        raise UsageError(f"{PING}: {error}; {error.right}") from error
    metrics = _of(values, "metrics", "")
    return Announce(
        urls=tuple(environ.get(NOTIFY, "").split()) or said.urls,
        occasions=said.occasions,
        ping=ping,
        metrics=_place(metrics, workspace) if metrics else "",
    )


def _ledger(flags: Flags, environ: Mapping[str, str], given: Given, folders: tuple[Path, Path]) -> str:
    """Return the ledger: a URL as it is, a path made absolute."""
    workspace, cwd = folders
    said = flags.ledger or environ.get(LEDGER)
    return _placed(said, cwd) if said else _place(_of(given.values, "ledger", ".batchgen/ledger.sqlite3"), workspace)


def _placed(said: str, cwd: Path) -> str:
    """Return a ledger that somebody named, absolute. Raises UsageError if its folder is not there.

    The folder is not made: behind a slip of the pen, or a volume that is not mounted, there would be a new ledger, which
    knows nothing of what was bought before.
    """
    place = _place(said, cwd)
    if "://" not in place and not Path(place).parent.is_dir():
        raise UsageError(f"the folder of the ledger {said} does not exist; make it first, or mount it")
    return place


def _outputs(environ: Mapping[str, str], given: Given, folders: tuple[Path, Path]) -> Path:
    """Return the outputs folder, absolute."""
    workspace, cwd = folders
    said = environ.get(OUTPUTS)
    return Path(_place(said, cwd)) if said else Path(_place(_of(given.values, "outputs", "renders"), workspace))


def _place(said: str, folder: Path) -> str:
    """Return a path absolute, a database URL as it is."""
    if "://" in said:
        return said
    if "\0" in said:
        raise UsageError(f"the path {said!r} holds a NUL character")
    return str(folder / Path(said).expanduser())


def sandbox_ledger(workspace: Path) -> Path:
    """Return the place of the ledger that sandbox runs in a workspace have, if none is named."""
    return workspace / ".batchgen" / "sandbox" / "ledger.sqlite3"


def _in_sandbox(settings: Settings, given: Given, flags: Flags, cwd: Path) -> Settings:
    """Return the settings of a sandbox run: nothing of the real account is touched, nor needed."""
    home = sandbox_ledger(settings.workspace).parent
    return replace(
        settings,
        sandbox=True,
        ledger=_placed(flags.ledger, cwd) if flags.ledger else str(sandbox_ledger(settings.workspace)),
        books=home / "account.sqlite3",
        outputs=settings.workspace / "renders-sandbox",
        address=SANDBOX_ADDRESS,
        account=AccountBudget(),
        requests_per_minute=_of(given.sandbox, "requests_per_minute", SANDBOX_RATE),
        in_flight=_of(given.sandbox, "in_flight", SANDBOX_IN_FLIGHT),
        poll=_of(given.sandbox, "poll", SANDBOX_POLL),
        announce=_announce({}, given.sandbox, settings.workspace),
        sandbox_credits=_of(given.sandbox, "credits", settings.sandbox_credits),
        faults=flags.faults or _of(given.sandbox, "faults", ""),
    )
