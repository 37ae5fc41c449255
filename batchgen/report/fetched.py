"""What `fetch` found and did, as text and as a document."""

from __future__ import annotations

from batchgen.core.losses import Census
from batchgen.core.messages import Ended
from batchgen.errors import ExitCode
from batchgen.report.text import clean, counted, number

MOST = 20
"""Files that are named; the rest is counted."""


def fetched_text(census: Census, ended: Ended, outputs: str, *, flags: str = "") -> str:
    """Return what a person reads; `flags` go into the command that it advises."""
    lost = [(output.path, why) for loss in census.losses for output, why in loss.files]
    lines = [f"  {clean(path)} was {why}" for path, why in lost[:MOST]]
    lines += [f"  and {number(len(lost) - MOST)} more"] if len(lost) > MOST else []
    seen = f"{counted(census.files, 'file')} looked at in {clean(outputs)}"
    files = f"{seen}, {number(len(lost))} {'was' if len(lost) == 1 else 'were'} missing or damaged"
    end = f"exit {int(ended.code)}: {clean(ended.reason)}; nothing was bought"
    then = [] if ended.code is ExitCode.DONE else [f"next: batchgen status{flags} says what is left and what to do"]
    return "\n".join([files, *lines, end, *then])


def fetched_document(census: Census, ended: Ended, outputs: str) -> dict[str, object]:
    """Return the document of `schemas/fetch.schema.json`."""
    lost = [
        {"manifest": loss.task.manifest, "task": loss.task.id, "path": output.path, "was": why}
        for loss in census.losses
        for output, why in loss.files
    ]
    found: dict[str, object] = {
        "document": "batchgen.fetch/1",
        "files": census.files,
        "lost": lost,
        "outputs": outputs,
        "exit_code": int(ended.code),
        "reason": ended.reason,
    }
    return found
