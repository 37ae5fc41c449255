"""Where problems are gathered, so that a person sees all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchgen.errors import ManifestError, Problem
from batchgen.manifest.nodes import Node

ENOUGH = 1_000
"""Problems after which checking stops: nobody reads more, and each costs memory."""


class Gathered:
    """All problems of one call."""

    def __init__(self) -> None:
        """Start with none."""
        self.found: list[Problem] = []
        self._seen: set[tuple[str, int, int, str]] = set()

    def add(self, problem: Problem) -> None:
        """Keep a problem, once per place. Raises ManifestError with all of them when there are ENOUGH."""
        problem = clean(problem)
        what = (problem.file, problem.line, problem.column, problem.wrong)
        if what in self._seen:
            return
        self._seen.add(what)
        self.found.append(problem)
        if len(self.found) >= ENOUGH:
            more = f"checking stopped after {ENOUGH} problems; how many more there are is not known"
            raise ManifestError([*self._in_order(), Problem(problem.file, 0, 0, "", more)])

    def check(self) -> None:
        """Raise ManifestError if there is a problem."""
        if self.found:
            raise ManifestError(self._in_order())

    def _in_order(self) -> list[Problem]:
        """Return the problems of one file together and from its top to its end; rows are read ahead of their check."""
        files = {file: number for number, file in enumerate(dict.fromkeys(problem.file for problem in self.found))}
        return sorted(self.found, key=lambda problem: (files[problem.file], problem.line))


def clean(problem: Problem) -> Problem:
    """Return the problem without characters that a terminal would obey: its words quote files that may be hostile."""
    words = (problem.file, problem.task, problem.wrong, problem.right)
    if all(word.isprintable() for word in words):
        return problem
    file, task, wrong, right = ("".join(c if c.isprintable() else _escaped(c) for c in word) for word in words)
    return Problem(file, problem.line, problem.column, task, wrong, right)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class Refused(Exception):
    """A file cannot be read on. Carries the problem up to where the file was opened; never leaves this package."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file, as a person would look it up."""

    file: str
    line: int
    column: int = 0


@dataclass(frozen=True, slots=True)
class Reporter:
    """Says what is wrong in one manifest. `sink` keeps the problem or raises."""

    file: str
    sink: Callable[[Problem], None]

    def at(self, node: Node, wrong: str, right: str = "", *, task: str = "") -> None:
        """Report a problem at a node of the manifest."""
        self.sink(Problem(self.file, node.line, node.column, task, wrong, right))

    def on(self, place: Place, wrong: str, right: str = "", *, task: str = "") -> None:
        """Report a problem at a place, which may be in a file that the manifest names."""
        self.sink(Problem(place.file, place.line, place.column, task, wrong, right))
