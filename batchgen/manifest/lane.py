"""The quick way from a row to its task, for rows in which nothing is wrong.

An entry is compiled once: which cells go where, what all its rows share. What a row shares with others (params, references) is
checked once for each combination of values. A row about which there is any doubt gives None, and `expand` then goes the careful way
with it, which finds the words. So this is the place that may not accept what the careful way refuses, or make another task of it;
a test compares both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from json.encoder import encode_basestring
from operator import itemgetter
from typing import TypeAlias

from batchgen.catalogue import Model, check_prompt
from batchgen.core.model import Reference
from batchgen.core.written import Ready, fingerprint_of, identity_tail, spec_head, spec_tail
from batchgen.manifest.fill import Template
from batchgen.manifest.names import check_id, check_output, output_name, slug
from batchgen.manifest.pieces import ParamsPiece, PromptPiece, ReferencePiece

REMEMBERED = 10_000
"""Different combinations of values whose params, or whose references, are remembered; rows mostly repeat a few."""

Values: TypeAlias = "Sequence[str] | Mapping[str, str]"
"""A row's values: cells, found by column, or texts, found by name."""
Keys: TypeAlias = "Mapping[str, int] | Mapping[str, str]"
"""Where the value of a name is found in a row's values."""

_Fill: TypeAlias = Callable[[Values], str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The parts of an entry that a lane is made of. `id` None makes an id of the prompt's words; `manifest` is its name."""

    manifest: str
    model: Model
    id: Template | None
    prompt: PromptPiece
    params: ParamsPiece
    references: Sequence[ReferencePiece]
    output: Template
    line: int


class Lane:
    """Makes tasks of rows."""

    def __init__(self, parts: Compiled, keys: Keys) -> None:
        """Compile an entry in which nothing is wrong. Raises KeyError if a name has no place in the rows."""
        self._model, self._line = parts.model, parts.line
        self._id = None if parts.id is None else _filler(parts.id, keys)
        self._prompt = _filler(parts.prompt.template, keys)
        self._checked_prompt = parts.prompt.fixed
        self._heads = _Heads(parts, keys)
        self._tails = _Tails(parts.references, keys)
        self._output = _output(parts, keys)
        self.refers = self._tails.varied

    def expect(self, rows: Iterable[Values]) -> None:
        """Have the files read that the references of these rows name. Where a lane `refers`, they differ from row to row."""
        self._tails.expect(rows)

    def take(self, values: Values) -> Ready | None:
        """Return the task of a row, or None if it needs a closer look."""
        try:
            prompt = self._prompt(values)
            head, (tail, identities) = self._heads(values), self._tails(values)
            if not head or not tail or not (self._checked_prompt or not check_prompt(self._model, prompt)):
                return None
            written = encode_basestring(prompt)
            fingerprint = fingerprint_of(head, written, identities)
            ident = slug(prompt, fingerprint) if self._id is None else self._named(self._id(values))
            output = output_name(self._output(values, ident))
        except (KeyError, UnicodeError):
            return None
        if not ident or check_output(output):
            return None
        return ident, head, written, tail, fingerprint, output, self._line

    def _named(self, text: str) -> str:
        """Return an id as it is kept, or an empty text if it is none."""
        name = text if text.isascii() else unicodedata.normalize("NFC", text)
        return "" if check_id(name) else name


def _getter(names: Sequence[str], keys: Keys) -> Callable[[Values], object]:
    """Return what takes the values of some names out of a row: a text for one name, a tuple of texts for several."""
    get: Callable[[Values], object] = itemgetter(*(keys[name] for name in names))
    return get


def _filler(made: Template, keys: Keys) -> _Fill:
    """Return what fills a template. Python's % is the quickest way to do that."""
    parts = made.parts
    if len(parts) == 1:
        text = parts[0]
        return lambda _: text
    layout = "%s".join(part.replace("%", "%%") for part in parts[::2])
    get = _getter(made.names, keys)
    return lambda values: layout % get(values)


def _output(parts: Compiled, keys: Keys) -> Callable[[Values, str], str]:
    """Return what fills the output, which may hold the manifest's name and the task's id too."""
    made = parts.output
    left = [name for name in made.names if name not in {"manifest", "task"}]
    if not left:
        around = [made.parts[0]]
        for name, text in zip(made.names, made.parts[2::2], strict=True):
            if name == "task":
                around.append(text)
            else:
                around[-1] += parts.manifest + text
        return lambda _, ident: ident.join(around)
    names = list(dict.fromkeys(left))
    take = _mapping(names, keys)
    return lambda values, ident: made.fill({**take(values), "manifest": parts.manifest, "task": ident})


def _mapping(names: Sequence[str], keys: Keys) -> Callable[[Values], Mapping[str, str]]:
    """Return what makes names and values of a row's values."""
    get = _getter(names, keys)
    if len(names) == 1:
        return lambda values: {names[0]: str(get(values))}

    def several(values: Values) -> Mapping[str, str]:
        found = get(values)
        assert isinstance(found, tuple), "itemgetter gives a tuple for several keys"
        return dict(zip(names, found, strict=True))

    return several


class _Heads:
    """The text before the prompt, by the values in the params; empty where the params are wrong."""

    def __init__(self, parts: Compiled, keys: Keys) -> None:
        self._params, self._model = parts.params, parts.model.id
        names = list(dict.fromkeys(parts.params.names))
        self._get = _getter(names, keys) if names else None
        self._values = _mapping(names, keys) if names else lambda _: {}
        self._known: dict[object, str] = {}

    def __call__(self, values: Values) -> str:
        key = self._get(values) if self._get else None
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            params = self._params.quiet(self._values(values))
            found = self._known[key] = "" if params is None else spec_head(self._model, params)
        return found


class _Tails:
    """The text behind the prompt and what the fingerprint takes instead, by the values in the references; empty where one is wrong."""

    def __init__(self, pieces: Sequence[ReferencePiece], keys: Keys) -> None:
        self._pieces = pieces
        names = list(dict.fromkeys(name for piece in pieces for name in piece.names))
        self.varied = bool(names)
        self._get = _getter(names, keys) if names else None
        self._values = _mapping(names, keys) if names else lambda _: {}
        self._known: dict[object, tuple[str, str]] = {}

    def __call__(self, values: Values) -> tuple[str, str]:
        key = self._get(values) if self._get else None
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._written(self._values(values))
        return found

    def expect(self, rows: Iterable[Values]) -> None:
        """Have the files read for values that are not known yet."""
        new: dict[object, Mapping[str, str]] = {}
        for values in rows:
            with suppress(KeyError):  # a row that lacks a name: the careful way says so
                key = self._get(values) if self._get else None
                if key not in self._known and key not in new:
                    new[key] = self._values(values)
        for piece in self._pieces:
            piece.expect(new.values())

    def _written(self, values: Mapping[str, str]) -> tuple[str, str]:
        references: list[Reference] = []
        for piece in self._pieces:
            reference = piece.quiet(values)
            if reference is None:
                return "", ""
            references.append(reference)
        tail = spec_tail(references)
        tail.encode("utf-8")  # a path may hold half a surrogate pair: the careful way writes it with escapes
        return tail, identity_tail(references)
