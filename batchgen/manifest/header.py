"""The header of a manifest: everything but its tasks."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.catalogue import Catalogue, Model, shown
from batchgen.core.model import Budget, Manifest, StopAfter
from batchgen.manifest.nodes import MappingNode, Node, Scalar, SequenceNode, real_number, to_json, whole_number
from batchgen.manifest.problems import Reporter
from batchgen.manifest.shape import check_header

OUTPUT = "${manifest}/${task}"
"""Where results go unless the manifest says otherwise."""

UNNAMED = "unnamed"
"""Stands for a name that is missing or wrong, so that the tasks can be checked all the same."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header with what its tasks inherit. `model` is None if none is given, or (with `unknown_model`) a wrong one."""

    manifest: Manifest
    model: Model | None
    unknown_model: bool
    params: MappingNode | None
    references: SequenceNode | None
    output: Scalar


def read_header(node: MappingNode, catalogue: Catalogue, reporter: Reporter) -> Header:
    """Read a header, report what is wrong with it, and go on with what is right.

    Args:
        node: the file's mapping; `tasks` in it may be anything.
        catalogue: the models.
        reporter: where problems go.
    """
    version = node.get("version")
    if version is not None and to_json(version) != 1:
        newer = (whole_number(version) or 0) > 1
        right = "it is for a newer batchgen; update batchgen" if newer else "write version: 1"
        reporter.at(version, "this version of the format is not known", right)
        node.entries["version"].value = Scalar("1", plain=True, line=version.line, column=version.column)
    shape_is_right = check_header(node, reporter)
    named = node.get("name")
    name = named.text if isinstance(named, Scalar) and shape_is_right else UNNAMED
    defaults = node.get("defaults")
    common = defaults if isinstance(defaults, MappingNode) else MappingNode(node.line, node.column)
    given, params, references, output = common.get("model"), common.get("params"), common.get("references"), node.get("output")
    model = find_model(given, catalogue, reporter) if isinstance(given, Scalar) else None
    return Header(
        manifest=_manifest(node, name, reporter.file),
        model=model,
        unknown_model=given is not None and model is None,
        params=params if isinstance(params, MappingNode) else None,
        references=references if isinstance(references, SequenceNode) else None,
        output=output if isinstance(output, Scalar) else Scalar(OUTPUT, plain=False, line=node.line, column=node.column),
    )


def find_model(node: Scalar, catalogue: Catalogue, reporter: Reporter, *, task: str = "") -> Model | None:
    """Return the model that `node` names, or report that there is none that the API renders with."""
    model = catalogue.find(node.text)
    if model is None:
        reporter.at(node, f"there is no model {shown(node.text)}", catalogue.suggest(node.text), task=task)
    elif not model.callable:
        reporter.at(node, f"the Public API does not render with {model.id} ({model.api_status})", "take another model", task=task)
        return None
    return model


def _manifest(node: MappingNode, name: str, path: str) -> Manifest:
    budget, limits, stop = (_section(node, key) for key in ("budget", "limits", "stop_after"))
    usual, usual_stop = Manifest(name, path), StopAfter()
    return Manifest(
        name=name,
        path=path,
        budget=Budget(*(whole_number(budget.get(key)) for key in ("total", "per_run", "per_day"))),
        in_flight=whole_number(limits.get("in_flight")),
        canary=_or(whole_number(node.get("canary")), usual.canary),
        retries=_or(whole_number(node.get("retries")), usual.retries),
        stop_after=StopAfter(
            in_a_row=_or(whole_number(stop.get("in_a_row")), usual_stop.in_a_row),
            share=real_number(stop.get("share")) or usual_stop.share,
        ),
    )


def _section(node: MappingNode, key: str) -> MappingNode:
    found: Node | None = node.get(key)
    return found if isinstance(found, MappingNode) else MappingNode(node.line, node.column)


def _or(value: int | None, usual: int) -> int:
    return usual if value is None else value
