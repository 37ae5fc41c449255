"""The outputs folder and the result files' server, pretended. The real `media` has tests of its own.

Like the real one: a file is placed before the ledger hears of it, an unfinished placing is found again by its attempt's
key, an older output of the same task makes room, a file that is not ours is never overwritten.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from batchgen.core.messages import DiskTrouble, Displaced, Download, Downloaded
from batchgen.core.model import Output
from batchgen.core.ports import Owner
from tests.simulation.troubles import A_DOWNLOAD, Trouble, Weather

SUFFIX = ".mp4"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file on disk and what its sidecar says."""

    sha256: str
    key: str
    index: int
    displaced: Displaced | None


@dataclass(slots=True)
class Disk:
    """Files by path; they outlive every process."""

    weather: Weather
    files: dict[str, Placed] = field(default_factory=dict)

    def fetch(self, request: Download, owner: Owner) -> Downloaded:
        """End a transfer: with a file in its place, or with trouble."""
        match self.weather.pick(A_DOWNLOAD):
            case Trouble.DOWNLOAD_CUT:
                return Downloaded(request, trouble=DiskTrouble.CUT, message="cut")
            case Trouble.DOWNLOAD_GONE:
                return Downloaded(request, trouble=DiskTrouble.GONE, message="403")
            case Trouble.DISK_FULL:
                return Downloaded(request, trouble=DiskTrouble.DISK, message="disk full")
            case _:
                return self._place(request, owner)

    def _place(self, request: Download, owner: Owner) -> Downloaded:
        base = request.stem if request.index == 0 else f"{request.stem}-{request.index + 1}"
        sha256 = hashlib.sha256(request.url.encode()).hexdigest()
        for name in (base, *(f"{base}.a{request.attempt_number}{tail}" for tail in ("", ".2", ".3"))):
            path = name + SUFFIX
            there = self.files.get(path)
            if there is not None and (there.key, there.index) == (request.key, request.index):
                return self._told(request, path, there, owner)
            known = owner(path)
            if known is not None and known[1] < request.attempt_number:
                new = Placed(sha256, request.key, request.index, None)
                return self._told(request, path, self._displace(path, base, known[1], new), owner)
            if there is None and known is None:
                placed = self.files[path] = Placed(sha256, request.key, request.index, None)
                return self._told(request, path, placed, owner)
        return Downloaded(request, trouble=DiskTrouble.DISK, message="every name is taken")

    def has(self, path: str, sha256: str) -> bool:
        """Whether a file is at its path, or made room for a newer one of which the ledger has not heard yet."""
        there = self.files.get(path)
        if there is not None and there.sha256 != sha256 and there.displaced is not None:
            there = self.files.get(there.displaced.after)
        return there is not None and there.sha256 == sha256

    def _displace(self, path: str, base: str, number: int, new: Placed) -> Placed:
        tails = ("", *(f".{n}" for n in range(2, 9)))
        aside = next(name for tail in tails if (name := f"{base}.a{number}{tail}{SUFFIX}") not in self.files)
        self.files[aside] = self.files[path]
        placed = self.files[path] = Placed(new.sha256, new.key, new.index, Displaced(path, aside))
        return placed

    def _told(self, request: Download, path: str, placed: Placed, owner: Owner) -> Downloaded:
        displaced = placed.displaced
        if displaced is not None:
            known = owner(displaced.before)
            if known is None or known[1] == request.attempt_number:
                displaced = None
        return Downloaded(request, Output(request.index, path, placed.sha256, 1000, "video/mp4"), displaced)
