"""Builds nodes from YAML events, one part at a time.

Why not a loader: SafeLoader hangs on merge bombs, CSafeLoader crashes on deep nesting, both read 16:9 as 969, forget places and hold the
whole file. libyaml's events have none of that. The builder is a loop with a stack of its own, so nesting cannot exhaust the
interpreter's; anchors and merges count every node as often as it is used, so a bomb is refused before it grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import yaml
from yaml import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    StreamEndEvent,
    StreamStartEvent,
    YAMLError,
)

from batchgen.catalogue import shown
from batchgen.errors import Problem
from batchgen.manifest.nodes import Entry, MappingNode, Node, Scalar, SequenceNode
from batchgen.manifest.problems import Refused, Reporter
from batchgen.manifest.source import Source, line_of

DEEPEST = 40
"""Levels of nesting. A manifest needs eight; the schema check recurses three frames per level."""

_TOO_DEEP = (f"this is nested more than {DEEPEST} levels deep", "is a bracket left open?")

MOST_NODES = 200_000
"""Nodes of the header, and of each task: a foreach list of some ten thousand rows. More belong into a CSV file."""

MOST_TEXT = 1 << 24
"""Characters of the header, and of each task, which are held in memory whole."""

_COMMON = "put what is common into defaults"


class _Events(Protocol):
    """The part of PyYAML's parsers that is used; the C one and the Python one have it."""

    def get_event(self) -> Event | None: ...

    def dispose(self) -> None: ...


def _c_parser() -> Callable[[Source], _Events] | None:
    try:
        from yaml._yaml import CParser  # noqa: PLC0415 - absent where PyYAML was built without libyaml
    except ImportError:  # pragma: no cover - the wheels all have it
        return None
    return CParser


class PythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's parser in Python: the same events, thirty times slower."""

    def __init__(self, stream: Source) -> None:
        """Join the three stages, as PyYAML's own loaders do."""
        yaml.reader.Reader.__init__(self, stream)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


PARSER: Callable[[Source], _Events] = _c_parser() or PythonParser


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is being built."""

    node: MappingNode | SequenceNode
    anchor: str | None
    key: Scalar | None = None
    merges: list[MappingNode] = field(default_factory=list)


class Builder:
    """One pass over the events of a file."""

    def __init__(self, source: Source, reporter: Reporter, parser: Callable[[Source], _Events] = PARSER) -> None:
        """Read from `source`, report what can be passed over to `reporter`; what cannot raises Refused."""
        self._source = source
        self._reporter = reporter
        self._parser = parser(source)
        self._get = self._parser.get_event
        self._anchors: dict[str, Node] = {}
        self._used = 0
        self._characters = 0
        self.aliases = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._parser.dispose()
        self._source.close()

    def next(self) -> Event:
        """Return the next event. Raises Refused where the text is no YAML or cannot be read."""
        source = self._source
        try:
            event = self._get()
        except YAMLError as error:
            raise Refused(source.trouble or self._explained(error)) from error
        if source.trouble:
            raise Refused(source.trouble)
        source.since_event = 0
        assert event is not None, "nothing is asked for after the end of the stream"
        return event

    def root(self) -> Event:
        """Go to the first event of the only document."""
        while isinstance(event := self.next(), StreamStartEvent | DocumentStartEvent):
            pass
        if isinstance(event, StreamEndEvent):
            raise self._refused(event, "is empty", "a manifest has at least version, name and tasks")
        return event

    def end(self) -> None:
        """Go over the end of the document. Raises Refused if another one follows."""
        self.next()
        event = self.next()
        if isinstance(event, DocumentStartEvent):
            raise self._refused(event, "a second document begins here", "one file is one manifest; remove the ---")

    def node(self, event: Event) -> Node:
        """Build the node that begins with `event`."""
        stack: list[_Open] = []
        while True:
            done = self._done(event, stack)
            if done is not None:
                if not stack:
                    return done
                self._put(done, stack)
            event = self.next()

    def fresh(self) -> None:
        """Count nodes and characters from 0 again: what was built so far is no longer held."""
        self._used = self._characters = 0

    def skip(self, event: Event) -> None:
        """Go over the node that begins with `event`."""
        depth = 0
        while True:
            if type(event) is not ScalarEvent:  # most are; isinstance with abstract kinds costs a third of this loop
                depth += isinstance(event, CollectionStartEvent)
                depth -= isinstance(event, CollectionEndEvent)
                self._check_depth(event, depth)
            if not depth:
                return
            event = self.next()

    def _done(self, event: Event, stack: list[_Open]) -> Node | None:
        """Return a node that is complete with `event`; open one, and return None, if it only begins."""
        if isinstance(event, ScalarEvent):
            line, column = _place(event)
            scalar = Scalar(event.value, not event.style, line, column)
            if event.anchor or event.tag:
                self._labelled(event, scalar)
            self._count(event, 1, len(event.value))
            return scalar
        if isinstance(event, CollectionStartEvent):
            self._open(event, stack)
            return None
        if isinstance(event, AliasEvent):
            return self._alias(event, stack)
        return self._close(stack)

    def _open(self, event: CollectionStartEvent, stack: list[_Open]) -> None:
        kind = MappingNode if isinstance(event, MappingStartEvent) else SequenceNode
        stack.append(_Open(kind(*_place(event)), event.anchor))
        self._check_depth(event, len(stack))
        self._count(event, 1)
        if event.tag or event.anchor:
            self._labelled(event, None)

    def _close(self, stack: list[_Open]) -> Node:
        closed = stack.pop()
        if isinstance(closed.node, MappingNode):
            for merged in closed.merges:
                for name, entry in merged.entries.items():
                    closed.node.entries.setdefault(name, entry)
        if closed.anchor:
            self._anchors[closed.anchor] = closed.node
        return closed.node

    def _put(self, node: Node, stack: list[_Open]) -> None:
        """Put a complete node into the one that is open around it."""
        top = stack[-1]
        into = top.node
        into.size += node.size
        if node.height >= into.height:
            into.height = node.height + 1
        if isinstance(into, SequenceNode):
            into.items.append(node)
        elif top.key is None:
            top.key = self._key(node)
        else:
            key, top.key = top.key, None
            if key.text == "<<" and key.plain:
                self._merge(key, node, top)
            elif key.text in into.entries:
                first = into.entries[key.text].key
                wrong = f"the key {shown(key.text)} stands here a second time; the first is in line {first.line}"
                self._reporter.at(key, wrong, "remove one of the two")
            else:
                into.entries[key.text] = Entry(key, node)

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        self._reporter.at(node, "a key must be one word or text, not a list or mapping", "put ${...} and text with { or [ into quotes")
        return Scalar("", plain=False, line=node.line, column=node.column)

    def _merge(self, key: Scalar, node: Node, top: _Open) -> None:
        sources = node.items if isinstance(node, SequenceNode) else [node]
        if not self.aliases:
            self._reporter.at(key, "<< is not used inside tasks", _COMMON)
        for source in sources:
            if isinstance(source, MappingNode):
                top.merges.append(source)
            else:
                self._reporter.at(key, "<< takes a mapping, or a list of mappings", "for example <<: *name")

    def _alias(self, event: AliasEvent, stack: list[_Open]) -> Node:
        name = event.anchor or ""
        if not self.aliases:
            raise self._refused(event, f"the alias *{name} stands inside tasks", f"{_COMMON}; text that begins with * needs quotes")
        node = self._anchors.get(name)
        if node is None:
            right = f"&{name} must stand before it, and not around it; text that begins with * needs quotes"
            raise self._refused(event, f"the alias *{name} stands for nothing", right)
        self._count(event, node.size)
        self._check_depth(event, len(stack) + node.height)
        return node

    def _labelled(self, event: ScalarEvent | CollectionStartEvent, scalar: Scalar | None) -> None:
        """Take note of an anchor, refuse a tag."""
        if event.tag:
            right = "remove it, or put text that begins with ! into quotes"
            raise self._refused(event, f"the tag {event.tag} is not used in manifests", right)
        if not self.aliases:
            right = f"{_COMMON}; text that begins with & needs quotes"
            raise self._refused(event, f"the anchor &{event.anchor} stands inside tasks", right)
        if scalar and event.anchor:
            self._anchors[event.anchor] = scalar

    def _count(self, event: Event, nodes: int, characters: int = 0) -> None:
        self._used += nodes
        self._characters += characters
        if self._characters > MOST_TEXT:
            raise self._refused(
                event, f"more than {MOST_TEXT:,} characters in one part", "put rows into a CSV or JSON lines file and use foreach"
            )
        if self._used > MOST_NODES:
            wrong = f"more than {MOST_NODES:,} values in one part, counting aliases as often as they are used"
            raise self._refused(event, wrong, "put rows into a CSV or JSON lines file and use foreach")

    def _check_depth(self, event: Event, depth: int) -> None:
        if depth > DEEPEST:
            raise self._refused(event, *_TOO_DEEP)

    def _refused(self, event: Event, wrong: str, right: str) -> Refused:
        return self.refused(*_place(event), wrong, right)

    def refused(self, line: int, column: int, wrong: str, right: str) -> Refused:
        """Return the error that ends the reading of this file."""
        return Refused(Problem(self._source.shown_as, line, column, "", wrong, right))

    def _explained(self, error: YAMLError) -> Problem:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = getattr(error, "problem", None) or str(error)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if "nesting depth" in said:  # libyaml has a limit of its own, and meets it before it tells of the first level
            return Problem(self._source.shown_as, line, column, "", *_TOO_DEEP)
        hint = _hint(line_of(self._source.path, line)) if line else ""
        return Problem(self._source.shown_as, line, column, "", f"this is not YAML: {said}", hint)


def _place(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None, "both parsers mark every event"
    return mark.line + 1, mark.column + 1


def _hint(text: str) -> str:
    """Guess from the line what a person should change."""
    indent = text[: len(text) - len(text.lstrip())]
    if "\t" in indent:
        return "indent with spaces, not with tabs"
    if "${" in text and ("{" in text.replace("${", "") or "[" in text):
        return 'inside { } and [ ] put "${...}" into quotes'
    if ": " in text:
        return "text with a colon and a space in it needs quotes; is the indentation right?"
    return "is a quote or bracket left open, or the indentation wrong?"


def top_level(builder: Builder) -> Iterator[tuple[Scalar, Event]]:
    """Yield each key of the file's mapping with the first event of its value, which must be built or skipped before going on."""
    event = builder.root()
    if not isinstance(event, MappingStartEvent):
        raise builder.refused(
            *_place(event), "this is no manifest: it does not begin with keys", "it has at least version:, name: and tasks:"
        )
    while not isinstance(event := builder.next(), MappingEndEvent):
        key = builder.node(event)
        if not isinstance(key, Scalar):
            raise builder.refused(key.line, key.column, "a key must be one word", "put text with { or [ into quotes")
        yield key, builder.next()
    builder.end()
