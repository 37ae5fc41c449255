"""The manifest's schema with the params of every model in it, so that an editor completes and checks them.

The schema that ships says nothing about params, because `batchgen validate` checks them against the catalogue with better
words. For editors they are generated from the catalogue: which params a task has depends on its model, which it may have
from `defaults`. Everything that `validate` takes is right here too: a placeholder such as `${duration}`, and `5` or `false`
for the options "5" and "false".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy

from batchgen.catalogue.model import Model, Param, ParamType

PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}
_TRUTH = {"true": True, "false": False}


def with_models(schema: Mapping[str, object], models: Iterable[Model]) -> dict[str, object]:
    """Return the manifest's schema with the params of these models."""
    full = deepcopy(dict(schema))
    known = sorted(models, key=lambda model: model.id)
    parts = _mapping(full["$defs"])
    parts |= {_name(model): _params(model) for model in known}
    _mapping(parts["model"])["examples"] = [model.id for model in known if model.callable]
    _mapping(parts["task"])["allOf"] = [_if_model(model, {"params": _ref(model)}) for model in known]
    full["allOf"] = [_if_default(model) for model in known]
    return full


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _name(model: Model) -> str:
    return f"params of {model.id}"


def _ref(model: Model) -> dict[str, object]:
    return {"$ref": f"#/$defs/{_name(model).replace(' ', '%20')}"}


def _if_model(model: Model, then: Mapping[str, object]) -> dict[str, object]:
    """What holds for a mapping that names this model itself."""
    return {"if": {"required": ["model"], "properties": {"model": {"const": model.id}}}, "then": {"properties": dict(then)}}


def _if_default(model: Model) -> dict[str, object]:
    """What holds for a manifest whose tasks have this model unless they say otherwise."""
    named = {"required": ["model"], "properties": {"model": {"const": model.id}}}
    task = {"if": {"type": "object", "not": {"required": ["model"]}}, "then": {"properties": {"params": _ref(model)}}}
    return {
        "if": {"required": ["defaults"], "properties": {"defaults": named}},
        "then": {"properties": {"defaults": {"properties": {"params": _ref(model)}}, "tasks": {"items": task}}},
    }


def _params(model: Model) -> dict[str, object]:
    """Return the schema of a model's params. Required ones may stand in `defaults`, so that none is required here."""
    schema: dict[str, object] = {
        "title": f"params of {model.display_name or model.id}",
        "type": "object",
        "properties": {param.key: _param(param) for param in model.params.values()},
    }
    return {**schema, "additionalProperties": False} if model.params_complete else schema


def _param(param: Param) -> dict[str, object]:
    schema: dict[str, object] = {"description": _description(param)}
    if param.default is not None:
        schema["default"] = param.default
    match param.type:
        case ParamType.SELECT:
            schema["anyOf"] = [{"enum": list(_spellings(param.options))}, PLACEHOLDER]
        case ParamType.NUMBER:
            schema["anyOf"] = [_number(param), PLACEHOLDER, {"type": "string", "pattern": r"^[-+]?[0-9.]+(e[-+]?[0-9]+)?$"}]
        case ParamType.TEXT:
            schema["type"] = ["string", "number", "boolean"]
        case ParamType.ARRAY:
            schema |= {"type": "array", "minItems": 1, "items": {"type": "object"}}
        case _:
            pass
    return schema


def _description(param: Param) -> str:
    said = f"{param.type}, required" if param.required else param.type.value
    limits = [f"{word} {value:g}" for word, value in (("from", param.minimum), ("to", param.maximum), ("in steps of", param.step)) if value]
    return f"{said}; {' '.join(limits)}" if limits else said


def _spellings(options: Iterable[str]) -> Iterator[object]:
    """Yield every option, as its text and as YAML reads it without quotes."""
    for option in options:
        yield option
        if option in _TRUTH:
            yield _TRUTH[option]
        elif option.isascii() and option.isdigit() and str(int(option)) == option:
            yield int(option)


def _number(param: Param) -> dict[str, object]:
    limits = (("minimum", param.minimum), ("maximum", param.maximum))
    return {"type": "number", **{word: value for word, value in limits if value is not None}}
