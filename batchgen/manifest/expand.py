"""From one entry of `tasks` to its tasks: rows times matrix times takes, in written order.

Nothing is kept but the entry: a task is made, handed on and forgotten, so a million of them need no more memory than one.
"""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from batchgen.catalogue import Catalogue, Model, shown
from batchgen.core.model import Spec
from batchgen.core.written import Ready, ready_of
from batchgen.manifest.ahead import Readers, ahead
from batchgen.manifest.fill import Template, template
from batchgen.manifest.header import OUTPUT, Header, find_model
from batchgen.manifest.lane import Compiled, Keys, Lane
from batchgen.manifest.names import check_id, check_output, output_name, slug
from batchgen.manifest.nodes import Entry, MappingNode, Node, Scalar, SequenceNode, whole_number
from batchgen.manifest.pieces import Desk, Filling, ParamsPiece, PromptPiece, ReferencePiece, expect
from batchgen.manifest.problems import Place, Refused, Reporter
from batchgen.manifest.references import Finder
from batchgen.manifest.rows import CsvRows, InlineRows, Row, Rows, open_rows
from batchgen.manifest.shape import check_task
from batchgen.manifest.walk import Trail

MOST_COMBINATIONS = 100_000
"""Tasks out of one row. A matrix of five names with ten values each has as many; beyond it somebody mistyped."""

LONG = 10_000
"""Characters of a row from which on no other is read ahead of it; rows mostly have some hundred."""

_IN_OUTPUT = frozenset({"manifest", "task"})
_MULTIPLIERS = frozenset({"foreach", "matrix", "takes"})
_ROWLESS = Row({}, Place("", 0))


@dataclass(frozen=True, slots=True)
class _Factors:
    """What makes many tasks of one entry."""

    rows: Rows | None
    matrix: dict[str, list[str]]
    takes: int | None

    @property
    def many(self) -> bool:
        """Whether there may be more than one task."""
        return self.rows is not None or bool(self.matrix) or self.takes is not None

    @property
    def cells(self) -> CsvRows | None:
        """The rows, if a task needs nothing but a row's cells."""
        return self.rows if isinstance(self.rows, CsvRows) and not self.matrix and not self.takes else None

    def keys(self) -> Keys:
        """Return where the values of names are found: in the cells, or by name."""
        return {name: column for column, name in enumerate(self.cells.columns)} if self.cells else _ByName()

    def names(self) -> frozenset[str] | None:
        """Return the names that can be filled in, or None if the rows do not say."""
        columns = self.rows.names if self.rows else ()
        return None if columns is None else frozenset((*columns, *self.matrix, *(("take",) if self.takes else ())))


@dataclass(slots=True)
class _Entry:
    """An entry, ready to be filled."""

    node: Node
    desk: Desk
    model: Model
    id: tuple[Template, Scalar] | None
    prompt: PromptPiece
    params: ParamsPiece
    references: list[ReferencePiece]
    output: tuple[Template, Scalar]
    factors: _Factors

    def lane(self, manifest: str) -> Lane | None:
        """Return the quick way for its rows, if there are rows and nothing was reported."""
        if not self.factors.many:
            return None
        parts = Compiled(
            manifest=manifest,
            model=self.model,
            id=self.id and self.id[0],
            prompt=self.prompt,
            params=self.params,
            references=self.references,
            output=self.output[0],
            line=self.node.line,
        )
        try:
            return Lane(parts, self.factors.keys())
        except KeyError:  # a name that nothing fills was reported
            return None


class _ByName(dict[str, str]):
    """Keys of rows whose values are found by their names."""

    def __missing__(self, name: str) -> str:
        return name


class Expander:
    """Makes the tasks of one manifest."""

    def __init__(self, header: Header, trail: Trail, readers: Readers, catalogue: Catalogue, reporter: Reporter) -> None:
        """Take what all entries share.

        Args:
            header: what tasks inherit.
            trail: where the files that are read are noted.
            readers: who reads files ahead.
            catalogue: the models.
            reporter: where problems go.
        """
        self._header = header
        self._folder = os.path.dirname(trail.manifest)  # noqa: PTH120 - a string goes on from here
        self._trail = trail
        self._finder = Finder(self._folder, readers, trail.reference)
        self._catalogue = catalogue
        self._reporter = reporter
        self._line = 0
        self._place = Place(reporter.file, 0)
        self.model = ""
        self._expect(header.references, header.model)

    @property
    def place(self) -> Place:
        """Where the task that was yielded last comes from: its row, or its entry in the manifest."""
        return Place(self._place.file, self._line, self._place.column)

    def expect(self, nodes: Iterable[Node]) -> None:
        """Have the files read that these entries name outright."""
        for node in nodes:
            if isinstance(node, MappingNode):
                given = _scalar(node, "model")
                self._expect(node.get("references"), self._catalogue.find(given.text) if given else self._header.model)

    def _expect(self, given: Node | None, model: Model | None) -> None:
        if isinstance(given, SequenceNode) and model and model.references:
            expect(given.items, self._finder, model)

    def tasks(self, node: Node) -> Iterator[Ready]:
        """Yield the tasks of one entry, all of `model`; report what is wrong with it and with each of them."""
        entry = self._entry(node)
        if entry is None or entry.desk.broken:
            return
        self.model = entry.model.id
        self._place, self._line = Place(self._reporter.file, node.line, node.column), node.line
        lane = entry.lane(self._header.manifest.name)
        try:
            if lane and entry.factors.cells:
                yield from self._of_cells(entry, entry.factors.cells, lane)
            else:
                yield from self._of_rows(entry, lane)
        except Refused as refused:
            self._reporter.sink(refused.problem)

    def _of_cells(self, entry: _Entry, rows: CsvRows, lane: Lane) -> Iterator[Ready]:
        """Yield the tasks of rows of a CSV file: what a million of them go through."""
        self._place = Place(rows.shown_as, 0)
        take = lane.take
        records = rows.cells(self._reporter)
        if lane.refers:
            records = ahead(records, lambda some: lane.expect(cells for _, cells in some), lambda record: _is_long(record[1]))
        for line, cells in records:
            self._line = line
            ready = take(cells)
            if ready:
                yield ready
            else:
                row = rows.row(line, cells)
                careful = self._task(entry, Filling(row.values, row.place, row.unfit))
                if careful:
                    yield careful

    # ------------------------------------------------------------ once an entry

    def _entry(self, node: Node) -> _Entry | None:
        if isinstance(node, SequenceNode):
            self._reporter.at(node, "a task is a mapping or a text, not a list", "write - id: and - prompt:, or - followed by the prompt")
            return None
        if isinstance(node, Scalar):
            node = MappingNode(node.line, node.column, {"prompt": Entry(node, node)})
            shape_is_right, id_node = True, None
        else:
            shape_is_right = check_task(node, self._reporter)
            id_node = _scalar(node, "id")
        broken = not shape_is_right and (id_node is None or not _MULTIPLIERS.isdisjoint(node.entries))
        desk = Desk(self._reporter, id_node.text if id_node else "", frozenset(), broken)
        factors = _Factors(self._rows(node, desk), _matrix(node), whole_number(node.get("takes")))
        desk.known = None if desk.broken else factors.names()
        self._check_factors(node, factors, desk)
        model = self._model(node, desk)
        if model is None:
            return None
        output = _scalar(node, "output") or self._header.output
        return _Entry(
            node=node,
            desk=desk,
            model=model,
            id=(self._id_template(id_node, desk, factors), id_node) if id_node else None,
            prompt=PromptPiece(self._prompt(node, model, desk, expected=shape_is_right), model, desk),
            params=ParamsPiece(node, self._params(node), model, desk),
            references=self._references(node, model, desk),
            output=(_output_template(output, desk), output),
            factors=factors,
        )

    def _model(self, node: MappingNode, desk: Desk) -> Model | None:
        given = _scalar(node, "model")
        if given:
            return find_model(given, self._catalogue, self._reporter, task=desk.task)
        if self._header.model is None and not self._header.unknown_model:
            desk.wrong(node, "no model is given", "write model: here or in defaults, for example model: kling-2-6")
        return self._header.model

    def _prompt(self, node: MappingNode, model: Model, desk: Desk, *, expected: bool) -> Scalar | None:
        given = _scalar(node, "prompt")
        if given is None and model.prompt_required and expected:
            desk.wrong(node, "there is no prompt", "write prompt: and what is to be seen or heard")
        return given

    def _params(self, node: MappingNode) -> dict[str, Entry]:
        own = node.get("params")
        merged = dict(self._header.params.entries) if self._header.params else {}
        return {**merged, **own.entries} if isinstance(own, MappingNode) else merged

    def _references(self, node: MappingNode, model: Model, desk: Desk) -> list[ReferencePiece]:
        own = node.get("references")
        given = own if isinstance(own, SequenceNode) else self._header.references
        items = given.items if given else []
        if not items or given is None:
            return []
        if model.references is None:
            desk.wrong(given, f"{model.id} takes no references", "remove them, or take a model that does")
            return []
        most = model.references.max_files
        if most is not None and len(items) > most:
            desk.wrong(
                items[most], f"{len(items)} references; {model.id} takes {most}", model.references.rule or f"remove {len(items) - most}"
            )
        pieces = [ReferencePiece(item, self._finder, model, desk) for item in items]
        for piece in pieces:
            piece.settle()
        return pieces

    def _rows(self, node: MappingNode, desk: Desk) -> Rows | None:
        given = node.get("foreach")
        if isinstance(given, SequenceNode):
            return InlineRows(given)
        if not isinstance(given, Scalar):
            return None
        path = os.path.normpath(os.path.join(self._folder, given.text))  # noqa: PTH118 - the same rule as for references
        shown_as = os.path.join(os.path.dirname(self._reporter.file), given.text)  # noqa: PTH118, PTH120 - what a person typed
        self._trail.rows(path)
        try:
            rows = open_rows(path, shown_as)
        except Refused as refused:
            problem = refused.problem
            if problem.line:
                self._reporter.sink(problem)
            else:  # it is not there, or no file: the manifest is the place to mend that
                desk.wrong(given, f"foreach: {shown_as} {problem.wrong}", problem.right or "the path starts at the manifest's folder")
            desk.broken = True
            return None
        return rows

    def _check_factors(self, node: MappingNode, factors: _Factors, desk: Desk) -> None:
        for name in (factors.rows.names or ()) if factors.rows else ():
            if name in factors.matrix or (factors.takes and name == "take"):
                desk.stop(node, f"the name {shown(name)} comes from foreach and again from matrix or takes", "rename one of the two")
        if factors.takes and "take" in factors.matrix:
            desk.stop(node, "the name take comes from matrix and again from takes", "rename the one in matrix")
        if prod(map(len, factors.matrix.values())) * (factors.takes or 1) > MOST_COMBINATIONS:
            wrong = f"matrix and takes make more than {MOST_COMBINATIONS:,} tasks of one row"
            desk.stop(node, wrong, "shorten the lists, or put rows into a CSV file")

    def _id_template(self, node: Scalar, desk: Desk, factors: _Factors) -> Template:
        made = desk.template(node)
        telling = [name for name, values in factors.matrix.items() if len(values) > 1]
        telling += ["take"] if (factors.takes or 1) > 1 else []
        lacking = [f"${{{name}}}" for name in telling if name not in made.names]
        if lacking and not desk.broken:
            desk.stop(node, "the id does not tell the tasks made from it apart", f"put {' and '.join(lacking)} into it")
        return made

    # ------------------------------------------------------------ once a task

    def _of_rows(self, entry: _Entry, lane: Lane | None) -> Iterator[Ready]:
        """Yield the tasks of rows, and of what matrix and takes make of each."""
        filled = self._filled(entry.factors)
        if lane and lane.refers:
            filled = ahead(filled, lambda some: lane.expect(values for _, values in some), lambda task: _is_long(task[1].values()))
        for row, values in filled:
            place = row.place if entry.factors.rows else None
            if place:
                self._place, self._line = place, place.line
            ready = (lane.take(values) if lane else None) or self._task(entry, Filling(values, place, row.unfit))
            if ready:
                yield ready

    def _filled(self, factors: _Factors) -> Iterator[tuple[Row, Mapping[str, str]]]:
        """Yield each row with the values of each of its tasks."""
        for row in factors.rows.each(self._reporter) if factors.rows else (_ROWLESS,):
            for combination in itertools.product(*factors.matrix.values()):
                values = {**row.values, **dict(zip(factors.matrix, combination, strict=True))} if factors.matrix else row.values
                for take in range(1, (factors.takes or 1) + 1):
                    yield row, {**values, "take": str(take)} if factors.takes else values

    def _task(self, entry: _Entry, filling: Filling) -> Ready | None:
        """Make a task. Where a piece was reported, the rest is made all the same, so that its problems are found in the same go."""
        name = self._id(entry, filling)
        prompt, params = entry.prompt.value(filling), entry.params.value(filling)
        references = tuple([r for piece in entry.references if (r := piece.value(filling)) is not None])
        spec = Spec(entry.model.id, prompt or "", params or {}, references)
        if entry.id is None:
            name = slug(spec.prompt, spec.fingerprint)
        output = self._output(entry, filling, name) if name else None
        if name is None or output is None:
            return None
        return ready_of(name, spec, output, entry.node.line)

    def _id(self, entry: _Entry, filling: Filling) -> str | None:
        if entry.id is None:
            return None
        made, node = entry.id
        entry.desk.task = node.text
        text = entry.desk.fill(made, node, filling)
        if text is None:
            return None
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        wrong = check_id(text)
        if wrong:
            entry.desk.about(node, filling, f"{wrong}: {shown(text)}", "for example hero-1")
            return None
        entry.desk.task = text
        return text

    def _output(self, entry: _Entry, filling: Filling, name: str) -> str | None:
        made, node = entry.output
        values = {**filling.values, "manifest": self._header.manifest.name, "task": name}
        text = entry.desk.fill(made, node, Filling(values, filling.place, filling.unfit))
        if text is None:
            return None
        stored = output_name(text)
        wrong = check_output(stored)
        if wrong:
            entry.desk.about(node, filling, f"{wrong}: {shown(text)}")
        return None if wrong else stored


def _is_long(texts: Iterable[str]) -> bool:
    return sum(map(len, texts)) > LONG


def _output_template(node: Scalar, desk: Desk) -> Template:
    """Report here, and once, what is wrong with an output whatever is filled in; go on with one in which nothing is."""
    made = desk.template(node, _IN_OUTPUT)
    wrong = check_output(output_name(made.fill(dict.fromkeys(made.names, "x"))))
    if wrong:
        desk.wrong(node, f"{wrong}: {shown(node.text)}")
    return template(OUTPUT) if wrong else made


def _scalar(node: MappingNode, key: str) -> Scalar | None:
    found = node.get(key)
    return found if isinstance(found, Scalar) else None


def _matrix(node: MappingNode) -> dict[str, list[str]]:
    found = node.get("matrix")
    if not isinstance(found, MappingNode):
        return {}
    lists = {name: entry.value for name, entry in found.entries.items() if isinstance(entry.value, SequenceNode)}
    return {name: [item.text for item in values.items if isinstance(item, Scalar)] for name, values in lists.items()}
