"""What a part holds in memory, and what it has on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.media.part import BLOCK, Note, Part, read_note


def begun(folder: Path, *, total: int | None) -> Part:
    """Return a part of which the server has told the size."""
    part = Part(folder / "a.part", Note("bg-1", 0))
    part.begin(replace(part.note, total=total))
    return part


def test_a_small_result_is_held_until_it_is_settled(tmp_path: Path) -> None:
    """Nothing is on the disk before; then all of it is, hashed, under a note that says whose it is."""
    part = begun(tmp_path, total=3)
    assert part.hold(b"abc")
    assert not list(tmp_path.iterdir())
    part.settle()
    assert (tmp_path / "a.part").read_bytes() == b"abc"
    assert (part.size, part.note.durable, part.complete) == (3, 3, True)
    assert part.sha256 == hashlib.sha256(b"abc").hexdigest()
    note = read_note(tmp_path / "a.part.json")
    assert note is not None
    assert note.client_request_id == "bg-1"


def test_what_is_held_is_dropped_with_the_part(tmp_path: Path) -> None:
    """A part that starts over must not bring back what it held before."""
    for drop in (Part.discard, lambda part: part.begin(part.note)):
        part = begun(tmp_path, total=3)
        assert part.hold(b"abc")
        drop(part)
        part.settle()
        assert (part.size, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize(
    ("data", "total"),
    [(b"ab", 3), (b"abcd", 3), (b"abc", None), (b"", 0), (bytes(BLOCK + 1), BLOCK + 1)],
    ids=["cut", "too long", "unknown", "empty", "large"],
)
def test_only_the_whole_of_a_small_result_is_held(tmp_path: Path, data: bytes, total: int | None) -> None:
    """Anything else goes to the disk as it comes, so that it can be continued."""
    part = begun(tmp_path, total=total)
    assert not part.hold(data)


def test_the_rest_of_a_part_is_not_the_whole(tmp_path: Path) -> None:
    """Bytes are there already: these are as many as are wanted, and still only some."""
    part = begun(tmp_path, total=3)
    part.append(b"a")
    assert not part.hold(b"abc")
