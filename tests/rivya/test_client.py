"""The client on pretend wires and on real sockets."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from email.parser import BytesParser
from pathlib import Path
from types import SimpleNamespace

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from batchgen import __version__
from batchgen.core.answers import RenderStatus, Verdict
from batchgen.core.messages import SendUpload
from batchgen.core.ports import LEFT, Api
from batchgen.errors import UsageError
from batchgen.rivya.client import Client, Patience
from batchgen.rivya.wire import BODY_LIMIT
from batchgen.transport import OUTCOMES, Sending

pytestmark = pytest.mark.anyio

KEY = "rvya_sk_secret_1"
NOW = 1_700_000_000.0
CREATED = {"id": "task_1", "status": "queued", "reserved_credits": 55}

Handle = Callable[[httpx2.Request], httpx2.Response]
Serve = Callable[[Callable[[SocketStream], object]], AbstractAsyncContextManager[str]]
UploadOf = Callable[[bytes], SendUpload]


def client(handle: Handle, *, key: str | None = KEY) -> Client:
    """Make a client whose network is a function."""
    return Client("https://rivya.ai/", key, transport=httpx2.MockTransport(handle), now=lambda: NOW)


def answer(status: int, body: object, **headers: str) -> Handle:
    """Make a network that always answers the same."""
    return lambda _: httpx2.Response(status, json=body, headers=headers)


async def test_is_the_port() -> None:
    """The client is what the runner asks for."""
    port: Api = client(answer(200, CREATED))
    assert (await port.status("task_1")).verdict is Verdict.OK


async def test_create_sends_exactly_what_the_ledger_holds() -> None:
    """The bytes and their key go out as they are, the key of the account in its header alone."""
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(202, json=CREATED)

    body = b'{"model":"m", "odd":  "spacing kept"}'
    async with client(handle) as api:
        found = await api.create(body, "bg-1")
    assert found.value is not None
    assert (found.value.task_id, found.value.status, found.value.reserved) == ("task_1", RenderStatus.QUEUED, 55)
    (request,) = seen
    assert (request.method, str(request.url), request.content) == ("POST", "https://rivya.ai/api/v1/generations", body)
    assert request.headers["idempotency-key"] == "bg-1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"batchgen/{__version__}"


async def test_every_endpoint_has_its_path() -> None:
    """Ids are quoted, so that none can ask for another endpoint."""
    seen: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(f"{request.method} {request.url.raw_path.decode()}")
        return httpx2.Response(200, json={"current_credits": 7, "url": "https://c/1", "data": [], **CREATED})

    async with client(handle) as api:
        await api.status("a/../b?c#d é")
        await api.file("f 1")
        balance = await api.balance()
        models = await api.models()
    assert seen == [
        "GET /api/v1/generations/a%2F..%2Fb%3Fc%23d%20%C3%A9",
        "GET /api/v1/files/f%201",
        "GET /api/v1/credits",
        "GET /api/v1/models",
    ]
    assert balance.value is not None
    assert (balance.value.credits, balance.value.at) == (7, NOW)
    assert models.value == []


async def test_without_a_key_only_models_are_asked() -> None:
    """A missing key is answered here; nothing goes out that could only be refused."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        assert "authorization" not in request.headers
        return httpx2.Response(200, json={"data": [{"id": "z"}]})

    async with client(handle, key=None) as api:
        assert (await api.models()).value == [{"id": "z"}]
        refused = await api.create(b"{}", "bg-1")
    assert refused.verdict is Verdict.KEY
    assert refused.fault is not None
    assert refused.fault.code == "api_key_missing"


async def test_redirects_are_not_followed() -> None:
    """A redirect of a create is a lost answer, and the key goes nowhere else."""
    hosts: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        return httpx2.Response(307, headers={"location": "https://evil.example/api/v1/generations"})

    async with client(handle) as api:
        found = await api.create(b"{}", "bg-1")
    assert (found.verdict, hosts) == (Verdict.LOST, ["rivya.ai"])


async def test_cookies_are_dropped() -> None:
    """A cookie that the server sets never comes back to it."""
    cookies: list[str | None] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        cookies.append(request.headers.get("cookie"))
        return httpx2.Response(200, json=CREATED, headers={"set-cookie": "a=b; Path=/"})

    async with client(handle) as api:
        await api.status("t")
        await api.status("t")
    assert cookies == [None, None]


async def test_the_key_is_in_no_words() -> None:
    """A server that quotes the key cannot get it into the ledger, and no repr shows it."""
    body = {"error": {"code": "api_key_invalid", "message": f"key {KEY} unknown", "requestId": KEY}}
    async with client(answer(401, body, **{"x-request-id": KEY})) as api:
        found = await api.balance()
        assert KEY not in repr(api)
    assert found.verdict is Verdict.KEY
    assert found.fault is not None
    assert found.fault.message == "key [key] unknown"
    assert KEY not in repr(found)


@pytest.mark.parametrize(("status", "body", "header"), [(401, {"error": {"code": "x"}}, "x-request-id"), (302, {}, "location")])
async def test_the_key_is_in_no_header_that_is_kept(status: int, body: object, header: str) -> None:
    """Nor where the server's request id, or the place that it redirects to, quotes it."""
    async with client(answer(status, body, **{header: f"https://a.example/{KEY}"})) as api:
        found = await api.balance()
    assert "https://a.example/[key]" in repr(found)
    assert KEY not in repr(found)


async def test_the_key_is_not_in_an_exceptions_words() -> None:
    """What the HTTP library says about a failure is cleaned as well."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.LocalProtocolError(f"illegal header Bearer {KEY}")

    async with client(handle) as api:
        found = await api.balance()
    assert KEY not in repr(found)


@pytest.mark.parametrize(("date", "seconds"), [({}, 60.0), ({"date": "Tue, 14 Nov 2023 21:13:20 GMT"}, 3660.0)])
async def test_retry_after_date_is_measured_from_the_answers_own_or_the_clock_handed_in(date: dict[str, str], seconds: float) -> None:
    """A date says how long from the server's now; from ours where it does not say that."""
    body = {"error": {"code": "rate_limited", "message": "slow"}}
    async with client(answer(429, body, **{"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, **date)) as api:
        found = await api.balance()
    assert (found.verdict, found.retry_after) == (Verdict.BUSY, seconds)


# ---------------------------------------------------------------- what exceptions prove


def exceptions_of_httpx2() -> list[type[Exception]]:
    """Every exception class that httpx2 has in public."""
    found = (value for name, value in vars(httpx2).items() if inspect.isclass(value) and issubclass(value, Exception))
    return sorted(set(found), key=lambda kind: kind.__name__)


def test_every_exception_of_httpx2_is_mapped() -> None:
    """An exception that a new httpx2 brings must be judged by a person: did bytes leave?"""
    assert set(exceptions_of_httpx2()) == set(OUTCOMES)


def test_only_failures_before_a_connection_are_unsent() -> None:
    """Whatever may happen after the first byte proves nothing."""
    unsent = {kind for kind, verdict in OUTCOMES.items() if verdict is Verdict.UNSENT}
    assert unsent == {
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.ProxyError,
        httpx2.UnsupportedProtocol,
        httpx2.InvalidURL,
    }
    assert set(OUTCOMES.values()) == {Verdict.UNSENT, Verdict.LOST}


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (httpx2.ConnectError("refused"), Verdict.UNSENT),
        (httpx2.ReadTimeout(""), Verdict.LOST),
        (httpx2.RemoteProtocolError("cut"), Verdict.LOST),
        (httpx2.DecodingError("gzip"), Verdict.LOST),
        (ConnectionResetError("below httpx2"), Verdict.LOST),
        (anyio.BrokenResourceError(), Verdict.LOST),
    ],
)
async def test_exceptions_become_answers(error: Exception, verdict: Verdict) -> None:
    """No failure of the network comes out as an exception."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        raise error

    async with client(handle) as api:
        found = await api.create(b"{}", "bg-1")
    assert found.verdict is verdict
    assert found.fault is not None
    assert found.fault.message


async def test_unsent_takes_two_witnesses() -> None:
    """A library that blames the connection after it handed bytes over is not believed: the request may have been sent."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        await request.extensions["trace"]("http11.send_request_headers.started", {})
        raise httpx2.ConnectTimeout("the connection broke")

    async with Client("https://rivya.ai/", KEY, transport=httpx2.MockTransport(handle)) as api:
        found = await api.create(b"{}", "bg-1")
    assert found.verdict is Verdict.LOST


async def test_what_begins_to_leave_is_heard_in_time() -> None:
    """Bytes count as gone when the library begins to send them; the caller is told when it has."""
    told: list[str] = []
    sending = Sending(lambda: told.append("left"))
    await sending.hear("connection.connect_tcp.complete", {})
    assert (sending.begun, told) == (False, [])
    await sending.hear("http11.send_request_headers.started", {"request": httpx2.Request("POST", "https://rivya.ai")})
    assert (sending.begun, told) == (True, [])
    await sending.hear("http11.send_request_headers.complete", {"return_value": None})
    assert (sending.begun, told) == (True, ["left"])


async def test_what_has_begun_to_leave_is_never_unsent_again() -> None:
    """Should the library ever open a second tunnel under one request, the first one's bytes are still out there."""
    sending = Sending(lambda: None)
    for method in (b"CONNECT", b"POST", b"CONNECT"):
        await sending.hear("http11.send_request_headers.started", {"request": SimpleNamespace(method=method)})
    assert sending.outcome_of(httpx2.ConnectError("no connection")) is Verdict.LOST


async def test_a_bug_is_not_an_answer() -> None:
    """What is no failure of the network is raised."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        raise ZeroDivisionError

    async with client(handle) as api:
        with pytest.raises(ZeroDivisionError):
            await api.balance()


async def test_bad_environment_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy setting that cannot be used is said in plain words."""
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://proxy")
    with pytest.raises(UsageError, match="proxy or certificate"):
        Client("https://rivya.ai", KEY)


# ---------------------------------------------------------------- real sockets


async def read_head(stream: SocketStream) -> bytes:
    """Read a request until its headers are whole."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    return head


def http(body: bytes, head: str = "200 OK") -> bytes:
    """Make a raw answer of known length."""
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_no_server_is_unsent() -> None:
    """A refused connection proves that nothing was done."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra_attributes[anyio.abc.SocketAttribute.local_port]()
    async with Client(f"http://127.0.0.1:{port}", KEY) as api:
        assert (await api.create(b"{}", "bg-1")).verdict is Verdict.UNSENT


async def test_a_broken_tls_handshake_is_unsent(serve: Serve) -> None:
    """The request itself goes only through a connection that is secure."""
    heard = bytearray()

    async def handler(stream: SocketStream) -> None:
        heard.extend(await stream.receive())
        await stream.send(b"SSH-2.0-OpenSSH_9.2\r\n")

    async with serve(handler) as url, Client(url.replace("http:", "https:"), KEY) as api:
        assert (await api.create(b"{}", "bg-1")).verdict is Verdict.UNSENT
    assert b"generations" not in heard


async def test_a_tunnel_that_the_proxy_refuses_is_unsent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy hears where to, and nothing of the request; nobody is told that the request left."""
    heard = bytearray()
    LEFT.set(lambda: heard.extend(b"left"))

    async def handler(stream: SocketStream) -> None:
        heard.extend(await read_head(stream))
        await stream.send(http(b"no", "403 Forbidden"))

    async with serve(handler) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        async with Client("https://rivya.example", KEY) as api:
            assert (await api.create(b"{}", "bg-1")).verdict is Verdict.UNSENT
    assert heard.startswith(b"CONNECT rivya.example:443")
    assert heard.endswith(b"\r\n\r\n")  # not "left"
    assert KEY.encode() not in heard


async def test_a_kept_connection_that_breaks_under_a_request_is_lost(serve: Serve) -> None:
    """The second request goes through the first's connection and arrives whole; that nothing answers proves nothing."""
    heads: list[bytes] = []

    async def handler(stream: SocketStream) -> None:
        heads.append(await read_head(stream))
        await stream.send(http(json.dumps(CREATED).encode(), "202 Accepted"))
        heads.append(await read_head(stream))

    async with serve(handler) as url, Client(url, KEY) as api:
        assert (await api.create(b"{}", "bg-1")).verdict is Verdict.OK
        assert (await api.create(b"{}", "bg-2")).verdict is Verdict.LOST
    assert len(heads) == 2


async def test_unknown_host_is_unsent() -> None:
    """A name that does not resolve proves that nothing was done."""
    async with Client("https://no-such-host.invalid", KEY, patience=Patience(connect=2)) as api:
        assert (await api.balance()).verdict is Verdict.UNSENT


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        http(json.dumps(CREATED).encode())[:-5],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        http(b"not gzip").replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1),
        http(b"<html>welcome to this hotel</html>"),
        http(b"<html>bad gateway</html>", "502 Bad Gateway"),
    ],
)
async def test_lost_answers(serve: Serve, sent: bytes) -> None:
    """No answer, half an answer, or one that says nothing leaves the purchase open."""

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(sent)

    async with serve(handler) as url, Client(url, KEY) as api:
        found = await api.create(b"{}", "bg-1")
    assert found.verdict is Verdict.LOST
    assert found.fault is not None


async def test_dripping_answer_is_given_up(serve: Serve) -> None:
    """A server that sends a byte now and then cannot hold a call for ever."""

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        for _ in range(1_000):
            await stream.send(b" ")
            await anyio.sleep(0.02)

    async with serve(handler) as url, Client(url, KEY, patience=Patience(read=5, whole=0.2)) as api:
        found = await api.create(b"{}", "bg-1")
        assert found.verdict is Verdict.LOST
        assert found.fault is not None
        assert "0.2 s" in found.fault.message


async def test_endless_answer_is_cut(serve: Serve) -> None:
    """An answer is read to a limit and no further."""

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(8 * BODY_LIMIT // 65_536):  # more than sockets hold for one who does not read
            await stream.send(b"[" * 65_536)

    cut = anyio.Event()

    async def tolerant(stream: SocketStream) -> None:
        try:
            await handler(stream)
        except anyio.BrokenResourceError:
            cut.set()

    async with serve(tolerant) as url, Client(url, KEY) as api:
        found = await api.create(b"{}", "bg-1")
        with anyio.fail_after(60):
            await cut.wait()
    assert found.fault is not None
    assert (found.verdict, found.fault.code) == (Verdict.LOST, "answer_too_large")


async def test_cancelled_call_leaves_the_client_usable(serve: Serve) -> None:
    """A call that is cancelled gives its place and its connection back."""
    calls = 0

    async def handler(stream: SocketStream) -> None:
        nonlocal calls
        calls += 1
        await read_head(stream)
        if calls == 1:
            await anyio.sleep(30)
        await stream.send(http(b'{"current_credits": 3}'))

    async with serve(handler) as url, Client(url, KEY, patience=Patience(calls=1, uploads=0)) as api:
        with anyio.move_on_after(0.1):
            await api.balance()
        found = await api.balance()
    assert found.value is not None
    assert found.value.credits == 3


# ---------------------------------------------------------------- uploads


async def test_upload_is_one_form(upload_of: UploadOf) -> None:
    """Fields, file and length are what a form parser reads, also with an odd file name."""
    seen: list[httpx2.Request] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        seen.append(request)
        return httpx2.Response(201, json={"id": "f", "url": "https://c/1"})

    content = bytes(range(256)) * 3_000
    async with Client("https://rivya.ai", KEY, transport=httpx2.MockTransport(handle)) as api:
        found = await api.upload(upload_of(content))
    assert found.value is not None
    assert found.value.url == "https://c/1"
    (request,) = seen
    assert request.headers["idempotency-key"] == "bg-file-1"
    assert "transfer-encoding" not in request.headers
    assert int(request.headers["content-length"]) == len(request.content)
    parsed = BytesParser().parsebytes(f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + request.content)
    parts = {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in parsed.walk()
        if not part.is_multipart()
    }
    assert parts == {"kind": b"image", "model": b"kling-2-6", "client_request_id": b"bg-file-1", "file": content}
    assert b'filename="he%22ro%0D%0A.png"' in request.content


def overwrite(request: SendUpload, content: bytes) -> None:
    """Change the file after it was hashed."""
    Path(request.reference.path).write_bytes(content)


@pytest.mark.parametrize("change", [b"y" * 600_000, b"x" * 599_999, b"x" * 600_001, b""])
async def test_changed_file_never_arrives_whole(upload_of: UploadOf, serve: Serve, change: bytes) -> None:
    """A file that is not the one that was hashed is refused here, and the server gets no complete form."""
    request = upload_of(b"x" * 600_000)
    overwrite(request, change)
    whole: list[bool] = []

    async def handler(stream: SocketStream) -> None:
        received = b""
        try:
            while True:
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            whole.append(received.endswith(b"--\r\n"))

    async with serve(handler) as url, Client(url, KEY) as api:
        found = await api.upload(request)
    assert found.fault is not None
    assert (found.verdict, found.fault.code) == (Verdict.INVALID, "local_file_changed")
    assert True not in whole


def spoil(request: SendUpload, kind: str) -> SendUpload:
    """Put something in the place of the file that cannot be read."""
    path = Path(request.reference.path)
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    return replace(request, reference=replace(request.reference, path="a\0b")) if kind == "nul" else request


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "nul"])
async def test_unreadable_file(upload_of: UploadOf, kind: str) -> None:
    """A file that cannot be read is a refusal with its name, and never waits."""
    request = spoil(upload_of(b"x"), kind)

    async def handle(received: httpx2.Request) -> httpx2.Response:
        await received.aread()
        return httpx2.Response(200, json={"id": "f", "url": "https://c/1"})

    async with Client("https://rivya.ai", KEY, transport=httpx2.MockTransport(handle)) as api:
        found = await api.upload(request)
    assert found.fault is not None
    assert (found.verdict, found.fault.code) == (Verdict.INVALID, "local_file_unreadable")


async def test_early_refusal_of_an_upload_is_read(upload_of: UploadOf, serve: Serve) -> None:
    """A server that refuses before it has read the file is heard."""

    async def handler(stream: SocketStream) -> None:
        await read_head(stream)
        await stream.send(http(b'{"error":{"code":"validation_failed","message":"too big"}}', "413 Too Large"))
        with anyio.move_on_after(2):
            async for _ in stream:
                pass

    async with serve(handler) as url, Client(url, KEY) as api:
        found = await api.upload(upload_of(b"x" * 3_000_000))
    assert found.fault is not None
    assert (found.verdict, found.fault.message) == (Verdict.INVALID, "too big")


async def test_uploads_do_not_take_the_places_of_calls(upload_of: UploadOf) -> None:
    """A status is asked while every place for uploads is taken."""
    release = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        await release.wait()
        yield b"{}"

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body()) if request.method == "POST" else httpx2.Response(200, json=CREATED)

    api = Client("https://rivya.ai", KEY, transport=httpx2.MockTransport(handle), patience=Patience(calls=1, uploads=1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(api.upload, upload_of(b"x"))
        await anyio.wait_all_tasks_blocked()
        assert (await api.status("t")).verdict is Verdict.OK
        release.set()
    await api.aclose()
