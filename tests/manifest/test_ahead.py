"""References are read side by side, ahead of the rows that name them, and nothing that is said depends on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from threading import enumerate as enumerate_threads

import pytest

from batchgen.catalogue import Catalogue
from batchgen.errors import ManifestError, Problem
from batchgen.manifest import Sight, check
from batchgen.manifest.ahead import BURST, READERS, Readers, ahead
from batchgen.manifest.problems import Refused
from batchgen.manifest.references import SMALL

from .conftest import PNG, Folder

SIDE_BY_SIDE = """
import sys
from pathlib import Path
from threading import Barrier, BrokenBarrierError

from batchgen.catalogue import Catalogue
from batchgen.manifest import check

met, opened = Barrier(2), []

def meet(event, arguments):
    name = str(arguments[0]) if event == "open" else ""
    if name.endswith(".png"):
        opened.append(Path(name).name)
        if opened.count(Path(name).name) == 2:  # the first time only the first bytes are looked at
            try:
                met.wait(30)
            except BrokenBarrierError:
                sys.exit("one file was read after the other")

sys.addaudithook(meet)
(loaded,) = check([Path(sys.argv[1])], Catalogue.shipped()).manifests
print(loaded.task_count, *sorted(opened))
"""

MANIFESTS = {
    "rows of a CSV file": ("", "  - {id: 'x-${n}', prompt: p, foreach: rows.csv, references: ['${n}.png']}\n"),
    "lines of JSON": ("", "  - {id: 'x-${n}', prompt: p, foreach: rows.jsonl, references: ['${n}.png']}\n"),
    "a matrix": ("", "  - {id: 'x-${n}', prompt: p, matrix: {n: [a, b]}, references: [{file: '${n}.png', name: '${n}'}]}\n"),
    "entries": ("", "  - {id: x, prompt: p, references: [a.png]}\n  - {id: y, prompt: p, references: [{file: b.png}]}\n"),
    "one entry": ("", "  - {id: x, prompt: p, references: [a.png, b.png]}\n  - {id: y, prompt: p}\n"),
    "the defaults": ("  references: [a.png, b.png]\n", "  - {id: x, prompt: p}\n  - {id: y, prompt: p}\n"),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_files_are_hashed_side_by_side(tmp_path: Path, what: str) -> None:
    """Each of two files is read on only when the other one is being read too; each is hashed once."""
    defaults, tasks = MANIFESTS[what]
    (tmp_path / "a.png").write_bytes(PNG + b"a" * SMALL)
    (tmp_path / "b.png").write_bytes(PNG + b"b" * SMALL)
    (tmp_path / "rows.csv").write_text("n\na\nb\n")
    (tmp_path / "rows.jsonl").write_text('{"n": "a"}\n{"n": "b"}\n')
    (tmp_path / "m.yaml").write_text(f"version: 1\nname: m\ndefaults:\n  model: qwen-image\n{defaults}tasks:\n{tasks}")
    said = subprocess.run([sys.executable, "-c", SIDE_BY_SIDE, tmp_path / "m.yaml"], capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr, said.returncode) == ("2 a.png a.png b.png b.png\n", "", 0)


SLOW_DISK = """
import sys
from pathlib import Path
from threading import Event, current_thread, main_thread

from batchgen.catalogue import Catalogue
from batchgen.manifest import check

read = {True: 0, False: 0}

def wait(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".png"):
        read[current_thread() is main_thread()] += 1
        Event().wait(0.01)  # what a network share takes

sys.addaudithook(wait)
(loaded,) = check([Path(sys.argv[1])], Catalogue.shipped()).manifests
print(loaded.task_count, sum(read.values()), read[False] > read[True])
"""


def test_small_files_too_where_reading_takes_long(tmp_path: Path) -> None:
    """The first ones show how long it takes; from then on most are read by other threads, each once."""
    rows = 6 * BURST
    for number in range(rows):
        (tmp_path / f"{number}.png").write_bytes(PNG + b"%d" % number)
    (tmp_path / "rows.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(rows)))
    tasks = "tasks:\n  - {id: 'x-${n}', prompt: p, foreach: rows.csv, references: ['${n}.png']}\n"
    (tmp_path / "m.yaml").write_text(f"version: 1\nname: m\ndefaults: {{model: qwen-image}}\n{tasks}")
    said = subprocess.run([sys.executable, "-c", SLOW_DISK, tmp_path / "m.yaml"], capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr, said.returncode) == (f"{rows} {rows} True\n", "", 0)


def test_what_is_wrong_is_said_from_top_to_end(folder: Folder) -> None:
    """Rows are read ahead of their check; a broken one stands in its place all the same."""
    folder.write("rows.csv", "n\n" + "nothing.png\n" * 3 + "a,b\nnothing.png\n")
    folder.write("late.csv", "n\nnone.png\n")
    row = "  - {id: 'x-${n}', prompt: p, model: qwen-image, references: ['${n}'], foreach: %s.csv}\n"
    folder.of_tasks(row % "rows" + row % "late" + "  - {id: y, prompt: p, prompt: p}\n")
    assert list(dict.fromkeys((p.file, p.line) for p in folder.problems())) == [
        ("m.yaml", 8),
        ("rows.csv", 2),
        ("rows.csv", 3),
        ("rows.csv", 4),
        ("rows.csv", 5),
        ("rows.csv", 6),
        ("late.csv", 2),
    ]


def problem(number: int) -> Problem:
    """Something that is wrong in a line."""
    return Problem("rows.csv", number, 0, "", "wrong")


def counted(upto: int) -> Iterator[int]:
    """Count, then refuse to go on."""
    yield from range(upto)
    raise Refused(problem(upto))


@pytest.mark.parametrize("upto", [0, 1, BURST - 1, BURST, BURST + 1, 3 * BURST])
def test_all_that_came_before_a_refusal_is_yielded_before_it(upto: int) -> None:
    """In order, each once; and each was expected before it came."""
    expected: list[int] = []
    seen: list[int] = []
    rows = ahead(counted(upto), expected.extend)
    with pytest.raises(Refused):
        seen.extend(number for number in rows if number in expected)
    assert seen == expected == list(range(upto))


def test_the_next_burst_is_expected_while_one_is_gone_through() -> None:
    """Never two more, however many there are."""
    expected: list[int] = []
    for number in ahead(range(10 * BURST), expected.extend):
        assert len(expected) == min(10, number // BURST + 2) * BURST


def test_nothing_is_read_beside_what_is_heavy() -> None:
    """An entry with a hundred thousand rows in it is let go before the next one is read."""
    read: list[int] = []

    def entries() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            yield number

    def is_heavy(number: int) -> bool:
        return number in {4, 5, 9}

    ahead_of = {number: len(read) for number in ahead(entries(), lambda _: None, is_heavy)}
    assert ahead_of[4] == 5
    assert ahead_of[5] == 6
    assert list(ahead_of) == list(range(10))


def test_a_reader_that_fails_holds_up_nobody() -> None:
    """Whatever is raised in it, the check meets it again by itself."""
    with Readers() as readers:
        readers.expect([("a", partial(int, "no number")), ("b", partial(int, "1"))])
        readers.wait("a")
        readers.wait("b")
        readers.wait("never expected")
        met = Barrier(2)
        readers.expect([("c", partial(met.wait, 30))])  # the threads are still there
        met.wait(30)


def test_a_file_is_read_once_however_often_it_is_named() -> None:
    """While it is read, or waits to be, nobody is told to read it again."""
    begun, go_on, read = Event(), Event(), []

    def look() -> None:
        begun.set()
        go_on.wait(30)
        read.append("a")

    with Readers() as readers:
        readers.expect([("a", look), ("a", look)])
        begun.wait(30)
        readers.expect([("a", look)])
        readers.expect([("b", go_on.set)])
        readers.wait("a")
    for thread in enumerate_threads():
        if thread.name == "reader":
            thread.join(30)
    assert read == ["a"]


def test_nothing_more_is_read_after_the_end() -> None:
    """After Ctrl-C nobody waits for a film, and the files in the queue are left alone."""
    begun, go_on = Event(), Event()
    read: list[int] = []

    def look(number: int) -> None:
        read.append(number)
        begun.set()
        go_on.wait(30)

    with Readers() as readers:
        readers.expect([(str(number), partial(look, number)) for number in range(100)])
        begun.wait(30)
    go_on.set()
    for number in range(100):
        readers.wait(str(number))
    assert len(read) <= READERS


def test_how_far_a_check_has_come(folder: Folder) -> None:
    """Every task and every file is counted once, also where rows with equal ids are gone through twice."""
    folder.write("a.png", PNG)
    folder.write("rows.csv", "n\n" + "x\n" * 3)
    folder.of_tasks("  - {id: a, prompt: p, references: [a.png]}\n  - {id: '${n}', prompt: p, foreach: rows.csv}\n")
    sight = Sight()
    with pytest.raises(ManifestError):
        check([folder.path / "m.yaml"], Catalogue.shipped(), sight=sight)
    assert sight == Sight("", 4, 1)
