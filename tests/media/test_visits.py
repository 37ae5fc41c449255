"""Visits to the disk that are made together."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import anyio
import pytest

from batchgen.media.part import Steps, write_fresh, write_whole
from batchgen.media.trouble import Trouble
from batchgen.media.visits import Visits

pytestmark = pytest.mark.anyio


def writes(folder: Path, name: str, told: list[str]) -> Steps[str]:
    """Write a file in two steps."""
    told.append(f"{name} begun")
    (folder / name).touch()
    yield folder
    told.append(f"{name} named")
    yield folder
    told.append(f"{name} over")
    return name


def waits(begun: threading.Event, hold: threading.Event) -> Steps[str]:
    """Keep the disk busy."""
    begun.set()
    assert hold.wait(10)
    yield from ()
    return "waited"


async def make_all(visits: Visits, *steps: Steps[str]) -> list[str | Exception]:
    """Make visits at once, while another holds them up, so that they go together; return what each found or raised."""
    found: dict[int, str | Exception] = {}
    hold, begun = threading.Event(), threading.Event()

    async def make(number: int, one: Steps[str]) -> None:
        try:
            found[number] = await visits.make(one)
        except (OSError, Trouble, ValueError) as error:
            found[number] = error

    async with anyio.create_task_group() as group:
        group.start_soon(make, -1, waits(begun, hold))
        await anyio.to_thread.run_sync(begun.wait)
        for number, one in enumerate(steps):
            group.start_soon(make, number, one)
        await anyio.wait_all_tasks_blocked()
        hold.set()
    return [found[number] for number in range(len(steps))]


async def test_visits_that_wait_share_their_folder_syncs(tmp_path: Path) -> None:
    """Each is brought to the same point before the folder is synced once for all; each gets its own result."""
    told: list[str] = []
    found = await make_all(Visits(), writes(tmp_path, "a", told), writes(tmp_path, "b", told))
    assert found == ["a", "b"]
    assert told == ["a begun", "b begun", "a named", "b named", "a over", "b over"]


async def test_what_one_raises_is_its_own(tmp_path: Path) -> None:
    """The others get their files."""

    def breaks() -> Steps[str]:
        yield tmp_path
        raise ValueError("mine")

    told: list[str] = []
    found = await make_all(Visits(), breaks(), writes(tmp_path, "b", told))
    assert isinstance(found[0], ValueError)
    assert found[1] == "b"
    assert told[-1] == "b over"


async def test_a_folder_that_cannot_be_synced(tmp_path: Path) -> None:
    """Nobody goes on whose names are not durable; another folder's visits do."""
    told: list[str] = []

    def lost() -> Steps[str]:
        yield tmp_path / "nowhere"
        told.append("went on")
        return "lost"

    def recovers() -> Steps[str]:
        try:
            yield tmp_path / "nowhere"
        except OSError:
            yield tmp_path
        return "elsewhere"

    found = await make_all(Visits(), lost(), recovers(), writes(tmp_path, "b", told))
    assert isinstance(found[0], FileNotFoundError)
    assert found[1:] == ["elsewhere", "b"]
    assert "went on" not in told


async def test_steps_in_between_are_seen_whole(tmp_path: Path) -> None:
    """What yields None has made its change durable itself, and no other visit comes in before its next step."""
    told: list[str] = []

    def moves() -> Steps[str]:
        told.append("half")
        yield None
        told.append("whole")
        return "moved"

    await make_all(Visits(), moves(), writes(tmp_path, "b", told))
    assert told[:3] == ["half", "whole", "b begun"]


async def test_a_visit_that_is_given_up_while_it_waits_is_not_made(tmp_path: Path) -> None:
    """A second Ctrl-C while the disk is slow: what had not begun does not begin."""
    visits, told = Visits(), list[str]()
    hold, begun = threading.Event(), threading.Event()

    async with anyio.create_task_group() as group:
        group.start_soon(visits.make, waits(begun, hold))
        await anyio.to_thread.run_sync(begun.wait)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as inner:
                inner.start_soon(visits.make, writes(tmp_path, "late", told))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        hold.set()
    await visits.make(writes(tmp_path, "after", told))
    assert told == ["after begun", "after named", "after over"]


async def test_files_are_synced_side_by_side(tmp_path: Path) -> None:
    """One is durable only when the other is being made so too: a disk writes both in little more time than one."""
    met, synced = threading.Barrier(2), []

    def sync(unsynced: Path | int) -> None:
        met.wait(30)
        synced.append(unsynced)

    def begins(name: str) -> Steps[str]:
        yield from write_fresh(tmp_path / name, name.encode(), 0o600)
        return name

    visits = Visits(sync)
    assert await make_all(visits, begins("a"), begins("b")) == ["a", "b"]
    assert len(synced) == 2
    visits.close()


async def test_a_file_that_cannot_be_synced(tmp_path: Path) -> None:
    """What is told of it is told to whoever wrote it, and nothing of it is named; the file beside it gets its name."""

    def sync(unsynced: Path | int) -> None:
        if isinstance(unsynced, int) and os.fstat(unsynced).st_size == len("bad"):
            raise OSError(errno.EIO, "the disk is broken")

    def writes_whole(text: str) -> Steps[str]:
        yield from write_whole(tmp_path / text, text)
        return text

    visits = Visits(sync)
    found = await make_all(visits, writes_whole("bad"), writes_whole("good"))
    assert (str(found[0]), found[1]) == (f"[Errno {errno.EIO}] the disk is broken", "good")
    assert os.listdir(tmp_path) == ["good"]  # noqa: PTH208 - names only
    visits.close()
