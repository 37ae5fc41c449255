"""What `validate` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from batchgen.core.model import Manifest
from batchgen.errors import Problem
from batchgen.report.text import clean, counted


class CheckedManifest(Protocol):
    """A manifest in which nothing is wrong, as `manifest.check` gives it."""

    @property
    def header(self) -> Manifest:
        """Its name and budgets."""
        ...

    @property
    def task_count(self) -> int:
        """Tasks after expansion."""
        ...

    @property
    def tasks_by_model(self) -> Mapping[str, int]:
        """The same, by model."""
        ...


def checked_text(manifests: Sequence[CheckedManifest]) -> str:
    """Return a line for each manifest."""
    return "\n".join(_line(manifest) for manifest in manifests)


def _line(manifest: CheckedManifest) -> str:
    """Say that a manifest is right, and how much it is."""
    models = ", ".join(f"{count:,} with {clean(model)}" for model, count in manifest.tasks_by_model.items())
    tasks = counted(manifest.task_count, "task")
    return f"{clean(manifest.header.path)}: {clean(manifest.header.name)} is right, {tasks} ({models or 'none'})"


def checked_document(manifests: Sequence[CheckedManifest]) -> dict[str, object]:
    """Return the document of `validate --json` where nothing is wrong (schemas/validate.schema.json)."""
    listed = [
        {
            "name": manifest.header.name,
            "path": manifest.header.path,
            "tasks": manifest.task_count,
            "tasks_by_model": dict(manifest.tasks_by_model),
        }
        for manifest in manifests
    ]
    return {"document": "batchgen.validate/1", "right": True, "manifests": listed, "problems": []}


def problems_document(problems: Sequence[Problem]) -> dict[str, object]:
    """Return the document of `validate --json` where something is wrong."""
    listed = [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "task": problem.task,
            "wrong": problem.wrong,
            "right": problem.right,
        }
        for problem in problems
    ]
    return {"document": "batchgen.validate/1", "right": False, "manifests": [], "problems": listed}
