"""Where a report goes: a file that appears whole or not at all, or stdout.

A report or a kept plan names prompts and credits: only its owner reads a new one. One that takes another's place has its
mode, so that whoever opened last night's page to others has said so for every night.

What is replaced must be such a file itself, told by how it begins: `report --csv spring.yaml` means the rows of spring.yaml to
whoever types it, and would have written them over the manifest.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from batchgen.errors import UsageError

PRIVATE = 0o600


@contextmanager
def text_place(file: str, begins: str) -> Iterator[TextIO]:
    """Give a stream for text that `begins` so; `-` is stdout. Raises UsageError if it cannot be written, or is no such file."""
    if file == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    with bytes_place(file, begins.encode()) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        yield stream
        stream.flush()
        stream.detach()


@contextmanager
def bytes_place(file: str, begins: bytes) -> Iterator[BinaryIO]:
    """Give a stream for bytes that `begins` so. Raises UsageError if it cannot be written, or is no such file."""
    try:
        with _whole(Path(file), begins) as stream:
            yield stream
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error


@contextmanager
def _whole(place: Path, begins: bytes) -> Iterator[BinaryIO]:
    """Let a file appear whole or not at all, so that nobody reads half a report; a device or a pipe is written as it is."""
    if place.exists() and not place.is_file():
        with place.open("wb") as stream:
            yield stream
        return
    place = place.resolve()  # a link stays, and what it leads to is replaced
    if place.exists():
        _refuse_another(place, begins)
    part = place.with_name(place.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE), "wb") as stream:
            if place.exists():
                os.fchmod(stream.fileno(), stat.S_IMODE(place.stat().st_mode))
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _refuse_another(place: Path, begins: bytes) -> None:
    """Raise UsageError for a file that is not like the one that would take its place. An empty one is like any."""
    with place.open("rb") as stream:
        found = stream.read(len(begins))
    if found not in {b"", begins}:
        raise UsageError(f"{place} is there and no file of this kind, so it stays as it is; name another, or move that one away")
