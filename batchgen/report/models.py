"""The models: a line for each, or one with all that it takes."""

from __future__ import annotations

from collections.abc import Sequence

from batchgen.catalogue import Model, Param
from batchgen.report.columns import cut, table
from batchgen.report.text import clean, number, size

_HEAD = ("model", "name", "category", "credits", "references", "status")


def models_text(models: Sequence[Model]) -> str:
    """Return the models for people."""
    return "\n".join(table(_HEAD, [_cells(model) for model in models], right=frozenset({"credits"})))


def _cells(model: Model) -> list[str]:
    """Return one model's row."""
    kinds = ", ".join(model.references.kinds) if model.references else ""
    return [cut(model.id, 60), cut(model.display_name, 40), cut(model.category, 20), _price(model), kinds, cut(model.api_status, 20)]


def _price(model: Model) -> str:
    """Return the base credits, a dash where they are not known."""
    return "-" if model.base_credits is None else number(model.base_credits)


def model_text(model: Model) -> str:
    """Return one model with everything that a manifest may say to it."""
    length = "no limit known" if model.max_prompt_length is None else f"at most {number(model.max_prompt_length)} UTF-16 units"
    lines = [
        f"{clean(model.id)}: {clean(model.display_name)}, {clean(model.category)}, {clean(model.api_status)}",
        f"  credits     {_price(model)} at base ({clean(model.billing)}); other params may cost more",
        f"  prompt      {'required' if model.prompt_required else 'optional'}, {length}",
        f"  references  {_references(model)}",
    ]
    lines += [f"  param       {cut(_param(param), 110)}" for param in model.params.values()]
    return "\n".join(lines + [f"  notice      {cut(text, 110)}" for text in model.notices])


def _references(model: Model) -> str:
    """Say which references a model takes."""
    if model.references is None:
        return "none"
    kinds = [f"{kind} up to {size(rules.max_bytes)}" for kind, rules in model.references.kinds.items()]
    most = "" if model.references.max_files is None else f"at most {model.references.max_files}: "
    rule = f" ({clean(model.references.rule)})" if model.references.rule else ""
    return f"{most}{', '.join(kinds)}{rule}"


def _param(param: Param) -> str:
    """Return a param with what it takes."""
    span = [
        f"{word} {value}"
        for word, value in (("from", param.minimum), ("to", param.maximum), ("in steps of", param.step))
        if value is not None
    ]
    parts = [f"{param.key} ({param.type})", *(["required"] if param.required else []), " ".join(span)]
    parts += [f"one of {', '.join(param.options)}"] if param.options else []
    parts += [f"default {param.default}"] if param.default is not None else []
    return ", ".join(part for part in parts if part)


def models_document(models: Sequence[Model], *, fresh: bool) -> dict[str, object]:
    """Return the document of `models --json` (schemas/models.schema.json). `fresh` says that the server was asked."""
    return {"document": "batchgen.models/1", "from_server": fresh, "models": [_document(model) for model in models]}


def _document(model: Model) -> dict[str, object]:
    """Return one model."""
    references = model.references
    return {
        "id": model.id,
        "display_name": model.display_name,
        "category": model.category,
        "base_credits": model.base_credits,
        "billing": model.billing.value,
        "max_prompt_length": model.max_prompt_length,
        "prompt_required": model.prompt_required,
        "api_status": model.api_status,
        "references": None
        if references is None
        else {
            "max_files": references.max_files,
            "kinds": {
                kind.value: {"max_bytes": rules.max_bytes, "mime_types": list(rules.mime_types)} for kind, rules in references.kinds.items()
            },
            "rule": references.rule,
        },
        "params": [
            {
                "key": param.key,
                "type": param.type.value,
                "required": param.required,
                "default": param.default,
                "options": list(param.options),
                "minimum": param.minimum,
                "maximum": param.maximum,
                "step": param.step,
            }
            for param in model.params.values()
        ],
        "notices": list(model.notices),
    }
