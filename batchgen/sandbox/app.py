"""The endpoints: HTTP in, HTTP out; what is decided is decided in `purchase` and `checks`.

Decided here where the documentation is silent: a create answers 200 (`Faults.created`), a file 201; a file's JSON is
`id, kind, name, mime_type, size, url, duration_token, created_at` (`Faults.camel` for other spellings); result and
upload links need no key and stand on this host. Chat and webhooks are absent: nothing here uses them.

Keys: `rvya_sk_sandbox...` is good. `rvya_sk_revoked...`, `rvya_sk_expired...` and `rvya_sk_noscope...` are refused with
their errors; `rvya_sk_noscope_files:create` lacks only that scope, `rvya_sk_noscope_files` all that begin so. Any other is invalid.
"""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from batchgen.core.model import Instant
from batchgen.sandbox.account import Account, Task, Uploaded, new_id
from batchgen.sandbox.checks import client_id, find_model
from batchgen.sandbox.disturbed import Disturbed
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.library import TYPES, render
from batchgen.sandbox.offer import DEFAULT_LIMITS, limits, public_entries
from batchgen.sandbox.purchase import Asked, buy
from batchgen.sandbox.ranged import respond
from batchgen.sandbox.refusal import Refusal, invalid
from batchgen.sandbox.signature import HEAD, types_of

_PREFIX = "rvya_sk_"
_CHUNK = 1024 * 1024
_REFUSED_KEYS = {
    "revoked": ("api_key_revoked", "The API key was revoked."),
    "expired": ("api_key_expired", "The API key has expired."),
}


def build(account: Account, faults: Faults | None = None) -> ASGIApp:
    """Build the ASGI app over an open account, which the caller closes after the server has ended."""
    chosen = faults or Faults()
    endpoints = Endpoints(account, chosen)
    routes = [
        Route("/api/v1/models", endpoints.models, methods=["GET"]),
        Route("/api/v1/credits", endpoints.credits, methods=["GET"]),
        Route("/api/v1/files", endpoints.upload, methods=["POST"]),
        Route("/api/v1/files/{file_id}", endpoints.file, methods=["GET"]),
        Route("/api/v1/generations", endpoints.create, methods=["POST"]),
        Route("/api/v1/generations/{task_id}", endpoints.status, methods=["GET"]),
        Route("/results/{task_id}/{name}", endpoints.result, methods=["GET", "HEAD"]),
        Route("/sandbox/books", endpoints.books, methods=["GET"]),
    ]
    handlers = {Refusal: _refused, HTTPException: _http_error, sqlite3.Error: _books_broken}
    inner = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type] # each handler takes the error it is listed for
    return Disturbed(inner, account, chosen)


async def _refused(_: Request, error: Refusal) -> Response:
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


async def _http_error(request: Request, error: HTTPException) -> Response:
    """Put the framework's own errors into the API's shape."""
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "validation_failed")
    return await _refused(request, Refusal(code, str(error.detail)))


async def _books_broken(request: Request, error: sqlite3.Error) -> Response:
    """Answer when the books cannot be written, such as on a full disk: nothing of the request was kept."""
    return await _refused(request, Refusal("internal_error", f"The sandbox's books: {error}"))


def authorize(request: Request, scope: str) -> None:
    """Check the key and its scope. Raises Refusal."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refusal("api_key_missing", "A valid Bearer API key is required.")
    name = key.strip().removeprefix(_PREFIX) if key.strip().startswith(_PREFIX) else ""
    for word, (code, message) in _REFUSED_KEYS.items():
        if name.startswith(word):
            raise Refusal(code, message)
    if name.startswith("noscope"):
        _deny(scope, name.removeprefix("noscope").lstrip("_-."))
    elif not name.startswith("sandbox"):
        raise Refusal("api_key_invalid", "The API key cannot be verified.")


def _deny(scope: str, lacking: str) -> None:
    """Refuse a scope that the key lacks. Raises Refusal."""
    if scope.startswith(lacking):
        raise Refusal("api_scope_denied", f"The API key lacks the scope {scope}.")


def instant(at: Instant) -> str:
    """Write an instant as the API does: UTC with milliseconds and a Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Endpoints:
    """The endpoints over one account."""

    def __init__(self, account: Account, faults: Faults) -> None:
        """Serve `account`, with `faults` where they are about meaning; those of the wire are `Disturbed`'s."""
        self._account = account
        self._faults = faults

    async def models(self, _: Request) -> Response:
        """GET /models: public."""
        return JSONResponse({"object": "list", "data": public_entries()})

    async def credits(self, request: Request) -> Response:
        """GET /credits."""
        authorize(request, "credits:read")
        return JSONResponse({"current_credits": self._account.credits()})

    async def books(self, _: Request) -> Response:
        """GET /sandbox/books: not of the API; for tests and demonstrations."""
        return JSONResponse(self._account.books())

    # ------------------------------------------------------------------ files

    async def upload(self, request: Request) -> Response:
        """POST /files."""
        authorize(request, "files:create")
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise invalid("The body must be multipart/form-data.")
        try:
            async with request.form(max_files=1, max_fields=20) as form:
                file = await self._read_upload(form)
        except (MultiPartException, HTTPException) as error:
            raise invalid("The body is not well-formed multipart/form-data.") from error
        self._account.keep_file(file)
        return JSONResponse(self._file(file, request), status_code=201)

    async def _read_upload(self, form: FormData) -> Uploaded:
        """Check the form and measure the file. Raises Refusal."""
        part, kind, model = form.get("file"), form.get("kind"), form.get("model")
        if not isinstance(part, UploadFile):
            raise invalid("'file' is required.")
        if not isinstance(kind, str) or kind not in DEFAULT_LIMITS:
            raise invalid("'kind' must be image, video or audio.")
        allowed = limits(find_model(model)) if model is not None else DEFAULT_LIMITS
        if kind not in allowed:
            raise invalid(f"Model '{model}' takes no files of kind {kind}.")
        most, types = allowed[kind].max_bytes, allowed[kind].mime_types
        size, digest, head = await _measure(part)
        if not 0 < size <= most:
            raise invalid(f"The file has {size} bytes; 1 to {most} are allowed.")
        mime = next((mime for mime in types_of(head) if mime in types), None)
        if mime is None:
            raise invalid(f"The file's content is none of {', '.join(types)}.")
        return Uploaded(
            id=new_id("file"),
            kind=kind,
            name=part.filename or "file",
            mime=mime,
            size=size,
            sha256=digest,
            token=None if kind == "image" else new_id("duration"),
            client_request_id=client_id(form.get("client_request_id")),
            created_at=self._account.now(),
        )

    async def file(self, request: Request) -> Response:
        """GET /files/{id}."""
        authorize(request, "files:read")
        file = self._account.file(request.path_params["file_id"], forget=self._faults.forget)
        if file is None:
            raise Refusal("not_found", "The file does not exist.")
        return JSONResponse(self._file(file, request))

    def _file(self, file: Uploaded, request: Request) -> dict[str, object]:
        """Show a file."""
        names = ("fileId", "mimeType", "durationToken") if self._faults.camel else ("id", "mime_type", "duration_token")
        return {
            names[0]: file.id,
            "kind": file.kind,
            "name": file.name,
            names[1]: file.mime,
            "size": file.size,
            "url": f"{request.base_url}uploads/{file.id}/{quote(file.name, safe='')}",
            names[2]: file.token,
            "created_at": instant(file.created_at),
        }

    # ------------------------------------------------------------------ generations

    async def create(self, request: Request) -> Response:
        """POST /generations."""
        authorize(request, "generations:create")
        body = await request.body()
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise invalid("Content-Type must be application/json.")
        asked = Asked(body, request.headers.get("idempotency-key", ""))
        answer = buy(self._account, self._faults, asked, lambda task: self._view(task, request))
        return JSONResponse(answer, status_code=int(self._faults.created))

    async def status(self, request: Request) -> Response:
        """GET /generations/{id}."""
        authorize(request, "generations:read")
        task = self._account.task(request.path_params["task_id"])
        if task is None:
            raise Refusal("not_found", "The task does not exist.")
        return JSONResponse(self._view(task, request))

    def _view(self, task: Task, request: Request) -> dict[str, object]:
        """Show a task."""
        now = self._account.now()
        status = task.status(now)
        urls = self._urls(task, request) if status == "succeeded" else []
        changed = {"queued": task.created_at, "processing": task.starts_at}.get(status, task.ends_at)
        return {
            "id": task.id,
            "status": status,
            "model": task.model,
            "reserved_credits": task.reserved,
            "final_credits": task.final(now),
            "created_at": instant(task.created_at),
            "updated_at": instant(changed or task.created_at),
            "result": {"primary_url": urls[0], "urls": urls} if urls else None,
            "error": {"code": "generation_failed", "message": "The generation failed."} if status == "failed" else None,
        }

    # ------------------------------------------------------------------ results

    def _urls(self, task: Task, request: Request) -> list[str]:
        """Make the links to a task's results."""
        until = f"?until={self._account.now() + self._faults.links:.3f}" if self._faults.links else ""
        return [f"{request.base_url}results/{task.id}/{_result_name(task, index)}{until}" for index in range(len(task.results))]

    async def result(self, request: Request) -> Response:
        """GET or HEAD /results/...: no key needed, as for a link that a browser opens."""
        now = self._account.now()
        task = self._account.task(request.path_params["task_id"])
        names = [_result_name(task, index) for index in range(len(task.results))] if task and task.status(now) == "succeeded" else []
        name = request.path_params["name"]
        if task is None or name not in names:
            return PlainTextResponse("Not Found", status_code=404)
        if _expired(request.query_params.get("until"), now):
            return PlainTextResponse("The link has expired", status_code=403)
        data = render(task.results[names.index(name)], f"{task.id}/{name}")
        return respond(request, data, TYPES[name.rpartition(".")[2]])


def _result_name(task: Task, index: int) -> str:
    return f"{index}.{task.results[index].rpartition('.')[2]}"


def _expired(until: str | None, now: Instant) -> bool:
    """Say whether a link's time is over; a link without a time works for ever, one with a broken time never."""
    try:
        return until is not None and float(until) < now
    except ValueError:
        return True


async def _measure(part: UploadFile) -> tuple[int, str, bytes]:
    """Read a file to its end: its size, SHA-256 and first bytes."""
    digest, size, head = hashlib.sha256(), 0, b""
    while chunk := await part.read(_CHUNK):
        head = head or chunk[:HEAD]
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest(), head
