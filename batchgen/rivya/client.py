"""The API over HTTP: bytes out, bytes in. `wire` says what they mean, the engine what to do about it.

Deliberately absent: retries (a repeat of a paid call is the ledger's to order), redirects (the key goes to no other
place), cookies (the API takes none), and any state but the connections. One answer for one call, whatever happens.

Environment: the usual proxy variables and SSL_CERT_FILE are honoured, except for a server on this machine, which no
proxy can reach. A .netrc file is never read: the key is the only credential.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlsplit

import anyio

from batchgen.core.address import check_base_url, is_loopback
from batchgen.core.answers import Answer, Balance, Fault, Render, StoredFile, Verdict
from batchgen.core.messages import SendUpload
from batchgen.core.model import Instant
from batchgen.core.ports import LEFT
from batchgen.errors import UsageError
from batchgen.rivya import multipart, wire
from batchgen.rivya.key import check_key
from batchgen.rivya.refusals import Reply
from batchgen.transport import BROKEN, Http, InvalidUrl, Route, Sending, Wire, http
from batchgen.transport import Patience as Steps

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, in seconds, and how many go at once.

    `whole` bounds a call from start to end: the other limits are per step, and a server that drips one byte a minute
    would never meet them. `whole_upload` lets 95 MB, the largest documented file, through at 1 Mbit/s.
    More calls at once would only queue inside the connection pool, where the hand-out of connections costs seconds.
    """

    connect: float = 10
    read: float = 60
    write: float = 120
    whole: float = 180
    whole_upload: float = 900
    calls: int = 24
    uploads: int = 6


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | AsyncGenerator[bytes, None] | None = None


class Client:
    """`core.ports.Api` over HTTP. Close it, or use it in `async with`.

    Raises UsageError for a base URL and KeyRefused for a key that cannot be used. `key` None asks only what is public
    (`models`); every other call is then answered as a missing key, without being sent. `transport` replaces the
    network in tests. `now` gives the instant at which an answer came.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        transport: Wire | None = None,
        patience: Patience | None = None,
        now: Callable[[], Instant] = time.time,
    ) -> None:
        self._base = check_base_url(base_url)
        self._key = None if key is None else check_key(key)
        self._patience = patience or Patience()
        self._now = now
        self._calls = anyio.Semaphore(self._patience.calls)
        self._uploads = anyio.Semaphore(self._patience.uploads)
        self._http = self._build(transport)

    def __repr__(self) -> str:
        return f"<Client of {self._base}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def upload(self, request: SendUpload) -> Answer[StoredFile]:
        """POST /files, streamed. A local file that cannot be read or has changed is INVALID, and never arrives whole."""
        form = multipart.form_of(request)
        headers = {
            "Content-Type": form.content_type,
            "Content-Length": str(form.length),
            "Idempotency-Key": request.client_request_id,
        }
        async with self._uploads, aclosing(multipart.stream(request, form)) as content:
            return await self._ask(_Call("POST", "/files", headers, content), wire.read_file, within=self._patience.whole_upload)

    async def file(self, file_id: str) -> Answer[StoredFile]:
        """GET /files/{file_id}."""
        return await self._get(f"/files/{quote(file_id, safe='')}", wire.read_file)

    async def create(self, body: bytes, key: str) -> Answer[Render]:
        """POST /generations with exactly `body`; `key` is sent as Idempotency-Key."""
        call = _Call("POST", "/generations", {"Content-Type": "application/json", "Idempotency-Key": key}, body)
        async with self._calls:
            return await self._ask(call, wire.read_render, within=self._patience.whole)

    async def status(self, task_id: str) -> Answer[Render]:
        """GET /generations/{task_id}."""

        def read(reply: Reply, now: Instant) -> Answer[Render]:
            return wire.read_render(reply, now, asked=task_id)

        return await self._get(f"/generations/{quote(task_id, safe='')}", read)

    async def balance(self) -> Answer[Balance]:
        """GET /credits."""
        return await self._get("/credits", wire.read_balance)

    async def models(self) -> Answer[list[object]]:
        """GET /models: the entries of `data`. Needs no key."""
        async with self._calls:
            return await self._ask(_Call("GET", "/models"), wire.read_models, within=self._patience.whole, public=True)

    async def _get(self, path: str, read: Callable[[Reply, Instant], Answer[T]]) -> Answer[T]:
        async with self._calls:
            return await self._ask(_Call("GET", path), read, within=self._patience.whole)

    async def _ask(self, call: _Call, read: Callable[[Reply, Instant], Answer[T]], *, within: float, public: bool = False) -> Answer[T]:
        """Send one request and read its answer, whatever happens; only cancellation and bugs come out as exceptions."""
        if self._key is None and not public:
            return Answer(Verdict.KEY, fault=Fault("api_key_missing", "no API key is set; nothing was sent"))
        sending = Sending(LEFT.get())
        try:
            with anyio.fail_after(within):
                return read(await self._send(call, sending), self._now())
        except TimeoutError:
            return Answer(Verdict.LOST, fault=Fault("no_answer", f"no whole answer within {within:g} s"))
        except multipart.LocalFileError as error:
            return Answer(Verdict.INVALID, fault=Fault(error.code, str(error)))
        except BROKEN as error:
            return Answer(sending.outcome_of(error), fault=Fault("no_answer", self._words(error)))

    async def _send(self, call: _Call, sending: Sending) -> Reply:
        async with self._http.stream(
            call.method,
            f"{self._base}/api/v1{call.path}",
            headers=dict(call.headers),
            content=call.content,
            extensions={"trace": sending.hear},
        ) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > wire.BODY_LIMIT:
                    break
            headers = {name: self._without_key(value) for name, value in response.headers.items()}
            return Reply(response.status_code, headers, self._without_key_bytes(bytes(body)), len(body) <= wire.BODY_LIMIT)

    def _words(self, error: Exception) -> str:
        """What happened, for a person: some exceptions have no words but their name."""
        said = self._without_key(str(error))
        return f"{type(error).__name__}: {said}" if said else type(error).__name__

    def _without_key(self, text: str) -> str:
        """A server may quote the key in its complaint; it must not get into the ledger that way."""
        return text.replace(self._key, "[key]") if self._key else text

    def _without_key_bytes(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"[key]") if self._key else body

    def _build(self, wire: Wire | None) -> Http:
        patience = self._patience
        most = patience.calls + patience.uploads
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        parts = urlsplit(self._base)
        route = Route(environment=not is_loopback(parts.hostname or ""), secure=parts.scheme != "http", most=most, kept=most)
        try:
            return http(headers, Steps(patience.connect, patience.read, patience.write, patience.connect), route, wire)
        except (ImportError, ValueError, OSError, InvalidUrl) as error:
            raise UsageError(f"the proxy or certificate settings of the environment cannot be used: {error}") from error
