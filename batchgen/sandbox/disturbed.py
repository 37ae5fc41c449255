"""What goes wrong on the wire, as ASGI middleware around a server at its best.

A dropped connection must look like one: not a tidy 500, not a tidy close. ASGI has no word for that, so `serve` puts a
function into the scope (`DROP`) that cuts the connection under the response. Served without it (by a client's in-process
transport) a drop raises ConnectionResetError out of the app instead.

The work of a request whose answer is lost is really done: the app runs, and only its answer is thrown away.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial

import anyio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchgen.sandbox.account import Account
from batchgen.sandbox.faults import Fate, Faults, Mishap
from batchgen.sandbox.refusal import Refusal

DROP = "batchgen.drop"
"""Name of the scope's extension: a function that ends the connection, taking whether what is written may still be delivered."""

_LOG = logging.getLogger(__name__)
_HALF = 0.5
_BROKEN = (500, 502, 503)
_PAGE = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1><p>Please try again.</p></body></html>"

_LOST = frozenset({Mishap.BROKEN, Mishap.HTML})
_AFTER = frozenset({Mishap.DROP_AFTER, Mishap.GARBAGE})
_RESULTS_TOO = frozenset({Mishap.DROP_BEFORE, Mishap.DROP_AFTER, Mishap.BUSY, Mishap.BROKEN, Mishap.HTML})
"""What a download can meet: a file server speaks no JSON and knows no account."""


class Disturbed:
    """The app with faults around it. `/sandbox/...` is never disturbed or counted."""

    def __init__(self, app: ASGIApp, account: Account, faults: Faults) -> None:
        """Disturb `app`, counting in `account` so that a restarted server does not meet the same fate again."""
        self._app = app
        self._account = account
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/api/", "/results/")):
            await self._app(scope, receive, send)
            return
        if self._faults.slow:
            await anyio.sleep(self._faults.slow)
        try:
            serve = self._decide(scope, download=path.startswith("/results/"))
        except sqlite3.Error as error:  # such as a full disk; inside the app, the app's own handler answers so
            refusal = Refusal("internal_error", f"The sandbox's books: {error}")
            serve = JSONResponse(refusal.body(), status_code=refusal.status)
        await serve(scope, receive, send)

    def _decide(self, scope: Scope, *, download: bool) -> ASGIApp:
        """Count the request and decide how it is served."""
        create = scope["method"] == "POST" and scope["path"] == "/api/v1/generations"
        subject = Headers(scope=scope).get("idempotency-key", scope["path"]) if create else scope["path"]
        nth = self._account.count(_route(scope["method"], scope["path"]), subject)
        fate = self._faults.fate(f"{scope['method']} {subject}", nth, create=create)
        if download:
            return self._decide_download(fate, scope, nth)
        if wait := self._over_rate():
            return self._refuse("rate_limited", wait)
        return partial(self._meet, fate)

    def _decide_download(self, fate: Fate, scope: Scope, nth: int) -> ASGIApp:
        """Decide how a download is served: it can be cut besides; the next try of the same draws anew."""
        if fate.mishap in _RESULTS_TOO:
            return partial(self._meet, fate)
        cut = scope["method"] == "GET" and self._faults.draw("cut", scope["path"], nth) < self._faults.cut
        return self._cut if cut else partial(self._meet, Fate())

    def _over_rate(self) -> float:
        """Return seconds to wait if the rate is exceeded, else 0."""
        return self._account.admit(int(self._faults.rate), self._faults.window) if self._faults.rate else 0.0

    def _refuse(self, code: str, wait: float = 1.0) -> Response:
        """Make a refusal that is no endpoint's own."""
        headers = {"Retry-After": str(max(1, -int(-wait // 1)))} if code == "rate_limited" else {}
        if code == "rate_limited":
            self._account.tally("429")
        refusal = Refusal(code, _SAID[code], headers)
        return JSONResponse(refusal.body(), status_code=refusal.status, headers=refusal.headers)

    async def _meet(self, fate: Fate, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the fate happen."""
        if fate.mishap is None:
            await self._work(scope, receive, send)
            return
        if fate.mishap in _AFTER or (fate.mishap in _LOST and fate.late):
            await self._work(scope, receive, _nowhere)
        if fate.mishap in {Mishap.DROP_BEFORE, Mishap.DROP_AFTER}:
            await _drop(scope, receive, politely=fate.dice < _HALF)
        else:
            await self._answer(fate)(scope, receive, send)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app do its work. A bug in it is reported here, because the server around is told to be quiet."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return  # the client went away in the middle of its request; nobody waits for an answer
        except Exception:
            _LOG.exception("a bug in the sandbox, at %s %s", scope["method"], scope["path"])
            raise

    def _answer(self, fate: Fate) -> Response:
        """Make the answer that comes instead of the real one."""
        if fate.mishap is Mishap.GARBAGE:
            return Response('{"id": "task_', media_type="application/json")
        if fate.mishap is Mishap.HTML:
            return HTMLResponse(_PAGE, status_code=200 if fate.dice < _HALF else 502)
        if fate.mishap is Mishap.BROKEN:
            return PlainTextResponse("upstream error", status_code=_BROKEN[int(fate.dice * len(_BROKEN))])
        return self._refuse(_CODES.get(fate.mishap, "rate_limited"))

    async def _cut(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers with the full length and half of the body, then drop; rounded up, so that resuming gets to an end."""

        async def half(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                message = {**message, "body": body[: (len(body) + 1) // 2], "more_body": True}
            await send(message)

        await self._work(scope, receive, half)
        await _drop(scope, receive, politely=True)


_CODES: dict[Mishap | None, str] = {Mishap.DISABLED: "public_api_disabled", Mishap.INSUFFICIENT: "insufficient_credits"}
_SAID = {
    "rate_limited": "Too many requests in the current window.",
    "public_api_disabled": "Public API calls are temporarily disabled.",
    "insufficient_credits": "The account lacks credits.",
}


def _route(method: str, path: str) -> str:
    """Name the endpoint of a path, without ids: `GET /api/v1/generations/{id}`."""
    parts = path.split("/")
    if path.startswith("/results/"):
        return f"{method} /results"
    return f"{method} {'/'.join(parts[:4])}" + ("/{id}" if len(parts) > 4 else "")  # noqa: PLR2004 - "", api, v1, noun


async def _nowhere(message: Message) -> None:
    """Take an answer that nobody will see."""


async def _drop(scope: Scope, receive: Receive, *, politely: bool) -> None:
    """End the connection: politely with what is written (FIN), or at once (RST)."""
    drop: Callable[[bool], None] | None = scope.get("extensions", {}).get(DROP)
    if drop is None:
        raise ConnectionResetError("the sandbox dropped the connection; a served sandbox shows this as a broken connection")
    drop(politely)
    while (await receive())["type"] != "http.disconnect":
        pass  # the rest of the request's body
