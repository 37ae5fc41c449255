"""The unfinished file `NAME.part` and its note `NAME.part.json`. Blocking: called in worker threads.

The note says whose bytes these are, which version of them (ETag), and how many are certainly on the disk. It is written
before the part file, and its count only after an fsync of the data: so after a crash, also of the power, a part is
resumed from bytes that are really there and never from zeros that a file system left behind. A part file without our
note is not ours and is left alone.

Most results are small and whole at once: such a one is held in memory until it gets its name, and needs no note, since it
would be fetched again. The first note is not made durable, and none is written of a part that is complete: each new file
and each fsync costs more than fetching 20 KB does. A power cut may leave such a note empty; that is ours.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from batchgen.core.messages import DiskTrouble
from batchgen.media.trouble import Trouble

CHECKPOINT = 16 * 1024 * 1024
"""Bytes after which data and note are made durable: what a power cut can cost. An fsync takes some milliseconds."""

BLOCK = 1024 * 1024

T = TypeVar("T")

Unsynced: TypeAlias = "Path | int"
"""What must be durable before anything goes on: the names in a folder, or the bytes of an open file, by its handle."""

Steps: TypeAlias = "Generator[Unsynced | None, None, T]"
"""What a visit to the disk does: after a change it yields what must be made durable before it goes on, or None where that is so
already; it returns what it found. Nothing of another visit is done while it yields None."""

FRESH = os.O_CREAT | os.O_TRUNC
WRITING = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
BY_UMASK, PRIVATE = 0o666, 0o600
"""Modes of new files: a render is handed on, a text beside it names prompts and credits."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of the bytes in a part. `total` is their number when complete, if the server said so."""

    client_request_id: str
    index: int
    etag: str = ""
    modified: str = ""
    total: int | None = None
    mime: str = ""
    durable: int = 0
    batchgen_part: int = 1


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(unsynced: Unsynced) -> None:
    """Make durable what a step has changed."""
    if isinstance(unsynced, int):
        os.fsync(unsynced)
    else:
        sync_folder(unsynced)


def alone(steps: Steps[T]) -> T:
    """Go through the steps of one visit, each durable before the next; raise what they raise."""
    try:
        unsynced = next(steps)
        while True:
            try:
                if unsynced is not None:
                    sync(unsynced)
            except OSError as error:
                unsynced = steps.throw(error)
            else:
                unsynced = next(steps)
    except StopIteration as done:
        found: T = done.value
        return found


def write_bytes(path: Path, data: bytes, *, at: int = 0, fresh: bool = True, durably: bool = True) -> None:
    """Write into a file from byte `at`; a `fresh` one is made, or emptied first. Follows no link."""
    handle = os.open(path, WRITING | (FRESH if fresh else 0), BY_UMASK)
    try:
        _pour(handle, data, at)
        if durably:
            os.fsync(handle)
    finally:
        os.close(handle)


def write_fresh(path: Path, data: bytes, mode: int) -> Steps[None]:
    """Write a file, which is made, or emptied first. Follows no link."""
    handle = os.open(path, WRITING | FRESH, mode)
    try:
        _pour(handle, data, 0)
        yield handle
    finally:
        os.close(handle)


def _pour(handle: int, data: bytes, at: int) -> None:
    """Write into an open file from byte `at`."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(handle, rest, at)
        rest, at = rest[written:], at + written


def between_of(path: Path) -> Path:
    """Return where a file is written before it gets its name.

    It is made of that name, so that a crash leaves at most one behind and a repeat takes it away.
    """
    return path.with_name(f".bg-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:20]}.tmp")


def write_whole(path: Path, text: str) -> Steps[None]:
    """Replace a text of ours whole, or leave it as it was; only its owner reads it. Its name lasts once the folder is synced."""
    between = between_of(path)
    try:
        yield from write_fresh(between, text.encode("utf-8", "backslashreplace"), PRIVATE)
        between.replace(path)
    except OSError:
        between.unlink(missing_ok=True)
        raise


def write_durably(path: Path, text: str) -> None:
    """Replace a text of ours whole and durably, or leave it as it was."""
    alone(write_whole(path, text))
    sync_folder(path.parent)


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_note(path: Path) -> Note | None:
    """Return the note at a path, or None if there is none of ours."""
    try:
        text = path.read_bytes()
        note = Note(**json.loads(text)) if text else Note("", -1)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    sane = type(note.durable) is int and note.durable >= 0 and (note.total is None or type(note.total) is int)
    texts = all(isinstance(text, str) for text in (note.client_request_id, note.etag, note.modified, note.mime))
    return note if note.batchgen_part == 1 and sane and texts else None


def note_path(path: Path) -> Path:
    """Return where the note of a part is."""
    return path.with_name(path.name + ".json")


def forget(path: Path, *, key: str, index: int) -> None:
    """Remove a part and its note if they are this attempt's."""
    note = read_note(note_path(path))
    if note and (note.client_request_id, note.index) == (key, index):
        path.unlink(missing_ok=True)
        note_path(path).unlink(missing_ok=True)


class Part:
    """One part file, while it grows. `size` counts the bytes in it, all of them hashed. `clean`: nothing is on the disk."""

    def __init__(self, path: Path, note: Note, *, clean: bool) -> None:
        self.path = path
        self._clean = clean
        self.note = note
        self.size = 0
        self._digest = hashlib.sha256()
        self._synced = 0
        self._fresh = False  # begun, but not yet on the disk
        self._held = b""
        self._resume()

    @classmethod
    def claim(cls, paths: Iterable[Path], *, key: str, index: int) -> Part:
        """Take the first path that is free or ours. What is left of another attempt there is started over."""
        for path in paths:
            note = read_note(note_path(path))
            if note or not (os.path.lexists(path) or os.path.lexists(note_path(path))):
                same = note is not None and (note.client_request_id, note.index) == (key, index)
                return cls(path, note if note and same else Note(key, index), clean=note is None)
        raise Trouble(DiskTrouble.DISK, "every name for the unfinished file is taken by files that are not ours")

    @property
    def complete(self) -> bool:
        """Whether all bytes are here, as far as the server told their number."""
        return self.note.total is not None and self.size == self.note.total

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far."""
        return self._digest.hexdigest()

    def begin(self, note: Note) -> None:
        """Start over with nothing, for bytes that this note describes. The disk hears of it with the first of them."""
        self.note = replace(note, durable=0)
        self.size, self._synced, self._digest = 0, 0, hashlib.sha256()
        self._fresh, self._held = True, b""

    def append(self, data: bytes, *, last: bool = False) -> None:
        """Add bytes; now and then, and with the `last`, make them durable."""
        fresh, self._fresh, self._clean = self._fresh, False, False
        if fresh:
            self._write_note(durably=False)
        write_bytes(self.path, data, at=self.size, fresh=fresh, durably=last)
        self._digest.update(data)
        self.size += len(data)
        if last:
            self._synced = self.size
        if self.size - self._synced >= CHECKPOINT:
            self.sync()

    def hold(self, data: bytes) -> bool:
        """Take all bytes of a small result at once, into memory, if these are they; `settle` writes them. Changes nothing if not."""
        if not self._clean or not data or len(data) != self.note.total or len(data) > BLOCK:
            return False
        self._held = data
        self._digest.update(data)
        self.size = len(data)
        return True

    def settle(self) -> Steps[None]:
        """Make all that has come durable, also what is held."""
        if self._held:
            self.path = between_of(self.path)
            yield from write_fresh(self.path, self._held, BY_UMASK)
            self._held = b""
        else:
            between_of(self.path).unlink(missing_ok=True)  # a try that was killed held these bytes; this one did not
            self.sync()

    def sync(self, *, noted: bool = True) -> None:
        """Make the bytes durable, then note how many they are."""
        if self.size == self.note.durable or not self.path.exists():
            return
        if self._synced < self.size:
            with self.path.open("r+b") as file:
                os.fsync(file.fileno())
        self.note = replace(self.note, durable=self.size)
        self._synced = self.size
        if noted:
            self._write_note()

    def head(self, size: int) -> bytes:
        """Return the first bytes."""
        if self._held:
            return self._held[:size]
        with self.path.open("rb") as file:
            return file.read(size)

    def named(self) -> None:
        """Hear that the bytes have their name: what is left to remove is the note."""
        if not self._clean:
            note_path(self.path).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Hear that the bytes get no name now. Those that a note describes wait for the next try; others would stay for nothing."""
        if self._clean:
            self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was fetched. The note goes last: it is what says that the part is ours."""
        self.path.unlink(missing_ok=True)
        note_path(self.path).unlink(missing_ok=True)
        self._clean = True
        self.note = Note(self.note.client_request_id, self.note.index)
        self.size, self._synced, self._digest = 0, 0, hashlib.sha256()
        self._fresh, self._held = False, b""

    def _resume(self) -> None:
        """Hash what is certainly on the disk, and cut off the rest. Fewer bytes than noted: somebody else was here."""
        durable = self.note.durable
        if not durable or self.path.is_symlink() or not self.path.is_file() or self.path.stat().st_size < durable:
            self.note = replace(self.note, durable=0)
            return
        with self.path.open("r+b") as file:
            file.truncate(durable)
            while block := file.read(BLOCK):
                self._digest.update(block)
                self.size += len(block)
        self._synced = self.size

    def _write_note(self, *, durably: bool = True) -> None:
        text = json.dumps(asdict(self.note), indent=1)
        if durably:
            write_durably(note_path(self.path), text)
        else:
            write_bytes(note_path(self.path), text.encode(), durably=False)
