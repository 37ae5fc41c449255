"""Checks the shape of a manifest against `schemas/manifest.schema.json`, and says in plain words what is wrong and where.

The header and each task are checked on their own, so that a long manifest never stands in memory. The schema is the reference:
`plain_task` only spares the tasks that are certainly right, because jsonschema takes 40 to 130 us for one. jsonschema-rs would take
3 to 10, nearly all of it to make the Python object that it looks at; `plain_task` takes 0.6 to 3 and needs no such object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

import batchgen
from batchgen.catalogue import did_you_mean, shown
from batchgen.manifest.nodes import MappingNode, Node, Scalar, SequenceNode, to_json, whole_number
from batchgen.manifest.problems import Reporter

_TEXTS = frozenset({"id", "prompt", "model", "output"})
_NAME = re.compile("[a-z0-9][a-z0-9._-]{0,63}")
_REFERENCE = frozenset({"file", "url", "kind", "name", "mime_type"})
_REFERENCE_KINDS = frozenset({"image", "video", "audio"})
_MOST_TAKES = 1000
_DEFAULTS = frozenset({"model", "params", "references"})
_WHOLE = {"budget": frozenset({"total", "per_run", "per_day"}), "limits": frozenset({"in_flight"})}
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping of key: value",
    "array": "a list",
    "string": "text",
}


class _Error(Protocol):
    """The part of jsonschema's ValidationError that is used."""

    @property
    def validator(self) -> str: ...
    @property
    def validator_value(self) -> object: ...
    @property
    def instance(self) -> object: ...
    @property
    def schema(self) -> object: ...
    @property
    def absolute_path(self) -> Iterable[str | int]: ...
    @property
    def context(self) -> list[_Error]: ...


class _Validator(Protocol):
    def iter_errors(self, instance: object) -> Iterable[_Error]: ...


def schema_path(name: str) -> Path:
    """Return where a schema is: inside an installed package, or beside the package in a checkout."""
    package = Path(batchgen.__file__).parent
    inside = package / "schemas" / name
    return inside if inside.exists() else package.parent / "schemas" / name


@cache
def _validator(part: str) -> _Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - takes 0.1 s, and most commands check no manifest

    schema = json.loads(schema_path("manifest.schema.json").read_text(encoding="utf-8"))
    if part == "header":
        schema["properties"]["tasks"] = {"description": schema["properties"]["tasks"]["description"]}  # they are checked one by one
    else:
        schema = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    validator: _Validator = Draft202012Validator(schema)
    return validator


def check_header(node: MappingNode, reporter: Reporter) -> bool:
    """Report what is wrong with the shape of a header (whose `tasks` may be anything); return whether it is right."""
    return plain_header(node) or _check("header", node, reporter)


def plain_header(node: MappingNode) -> bool:
    """Return True for headers of the common shapes, all of which the schema takes: its library takes 0.1 s to import."""
    version, name = node.get("version"), node.get("name")
    if not (isinstance(version, Scalar) and isinstance(name, Scalar) and "tasks" in node.entries):
        return False
    if whole_number(version) != 1 or not (isinstance(to_json(name), str) and _NAME.fullmatch(name.text)):
        return False
    return all(_plain_part(key, entry.value) for key, entry in node.entries.items())


def _plain_part(key: str, value: Node) -> bool:
    """Say whether a part of a header is certainly right; `version`, `name` and `tasks` were looked at before."""
    if key == "defaults" and isinstance(value, MappingNode):
        return all(_plain_field(name, entry.value) and name in _DEFAULTS for name, entry in value.entries.items())
    known = _WHOLE.get(key)
    if known and isinstance(value, MappingNode):
        return all(name in known and (whole_number(entry.value) or 0) >= 1 for name, entry in value.entries.items())
    return key in {"version", "name", "tasks"} or (key == "output" and isinstance(value, Scalar))


def check_task(node: MappingNode, reporter: Reporter) -> bool:
    """Report what is wrong with the shape of a task; return whether it is right."""
    return plain_task(node) or _check("task", node, reporter)


def plain_task(node: MappingNode) -> bool:
    """Return True for tasks of the common shapes, all of which the schema takes."""
    entries = node.entries
    if "id" not in entries:
        return False
    return all(_plain_field(name, entry.value) for name, entry in entries.items())


def _plain_field(name: str, value: Node) -> bool:
    if name in _TEXTS:
        return isinstance(value, Scalar)
    if name == "params":
        return isinstance(value, MappingNode)
    known = _PLAIN.get(name)
    return known is not None and known(value)


def _plain_reference(node: Node) -> bool:
    if not isinstance(node, MappingNode):
        return isinstance(node, Scalar)
    kind = node.get("kind")
    if kind is not None and to_json(kind) not in _REFERENCE_KINDS:
        return False
    return _plain_row(node) and node.entries.keys() <= _REFERENCE


def _plain_values(node: Node) -> bool:
    return isinstance(node, SequenceNode) and bool(node.items) and all(isinstance(item, Scalar) for item in node.items)


def _plain_row(node: Node) -> bool:
    return isinstance(node, MappingNode) and bool(node.entries) and all(isinstance(e.value, Scalar) for e in node.entries.values())


def _plain_rows(node: Node) -> bool:
    if isinstance(node, Scalar):
        return bool(node.text) and isinstance(to_json(node), str)
    return isinstance(node, SequenceNode) and bool(node.items) and all(map(_plain_row, node.items))


_PLAIN: Mapping[str, Callable[[Node], bool]] = {
    "references": lambda node: isinstance(node, SequenceNode) and all(map(_plain_reference, node.items)),
    "foreach": _plain_rows,
    "matrix": lambda node: (
        isinstance(node, MappingNode) and bool(node.entries) and all(_plain_values(e.value) for e in node.entries.values())
    ),
    "takes": lambda node: isinstance(node, Scalar) and 1 <= (whole_number(node) or 0) <= _MOST_TAKES,
}


def _check(part: str, node: MappingNode, reporter: Reporter) -> bool:
    task = _label(node) if part == "task" else ""
    right = True
    for error in _validator(part).iter_errors(to_json(node)):
        right = False
        for cause in _causes(error):
            at, name = _find(node, cause.absolute_path)
            for place, wrong, remedy in _said(cause, at, name):
                reporter.at(place, wrong, remedy, task=task)
    return right


def _label(node: MappingNode) -> str:
    named = node.get("id")
    return named.text if isinstance(named, Scalar) else ""


def _causes(error: _Error) -> Iterator[_Error]:
    """Go from "fits none of these" to what is wrong with the one of them that was meant."""
    deeper = [e for e in error.context if e.validator != "type" or list(e.absolute_path) != list(error.absolute_path)]
    if not deeper:
        yield error
    for cause in deeper:
        yield from _causes(cause)


def _find(node: Node, path: Iterable[str | int]) -> tuple[Node, str]:
    """Return the node at `path` and the words for it."""
    words = ""
    for step in path:
        if isinstance(node, MappingNode) and isinstance(step, str):
            node = node.entries[step].value
            words = f"{words}.{step}" if words else step
        elif isinstance(node, SequenceNode) and isinstance(step, int):
            node = node.items[step]
            words += f"[{step + 1}]"
    return node, words


def _said(error: _Error, at: Node, name: str) -> Iterator[tuple[Node, str, str]]:
    """Yield place, what is wrong, and what would be right."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    right = str(schema.get("description", ""))
    inside = f" in {name}" if name else ""
    if error.validator == "additionalProperties" and isinstance(at, MappingNode):
        known = list(schema.get("properties", ()))
        for key, entry in at.entries.items():
            if key not in known:
                yield entry.key, f"there is no key {shown(key)}{inside}", _unknown_key(key, known)
    elif error.validator == "required" and isinstance(at, MappingNode) and isinstance(error.validator_value, list):
        for key in error.validator_value:
            if key not in at.entries:
                yield at, f"{key} is missing{inside}", str(schema["properties"][key].get("description", ""))
    else:
        yield at, f"{name or 'this'} {_mistake(error, at)}", right


def _unknown_key(key: str, known: list[str]) -> str:
    return "if this is a prompt with a colon in it, put it into quotes" if " " in key else did_you_mean(key, known)


def _mistake(error: _Error, at: Node) -> str:
    if isinstance(at, MappingNode | SequenceNode) and error.validator in {"minItems", "minProperties"}:
        return "is empty"
    given = shown(at.text) if isinstance(at, Scalar) and at.text else "nothing"
    if isinstance(at, MappingNode | SequenceNode):
        given = "a mapping" if isinstance(at, MappingNode) else "a list"
    if error.validator == "type":
        wanted = error.validator_value
        kind = _KINDS.get(wanted, "text") if isinstance(wanted, str) else "text"
        return f"must be {kind}, not {given}"
    return f"cannot be {given}"
