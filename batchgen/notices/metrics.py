"""A file in Prometheus' text format, for the textfile collector of node_exporter: written at the start, each minute, at the end.

Every number is a query over the ledger. The names are documented in the README and do not change.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.facts import ManifestFacts, RunFacts
from batchgen.core.model import Instant
from batchgen.core.states import TaskState

READABLE = 0o644
"""node_exporter runs as another user."""

BEGINS = "# HELP batchgen_"
"""How the file begins: what begins otherwise is somebody's (a manifest, a ledger that was named by a slip) and stays."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, what it says, and its samples: labels and value."""

    name: str
    said: str
    samples: tuple[tuple[dict[str, str], float], ...]

    def lines(self, workspace: str) -> Iterator[str]:
        """Yield it as text."""
        yield f"# HELP {self.name} {self.said}"
        yield f"# TYPE {self.name} gauge"
        for labels, value in self.samples:
            said = ",".join(f'{name}="{_escaped(text)}"' for name, text in {"workspace": workspace, **labels}.items())
            yield f"{self.name}{{{said}}} {value:.15g}"


def metrics_of(runs: Iterable[RunFacts], manifests: Iterable[ManifestFacts], now: Instant) -> Iterator[Metric]:
    """Yield all metrics; `runs` are the newest, newest first."""
    newest, facts = list(runs), list(manifests)
    yield _one("batchgen_metrics_written_time_seconds", "When this file was written.", now)
    if newest:
        run = newest[0]
        yield _one("batchgen_run_going_on", "1 while a run is going on, 0 when it has ended.", float(run.ended_at is None))
        yield _one("batchgen_run_started_time_seconds", "When the newest run began.", run.started_at)
    ended = next((run for run in newest if run.ended_at is not None), None)
    if ended is not None and ended.ended_at is not None and ended.exit_code is not None:
        yield _one("batchgen_run_ended_time_seconds", "When the newest run that has ended did so.", ended.ended_at)
        yield _one("batchgen_run_exit_code", "Its exit code; see the README's table.", float(ended.exit_code))
    done = next((run.ended_at for run in newest if run.exit_code == 0 and run.ended_at is not None), None)
    if done is not None:
        yield _one("batchgen_run_done_time_seconds", "When a run last ended with everything done.", done)
    states = tuple(({"manifest": f.name, "state": str(state)}, float(f.by_state.get(state, 0))) for f in facts for state in TaskState)
    yield Metric("batchgen_tasks", "Tasks by manifest and state.", states)
    spent = tuple(({"manifest": f.name}, float(f.captured)) for f in facts)
    yield Metric("batchgen_credits_spent", "Credits spent, over the life of a manifest's name.", spent)
    held = tuple(({"manifest": f.name}, float(f.held)) for f in facts)
    yield Metric("batchgen_credits_held", "Credits held for attempts whose end is not known.", held)


def _one(name: str, said: str, value: float) -> Metric:
    return Metric(name, said, (({}, value),))


def write(path: Path, workspace: str, metrics: Iterable[Metric]) -> None:
    """Put the file in its place at once, so that no half of it is scraped. Raises OSError, also for a file of another kind there."""
    if path.exists() and not _ours(path):
        raise FileExistsError(errno.EEXIST, "there is a file of another kind, which stays as it is")
    text = "".join(f"{line}\n" for metric in metrics for line in metric.lines(workspace))
    # Not *.prom: node_exporter reads every file of that name in the folder.
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(part).chmod(READABLE)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _ours(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(BEGINS)) in {b"", BEGINS.encode()}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
