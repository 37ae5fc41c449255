"""Names, sidecars, making room, and the last rename. Blocking: called in a worker thread.

    base        the output's stem, for the second file of a result `STEM-2`, and so on
    NAME        base; or `base.aN` (N: the attempt), `base.aN.2`, ... where base is taken by a file that is not ours
    NAME.json   the sidecar: what was asked, which attempt, and the file's sha256

Every way of placing a file is a row of steps, and a crash may come between any two. The order makes each repeat safe:

1. an older output of ours gets its sidecar at its new name, then moves there
2. the new sidecar is written, with the attempt, the sha256 and what was displaced
3. the part file gets the final name

After 2 a repeat finds its own name and hash in the sidecar; so after 3 it takes the file as finished without fetching it
again, and says again what it displaced until the ledger knows.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from batchgen.core.messages import DiskTrouble, Displaced, Download, Downloaded
from batchgen.core.model import Output
from batchgen.core.ports import Owner
from batchgen.media.part import Steps, hash_of, sync_folder, write_durably, write_whole
from batchgen.media.sniff import Kind
from batchgen.media.trouble import Trouble

TRIES = 100
"""Names that are tried before we say that all are taken."""

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Content:
    """A complete, durable part file."""

    path: Path
    sha256: str
    size: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Older:
    """An output of an earlier attempt at this task that makes room. `after` is "" when its file is no longer there."""

    before: str
    after: str


class Claim:
    """The names that one download has for itself until it is over.

    Two may want the same: the second file of task `a` and the first of task `a-2`. What one of them is about to write is not on
    the disk yet, so that the other would not see it there.
    """

    def __init__(self, taken: dict[str, Claim]) -> None:
        """Make a claim to nothing yet; `taken` is what all claims share."""
        self._taken = taken
        self._mine: list[str] = []

    def take(self, name: str) -> bool:
        """Take a name; say whether it could be had."""
        if name not in self._taken:
            self._taken[name] = self
            self._mine.append(name)
        return self._taken[name] is self

    def is_barred(self, name: str) -> bool:
        """Say whether another download has a name."""
        return self._taken.get(name, self) is not self

    def give_back(self) -> None:
        """Let others have the names."""
        for name in self._mine:
            del self._taken[name]
        self._mine.clear()


class Shelf:
    """The outputs folder. Names in it are relative, with `/` between folders. A name that another download has is taken by a strange file.

    Make one for each visit: it looks once where a folder leads.
    """

    def __init__(self, root: Path, claim: Claim | None = None) -> None:
        self.root = root
        self.claim = claim or Claim({})
        self._inside: set[Path] = set()  # folders that were seen to lead nowhere else
        self._paths: dict[str, Path] = {}

    def path(self, name: str) -> Path:
        """Return where a name is. Raises Trouble for one that leads outside, by itself or through a symbolic link."""
        if known := self._paths.get(name):
            return known
        pure = PurePosixPath(name)
        if not pure.name or pure.is_absolute() or ".." in pure.parts or "\0" in name:
            raise Trouble(DiskTrouble.DISK, f"the output {name!r} is not inside the outputs folder")
        path = self.root / pure
        if path.parent not in self._inside:
            if not self._leads_inside(path.parent):
                raise Trouble(DiskTrouble.DISK, f"the output {name!r} leads through a link outside the outputs folder {self.root}")
            self._inside.add(path.parent)
        self._paths[name] = path
        return path

    def _leads_inside(self, folder: Path) -> bool:
        """Whether a folder is in ours: by its name if no link is on the way, else by where it leads."""
        on_the_way = itertools.takewhile(lambda place: place != self.root, (folder, *folder.parents))
        return not any(map(Path.is_symlink, on_the_way)) or folder.resolve().is_relative_to(self.root.resolve())

    def make_room_for(self, name: str) -> Steps[None]:
        """Make the folders above a name."""
        folder = self.path(name).parent
        if folder.is_dir():
            return
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for place in reversed(missing):
            yield place.parent

    def exists(self, name: str) -> bool:
        """Whether anything is at a file's name, also a link to nowhere, or will be."""
        return os.path.lexists(self.path(name)) or self.claim.is_barred(name.rpartition(".")[0])

    def move(self, before: str, after: str) -> None:
        """Rename durably."""
        self.path(before).rename(self.path(after))
        sync_folder(self.path(after).parent)

    def sidecar(self, name: str) -> Document | None:
        """Return the sidecar of NAME: None if there is none, an empty one if what is there is not ours."""
        path = self.path(f"{name}.json")
        if self.claim.is_barred(name):
            return {}
        if not os.path.lexists(path):
            return None
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        ours = isinstance(found, dict) and isinstance(found.get("client_request_id"), str) and isinstance(found.get("file"), dict)
        return found if ours else {}

    def holds(self, name: str, sha256: object) -> bool:
        """Whether a regular file with this hash is at a name."""
        path = self.path(name)
        return path.is_file() and not path.is_symlink() and hash_of(path) == sha256


def base_of(request: Download) -> str:
    """Return the name that a result gets if nothing is in its way."""
    return request.stem if request.index == 0 else f"{request.stem}-{request.index + 1}"


def names_of(request: Download) -> Iterator[str]:
    """Yield the names to try, the wanted one first."""
    base = base_of(request)
    yield base
    yield from _numbered(f"{base}.a{request.attempt_number}")


def adopt(shelf: Shelf, request: Download, owner: Owner) -> Downloaded | None:
    """Return the file if an earlier try finished it: its sidecar names this attempt and its bytes have the hash in it."""
    for position, name in enumerate(names_of(request)):
        document = shelf.sidecar(name)
        if document is None and position > 0:
            return None
        if document and (output := _finished(shelf, request, name, document)):
            return Downloaded(request, output, _displaced_by(document, request, owner), message=_words(request, output.path))
    return None


def place(shelf: Shelf, request: Download, content: Content, owner: Owner) -> Steps[Downloaded]:
    """Give a complete part its name, step by step. Returns the event."""
    room = ((name, _older(shelf, request, name, content, owner)) for name in names_of(request) if shelf.claim.take(name))
    name, older = next((found for found in room if found[1] is not None), ("", None))
    if older is None:
        raise Trouble(DiskTrouble.DISK, f"{base_of(request)} and every name beside it are taken by files that are not ours")
    yield from _make_way(shelf, name, older)
    output = Output(request.index, f"{name}{content.kind.suffix}", content.sha256, content.size, content.kind.mime)
    if shelf.exists(output.path) and not shelf.holds(output.path, content.sha256):
        yield from _set_aside(shelf, name, content.kind.suffix)
    displaced = Displaced(older.before, older.after) if older.after else None
    yield from write_whole(shelf.path(f"{name}.json"), _sidecar_text(request, output, displaced))
    yield content.path.parent
    content.path.replace(shelf.path(output.path))
    yield content.path.parent
    return Downloaded(request, output, displaced, message=_words(request, output.path))


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}.{n}" for n in range(2, TRIES))


def _finished(shelf: Shelf, request: Download, name: str, document: Document) -> Output | None:
    facts = _facts(document)
    path, size, mime = facts.get("path"), facts.get("size"), facts.get("mime")
    mine = (document["client_request_id"], facts.get("index")) == (request.key, request.index)
    if not mine or not isinstance(path, str) or not isinstance(size, int) or not isinstance(mime, str) or not _belongs(path, name):
        return None
    return Output(request.index, path, str(facts["sha256"]), size, mime) if shelf.holds(path, facts.get("sha256")) else None


def _belongs(path: str, name: str) -> bool:
    """Whether a path in a sidecar is one that we would have written there: NAME with a suffix."""
    return path.startswith(f"{name}.") and not {"/", "."} & set(path[len(name) + 1 :])


def _displaced_by(document: Document, request: Download, owner: Owner) -> Displaced | None:
    """What the sidecar says was displaced, as long as the ledger still has it at the old place."""
    note = _facts(document).get("displaced")
    if not isinstance(note, dict):
        return None
    before, after = note.get("before"), note.get("after")
    if not isinstance(before, str) or not isinstance(after, str):
        return None
    known = owner(before)
    return Displaced(before, after) if known and known[1] != request.attempt_number else None


def _older(shelf: Shelf, request: Download, name: str, content: Content, owner: Owner) -> _Older | None:
    """Whether NAME can be had, and what must make way for it. None: it belongs to somebody else, or to a later attempt."""
    document = shelf.sidecar(name)
    if document == {} or (document and not _same_task(document, request)):
        return None
    target = f"{name}{content.kind.suffix}"
    older = None
    for path in _paths(document, name, target):
        known = owner(path)
        if (known is None and shelf.exists(path)) or (known and known[1] > request.attempt_number):
            return None
        if known and known[1] < request.attempt_number:
            older = older or _Older(path, _room_for(shelf, name, path, known))
    strange = document and document["client_request_id"] != request.key and not older
    return None if strange else older or _Older("", "")


def _paths(document: Document | None, name: str, target: str) -> list[str]:
    """Where an output of ours may be that stands in the way: the target, what the sidecar describes, what it displaced."""
    facts = _facts(document or {})
    note = facts.get("displaced")
    said = (facts.get("path"), note.get("before") if isinstance(note, dict) else None)
    return list(dict.fromkeys([target, *(path for path in said if isinstance(path, str) and _belongs(path, name))]))


def _same_task(document: Document, request: Download) -> bool:
    """Whether a sidecar is of the same task: `a-2` is the second file of task `a`, or the first of task `a-2`."""
    wanted = _parsed(request.sidecar)
    return all(document[field] == wanted[field] for field in ("manifest", "task") if field in document and field in wanted)


def _room_for(shelf: Shelf, name: str, before: str, known: tuple[str, int]) -> str:
    """Where the older output goes, or went in a try that was cut off. "" if it is nowhere any more."""
    sha256, number = known
    suffix = before[len(name) :]
    is_there = shelf.exists(before)
    key = (shelf.sidecar(name) or {}).get("client_request_id")
    for candidate in _numbered(f"{name}.a{number}"):
        after, document = f"{candidate}{suffix}", shelf.sidecar(candidate)
        same = document is None or bool(document and (document["client_request_id"] == key or _facts(document).get("sha256") == sha256))
        if is_there and same and not shelf.exists(after):
            return after
        if not is_there and shelf.holds(after, sha256):
            return after
    if is_there:
        raise Trouble(DiskTrouble.DISK, f"{before} has to make room, but every name beside it is taken")
    return ""


def _make_way(shelf: Shelf, name: str, older: _Older) -> Steps[None]:
    """Move an older output of ours. No visit that comes in between may see half of it."""
    if not older.after or not shelf.exists(older.before):
        return
    document = shelf.sidecar(name)
    if document and _facts(document).get("path") == older.before:
        moved = {**document, "file": {**_facts(document), "path": older.after}}
        after = PurePosixPath(older.after)
        write_durably(shelf.path(str(after.with_suffix(".json"))), _pretty(moved))
        yield None
    shelf.move(older.before, older.after)
    yield None


def _set_aside(shelf: Shelf, name: str, suffix: str) -> Steps[None]:
    """Keep what stands at our name but is no longer what we wrote: somebody worked on it, or the disk damaged it."""
    free = (path for stem in _numbered(f"{name}.changed") if not shelf.exists(path := f"{stem}{suffix}"))
    aside = next(free, "")
    if not aside:
        raise Trouble(DiskTrouble.DISK, f"{name}{suffix} was changed, and every name beside it is taken")
    shelf.move(f"{name}{suffix}", aside)
    yield None


def _facts(document: Document) -> Document:
    facts = document.get("file")
    return facts if isinstance(facts, dict) else {}


def _parsed(sidecar: str) -> Document:
    try:
        found = json.loads(sidecar)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"document": sidecar}


def _sidecar_text(request: Download, output: Output, displaced: Displaced | None) -> str:
    facts: dict[str, object] = {
        "index": output.index,
        "path": output.path,
        "sha256": output.sha256,
        "size": output.size,
        "mime": output.mime,
    }
    if displaced:
        facts["displaced"] = {"before": displaced.before, "after": displaced.after}
    return _pretty({**_parsed(request.sidecar), "client_request_id": request.key, "file": facts})


def _pretty(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _words(request: Download, path: str) -> str:
    base = base_of(request)
    beside = not path.startswith(f"{base}.") or path.startswith(f"{base}.a{request.attempt_number}.")
    return f"{base} is taken by another file; this result is beside it as {path}" if beside else ""
