"""Finds out which ids and outputs come twice, and where they came first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from batchgen.catalogue import shown
from batchgen.core.written import Ready
from batchgen.errors import Problem
from batchgen.manifest.header import UNNAMED
from batchgen.manifest.names import folded
from batchgen.manifest.problems import Place
from batchgen.manifest.seen import Seen

REPORTED = 3
"""Equal ids or outputs of one entry that are reported one by one: the fourth has the same cause."""


class Repeated:
    """Ids of each manifest and outputs of all, with the place of each."""

    def __init__(self, sink: Callable[[Problem], None]) -> None:
        """Report to `sink`."""
        self._sink = sink
        self._outputs = Seen()
        self._ids: dict[str, Seen] = {}
        self._files: list[str] = []
        self._numbers: dict[str, int] = {}

    def among(self, tasks: Iterator[Ready], manifest: str, where: Callable[[], Place]) -> Iterator[Ready]:
        """Pass the tasks of one entry on and report those whose id or output was there before; `where` says where the last one stands."""
        ids = self._ids.setdefault(manifest, Seen())
        reported = 0
        for ready in tasks:
            reported += reported < REPORTED and self._is_repeated(ready, ids, where(), named=manifest != UNNAMED)
            yield ready

    def _is_repeated(self, ready: Ready, ids: Seen, place: Place, *, named: bool) -> bool:
        ident, output = ready[0], ready[5]
        here = self._number(place)
        before = ids.first(ident, here)
        if before is not None:
            self._report(place, ident, f"the id {shown(ident)} is used twice, first at {self._place(before)}", "make ids that differ")
            return True
        if not named:
            return False  # it would seem to share its outputs with another one without a name
        before = self._outputs.first(folded(output), here)
        if before is not None:
            wrong = f"the output {shown(output)} is used twice, first at {self._place(before)}"
            self._report(place, ident, wrong, "make names that differ in more than upper and lower case")
        return before is not None

    def _report(self, place: Place, task: str, wrong: str, right: str) -> None:
        self._sink(Problem(place.file, place.line, place.column, task, wrong, right))

    def _number(self, place: Place) -> int:
        """Put a place into one number, as `Seen` keeps it."""
        file = self._numbers.get(place.file)
        if file is None:
            file = self._numbers[place.file] = len(self._files)
            self._files.append(place.file)
        return file << 32 | place.line

    def _place(self, number: int) -> str:
        return f"{self._files[number >> 32]}:{number & 0xFFFFFFFF}"
