"""The models on offer: the catalogue that ships with the package.

Only its data is shared with the client. The checks of this server are its own, so that a mistake in one shows against the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from batchgen.catalogue import DEFAULT_KIND_RULES, Catalogue, KindRules, Model

_ANY_MODEL_FILES = 10
"""References that a model takes whose number is not documented; what a documented image model commonly takes."""

_OURS = frozenset({"params_complete", "prompt_required"})
"""What the catalogue's data says beyond the API's own words."""

DEFAULT_LIMITS: Mapping[str, KindRules] = {kind.value: rules for kind, rules in DEFAULT_KIND_RULES.items()}
"""Of an upload without `model`, by kind."""


def find(model: str) -> Model | None:
    """Find a model by its id."""
    return Catalogue.shipped().find(model)


def limits(model: Model) -> Mapping[str, KindRules]:
    """What a model's references may be, by kind; empty if it takes none."""
    return {kind.value: rules for kind, rules in model.references.kinds.items()} if model.references else {}


def max_files(model: Model) -> int:
    """How many references a model takes."""
    if model.references is None:
        return 0
    return _ANY_MODEL_FILES if model.references.max_files is None else model.references.max_files


@cache
def public_entries() -> list[dict[str, object]]:
    """The entries as `GET /api/v1/models` shows them."""
    entries = json.loads(files("batchgen.catalogue").joinpath("models.json").read_text(encoding="utf-8"))
    return [{key: value for key, value in entry.items() if key not in _OURS} for entry in entries]
