"""Which task ids a glob means: `*` any run of characters, `?` one, `[...]` one of a set; the whole id, case counts."""

from __future__ import annotations

from fnmatch import fnmatchcase


def matches(task: str, only: str) -> bool:
    """Say whether a task is meant by `--only`; an empty glob means all."""
    return not only or fnmatchcase(task, only)
