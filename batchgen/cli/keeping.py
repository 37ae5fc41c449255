"""`plan --out FILE` and `run --plan FILE`: a plan in a file, and back."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.cli.placing import text_place
from batchgen.core.budget import RUN_BUDGET
from batchgen.core.keptplan import KeptPlan, kept_document, kept_plan
from batchgen.errors import PlanRefused, UsageError
from batchgen.report.schemas import schema_of
from batchgen.report.text import to_json

BEGINS = '{\n "document": "batchgen.kept-plan/'
"""How a kept plan begins."""

LARGEST = 256 * 1024 * 1024
"""Bytes of a file that are read: a plan with a million references has less."""


def write_plan(file: Path, plan: KeptPlan) -> None:
    """Write a plan, whole or not at all. Raises UsageError if it cannot be written."""
    with text_place(str(file.absolute()), BEGINS) as stream:
        stream.write(to_json(kept_document(plan), indent=1) + "\n")


def read_plan(file: Path) -> KeptPlan:
    """Read a plan. Raises UsageError, saying what is wrong, if the file is none or was changed."""
    again = "write a new one with `batchgen plan MANIFEST --out FILE`"
    try:
        if file.exists() and not file.is_file():
            raise UsageError(f"the plan {file} is not a regular file; {again}")
        with file.open("rb") as stream:
            document = json.loads(stream.read(LARGEST))
    except OSError as error:
        raise UsageError(f"the plan {file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no plan, or only a part of one; {again}") from error
    # Imported here because it takes 0.1 s, and only a run with a plan needs it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    if not Draft202012Validator(schema_of("kept-plan")).is_valid(document):
        raise UsageError(f"{file} is no plan that this version of batchgen wrote; {again}")
    plan = kept_plan(document)
    if plan is None:
        raise UsageError(f"{file} was changed after it was written; {again}")
    return plan


def next_run(manifests: Iterable[Path], options: str, file: Path | None, flags: str) -> str:
    """Return the command that does what was planned: with its `options` as they were typed, or the kept plan, which has them."""
    if file is None:
        return f"batchgen run {shlex.join(map(str, manifests))}{options}{flags}"
    return f"batchgen run --plan {shlex.quote(str(file))}{flags}"


@contextmanager
def made_anew(kept: KeptPlan | None, file: Path | None, flags: str) -> Iterator[None]:
    """Say with a refusal which commands make the plan anew, as it was asked for, and do it."""
    try:
        yield
    except PlanRefused as error:
        if kept is None or file is None:
            raise
        manifests = shlex.join(os.path.relpath(part.file) for part in kept.manifests)
        limit = next((f" --budget {budget.limit}" for budget in kept.budgets if budget.name == RUN_BUDGET), "")
        only = f" --only {shlex.quote(kept.only)}" if kept.only else ""
        asked = f"{limit}{only}{' --retry-failed' * kept.retry_failed} --out {shlex.quote(str(file))}"
        error.then = f"batchgen plan {manifests}{asked}{flags}; then: {next_run((), '', file, flags)}"
        raise
