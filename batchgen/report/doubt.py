"""An attempt in doubt, in plain words: what happened, what is at risk, what to look up at the vendor, what to say then."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from batchgen.core.facts import AttemptFacts, TaskFacts
from batchgen.core.states import AttemptState
from batchgen.report.columns import cut
from batchgen.report.text import When, clean, counted, shown

_PROMPT = 120
ANSWERS = "--accepted TASK_ID, --not-accepted or --resend"
"""What a person may say, one of them."""


def whose(task: TaskFacts, flags: str) -> str:
    """Return what `batchgen resolve` must be given to mean this task and no other."""
    return clean(f"{shlex.quote(task.id)} --manifest {shlex.quote(task.manifest)}{flags}")


def doubt_lines(task: TaskFacts, attempt: AttemptFacts, when: When, *, flags: str = "") -> Iterator[str]:
    """Yield what a person must know to decide; nothing for an attempt that is not in doubt. `flags` go into the commands."""
    if attempt.state is not AttemptState.IN_DOUBT:
        return
    yield f"in doubt    {clean(task.note.removeprefix('in doubt: ')) or 'its outcome is unknown'}"
    yield f"at risk     {counted(attempt.held, 'credit')}, held until then; it may have been bought, and buying it anew could pay twice"
    yield f"look up     at the vendor: is there a render of {clean(task.model)} from about {shown(attempt.submitted_at, when)}"
    yield f"            with client_request_id {clean(attempt.key)}"
    yield f"            and the prompt {cut(task.prompt, _PROMPT)!r}"
    if attempt.task_id:
        yield f"            its task id was {clean(attempt.task_id)}"
    if attempt.fault is not None and attempt.fault.request_id:
        yield f"            the server's requestId of the last error was {clean(attempt.fault.request_id)}"
    where = whose(task, flags)
    yield f"then say    batchgen resolve {where} --accepted TASK_ID   if it is there"
    yield f"            batchgen resolve {where} --not-accepted       if it is not, and nothing was charged"
    yield f"            batchgen resolve {where} --resend             to repeat the same request with the same key"
