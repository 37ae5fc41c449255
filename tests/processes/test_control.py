"""Two shells: one runs, the other steers."""

from __future__ import annotations

import json
from pathlib import Path

from batchgen.runner import LISTEN
from tests.processes.program import Program, check_settled, serving, until


def test_pause_budget_rate_and_go(program: Program, tmp_path: Path) -> None:
    """Each is obeyed before the command returns, and stands in the events; the run ends with everything done."""
    with serving(tmp_path / "server", "stall=1") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        (program.folder / "batchgen.yaml").write_text("requests_per_minute: 60\nin_flight: 20\npoll: {first: 0.2, every: 0.2}\n")
        running = program.start("run", program.images(12), "--yes", "--budget", "11")
        until(lambda: service.bought() >= 2)
        paused = program("control", "pause")
        assert (paused.code, "batchgen control go" in paused.out) == (0, True), paused
        bought = service.bought()
        assert program("control", "budget", "50").code == 0
        said = program("control", "rate", "6000", "--json")
        assert json.loads(said.out) == {"document": "batchgen.control/1", "control": "rate", "value": 6000.0, "obeyed": True}
        assert service.bought() == bought
        assert program("control", "go").code == 0
        until(lambda: service.bought() == 12)
        service.finish_renders()
        assert running.end().code == 0
        check_settled(program, service.books(), 12)
        events = [detail for (detail,) in program.query("SELECT detail FROM events WHERE event LIKE 'control%' ORDER BY id")]
        assert events == ["pause", "budget 50", "rate 6000", "go"]


def test_within_two_seconds() -> None:
    """What is said just after a look is heard at the next, with as much time again for the commit that the run is at."""
    assert 2 * LISTEN <= 2.0


def test_drain(program: Program, tmp_path: Path) -> None:
    """The run ends with exit code 3, says why, and the next one finishes."""
    with serving(tmp_path / "server", "slow=0.2,stall=1") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        running = program.start("run", program.images(30), "--yes")  # of which 20 have a place
        until(lambda: service.bought() >= 2)
        assert program("control", "drain").code == 0
        said = running.end()
        assert (said.code, "drained by `batchgen control drain`" in said.out) == (3, True), said
        service.finish_renders()
        service.stop()
        service.start()
        assert program("resume").code == 0
        check_settled(program, service.books(), 30)


def test_in_the_sandbox(program: Program) -> None:
    """What it says to do next is for the run that was steered, which is the sandbox's."""
    running = program.start("run", program.images(30), "--yes", "--faults", "render=20", *program.flags)
    until(program.submits)
    assert f"next: batchgen control go {' '.join(program.flags)}" in program("control", "pause", *program.flags).out
    assert f"next: batchgen resume {' '.join(program.flags)}" in program("control", "drain", *program.flags).out
    assert running.end(patience=20).code == 3


def test_refused_in_plain_words(program: Program) -> None:
    """Nobody there to hear it, no ledger, no number, a wrong number: exit 2, and never a traceback."""
    assert "no ledger yet" in program("control", "pause").err
    assert program("run", program.images(1), "--yes", *program.flags).code == 0
    for words, said in (
        (("pause",), "no run holds the ledger"),
        (("budget",), "needs a number"),
        (("go", "3"), "takes no number"),
        (("budget", "1.5"), "not a whole number of credits"),
        (("budget", "nan"), "not a whole number of credits"),
        (("rate", "0"), "not a number of requests a minute"),
        (("rate", "inf"), "not a number of requests a minute"),
        (("rate", "1e-300"), "not a number of requests a minute from 0.001 to 1,000,000,000; such as 60 or 0.5"),
        (("rate", "-1"), 'rate: "-1" is not a number of requests a minute'),
        (("budget", "-5"), 'budget: "-5" is not a whole number of credits'),
        (("pause", "-1"), "No such option '-1'"),
        (("stop",), "'stop' is not one of"),
    ):
        end = program("control", *words, *program.flags)
        assert (end.code, said in end.err, "Traceback" in end.err) == (2, True, False), end
