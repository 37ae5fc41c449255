"""The parts of a task that are filled: each is checked once where no name stands in it, and for every row where one does.

A piece gives its value for a row, or None after it has reported why there is none. A problem with a value that comes from a row is
reported at the row, where a person will mend it; any other at the place in the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from batchgen.catalogue import Model, RawValue, Written, check_params, check_prompt, did_you_mean, shown
from batchgen.core.model import MediaKind, Reference
from batchgen.manifest.fill import Template, template
from batchgen.manifest.nodes import Entry, MappingNode, Node, Scalar, SequenceNode
from batchgen.manifest.problems import Place, Reporter
from batchgen.manifest.references import Finder, Unusable, Wanted

REMEMBERED = 1_000
"""Different fillings of one task's params whose check is remembered; rows mostly repeat a few."""


@dataclass(frozen=True, slots=True)
class Filling:
    """The values for one task. `place` is None where they do not come from a row; `unfit` are those that cannot be filled in."""

    values: Mapping[str, str]
    place: Place | None
    unfit: Mapping[str, str]


@dataclass(slots=True)
class Desk:
    """What the pieces of one task share: where problems go, and what the task is called in them."""

    reporter: Reporter
    task: str
    known: frozenset[str] | None  # names that every row has; None where the rows are not to be had
    broken: bool = False

    def wrong(self, node: Node, wrong: str, right: str = "") -> None:
        """Report a problem in the manifest that no row can mend."""
        self.reporter.at(node, wrong, right, task=self.task)

    def stop(self, node: Node, wrong: str, right: str = "") -> None:
        """Report a problem that every row would only repeat, so that none is looked at."""
        self.broken = True
        self.wrong(node, wrong, right)

    def template(self, node: Scalar, also: frozenset[str] = frozenset()) -> Template:
        """Take a text apart and report names that nothing fills."""
        made = template(node.text)
        if made.open:
            self.stop(node, "there is a ${ without its }", "write ${name}, or $${ for the characters themselves")
        if self.known is None:
            return made
        known = self.known | also
        for name in made.names:
            if name not in known:
                right = did_you_mean(name, sorted(known)) or f"nothing is filled in here; write $${{{name}}} for the characters themselves"
                self.stop(node, f"${{{name}}} stands for nothing", right)
        return made

    def fill(self, made: Template, node: Node, filling: Filling) -> str | None:
        """Return the filled text, or report the name that this row lacks."""
        try:
            return made.fill(filling.values)
        except KeyError as error:
            name = str(error.args[0])
            what = filling.unfit.get(name)
            self.about(node, filling, f"{name} is {what} and cannot be filled in" if what else f"this row has no {shown(name)}")
            return None

    def about(self, node: Node, filling: Filling, wrong: str, right: str = "") -> None:
        """Report a problem with filled text: at its row, or at `node`."""
        if filling.place:
            self.reporter.on(filling.place, wrong, right, task=self.task)
        else:
            self.reporter.at(node, wrong, right, task=self.task)


NOTHING = Filling({}, None, {})


class PromptPiece:
    """The prompt."""

    def __init__(self, node: Scalar | None, model: Model, desk: Desk) -> None:
        """Check a prompt in which no name stands."""
        self._node, self._model, self._desk = node, model, desk
        self.template = desk.template(node) if node else Template(("",))
        self.fixed = len(self.template.parts) == 1
        wrong = check_prompt(model, self.template.parts[0]) if self.fixed and node else ""
        self.right = not wrong
        if wrong and node:
            desk.wrong(node, wrong, "write what is to be seen or heard" if wrong.endswith("empty") else "")

    def value(self, filling: Filling) -> str | None:
        """Return the prompt for a row."""
        if self.fixed or not self._node:
            return self.template.parts[0]
        text = self._desk.fill(self.template, self._node, filling)
        wrong = check_prompt(self._model, text) if text is not None else ""
        if wrong:
            self._desk.about(self._node, filling, wrong)
        return None if wrong else text


_WANTED = frozenset({"file", "url", "kind", "name", "mime_type"})
_KINDS = frozenset(kind.value for kind in MediaKind)

Tree: TypeAlias = "tuple[Template, bool] | list[Tree] | dict[str, Tree]"
"""A param's value with the texts in it taken apart; the flag says whether the text stands without quotes."""


class ParamsPiece:
    """The params: the defaults with the task's own over them."""

    def __init__(self, at: Node, entries: Mapping[str, Entry], model: Model, desk: Desk) -> None:
        """Check params in which no name stands. `at` is where a missing one is reported."""
        self._at, self._entries, self._model, self._desk = at, entries, model, desk
        self._texts: list[tuple[Template, Scalar]] = []
        self._trees = {name: self._tree(entry.value) for name, entry in entries.items()}
        self._filled = [(made, node) for made, node in self._texts if len(made.parts) > 1]
        self._checked: dict[tuple[str, ...], tuple[dict[str, object], list[tuple[Node, str, str]]]] = {}
        self._fixed = self._check({}) if not self._filled else None
        for node, wrong, right in self._fixed[1] if self._fixed else ():
            desk.wrong(node, wrong, right)

    def value(self, filling: Filling) -> Mapping[str, object] | None:
        """Return the params for a row, as they will be sent; the same object for equal ones."""
        if self._fixed:
            return self._fixed[0]
        texts: list[str] = []
        for made, at in self._filled:
            text = self._desk.fill(made, at, filling)
            if text is None:
                return None
            texts.append(text)
        key = tuple(texts)
        found = self._checked.get(key)
        if found is None:
            if len(self._checked) >= REMEMBERED:
                self._checked.clear()
            found = self._checked[key] = self._check(filling.values)
        for node, wrong, right in found[1]:
            self._desk.about(node, filling, wrong, right)
        return None if found[1] else found[0]

    @property
    def names(self) -> list[str]:
        """The names that are filled in."""
        return [name for made, _ in self._filled for name in made.names]

    def quiet(self, values: Mapping[str, str]) -> Mapping[str, object] | None:
        """Return the params for these values, or None if something is wrong with them, which is then for `value` to say."""
        params, problems = self._fixed or self._check(values)
        return None if problems else params

    def _tree(self, node: Node) -> Tree:
        if isinstance(node, SequenceNode):
            return [self._tree(item) for item in node.items]
        if isinstance(node, MappingNode):
            return {name: self._tree(entry.value) for name, entry in node.entries.items()}
        made = self._desk.template(node)
        self._texts.append((made, node))
        return made, node.plain

    def _check(self, values: Mapping[str, str]) -> tuple[dict[str, object], list[tuple[Node, str, str]]]:
        params, problems = check_params(self._model, {name: _raw(tree, values) for name, tree in self._trees.items()})
        return params, [(self._place(p.key), p.wrong, p.right) for p in problems]

    def _place(self, key: str) -> Node:
        entry = self._entries.get(key)
        if entry is None:
            return self._at
        return entry.value if key in self._model.params else entry.key


def _raw(tree: Tree, values: Mapping[str, str]) -> RawValue:
    if isinstance(tree, list):
        return [_raw(item, values) for item in tree]
    if isinstance(tree, dict):
        return {name: _raw(item, values) for name, item in tree.items()}
    made, plain = tree
    return Written(made.fill(values), plain)


class ReferencePiece:
    """One reference, in its short form or as a mapping."""

    def __init__(self, node: Node, finder: Finder, model: Model, desk: Desk) -> None:
        """Take a reference apart; nothing is looked at yet."""
        self._node, self._finder, self._model, self._desk = node, finder, model, desk
        self._short = desk.template(node) if isinstance(node, Scalar) else None
        self._long: dict[str, tuple[Template, Scalar]] = {}
        if isinstance(node, MappingNode):
            self._long = {n: (desk.template(e.value), e.value) for n, e in node.entries.items() if isinstance(e.value, Scalar)}
            if ("file" in self._long) == ("url" in self._long):
                desk.wrong(node, "a reference has either file or url", "for example {file: assets/hero.png}")
        templates = [self._short] if self._short else [made for made, _ in self._long.values()]
        self.names = [name for made in templates for name in made.names]
        self._resolved: Reference | None = None

    def expect(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Have the files read that these rows will ask for. Every row has all the names."""
        if self.names:
            found = [self.wanted(Filling(values, None, {})) for values in rows]
            self._finder.expect([wanted for wanted in found if wanted], self._model)

    def settle(self) -> None:
        """Resolve a reference in which no name stands; it is looked at once for all rows."""
        if not self.names:
            self._resolved = self._resolve(NOTHING, self._desk.wrong)

    def value(self, filling: Filling) -> Reference | None:
        """Return the reference for a row."""
        if not self.names:
            return self._resolved
        return self._resolve(filling, lambda node, wrong, right: self._desk.about(node, filling, wrong, right))

    def quiet(self, values: Mapping[str, str]) -> Reference | None:
        """Return the reference for these values, or None if something is wrong with it, which is then for `value` to say."""
        return self._resolve(Filling(values, None, {}), lambda *_: None) if self.names else self._resolved

    def wanted(self, filling: Filling) -> Wanted | None:
        """Return what is to be found for a row, or None after it was reported that this cannot be told."""
        if self._short:
            text = self._desk.fill(self._short, self._node, filling)
            return None if text is None else Wanted.read(text)
        texts = {name: self._desk.fill(made, node, filling) for name, (made, node) in self._long.items() if name in _WANTED}
        if None in texts.values() or not ("file" in texts) ^ ("url" in texts) or texts.get("kind", MediaKind.IMAGE) not in _KINDS:
            return None  # reported before
        return Wanted(**{name: text or "" for name, text in texts.items()})

    def _resolve(self, filling: Filling, say: Callable[[Node, str, str], None]) -> Reference | None:
        wanted = self.wanted(filling)
        if wanted is None:
            return None
        try:
            return self._finder.find(wanted, self._model)
        except Unusable as error:
            say(self._node, str(error), error.right)
            return None


def expect(items: Iterable[Node], finder: Finder, model: Model) -> None:
    """Have the files read that references name outright; what is wrong with one is for its piece to say."""
    pieces = [ReferencePiece(item, finder, model, Desk(Reporter("", lambda _: None), "", None)) for item in items]
    found = [piece.wanted(NOTHING) for piece in pieces if not piece.names]
    finder.expect([wanted for wanted in found if wanted], model)
