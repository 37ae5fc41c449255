"""Manifests from paths: checked whole first, then read again task by task.

`check` goes through every row once and raises with all problems of all manifests. The tasks that it made are kept outside of memory
(`spool`), for whoever plans or adopts them. Of ids and outputs it keeps eight bytes each; only if two of them seem to be equal does it
go through the rows a second time, keeping 40 bytes each, to find out which.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self

import yaml

from batchgen.catalogue import Catalogue, shown
from batchgen.core.model import Manifest, Task
from batchgen.core.written import Frames, Ready, Walk
from batchgen.errors import Problem
from batchgen.manifest.ahead import Readers, ahead
from batchgen.manifest.build import Builder, top_level
from batchgen.manifest.doubles import Doubles
from batchgen.manifest.expand import Expander
from batchgen.manifest.header import UNNAMED, read_header
from batchgen.manifest.names import folded
from batchgen.manifest.nodes import Entry, MappingNode, Node, Scalar
from batchgen.manifest.problems import Gathered, Refused, Reporter
from batchgen.manifest.repeated import Repeated
from batchgen.manifest.source import Source
from batchgen.manifest.spool import Spool
from batchgen.manifest.walk import Called, Sight, Trail

SUFFIXES = frozenset({".yaml", ".yml"})
NOT_MANIFESTS = frozenset({"batchgen.yaml", "batchgen.yml"})
"""The workspace's settings, which stand in the same folder."""

MOST_TASKS = 10_000_000
"""Tasks of one manifest. A million are meant to work; ten times as many are a mistake in a matrix, or another kind of tool."""

CHUNK = 1_000
"""Tasks that are kept and compared in one go."""

STRIDE = 50
"""Tasks that are counted in one go: whoever watches sees films go by one by one."""


HEAVY = 200
"""Nodes of an entry from which on no other is read ahead of it: an entry may hold a hundred thousand rows."""


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A manifest in which nothing is wrong. `path` and `folder` are absolute; `task_count` is after expansion.

    `walk` is what it may be recognised by. An `unchanged` one was: its tasks are in the ledger, and it has none here.
    """

    header: Manifest
    path: str
    folder: str
    task_count: int
    tasks_by_model: Mapping[str, int]
    walk: Walk | None
    _spool: Spool
    unchanged: bool = False

    @classmethod
    def recognised(cls, header: Manifest, walk: Walk) -> Self:
        """Return a manifest that is as it was when the ledger took its tasks; `header` is the ledger's."""
        folder = os.path.dirname(walk.path)  # noqa: PTH120 - a string came this far
        return cls(header, walk.path, folder, sum(walk.models.values()), walk.models, walk, Spool(), unchanged=True)

    def chunks(self) -> Iterator[list[Ready]]:
        """Yield the tasks in their order, as text, some thousand at a time; none if they were not kept."""
        return self._spool.chunks()

    def rows(self) -> Iterator[Ready]:
        """Yield the tasks in their order, as text; none if they were not kept."""
        return self._spool.rows()

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks in their order; none if they were not kept."""
        return Frames().tasks(self.header.name, self.rows())


@dataclass(frozen=True, slots=True)
class Checked:
    """All manifests of one call, in order."""

    manifests: tuple[LoadedManifest, ...]

    @property
    def task_count(self) -> int:
        """Tasks of all manifests, after expansion."""
        return sum(m.task_count for m in self.manifests)


def check(paths: Sequence[Path], catalogue: Catalogue, *, keep: bool = True, sight: Sight | None = None) -> Checked:
    """Check manifests, and folders of manifests, whole.

    Args:
        paths: as the user typed them; problems name them so.
        catalogue: the models.
        keep: whether the tasks are wanted, or only whether they are right.
        sight: is told how far this has come.

    Raises:
        ManifestError: with every problem of every manifest, up to `problems.ENOUGH`.
        UsageError: there is no room to keep the tasks.
    """
    sight = sight or Sight()
    with Readers() as readers:
        checking = _Checking(catalogue, readers, sight, keep=keep, closely=False)
        loaded = checking.manifests(paths)
        if checking.suspects():
            sight.tasks = sight.files = 0
            checking = _Checking(catalogue, readers, sight, keep=keep, closely=True)
            loaded = checking.manifests(paths)
    sight.manifest = ""
    checking.gathered.check()
    calls = called(paths)
    return Checked(tuple(replace(manifest, walk=trail.walk(calls, manifest.tasks_by_model)) for manifest, trail in loaded))


def called(paths: Sequence[Path]) -> list[Called]:
    """Return the manifests that are meant by paths, as they are shown, with their absolute paths."""
    return [(str(path), os.path.abspath(path)) for path in _files(paths, Gathered())]  # noqa: PTH100 - resolve() would follow links


class _Checking:
    """What the manifests of one call are checked against each other with. `closely` finds where a name stood before."""

    def __init__(self, catalogue: Catalogue, readers: Readers, sight: Sight, *, keep: bool, closely: bool) -> None:
        self.gathered = Gathered()
        self._catalogue = catalogue
        self._readers = readers
        self._sight = sight
        self._keep = keep
        self._repeated = Repeated(self.gathered.add) if closely else None
        self._outputs = Doubles()
        self._ids: list[Doubles] = []
        self._named: dict[str, str] = {}

    def manifests(self, paths: Sequence[Path]) -> tuple[tuple[LoadedManifest, Trail], ...]:
        """Check all manifests; return those that could be read to their end, with what was read."""
        loaded = (self._manifest(str(path)) for path in _files(paths, self.gathered))
        return tuple([manifest for manifest in loaded if manifest])

    def suspects(self) -> bool:
        """Say whether an id or an output may be there twice."""
        return self._outputs.suspected() or any(ids.suspected() for ids in self._ids)

    def _manifest(self, shown_as: str) -> tuple[LoadedManifest, Trail] | None:
        reporter = Reporter(shown_as, self.gathered.add)
        path = os.path.abspath(shown_as)  # noqa: PTH100 - resolve() would follow links, and references start where the link is
        self._sight.manifest = shown_as
        trail = Trail(path, time.time_ns(), self._sight)
        trail.rows(path)
        try:
            header = read_header(_header(path, reporter), self._catalogue, reporter)
            self._check_name(header.manifest, shown_as)
            expander = Expander(header, trail, self._readers, self._catalogue, reporter)
            spool = Spool()
            models = self._tasks(_entries(path, reporter), expander, header.manifest.name, spool)
        except Refused as refused:
            self.gathered.add(refused.problem)
            return None
        folder = os.path.dirname(path)  # noqa: PTH120 - a string goes on from here
        return LoadedManifest(header.manifest, path, folder, models.total(), dict(models), None, spool), trail

    def _check_name(self, manifest: Manifest, shown_as: str) -> None:
        if manifest.name == UNNAMED:
            return
        first = self._named.setdefault(manifest.name, shown_as)
        if first != shown_as:
            wrong = f"the name {manifest.name} is also that of {first}"
            self.gathered.add(Problem(shown_as, 0, 0, "", wrong, "each manifest has a name of its own"))

    def _tasks(self, nodes: Iterator[Node], expander: Expander, name: str, spool: Spool) -> Counter[str]:
        models: Counter[str] = Counter()
        self._ids.append(Doubles())
        chunk: list[Ready] = []
        for node in ahead(nodes, expander.expect, lambda node: node.size > HEAVY):
            tasks = expander.tasks(node)
            if self._repeated:
                tasks = self._repeated.among(tasks, name, lambda: expander.place)
            while some := list(islice(tasks, min(STRIDE, CHUNK - len(chunk)))):
                models[expander.model] += len(some)
                self._sight.tasks += len(some)
                chunk += some
                if len(chunk) == CHUNK:
                    self._take(chunk, name, spool)
                    chunk = []
            if models.total() > MOST_TASKS:
                wrong = f"there are more than {MOST_TASKS:,} tasks"
                raise Refused(Problem(expander.place.file, node.line, node.column, "", wrong, "split the manifest"))
        self._take(chunk, name, spool)
        return models

    def _take(self, chunk: list[Ready], name: str, spool: Spool) -> None:
        """Keep some tasks; note their names."""
        self._ids[-1].add([ready[0] for ready in chunk])
        if name != UNNAMED:  # it would seem to share its outputs with another one without a name
            self._outputs.add([folded(ready[5]) for ready in chunk])
        if self._keep and chunk:
            spool.add(chunk)


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
