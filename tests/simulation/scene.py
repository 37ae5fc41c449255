"""What a process finds and leaves behind: the scene, the errand it is started for, and the fuse that may end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from batchgen.core.facts import RunAsked
from batchgen.core.messages import Answered, AskStatus, Download, Downloaded, SendCreate
from batchgen.core.model import Instant
from batchgen.core.policy import Policy, Quoter
from tests.simulation.audit import Audit
from tests.simulation.disk import Disk
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import Edition
from tests.simulation.network import Network
from tests.simulation.rate import RateWatch
from tests.simulation.timeline import Timeline
from tests.simulation.troubles import Tally
from tests.simulation.world import World


def nobody() -> None:
    """No process listens."""


class Crash(Exception):
    """The process dies here."""


@dataclass(slots=True)
class Fuse:
    """Counts the points at which a process can die, and lets it die at one of them."""

    dies_at: int | None = None
    points: int = 0

    def point(self, where: str) -> None:
        """Pass a point, or die there."""
        self.points += 1
        if self.points == self.dies_at:
            raise Crash(where)


@dataclass(slots=True)
class Scene:
    """Everything that outlives a process."""

    rng: Random
    timeline: Timeline
    world: World
    network: Network
    disk: Disk
    ledger: LedgerFile
    audit: Audit
    tally: Tally
    quoter: Quoter
    closed_until: Instant = 0.0  # a Retry-After that the ledger has durably
    rate: RateWatch = field(default_factory=RateWatch)
    listen: Callable[[], None] = nobody  # lets the process that runs look for what a person said
    log: list[tuple[Instant, str, object]] = field(default_factory=list)

    def say(self, text: str, about: object = "") -> None:
        """Add a line to the night's log; it is put into words only when somebody reads it."""
        self.log.append((self.timeline.now, text, about))

    def lines(self, most: int) -> list[str]:
        """Return the log's end as text."""
        return [f"{at:16.3f}  {text} {words(about)}"[:300] for at, text, about in self.log[-most:]]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process is started for. `signal_after`: seconds until SIGTERM. `resume`: from the ledger alone."""

    asked: RunAsked
    policy: Policy
    editions: Sequence[Edition] = ()
    signal_after: float | None = None

    @property
    def resume(self) -> bool:
        """True for `batchgen resume`."""
        return self.asked.command == "resume"


def words(about: object) -> str:
    """Put something that happened into a line of the night's log."""
    match about:
        case SendCreate(key=key):
            return f"create {key[:10]}"
        case AskStatus(key=key, task_id=task_id):
            return f"status {key[:10]} {task_id}"
        case Answered(request=request, answer=answer):
            return f"{words(request)}: {answer.verdict} {answer.fault or answer.value}"
        case Download(key=key, index=index, stem=stem):
            return f"{key[:10]} {index} {stem}"
        case Downloaded(request=request):
            return f"{words(request)}: {about.output or about.trouble}"
        case _:
            return str(about)
