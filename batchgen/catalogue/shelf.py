"""All models that are known here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Self

from batchgen.catalogue.model import Model
from batchgen.catalogue.read import read_model
from batchgen.catalogue.words import did_you_mean, shown
from batchgen.errors import UsageError


@cache
def _shipped() -> Mapping[str, Model]:
    """Read `models.json` once per process, and only when a command asks for a model."""
    text = files("batchgen.catalogue").joinpath("models.json").read_text(encoding="utf-8")
    return MappingProxyType(_over({}, json.loads(text)))


def _over(known: Mapping[str, Model], entries: Iterable[object]) -> dict[str, Model]:
    models = dict(known)
    for entry in entries:
        model = read_model(entry, models)
        if model is not None:
            models[model.id] = model
    return models


class Catalogue:
    """Models by id. It never changes: `merge` gives a new one."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        """Hold `models`, whose keys are their ids."""
        self._models = models

    @classmethod
    def shipped(cls) -> Self:
        """Return the catalogue that ships with the package."""
        return cls(_shipped())

    def merge(self, entries: Iterable[object]) -> Catalogue:
        """Return this catalogue with what GET /models said over it.

        Args:
            entries: the items of `data`, as parsed JSON; what is not understood is left out.
        """
        return Catalogue(MappingProxyType(_over(self._models, entries)))

    def find(self, model: str) -> Model | None:
        """Return the model with this id, or None."""
        return self._models.get(model)

    def get(self, model: str) -> Model:
        """Return the model with this id. Raises UsageError with the nearest names if there is none."""
        found = self._models.get(model)
        if found is None:
            raise UsageError(f"there is no model {shown(model)}; {self.suggest(model)}")
        return found

    def suggest(self, model: str) -> str:
        """Say what would be right in place of an unknown model id."""
        return f"{did_you_mean(model, self._models)} (`batchgen models` lists them all)"

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, model: object) -> bool:
        return model in self._models
