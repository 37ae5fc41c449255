"""The thread that tells. `with Herald(...) as herald:` around a run; it says the start, the doubts, the end, and how a crash ended it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from batchgen.core.announce import Announce, Occasion
from batchgen.core.facts import ManifestFacts, RunFacts
from batchgen.core.messages import AttemptMoved, Ended, Glimpse, Step
from batchgen.core.ports import Watch
from batchgen.core.states import AttemptState
from batchgen.errors import BatchgenError, ExitCode, Terminated
from batchgen.notices import apprise, metrics, words
from batchgen.notices.words import Notice, Place

LOG = logging.getLogger("batchgen.notices")

EVERY = 60.0
"""Seconds between two writings of the metrics; Prometheus asks about as often."""

FAREWELL = 45.0
"""Seconds that the end of a run grants to what is still being told."""

RUNS = 100
"""Newest runs among which the last good one is looked for."""


class Facts(Protocol):
    """What the herald reads; a part of `core.ports.Ledger`, which may be used by several threads."""

    def runs(self, limit: int = 1) -> tuple[RunFacts, ...]:
        """Return the newest runs, newest first."""
        ...

    def manifests(self) -> tuple[ManifestFacts, ...]:
        """Return every manifest with its counts and credits."""
        ...


class Herald:
    """Tells about one run. Nothing in it raises, and nothing blocks but leaving it, for some seconds."""

    def __init__(self, plan: Announce, place: Place, ledger: Facts, clock: Callable[[], float] = time.time) -> None:
        """`ledger` is read in the herald's thread."""
        self._plan = plan
        self._place = place
        self._ledger = ledger
        self._clock = clock
        self._names: Sequence[str] = ()
        self._doubted = False
        self._ended: Ended | None = None
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="herald", daemon=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        if not self._plan.silent:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        """Tell how it ended, and wait some seconds for what is still being told."""
        if self._plan.silent:
            return
        ended = self._ended or _of_error(error)
        self._queue.put(lambda: self._over(ended))
        self._queue.put(None)
        self._thread.join(FAREWELL)

    def begins(self, names: Sequence[str]) -> None:
        """Tell that the run of these manifests begins."""
        self._names = names
        self._queue.put(self._started)

    def over(self, ended: Ended) -> Ended:
        """Remember how it ended; it is told on leaving."""
        self._ended = ended
        return ended

    def watching(self, inner: Watch) -> Watch:
        """Return a watch that also looks for doubts."""

        def watch(step: Step, glimpse: Glimpse) -> None:
            inner(step, glimpse)
            if not self._doubted:
                self._look_for_doubt(step)

        return inner if self._plan.silent else watch

    def _look_for_doubt(self, step: Step) -> None:
        """Tell of the first attempt in doubt at once; the others are told at the end."""
        for record in step.records:
            if isinstance(record, AttemptMoved) and record.after is AttemptState.IN_DOUBT:
                self._doubted = True
                fault = record.fault
                notice = words.doubted(self._place, record.task, f"{fault.code}: {fault.message[:300]}" if fault else "")
                self._queue.put(partial(self._tell, notice))
                return

    # ---------------------------------------------------------------- in the thread

    def _work(self) -> None:
        due = time.monotonic() + EVERY
        while True:
            try:
                job = self._queue.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                job, due = self._measure, time.monotonic() + EVERY
            if job is None:
                return
            try:
                job()
            except Exception as error:  # noqa: BLE001 - whatever telling meets, the run must not care
                LOG.warning("a notice failed: %s: %s", type(error).__name__, str(error)[:200])

    def _started(self) -> None:
        self._measure()
        self._ping(Occasion.START)
        self._tell(words.started(self._place, self._facts()))

    def _over(self, ended: Ended) -> None:
        notice = words.over(self._place, self._facts(), ended)
        self._ping(notice.occasion)
        self._tell(notice)
        self._measure()

    def _tell(self, notice: Notice) -> None:
        if self._plan.urls and notice.occasion in self._plan.occasions:
            apprise.send(self._plan.urls, notice)

    def _ping(self, occasion: Occasion) -> None:
        if self._plan.ping:
            from batchgen.notices.ping import ping  # noqa: PLC0415 - urllib is slow to import, and few runs have a ping

            ping(self._plan.ping, occasion)

    def _facts(self) -> list[ManifestFacts]:
        return [facts for facts in self._ledger.manifests() if facts.name in self._names]

    def _measure(self) -> None:
        if not self._plan.metrics:
            return
        found = metrics.metrics_of(self._ledger.runs(RUNS), self._ledger.manifests(), self._clock())
        try:
            metrics.write(Path(self._plan.metrics), self._place.workspace, found)
        except OSError as error:
            LOG.warning("the metrics could not be written to %s: %s", self._plan.metrics, error.strerror or type(error).__name__)


def _of_error(error: BaseException | None) -> Ended:
    """Say what an error that ended a run is to those who are told."""
    if isinstance(error, BatchgenError):
        return Ended(error.exit_code, str(error)[:1000])
    if isinstance(error, Terminated):
        return Ended(ExitCode.TERMINATED, "terminated")
    if isinstance(error, KeyboardInterrupt):
        return Ended(ExitCode.INTERRUPTED, "interrupted")
    code = ExitCode.UNAVAILABLE if isinstance(error, OSError) else ExitCode.BUG
    return Ended(code, f"{type(error).__name__}: {str(error)[:500]}" if error else "the run ended without a word")
