"""The values that everything else speaks in. All are frozen: a changed value is a new one.

Units: credits are whole numbers; instants are seconds since the epoch, UTC, as float; durations are seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.core.states import AttemptState, TaskState

Credits = int
Instant = float

KEY_LENGTH = 40
"""Hex digits of a client_request_id: 160 bits, and well under the 128 characters that the files endpoint allows."""


class MediaKind(StrEnum):
    """What a reference or a result is; the API's own words."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference of a task: either a local file, known by its content, or an `https` URL that is passed on untouched.

    `sha256` and `path` are empty for a URL, `url` is empty for a file. `path` is absolute and no part of the identity.
    """

    kind: MediaKind
    mime: str
    name: str
    sha256: str = ""
    url: str = ""
    path: str = ""
    size: int = 0

    @property
    def identity(self) -> str:
        """The content's hash, or the URL."""
        return self.sha256 or self.url


def canonical_json(value: object) -> str:
    """JSON with one spelling per value, so that equal values hash alike and bodies repeat byte for byte."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Spec:
    """What is asked of the server. Its SHA-256 is the fingerprint: change that and the task is due again."""

    model: str
    prompt: str
    params: Mapping[str, object] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over model, prompt, params and the references' content; 64 hex digits."""
        identity = {
            "model": self.model,
            "params": dict(self.params),
            "prompt": self.prompt,
            "references": [r.identity for r in self.references],
        }
        return hashlib.sha256(canonical_json(identity).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Task:
    """One render that the user wants, as its manifest says it now.

    `output` is the file stem, relative to the outputs folder, with `/` between folders. `position` counts from 0 in
    the manifest's order; `line` is where the manifest says it (1-based).
    """

    manifest: str
    id: str
    spec: Spec
    output: str
    position: int
    line: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in credits; None is no limit."""

    total: Credits | None = None
    per_run: Credits | None = None
    per_day: Credits | None = None


@dataclass(frozen=True, slots=True)
class StopAfter:
    """When a manifest is given up: failures in a row, or a share of failures among at least `SHARE_FLOOR` ended tasks."""

    in_a_row: int = 10
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's header: all that is not tasks. `path` is for people; `name` is the identity."""

    name: str
    path: str
    budget: Budget = Budget()
    in_flight: int | None = None
    canary: int = 0
    retries: int = 2
    stop_after: StopAfter = StopAfter()


@dataclass(frozen=True, slots=True)
class Upload:
    """A reference file on the server, known by the SHA-256 of its bytes; it exists only when the upload is complete."""

    sha256: str
    url: str
    file_id: str = ""
    duration_token: str = ""
    uploaded_at: Instant = 0.0


@dataclass(frozen=True, slots=True)
class Output:
    """One result file on disk, complete. `path` is relative to the outputs folder; `index` counts from 0."""

    index: int
    path: str
    sha256: str
    size: int
    mime: str


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task as the ledger has it, for planning."""

    id: str
    state: TaskState
    fingerprint: str
    live: AttemptState | None = None
    output: str = ""
    position: int = -1
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class DueTask:
    """A task to submit.

    `row` is its number in the ledger, `attempts` how many it has had, `failures` how many of them failed since it was last due afresh,
    `alike` how many of them were at this fingerprint: they number the next purchase's id.
    """

    row: int
    task: Task
    fingerprint: str
    attempts: int = 0
    failures: int = 0
    alike: int = 0


def client_request_id(manifest: str, task: str, fingerprint: str, nth: int) -> str:
    """The id of the `nth` attempt (1, 2, ...) at this fingerprint of a task.

    It is a pure function, so that even a ledger restored from an old backup asks for the same purchase and not for another. Attempts
    at other fingerprints do not count: the old backup may know nothing of what was bought before the manifest was edited.
    """
    text = "\x00".join((manifest, task, fingerprint, str(nth)))
    return "bg-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_LENGTH]
