"""The schema, and that the fast path says nothing that it does not say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from batchgen.manifest import schema_path
from batchgen.manifest.nodes import Entry, MappingNode, Node, Scalar, SequenceNode, to_json
from batchgen.manifest.shape import plain_header, plain_task

SCHEMA = json.loads(schema_path("manifest.schema.json").read_text(encoding="utf-8"))
TASK = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": "#/$defs/task"})

SCALARS = st.builds(Scalar, st.sampled_from(["a", "5", "true", "~", "", "1.5", "16:9"]), st.booleans(), st.just(1), st.just(1))


def sequence(items: Iterable[Node]) -> SequenceNode:
    """Make a node."""
    return SequenceNode(1, 1, list(items))


def mapping(entries: Mapping[str, Node]) -> MappingNode:
    """Make a node."""
    return MappingNode(1, 1, {name: Entry(Scalar(name, plain=True, line=1, column=1), value) for name, value in entries.items()})


KINDS = st.builds(Scalar, st.sampled_from(["image", "video", "picture"]), st.booleans(), st.just(1), st.just(1))
NODES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(sequence)
        | st.dictionaries(st.sampled_from(["file", "url", "kind", "x"]), inner, max_size=3).map(mapping)
    ),
    max_leaves=6,
)
REFERENCES = st.lists(
    SCALARS | st.dictionaries(st.sampled_from(["file", "url", "kind", "name", "mime_type", "x"]), SCALARS | KINDS, max_size=3).map(mapping),
    max_size=2,
).map(sequence)
ROWS = st.lists(st.dictionaries(st.sampled_from("ab"), NODES, max_size=2).map(mapping), max_size=2).map(sequence)
LISTS = st.dictionaries(st.sampled_from("ab"), st.lists(NODES, max_size=2).map(sequence), max_size=2).map(mapping)
TAKES = st.builds(Scalar, st.sampled_from(["0", "1", "1e3", "1000", "1001", "2.0", "2.5", "-1"]), st.booleans(), st.just(1), st.just(1))
KEYS = ["id", "prompt", "model", "params", "references", "output", "foreach", "matrix", "takes", "promt"]
TASKS = st.dictionaries(st.sampled_from(KEYS), NODES, max_size=6).map(mapping)
LIKELY = st.fixed_dictionaries(
    {"id": SCALARS}, optional={"references": REFERENCES, "foreach": ROWS | SCALARS, "matrix": LISTS, "takes": TAKES}
).map(mapping)


def test_the_schema_is_a_schema() -> None:
    """Of draft 2020-12."""
    Draft202012Validator.check_schema(SCHEMA)


@given(task=TASKS | LIKELY)
@settings(max_examples=300)
def test_the_fast_path_takes_nothing_that_the_schema_refuses(task: MappingNode) -> None:
    """What is called plain is valid."""
    if plain_task(task):
        assert TASK.is_valid(to_json(task))


@given(task=LIKELY)
@settings(max_examples=300)
def test_the_fast_path_takes_every_task_that_is_right(task: MappingNode) -> None:
    """References, rows, matrices and takes that the schema takes never wait for jsonschema."""
    assert plain_task(task) == TASK.is_valid(to_json(task))


HEADER = Draft202012Validator({**SCHEMA, "properties": {**SCHEMA["properties"], "tasks": {}}})
NAMES = st.sampled_from(["a", "spring-launch", "A", "", "5", "true", "-a", "x" * 65, "a\n"])
TEXTS = st.builds(
    Scalar, st.sampled_from(["1", "1.0", "2", "0", "true", "1e400", "~", "-1", "kling-2-6"]), st.booleans(), st.just(1), st.just(1)
)
PARTS = st.dictionaries(st.sampled_from(["total", "per_run", "in_flight", "model", "params", "references", "x"]), TEXTS | NODES, max_size=2)
HEADERS = st.fixed_dictionaries(
    {"version": TEXTS, "name": st.builds(Scalar, NAMES, st.booleans(), st.just(1), st.just(1)), "tasks": SCALARS},
    optional={name: st.one_of(PARTS.map(mapping), TEXTS) for name in ("budget", "limits", "defaults", "output", "canary", "nmae")},
).map(mapping)


@given(header=HEADERS)
@settings(max_examples=200)
def test_the_fast_path_of_headers_takes_nothing_that_the_schema_refuses(header: MappingNode) -> None:
    """What is called plain is valid."""
    if plain_header(header):
        assert HEADER.is_valid(to_json(header))


def test_common_headers_take_the_fast_path() -> None:
    """`validate` of a small file does not wait for jsonschema."""
    one, name = Scalar("1", plain=True, line=1, column=1), Scalar("spring", plain=True, line=1, column=1)
    parts: dict[str, Node] = {"budget": mapping({"total": one}), "defaults": mapping({"model": name, "params": mapping({"x": one})})}
    assert plain_header(mapping({"version": one, "name": name, "tasks": one, "output": name, **parts}))
    assert not plain_header(mapping({"version": one, "name": name}))


def test_common_tasks_take_the_fast_path() -> None:
    """Ten thousand of them must not cost a second each thousand."""
    scalar = Scalar("a", plain=True, line=1, column=1)
    params, references = mapping({"duration": scalar}), SequenceNode(1, 1, [scalar])
    assert plain_task(
        mapping({"id": scalar, "prompt": scalar, "model": scalar, "params": params, "references": references, "output": scalar})
    )


def test_every_property_is_explained_to_editors() -> None:
    """Each key of the manifest and of a task has a description."""
    properties = {**SCHEMA["properties"], **SCHEMA["$defs"]["task"]["properties"]}
    resolved = {name: SCHEMA["$defs"][p["$ref"].rsplit("/", 1)[1]] if "$ref" in p else p for name, p in properties.items()}
    assert [name for name, p in resolved.items() if not p.get("description") or not p.get("title")] == []
