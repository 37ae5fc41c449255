"""References on their way to the server: each content is uploaded once, however many tasks and runs use it."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from batchgen.core.model import Instant, Reference, Upload


@dataclass(slots=True)
class Pending:
    """A reference that is being uploaded, or waits for it."""

    reference: Reference
    model: str
    tries: int = 0
    trouble_since: Instant | None = None
    not_before: Instant = 0.0
    in_air: bool = False
    conflicts: int = 0  # keys that the server knows with another request


@dataclass(slots=True)
class Uploads:
    """What the server has, what it is being given, and what must be checked."""

    known: dict[str, Upload] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)  # uploaded or checked in this run: not suspect
    pending: dict[str, Pending] = field(default_factory=dict)
    checks: deque[Upload] = field(default_factory=deque)
    checking: dict[str, Upload] = field(default_factory=dict)
    airborne: int = 0
    refused: dict[tuple[str, str], str] = field(default_factory=dict)  # by content and model: in whose words
    left: set[str] = field(default_factory=set)  # the service did not take them for so long that this run tries no more

    def missing(self, references: tuple[Reference, ...]) -> list[Reference]:
        """Return the files among these references that the server does not have."""
        return [r for r in references if r.sha256 and r.sha256 not in self.known]

    def want(self, reference: Reference, model: str) -> None:
        """Ask for an upload, once."""
        self.pending.setdefault(reference.sha256, Pending(reference, model))

    def ripe(self, now: Instant) -> Pending | None:
        """Return the next reference to upload now, or None."""
        return next((p for p in self.pending.values() if not p.in_air and p.not_before <= now), None)

    def next_wake(self, now: Instant) -> Instant | None:
        """When the next upload that has to wait may be tried again. Those that are ripe wait for the rate alone."""
        return min((p.not_before for p in self.pending.values() if not p.in_air and p.not_before > now), default=None)


def upload_key(reference: Reference, conflicts: int = 0) -> str:
    """The client_request_id of an upload: a pure function of the content, so that a repeat is recognisable.

    After a conflict it is another one. A purchase may never do that; an upload costs nothing, so the worst is a file twice.
    """
    text = f"{reference.sha256}\x00{conflicts}" if conflicts else reference.sha256
    return "bg-file-" + hashlib.sha256(text.encode()).hexdigest()[:40]
