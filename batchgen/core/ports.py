"""The outside, as the runner and the reports know it. `app` alone builds what stands behind these.

The ledger is synchronous (the runner calls it in one writer thread), everything else is async.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from batchgen.core.answers import Answer, Balance, Render, StoredFile
from batchgen.core.messages import Download, Downloaded, SendUpload
from batchgen.core.model import Instant, Spec, Upload


class Clock(Protocol):
    """Time that never runs backwards while the process lives."""

    def now(self) -> Instant:
        """Seconds since the epoch, UTC."""
        ...

    async def sleep_until(self, instant: Instant) -> None:
        """Return at `instant`, or at once if it has passed."""
        ...


class Api(Protocol):
    """Rivya Public API v1. No method raises for what the network or the server do: that is an answer's verdict.

    The only errors raised are bugs and cancellation.
    """

    async def upload(self, request: SendUpload) -> Answer[StoredFile]:
        """POST /files."""
        ...

    async def file(self, file_id: str) -> Answer[StoredFile]:
        """GET /files/{file_id}."""
        ...

    async def create(self, body: bytes, key: str) -> Answer[Render]:
        """POST /generations; `key` is sent as Idempotency-Key and stands in the body as client_request_id."""
        ...

    async def status(self, task_id: str) -> Answer[Render]:
        """GET /generations/{task_id}."""
        ...

    async def balance(self) -> Answer[Balance]:
        """GET /credits."""
        ...

    async def models(self) -> Answer[list[object]]:
        """GET /models: the entries of `data`, as parsed JSON."""
        ...


Owner = Callable[[str], tuple[str, int] | None]
"""Which of our outputs is at this path (relative to the outputs folder): its sha256 and its attempt's number; None: not ours."""


class Media(Protocol):
    """Result files: fetched, checked, put in place."""

    async def save(self, request: Download, owner: Owner) -> Downloaded:
        """Fetch a result into its place, durably. Trouble is part of the result, not raised."""
        ...


Compose = Callable[[Spec, Mapping[str, Upload], str], bytes]
"""The exact bytes of POST /generations for a spec, its uploads by sha256, and a client_request_id. Pure: same in, same out."""
