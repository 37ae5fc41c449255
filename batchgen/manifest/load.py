"""Manifests from paths: checked whole first, then read again task by task.

`check` goes through every row once, keeps nothing of it but 40 bytes each for its id and its output's name, and raises with
all problems of all manifests. What it gives is light: its tasks are read from the files again, with the references' hashes remembered.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from batchgen.catalogue import Catalogue, shown
from batchgen.core.model import Manifest, Task
from batchgen.errors import ManifestError, Problem
from batchgen.manifest.build import Builder, top_level
from batchgen.manifest.expand import Expander, Made
from batchgen.manifest.header import UNNAMED, Header, read_header
from batchgen.manifest.names import folded
from batchgen.manifest.nodes import Entry, MappingNode, Node, Scalar
from batchgen.manifest.problems import Gathered, Place, Refused, Reporter, clean
from batchgen.manifest.seen import Seen
from batchgen.manifest.source import Source

SUFFIXES = frozenset({".yaml", ".yml"})
NOT_MANIFESTS = frozenset({"batchgen.yaml", "batchgen.yml"})
"""The workspace's settings, which stand in the same folder."""

MOST_TASKS = 10_000_000
"""Tasks of one manifest. A million are meant to work; ten times as many are a mistake in a matrix, or another kind of tool."""

REPEATED = 3
"""Equal ids or outputs of one entry that are reported one by one: the fourth has the same cause."""

Stamp = tuple[int, int]
"""Size and time of change (ns) of a file, to notice that it changed between the two passes."""


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A manifest in which nothing is wrong. `path` and `folder` are absolute; `task_count` is after expansion."""

    header: Manifest
    path: str
    folder: str
    task_count: int
    tasks_by_model: Mapping[str, int]
    _inherited: Header
    _catalogue: Catalogue
    _stamps: Mapping[str, Stamp]

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks in their order, from the files. Raises ManifestError if a file changed since it was checked."""
        for path, stamp in self._stamps.items():
            if _stamp(path) != stamp:
                _raise(Problem(path, 0, 0, "", "the file changed while it was being read", "run again"))
        reporter = Reporter(self.header.path, _raise)
        expander = Expander(self._inherited, self.folder, self._catalogue, reporter)
        try:
            for node in _entries(self.path, reporter):
                for made in expander.tasks(node):
                    yield made.task
        except Refused as refused:
            _raise(refused.problem)


@dataclass(frozen=True, slots=True)
class Checked:
    """All manifests of one call, in order."""

    manifests: tuple[LoadedManifest, ...]

    @property
    def task_count(self) -> int:
        """Tasks of all manifests, after expansion."""
        return sum(m.task_count for m in self.manifests)


def check(paths: Sequence[Path], catalogue: Catalogue) -> Checked:
    """Check manifests, and folders of manifests, whole.

    Args:
        paths: as the user typed them; problems name them so.
        catalogue: the models.

    Raises:
        ManifestError: with every problem of every manifest, up to `problems.ENOUGH`.
    """
    gathered = Gathered()
    checking = _Checking(catalogue, gathered)
    loaded = [checking.manifest(str(path)) for path in _files(paths, gathered)]
    gathered.check()
    return Checked(tuple(m for m in loaded if m is not None))


class _Checking:
    """What the manifests of one call are checked against each other with."""

    def __init__(self, catalogue: Catalogue, gathered: Gathered) -> None:
        self._catalogue = catalogue
        self._gathered = gathered
        self._outputs = Seen()
        self._files: list[str] = []
        self._numbers: dict[str, int] = {}
        self._named: dict[str, str] = {}

    def manifest(self, shown_as: str) -> LoadedManifest | None:
        """Check one manifest; return None if it could not be read to its end."""
        reporter = Reporter(shown_as, self._gathered.add)
        path = os.path.abspath(shown_as)  # noqa: PTH100 - resolve() would follow links, and references start where the link is
        folder = os.path.dirname(path)  # noqa: PTH120 - a string goes on from here
        try:
            stamps = {path: _stamp(path)}
            header = read_header(_header(path, reporter), self._catalogue, reporter)
            self._check_name(header.manifest, shown_as)
            expander = Expander(header, folder, self._catalogue, reporter)
            models = self._tasks(_entries(path, reporter), expander, reporter)
        except Refused as refused:
            self._gathered.add(refused.problem)
            return None
        stamps.update((file, _stamp(file)) for file in expander.row_files)
        return LoadedManifest(header.manifest, path, folder, models.total(), dict(models), header, self._catalogue, stamps)

    def _check_name(self, manifest: Manifest, shown_as: str) -> None:
        if manifest.name == UNNAMED:
            return
        first = self._named.setdefault(manifest.name, shown_as)
        if first != shown_as:
            wrong = f"the name {manifest.name} is also that of {first}"
            self._gathered.add(Problem(shown_as, 0, 0, "", wrong, "each manifest has a name of its own"))

    def _tasks(self, nodes: Iterator[Node], expander: Expander, reporter: Reporter) -> Counter[str]:
        models: Counter[str] = Counter()
        ids = Seen()
        for node in nodes:
            repeated = 0
            for made in expander.tasks(node):
                models[made.task.spec.model] += 1
                if made.task.position >= MOST_TASKS:
                    wrong = f"there are more than {MOST_TASKS:,} tasks"
                    raise Refused(Problem(reporter.file, node.line, node.column, "", wrong, "split the manifest"))
                repeated += repeated < REPEATED and self._is_repeated(made, ids)
        return models

    def _is_repeated(self, made: Made, ids: Seen) -> bool:
        """Report an id or output that was there before."""
        task, place = made.task, made.place
        here = self._number(place)
        before = ids.first(task.id, here)
        if before is not None:
            self._report(made, f"the id {shown(task.id)} is used twice, first at {self._place(before)}", "make ids that differ")
            return True
        if task.manifest == UNNAMED:
            return False  # it would seem to share its outputs with another one without a name
        before = self._outputs.first(folded(task.output), here)
        if before is not None:
            wrong = f"the output {shown(task.output)} is used twice, first at {self._place(before)}"
            self._report(made, wrong, "make names that differ in more than upper and lower case")
        return before is not None

    def _report(self, made: Made, wrong: str, right: str) -> None:
        self._gathered.add(Problem(made.place.file, made.place.line, made.place.column, made.task.id, wrong, right))

    def _number(self, place: Place) -> int:
        """Put a place into one number, as `Seen` keeps it."""
        file = self._numbers.get(place.file)
        if file is None:
            file = self._numbers[place.file] = len(self._files)
            self._files.append(place.file)
        return file << 32 | place.line

    def _place(self, number: int) -> str:
        return f"{self._files[number >> 32]}:{number & 0xFFFFFFFF}"


def _files(paths: Sequence[Path], gathered: Gathered) -> list[Path]:
    """Put the manifests of a folder in its place; the same file named twice counts once."""
    found: dict[str, Path] = {}
    for path in paths:
        names = [path]
        if path.is_dir():
            names = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.name not in NOT_MANIFESTS and p.is_file())
            if not names:
                gathered.add(Problem(str(path), 0, 0, "", "there is no manifest in this folder", "a manifest is a .yaml or .yml file"))
        for name in names:
            found.setdefault(os.path.realpath(name), name)
    return list(found.values())


def _header(path: str, reporter: Reporter) -> MappingNode:
    """Read all but the tasks. Raises Refused where the file cannot be read on."""
    root = MappingNode(1, 1)
    with Builder(Source(path, reporter.file), reporter) as builder:
        for key, event in top_level(builder):
            if key.text == "tasks":
                builder.skip(event)
                value: Node = Scalar("", plain=True, line=key.line, column=key.column)
            else:
                value = builder.node(event)
            if key.text in root.entries:
                wrong = f"the key {shown(key.text)} stands here a second time; the first is in line {root.entries[key.text].key.line}"
                reporter.at(key, wrong, "remove one of the two")
            else:
                root.entries[key.text] = Entry(key, value)
    return root


def _entries(path: str, reporter: Reporter) -> Iterator[Node]:
    """Yield the entries of `tasks`, one at a time. Raises Refused where the file cannot be read on."""
    with Builder(Source(path, reporter.file), reporter) as builder:
        for key, event in top_level(builder):
            if key.text != "tasks":
                builder.skip(event)
            elif isinstance(event, yaml.SequenceStartEvent):
                builder.aliases = False
                empty = True
                while not isinstance(event := builder.next(), yaml.SequenceEndEvent):
                    builder.fresh()
                    empty = False
                    yield builder.node(event)
                if empty:
                    reporter.at(key, "there are no tasks", "write at least one below tasks:")
                return
            else:
                reporter.at(key, "tasks must be a list", "begin each task with - ")
                builder.skip(event)


def _stamp(path: str) -> Stamp:
    try:
        info = os.stat(path)  # noqa: PTH116 - a string came this far
    except (OSError, ValueError):
        return (-1, -1)
    return info.st_size, info.st_mtime_ns


def _raise(problem: Problem) -> NoReturn:
    raise ManifestError([clean(problem)])
