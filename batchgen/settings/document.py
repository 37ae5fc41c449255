"""Reading `batchgen.yaml`: all its problems at once, each with its place.

The file is only composed, never constructed: what stands there is taken as the text that a person wrote, so that YAML
1.1's ideas about `no`, `1:30` and `0o17` never come up. An alias stands for its node and is never copied, so that
bombs made of aliases do not go off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from batchgen.catalogue import Catalogue, did_you_mean, shown
from batchgen.core.announce import WORTH_WAKING, Announce
from batchgen.core.model import Credits
from batchgen.core.policy import AccountBudget, PollPolicy
from batchgen.errors import ManifestError, Problem, UsageError
from batchgen.settings import words
from batchgen.settings.values import Price, Prices

NAME = "batchgen.yaml"
LARGEST = 1_000_000
"""Bytes: the longest honest one has some thousand prices."""

Node = yaml.nodes.Node
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """What the file says; a key that it lacks is absent from `values`."""

    values: Mapping[str, object] = field(default_factory=dict)
    sandbox: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Reader:
    """One reading of one file; collects what is wrong."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, node: Node, what: str, right: str = "") -> None:
        """Remember a problem at a node's place."""
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, "", what, right))

    def pairs(self, node: Node, where: str) -> Iterator[tuple[str, Node, Node]]:
        """Yield a mapping's keys (text and node) and values; a key said twice is a problem."""
        if not isinstance(node, yaml.MappingNode):
            if not (isinstance(node, yaml.ScalarNode) and node.value == ""):
                self.wrong(node, f"{where} is not a mapping", "lines of `key: value`")
            return
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.wrong(key, f"a key of {where} is not plain text")
            elif key.value in seen:
                self.wrong(key, f"{shown(key.value)} stands twice in {where}", "say it once")
            else:
                seen.add(key.value)
                yield key.value, key, value

    def known(self, node: Node, where: str, keys: list[str]) -> dict[str, Node]:
        """Return a mapping's values by key; a key that is not in `keys` is a problem."""
        found = {}
        for name, key, value in self.pairs(node, where):
            if name in keys:
                found[name] = value
                continue
            self.wrong(key, f"{where} has no key {shown(name)}", did_you_mean(name, keys))
        return found

    def text(self, node: Node, name: str, read: Callable[[str], T]) -> T | None:
        """Read a plain value; None, with a problem, if it cannot be taken."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, f"{name} is not a plain value")
            return None
        try:
            return read(node.value)
        except words.NotUnderstood as error:
            self.wrong(node, f"{name}: {error}", error.right)
            return None


def read_document(path: Path) -> Given:
    """Read a `batchgen.yaml`. Raises ManifestError with every problem in it, UsageError if it cannot be read at all."""
    reader = Reader(str(path))
    root = _compose(path, reader)
    given = Given() if root is None else _given(reader, root)
    if reader.problems:
        raise ManifestError(sorted(reader.problems))
    return given


def _compose(path: Path, reader: Reader) -> Node | None:
    """Parse the file into nodes; None if it is empty or wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) > LARGEST:
        raise UsageError(f"{path} is larger than {LARGEST:,} bytes; settings are some lines")
    try:
        return yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        reader.problems.append(Problem(str(path), line, 0, "", "this is not UTF-8 text", "save the file as UTF-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        right = "indent with blanks, not tabs" if "\\t" in (error.problem or "") else ""
        reader.problems.append(Problem(str(path), line, column, "", f"this is not YAML: {error.problem or error.context}", right))
    except (yaml.YAMLError, RecursionError) as error:
        reader.problems.append(
            Problem(str(path), 0, 0, "", f"this is not YAML: {type(error).__name__}", "plain text of `key: value` lines")
        )
    return None


def _given(reader: Reader, root: Node) -> Given:
    """Read the top level."""
    found = reader.known(root, NAME, list(TOP))
    sandbox = reader.known(found["sandbox"], "sandbox", list(SANDBOX)) if "sandbox" in found else {}
    return Given(_read(reader, found, ""), _read(reader, sandbox, "sandbox."))


def _read(reader: Reader, nodes: Mapping[str, Node], prefix: str) -> dict[str, object]:
    """Read every key that has a reading; what could not be taken is left out (its problem is remembered)."""
    values: dict[str, object] = {}
    for key, node in nodes.items():
        if key in _PLAIN:
            value = reader.text(node, prefix + key, _PLAIN[key])
        elif key in _NESTED:
            value = _NESTED[key](reader, node, prefix + key)
        else:
            continue
        if value is not None:
            values[key] = value
    return values


def _poll(reader: Reader, node: Node, name: str) -> PollPolicy | None:
    """Read `poll`; a pause that is not given keeps its default, but never shrinks below the one before it."""
    nodes = reader.known(node, name, ["first", "every", "slowest"])
    said = {key: reader.text(value, f"{name}.{key}", words.pause) for key, value in nodes.items()}
    default = PollPolicy()
    first = said.get("first") or default.first
    every = said.get("every") or max(default.every, first)
    slowest = said.get("slowest") or max(default.slowest, every)
    if slowest < every:
        reader.wrong(node, f"{name}: slowest is below every", "slowest is the longest pause between two looks")
        return None
    return PollPolicy(first, every, slowest)


def _texts(reader: Reader, node: Node, name: str, read: Callable[[str], T]) -> tuple[T, ...]:
    """Read a list of plain values, or one alone."""
    if isinstance(node, yaml.SequenceNode):
        found = [reader.text(item, f"{name}[{n}]", read) for n, item in enumerate(node.value, 1)]
    else:
        found = [reader.text(node, name, read)]
    return tuple(value for value in found if value is not None)


def _notify(reader: Reader, node: Node, name: str) -> Announce:
    """Read `notify`."""
    nodes = reader.known(node, name, ["urls", "events"])
    urls = _texts(reader, nodes["urls"], f"{name}.urls", words.plain) if "urls" in nodes else ()
    events = frozenset(_texts(reader, nodes["events"], f"{name}.events", words.occasion)) if "events" in nodes else WORTH_WAKING
    return Announce(urls, events)


def _budget(reader: Reader, node: Node, name: str) -> AccountBudget:
    """Read `budget`."""
    nodes = reader.known(node, name, ["per_day", "per_month"])
    said = {key: reader.text(value, f"{name}.{key}", words.credits_of) for key, value in nodes.items()}
    return AccountBudget(per_day=said.get("per_day"), per_month=said.get("per_month"))


def _prices(reader: Reader, node: Node, name: str) -> Prices:
    """Read `prices`: a model's credits, or a list of credits by params."""
    by_model: dict[str, tuple[Price, ...]] = {}
    catalogue = Catalogue.shipped()
    for model, key, value in reader.pairs(node, name):
        where = f"{name}.{model}"
        if model not in catalogue:
            # Left alone, a slip of the pen is a price that is never used.
            reader.wrong(key, f"{name}: there is no model {shown(model)}", catalogue.suggest(model))
        if isinstance(value, yaml.SequenceNode):
            read = [_price(reader, item, f"{where}[{n}]") for n, item in enumerate(value.value, 1)]
            by_model[model] = tuple(price for price in read if price is not None)
        else:
            credits_ = reader.text(value, where, words.credits_of)
            by_model[model] = () if credits_ is None else (Price(credits_),)
    return Prices(by_model)


def _price(reader: Reader, node: Node, where: str) -> Price | None:
    """Read one `{params: {...}, credits: N}`."""
    nodes = reader.known(node, where, ["params", "credits"])
    if "credits" not in nodes:
        reader.wrong(node, f"{where} has no credits", "{params: {duration: 10}, credits: 110}")
        return None
    credits_: Credits | None = reader.text(nodes["credits"], f"{where}.credits", words.credits_of)
    params: dict[str, str] = {}
    for key, _, value in reader.pairs(nodes["params"], f"{where}.params") if "params" in nodes else ():
        said = reader.text(value, f"{where}.params.{key}", str)
        if said is not None:
            params[key] = said
    return None if credits_ is None else Price(credits_, params)


_PLAIN: Mapping[str, Callable[[str], object]] = {
    "requests_per_minute": words.rate,
    "in_flight": words.count,
    "keep_balance": words.credits_of,
    "timezone": words.time_zone,
    "replay_window": words.duration,
    "render_timeout": words.duration,
    "on_lost_answer": words.lost_answer,
    "ledger": words.plain,
    "outputs": words.plain,
    "credits": words.credits_of,
    "faults": words.plain,
    "metrics": words.plain,
    "ping": words.ping,
}
_NESTED: Mapping[str, Callable[[Reader, Node, str], object]] = {"poll": _poll, "budget": _budget, "prices": _prices, "notify": _notify}
SANDBOX = ("credits", "requests_per_minute", "in_flight", "poll", "faults", "notify", "metrics", "ping")
TOP = (*(key for key in (*_PLAIN, *_NESTED) if key not in {"credits", "faults"}), "sandbox")
