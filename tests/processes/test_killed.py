"""SIGKILL at random moments, over a server with faults, until everything is done: nothing is bought twice, nothing is lost."""

from __future__ import annotations

import random
import signal
from functools import partial
from pathlib import Path

from tests.processes.program import Program, Running, books_of, check_settled, serving, until
from tests.processes.proxy import between

FAULTS = "fail=0.04,drop_before=0.03,drop_after=0.05,5xx=0.03,html=0.02,garbage=0.02,429=0.01,cut=0.1,slow=0.02"
KILLS = 3
TASKS = 30

MANIFEST = """\
version: 1
name: m
retries: 6
stop_after: {in_a_row: 50}
defaults: {model: kling-2-6}
tasks:
  - id: ${name}-${take}
    prompt: a ${name} turns, take ${take}
    references: ["assets/${name}.png"]
    matrix: {name: [vase, mug]}
    takes: 5
  - {id: "i${take}", model: z-image, prompt: "a red shoe ${take}", takes: 20}
"""


def at_work(program: Program, running: Running, runs: int) -> bool:
    """True once this run has begun and buys, or has ended."""
    return program.submits(runs) or running.process.poll() is not None


def until_done(program: Program, seed: int, *faults: str) -> int:
    """Run, kill and resume until a run ends by itself; return the kills that met a process at work."""
    dice, kills = random.Random(seed), 0  # noqa: S311 - a seed that replays, no secret
    command = ("run", prepare(program), "--yes", *faults)
    for _ in range(KILLS):
        running = program.start(*command, *program.flags)
        until(partial(at_work, program, running, kills + 1))
        if not running.works_on(dice.random() * 0.8):
            break
        running.process.kill()
        kills += 1
        assert running.end().code == -signal.SIGKILL
        assert program.ledger.with_name("ledger.sqlite3.lock").exists()
        command = ("resume", *faults)
    said = program(*command, *program.flags)
    assert said.code == 0, said.err
    return kills


def prepare(program: Program) -> str:
    """Write the manifest and its references."""
    folder = program.folder / "assets"
    folder.mkdir()
    for name in ("vase.png", "mug.png"):
        (folder / name).write_bytes((Path(__file__).parents[2] / "manifests" / "assets" / name).read_bytes())
    return program.manifest(MANIFEST)


def test_sandbox_in_the_same_process(program: Program) -> None:
    """The sandbox dies with the run and comes back with its books, as `--sandbox` does."""
    kills = until_done(program, 11, "--faults", f"{FAULTS},seed=5")
    assert kills >= 2
    check_settled(program, books_of(program.folder / ".batchgen" / "sandbox" / "account.sqlite3"), TASKS)


def test_server_in_another_process(program: Program, tmp_path: Path) -> None:
    """The server lives on while the client is killed: purchases finish, answers go to nobody."""
    with serving(tmp_path / "server", f"{FAULTS},seed=6") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        kills = until_done(program, 12)
        assert kills >= 2
        check_settled(program, service.books(), TASKS)


def test_through_a_bad_network(program: Program, tmp_path: Path) -> None:
    """A proxy cuts, resets, halves and delays the streams between client and server, whatever is on them."""
    with serving(tmp_path / "server", "slow=0.01") as service, between(service.port, seed=7) as proxy:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = proxy.address
        kills = until_done(program, 13)
        assert kills >= 2
        assert min(proxy.did.values()) > 0, proxy.did
        check_settled(program, service.books(), TASKS)
