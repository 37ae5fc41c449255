"""The JSON Schemas of all documents, as they ship with the program."""

from __future__ import annotations

import json
from pathlib import Path

import batchgen

SUFFIX = ".schema.json"


def folder() -> Path:
    """Return where the schemas are: inside an installed package, or beside the package in a checkout."""
    package = Path(batchgen.__file__).parent
    inside = package / "schemas"
    return inside if inside.exists() else package.parent / "schemas"


def schema_names() -> tuple[str, ...]:
    """Return what there are schemas of, sorted."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in folder().glob(f"*{SUFFIX}")))


def schema_of(name: str) -> dict[str, object]:
    """Return the schema of one kind of document."""
    found: object = json.loads((folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found
