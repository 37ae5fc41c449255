"""Real `batchgen` processes in an environment as empty as cron's, and what they leave behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av

from batchgen.sandbox.account import Account

SECRET = "rvya_sk_sandbox_Zq7wLxT94hNeverToBeSeen"
MANIFESTS = Path(__file__).parents[2] / "manifests"
WORKSPACE = """\
requests_per_minute: 60000
in_flight: 20
poll: {first: 0.1, every: 0.1, slowest: 0.5}
sandbox:
  requests_per_minute: 60000
  in_flight: 20
  poll: {first: 0.1, every: 0.1, slowest: 0.5}
"""
MEASURED = """\
import sys
from batchgen.cli.main import main
code = main(sys.argv[1:])
sys.stderr.write(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")))
sys.exit(code)
"""
PATIENCE = 60.0
"""Seconds after which a process that should have ended has not, on any machine."""


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something is so, looking often."""
    pause, deadline = threading.Event(), time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        pause.wait(0.02)


@dataclass(frozen=True, slots=True)
class Said:
    """What a process said, and how it ended: the exit code, or minus the signal that killed it."""

    code: int
    out: str
    err: str


@dataclass
class Running:
    """A process that was started; what it says goes into files, so that no pipe ever fills."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def said(self) -> Said:
        """Return what it said so far."""
        texts = (path.read_text("utf-8", "surrogateescape") for path in (self.out, self.err))
        return Said(self.process.poll() or 0, *texts)

    def end(self, patience: float = PATIENCE) -> Said:
        """Wait for the end."""
        self.process.wait(patience)
        return self.said()

    def says(self, words: str) -> str:
        """Wait until it has said these words, or has ended; return its stderr so far."""
        until(lambda: self.process.poll() is not None or any(words in text for text in (self.said().out, self.said().err)))
        return self.said().err

    def interrupt(self) -> None:
        """Send SIGINT and wait until it was heard: two that wait together are one."""
        self.process.send_signal(signal.SIGINT)
        until(lambda: self.process.poll() is not None or not self._waits(signal.SIGINT))

    def _waits(self, number: signal.Signals) -> bool:
        """True while a signal waits for the process, by the kernel's masks."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("utf-8").splitlines()
        return any(int(line.split()[1], 16) >> (number - 1) & 1 for line in lines if line.startswith(("SigPnd:", "ShdPnd:")))

    def works_on(self, seconds: float) -> bool:
        """Let it work for a while; False if it has ended by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False


@dataclass
class Program:
    """A workspace and the processes that work in it. Everything they say is kept in files beside it."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    sandboxed: bool = True
    heard: list[Path] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)

    def start(self, *arguments: str, **environ: str) -> Running:
        """Start a command."""
        return self.start_python("-m", "batchgen", *arguments, **environ)

    def start_python(self, *arguments: str, **environ: str) -> Running:
        """Start Python with these arguments, without a terminal and with nothing in the environment but what the test says."""
        out, err = (self.folder.parent / f"{self.folder.name}-{len(self.heard)}.{name}" for name in ("out", "err"))
        self.heard += [out, err]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self.running.append(Running(process, out, err))
        return self.running[-1]

    def __call__(self, *arguments: str, **environ: str) -> Said:
        """Run a command to its end."""
        return self.start(*arguments, **environ).end()

    def measured(self, *arguments: str, **environ: str) -> tuple[Said, float]:
        """Run a command to its end; return the most memory that it ever had, in MB.

        The process reads its own mark: what the system reports about a child counts the memory that it shared before exec.
        """
        said = self.start_python("-c", MEASURED, *arguments, **environ).end()
        kilobytes = next(line for line in said.err.splitlines() if line.startswith("VmHWM:"))
        return said, int(kilobytes.split()[1]) / 1024

    def kill(self) -> None:
        """End what a failed test left running."""
        for running in self.running:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()

    def manifest(self, text: str, name: str = "m.yaml") -> str:
        """Write a manifest."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def images(self, count: int, *, more: str = "") -> str:
        """Write a manifest of images at 1 credit each, t0 ..."""
        tasks = "".join(f"  - {{id: t{n}, prompt: a red shoe {n}}}\n" for n in range(count))
        return self.manifest(f"version: 1\nname: m\ndefaults: {{model: z-image}}\n{more}tasks:\n{tasks}")

    @property
    def flags(self) -> tuple[str, ...]:
        """What every command needs to find the ledger."""
        return ("--sandbox",) if self.sandboxed else ()

    @property
    def ledger(self) -> Path:
        """Where the ledger is."""
        home = self.folder / ".batchgen"
        return home / "sandbox" / "ledger.sqlite3" if self.sandboxed else home / "ledger.sqlite3"

    @property
    def outputs(self) -> Path:
        """Where the renders are."""
        return self.folder / ("renders-sandbox" if self.sandboxed else "renders")

    def query(self, sql: str, ledger: Path | None = None) -> list[tuple[object, ...]]:
        """Ask the ledger's file itself."""
        connection = sqlite3.connect(f"file:{ledger or self.ledger}?mode=rw", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def submits(self, runs: int = 1) -> bool:
        """True once so many runs have begun and an attempt is in the ledger."""
        try:
            begun = len(self.query("SELECT id FROM runs"))
            return begun >= runs and self.query("SELECT count(*) FROM attempts") != [(0,)]
        except sqlite3.Error:  # there is no ledger yet, or no table in it
            return False

    def files(self) -> list[Path]:
        """Every regular file under the workspace."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def check_secret(self) -> None:
        """Look for the key in everything that was written or said."""
        for path in (*self.files(), *self.heard):
            assert SECRET.encode() not in path.read_bytes(), path


@dataclass
class Service:
    """A `batchgen sandbox` process. `books` is its account's file; it may be stopped and started again on the same port."""

    program: Program
    faults: str = ""
    address: str = ""
    _running: Running | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def start(self, faults: str = "") -> None:
        """Serve, with other faults if need be."""
        port = str(self.port) if self.address else "0"
        self._running = self.program.start("sandbox", "--port", port, *(("--faults", faults) if faults else ()))
        assert "answers at" in self._running.says("RIVYA_API_KEY=")
        self.address = self._running.said().out.split("RIVYA_BASE_URL=")[1].split()[0]

    def stop(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.process.send_signal(signal.SIGTERM)
            assert self._running.end().code == 0
            self._running = None

    def books(self) -> dict[str, object]:
        """Read the account's books."""
        return books_of(self.account)

    @property
    def account(self) -> Path:
        """Where its account is."""
        return self.program.folder / ".batchgen" / "sandbox" / "account.sqlite3"

    def finish_renders(self) -> None:
        """End every render that never would, as if its time had come."""
        finish_renders(self.account)

    def bought(self) -> int:
        """Count the purchases."""
        return len(tasks_of(self.books()))


def finish_renders(account: Path) -> None:
    """End every render in a sandbox account's books that never would (`stall=1`): a test, and no clock, says when."""
    with closing(sqlite3.connect(account, isolation_level=None)) as connection:
        connection.execute("UPDATE tasks SET ends_at = created_at WHERE ends_at IS NULL")


def books_of(path: Path) -> dict[str, object]:
    """Read a sandbox account's books."""
    with Account(path) as account:
        return account.books()


def tasks_of(books: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the server's tasks."""
    tasks = books["tasks"]
    assert isinstance(tasks, list)
    return tasks


@contextmanager
def serving(folder: Path, faults: str = "") -> Iterator[Service]:
    """Run a sandbox server in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(Program(folder))
    service.start(faults)
    try:
        yield service
    finally:
        service.stop()
        service.program.kill()


def check_settled(program: Program, books: Mapping[str, object], tasks: int) -> None:
    """Everything was bought once and is on disk: the server's books, the ledger and the folder say the same."""
    bought = tasks_of(books)
    ids = [task["client_request_id"] for task in bought]
    assert len(set(ids)) == len(ids), "the server sold something twice"
    assert books["bought_more_than_once"] == []
    assert sum(task["status"] == "succeeded" for task in bought) == tasks
    (captured,) = program.query("SELECT coalesce(sum(credits), 0) FROM money WHERE kind = 'capture'")[0]
    (open_,) = program.query("SELECT sum(CASE kind WHEN 'hold' THEN credits ELSE -credits END) FROM money")[0]
    assert (captured, open_) == (books["spent"], 0)
    assert program.query("SELECT state, count(*) FROM tasks GROUP BY state") == [("done", tasks)]
    check_files(program)


def check_files(program: Program) -> None:
    """Every output of the ledger is a file with that size and hash that a player opens; nothing else is there but sidecars."""
    rows = program.query("SELECT path, size, sha256 FROM outputs")
    for path, size, sha256 in rows:
        data = (program.outputs / str(path)).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256), path
        with av.open(str(program.outputs / str(path))) as media:
            next(media.decode())
        sidecar = json.loads((program.outputs / str(path)).with_suffix(".json").read_bytes())
        assert sidecar["file"]["sha256"] == sha256
    names = {path.relative_to(program.outputs).as_posix() for path in program.outputs.rglob("*") if path.is_file()}
    paths = {str(path) for path, _, _ in rows}
    assert {name for name in names if not name.endswith(".json")} == paths
    assert os.path.commonpath([program.folder, program.outputs]) == str(program.folder)
