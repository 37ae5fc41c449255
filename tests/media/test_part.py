"""What a part holds in memory, and what it has on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.media.part import BLOCK, Note, Part, alone, between_of


def begun(folder: Path, *, total: int | None) -> Part:
    """Return a part of which the server has told the size."""
    part = Part(folder / "a.part", Note("bg-1", 0), clean=True)
    part.begin(replace(part.note, total=total))
    return part


def test_a_small_result_is_held_until_it_is_settled(tmp_path: Path) -> None:
    """Nothing is on the disk before; then all of it is, hashed, in one file that the next try takes over, and without a note."""
    part = begun(tmp_path, total=3)
    assert part.hold(b"abc")
    assert not list(tmp_path.iterdir())
    alone(part.settle())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"abc"]
    assert part.path == between_of(tmp_path / "a.part")
    assert (part.size, part.complete, part.sha256) == (3, True, hashlib.sha256(b"abc").hexdigest())
    again = begun(tmp_path, total=2)
    assert again.hold(b"xy")
    alone(again.settle())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"xy"]


def test_what_a_killed_try_held_goes_with_the_next(tmp_path: Path) -> None:
    """The first try held its bytes and was killed before they had a name; the next gets them piece by piece, and leaves only its own."""
    killed = begun(tmp_path, total=3)
    assert killed.hold(b"abc")
    alone(killed.settle())
    again = begun(tmp_path, total=3)
    again.append(b"ab")
    again.append(b"c")
    alone(again.settle())
    again.named()
    assert [path.name for path in tmp_path.iterdir()] == ["a.part"]


def test_bytes_that_get_no_name_stay_only_with_a_note(tmp_path: Path) -> None:
    """What was held would be fetched again, so it goes; what grew in the part is continued by the next try."""
    part = begun(tmp_path, total=3)
    assert part.hold(b"abc")
    alone(part.settle())
    part.abandon()
    assert not list(tmp_path.iterdir())
    part = begun(tmp_path, total=3)
    part.append(b"abc", last=True)
    alone(part.settle())
    part.abandon()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.part", "a.part.json"]


def test_what_an_earlier_try_left_is_written_over(tmp_path: Path) -> None:
    """A part that is on the disk is not passed by: else it and its note would stay for ever."""
    left = begun(tmp_path, total=None)
    left.append(b"ab")
    part = Part.claim([tmp_path / "a.part"], key="bg-1", index=0)
    part.begin(replace(part.note, total=3))
    assert not part.hold(b"abc")


def test_what_is_held_is_dropped_with_the_part(tmp_path: Path) -> None:
    """A part that starts over must not bring back what it held before."""
    for drop in (Part.discard, lambda part: part.begin(part.note)):
        part = begun(tmp_path, total=3)
        assert part.hold(b"abc")
        drop(part)
        alone(part.settle())
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
