"""A workspace in a temporary folder, with a server and an account of its own, and the processes that work in it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.facts import TaskQuery
from batchgen.core.model import Credits
from batchgen.core.states import TaskState
from batchgen.errors import Unavailable
from batchgen.ledger import Store
from batchgen.media.census import take_census
from batchgen.sandbox import SANDBOX_KEY
from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.serve import in_process
from batchgen.selftest.witness import Moment, Trap, Witness

PATIENCE = 120.0
"""Seconds after which a process that should have ended has not."""

MANIFEST = """\
version: 1
name: trial
retries: 9
stop_after: {in_a_row: 100, share: 1}
tasks:
"""
CLIPS = '  - {id: "clip-${take}", model: kling-2-6, prompt: "a vase turns, take ${take}", references: [ref.png], takes: %d}\n'
STILLS = '  - {id: "still-${take}", model: z-image, prompt: "a red shoe, take ${take}", takes: %d}\n'
SETTINGS = "requests_per_minute: {rate:g}\nin_flight: 10\npoll: {{first: 0.1, every: 0.1, slowest: 1}}\n"


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be rendered, under which rate (requests a minute), by a server with which faults."""

    clips: int = 3
    stills: int = 6
    rate: float = 60_000
    faults: str = "render=0.1"

    @property
    def tasks(self) -> int:
        """How many renders that makes."""
        return self.clips + self.stills

    @property
    def manifest(self) -> str:
        """Return it as a manifest."""
        return MANIFEST + (CLIPS % self.clips if self.clips else "") + (STILLS % self.stills if self.stills else "")


@dataclass(frozen=True, slots=True)
class Bill:
    """What the server sold and what the ledger and the disk know of it."""

    bought: int  # purchases of the server, without those that failed there
    twice: int  # of those, the ones that were sold again under the same id
    charged: Credits  # by the server
    booked: Credits  # captured in the ledger
    open: Credits  # still held in the ledger
    done: int
    files: int
    lost: int  # files that are missing or damaged
    broken: int  # rows of the ledger that break an invariant
    sent: int  # requests to the API
    refused: int  # answers 429

    def trouble(self, tasks: int) -> str:
        """Say what is wrong if so many tasks were to be rendered, each once; '' if nothing."""
        wrong = {
            f"{self.twice} purchases were made twice": self.twice,
            f"{self.bought} renders were bought for {tasks} tasks": self.bought != tasks,
            f"the server charged {self.charged} credits, the ledger has {self.booked}": self.charged != self.booked,
            f"{self.open} credits are still held": self.open,
            f"{self.done} of {tasks} tasks are done": self.done != tasks,
            f"{self.lost} of {self.files} files are missing or damaged": self.lost or self.files != tasks,
            f"{self.broken} rows of the ledger break an invariant": self.broken,
        }
        return "; ".join(words for words, so in wrong.items() if so)


class Workshop:
    """A workspace and its server. Use `working` to make one."""

    def __init__(self, folder: Path, address: str, witness: Witness, account: Account) -> None:
        self.folder = folder
        self.witness = witness
        self._account = account
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RIVYA_", "BATCHGEN_"))}
        self._environ = {**kept, "RIVYA_BASE_URL": address, "RIVYA_API_KEY": SANDBOX_KEY}
        self.said = ""  # by the last process, on stderr

    def start(self, *arguments: str, module: Sequence[str] = ("batchgen",)) -> subprocess.Popen[str]:
        """Start batchgen without a terminal."""
        command = [sys.executable, "-m", *module, *arguments]
        return subprocess.Popen(  # noqa: S603 - this very program
            command,
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def end(self, process: subprocess.Popen[str]) -> int:
        """Wait for a process; return its exit code, or minus the signal that killed it. Raises Unavailable if it hangs."""
        try:
            _, self.said = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise Unavailable(f"a trial run has not ended within {PATIENCE:g} s; is this machine very busy?") from error
        return process.returncode

    def run(self, *arguments: str) -> int:
        """Run to the end."""
        return self.end(self.start("run", "trial.yaml", "--yes", *arguments))

    def killed_at_commit(self, number: int, moment: Moment) -> int:
        """Run until the process dies at a commit, or ends before."""
        victim = ("batchgen.selftest.victim", str(number), str(moment))
        return self.end(self.start("run", "trial.yaml", "--yes", module=victim))

    def killed_at_request(self, number: int, moment: Moment) -> int:
        """Run until the server gets a request and kills the process, or it ends before."""
        process = self.start("run", "trial.yaml", "--yes")  # it takes longer to start than the trap to be set
        self.witness.arm(Trap(number, moment, process.kill))
        code = self.end(process)
        self.witness.arm(None)
        return code

    def bill(self) -> Bill:
        """Ask the server's books, the ledger and the disk."""
        books = self._account.books()
        tasks, twice, charged = books["tasks"], books["bought_more_than_once"], books["spent"]
        assert isinstance(tasks, list)
        assert isinstance(twice, list)
        assert isinstance(charged, int)
        with Store.open(self.folder / ".batchgen" / "ledger.sqlite3", None, read_only=True) as ledger:
            census = take_census(ledger, self.folder / "renders", TaskQuery(states=(TaskState.DONE,)))
            money = ledger.money("0000-00-00")
            done = sum(facts.by_state.get(TaskState.DONE, 0) for facts in ledger.manifests())
            broken = len(ledger.check())
        return Bill(
            bought=sum(task["status"] != "failed" for task in tasks),
            twice=len(twice),
            charged=charged,
            booked=money.captured,
            open=money.held,
            done=done,
            files=census.files,
            lost=sum(len(loss.files) for loss in census.losses),
            broken=broken,
            sent=len(self.witness.times),
            refused=self.witness.refused,
        )


@contextmanager
def working(job: Job) -> Iterator[Workshop]:
    """Make a workshop, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="batchgen-selftest-") as name:
        folder = Path(name)
        (folder / "batchgen.yaml").write_text(SETTINGS.format(rate=job.rate), encoding="utf-8")
        (folder / "trial.yaml").write_text(job.manifest, encoding="utf-8")
        (folder / "ref.png").write_bytes(png(512))
        with Account(folder / "account.sqlite3") as account:
            witness = Witness(build(account, Faults.parse(job.faults)))
            with in_process(witness) as address:
                yield Workshop(folder, address, witness, account)


def png(side: int) -> bytes:
    """Return a picture: a grey square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = (b"\x00" + b"\x80" * side) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
