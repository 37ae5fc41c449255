"""Recognises manifests that are as they were when the ledger took their tasks, so that their rows need not be walked again.

What went into a check is summed up in a digest: this version and its catalogue, the path of every manifest of the call, the bytes of the
manifest and of its row files, and size and times of every reference. The digest is kept by the ledger beside the tasks. The smallest
doubt means that the rows are walked: a file that was written so shortly before it was read that its time need not have moved
(as git does with its index), more references than are worth looking at, a file that cannot be read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import batchgen
from batchgen.core.written import Walk

MOST_REFERENCES = 100_000
"""References whose stamps are compared; a stat costs 2 us, and their paths some 10 MB in the ledger."""

FINE, COARSE = 50_000_000, 2_000_000_000
"""Nanoseconds after which a file that is written again has another time: a tick of the kernel, or FAT's two seconds."""

_FORMAT = "1"

Stamp = tuple[int, int, int]
"""Size, and times of change of content and of inode (ns)."""

Called = tuple[str, str]
"""A manifest as it was named, and its absolute path."""


def stamp_of(path: str) -> Stamp:
    """Return a file's stamp; that of no file if it cannot be had."""
    try:
        info = os.stat(path)  # noqa: PTH116 - a string came this far, a hundred thousand times
    except (OSError, ValueError):
        return (-1, -1, -1)
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns


@dataclass(slots=True)
class Sight:
    """How far a check has come, for a thread that looks at it. `manifest` is what is checked now, '' before and after."""

    manifest: str = ""
    tasks: int = 0
    files: int = 0  # looked at as references; the same one counts again in another manifest


@dataclass(slots=True)
class Trail:
    """The files that the check of one manifest read. `started` is when it began (ns)."""

    manifest: str
    started: int
    sight: Sight = field(default_factory=Sight)
    read: dict[str, Stamp] = field(default_factory=dict)  # the manifest and its row files, as they were when they were opened
    references: set[str] = field(default_factory=set)

    def reference(self, path: str) -> None:
        """Note a reference."""
        self.sight.files += 1
        if len(self.references) <= MOST_REFERENCES:
            self.references.add(path)

    def rows(self, path: str) -> None:
        """Note a file before it is read."""
        self.read.setdefault(path, stamp_of(path))

    def walk(self, calls: Sequence[Called], models: Mapping[str, int]) -> Walk | None:
        """Return what lets the manifest be recognised, or None if there is any doubt that these are the bytes that were read."""
        if len(self.references) > MOST_REFERENCES:
            return None
        stamps = [*self.read.values(), *map(stamp_of, self.references)]
        if not all(self._settled(stamp) for stamp in stamps) or any(stamp_of(path) != stamp for path, stamp in self.read.items()):
            return None
        names, references = sorted(self.read), sorted(self.references)
        digest = digest_of(calls, self.manifest, names, references)
        return Walk(self.manifest, digest, tuple(names), tuple(references), dict(models)) if digest else None

    def _settled(self, stamp: Stamp) -> bool:
        _, changed, moved = stamp
        coarse = moved % 1_000_000 == 0  # whole milliseconds, or worse; that of the content may be anybody's
        return changed >= 0 and self.started - max(changed, moved) > (COARSE if coarse else FINE)


def digest_of(calls: Sequence[Called], manifest: str, read: Iterable[str], references: Iterable[str]) -> str:
    """Return the digest of the files as they are now, or an empty text if one cannot be read."""
    summed = hashlib.sha256()

    def add(*words: object) -> None:
        for word in words:
            data = str(word).encode("utf-8", "surrogatepass")
            summed.update(b"%d:" % len(data) + data)

    add(_FORMAT, batchgen.__version__, files("batchgen.catalogue").joinpath("models.json").read_text("utf-8"), manifest)
    for _, path in calls:  # however it was named: from another folder it is the same
        add(path)
    try:
        for path in read:
            with open(path, "rb") as file:  # noqa: PTH123 - as above
                add(path, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError:
        return ""
    for path in references:
        add(path, *stamp_of(path))
    return summed.hexdigest()


def recognised(calls: Sequence[Called], known: Callable[[str], Walk | None]) -> bool:
    """Say whether all manifests of a call are as they were; `known` gives the ledger's walk of a manifest's path."""
    for _, path in calls:
        walk = known(path)
        if walk is None or digest_of(calls, path, walk.read, walk.references) != walk.digest:
            return False
    return bool(calls)
