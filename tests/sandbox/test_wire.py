"""Faults as a client meets them, over real HTTP on loopback."""

from __future__ import annotations

import json
import logging
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from batchgen.errors import UsageError
from batchgen.sandbox import SANDBOX_KEY
from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.serve import in_process, listen, serve

KLING = {"model": "kling-2-6", "prompt": "a door opens", "client_request_id": "bg-1"}


@contextmanager
def client_of(books: Path, faults: str = "") -> Iterator[httpx2.Client]:
    """Serve the books with faults and connect."""
    headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
    with (
        Account(books) as account,
        in_process(build(account, Faults.parse(faults))) as url,
        httpx2.Client(base_url=url, headers=headers, timeout=20) as client,
    ):
        yield client


def buy_until_answered(client: httpx2.Client, key: str) -> tuple[dict[str, object], int]:
    """Repeat one create until it is answered as documented; return the answer and how many answers were lost."""
    for lost in range(100):
        try:
            answer = client.post("/api/v1/generations", json=KLING, headers={"Idempotency-Key": key})
            body = answer.json()
        except (httpx2.TransportError, json.JSONDecodeError):
            continue
        if answer.status_code == 200:
            return body, lost
    raise AssertionError("never answered")


def test_everything_over_real_http(books: Path, png: bytes) -> None:
    """Upload, create, poll and download work over loopback, and nothing is logged or warned about."""
    with client_of(books, "render=0") as client:
        file = client.post("/api/v1/files", files={"file": png}, data={"kind": "image", "model": "kling-2-6"}).json()
        params = {"referenceMediaItems": [{"url": file["url"], "kind": "image"}], "aspect_ratio": "9:16"}
        task = client.post("/api/v1/generations", json={**KLING, "params": params}).json()
        url = client.get(f"/api/v1/generations/{task['id']}").json()["result"]["primary_url"]
        whole = httpx2.get(url)
        assert whole.headers["content-type"] == "video/mp4"
        assert httpx2.head(url).headers["content-length"] == str(len(whole.content))
        assert httpx2.get(url, headers={"Range": "bytes=5-"}).content == whole.content[5:]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_dropped_connection_looks_like_one(books: Path, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """A drop reaches the client as a transport error, at times as a reset and at times as an early end; no traceback is logged."""
    met = set()
    with client_of(books, f"{fault}=1") as client:
        for n in range(12):
            with pytest.raises(httpx2.TransportError) as caught:
                client.get(f"/api/v1/generations/task_{n}")
            met.add(type(caught.value))
    assert met == {httpx2.ReadError, httpx2.RemoteProtocolError}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_drop_before_does_no_work_and_drop_after_does_it(books: Path) -> None:
    """Before: nothing is bought. After: it is bought, though the client never hears of it."""
    for fault, bought in (("drop_before=1", 0), ("drop_after=1", 1)):
        with client_of(books, fault) as client, pytest.raises(httpx2.TransportError):
            client.post("/api/v1/generations", json=KLING, headers={"Idempotency-Key": "k"})
        with Account(books) as account:
            assert account.credits() == 100_000 - 55 * bought


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "5xx", "html", "garbage", "429", "disabled"])
def test_repeating_with_the_same_key_charges_once(books: Path, fault: str) -> None:
    """Whatever happens to half of the answers: a client that repeats the same request buys each task once."""
    with client_of(books, f"{fault}=0.5,seed=3") as client:
        answers = [buy_until_answered(client, f"k{n}") for n in range(12)]
    assert sum(lost for _, lost in answers) > 3
    with Account(books) as account:
        shown = account.books()
    assert account_of(shown) == (100_000 - 12 * 55, 12)
    assert {str(body["id"]) for body, _ in answers} == {str(task["id"]) for task in listed(shown["tasks"])}


def account_of(shown: dict[str, object]) -> tuple[int, int]:
    """Read balance and number of tasks from the books."""
    return int(str(shown["balance"])), len(listed(shown["tasks"]))


def listed(value: object) -> list[dict[str, object]]:
    """Narrow a list."""
    assert isinstance(value, list)
    return value


def test_lost_answers_happen_before_and_after_the_work(books: Path) -> None:
    """5xx and HTML come at times before and at times after the work."""
    with client_of(books, "5xx=0.5,html=0.5") as client:
        answers = [client.post("/api/v1/generations", json=KLING) for _ in range(30)]
    with Account(books) as account:
        assert 3 < account_of(account.books())[1] < 27
    assert {answer.status_code for answer in answers} == {200, 500, 502, 503}
    assert "<h1>" in next(answer.text for answer in answers if answer.status_code == 200)


def test_a_cut_download_can_be_resumed(books: Path) -> None:
    """A cut download announces its whole length, ends too early, and goes on with Range."""
    with client_of(books, "render=0") as client:
        task = client.post("/api/v1/generations", json=KLING).json()["id"]
        path = f"/results/{task}/0.mp4"
        whole = client.get(path).content
    with client_of(books, "cut=1") as client:
        got = b""
        while len(got) < len(whole):
            with client.stream("GET", path, headers={"Range": f"bytes={len(got)}-"}) as answer:
                assert int(answer.headers["content-length"]) == len(whole) - len(got)
                got += read_what_comes(answer)
    assert got == whole


def read_what_comes(answer: httpx2.Response) -> bytes:
    """Read until the end, even if it comes too early."""
    got = b""
    try:
        for chunk in answer.iter_raw():
            got += chunk
    except httpx2.RemoteProtocolError:
        pass
    return got


def test_the_rate_is_a_sliding_window(books: Path) -> None:
    """More requests than the rate allows get 429 with the seconds to wait; books and downloads are not counted."""
    with client_of(books, "rate=5,window=30") as client:
        answers = [client.get("/api/v1/models") for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
        assert client.get("/results/none/0.mp4").status_code == 404
        assert client.get("/sandbox/books").json()["rate_limited"] == 3


def test_the_rate_lets_through_again(account: Account) -> None:
    """A request is let through as soon as the oldest in the window is older than the window."""
    now = account.now()
    times = iter([now, now + 10, now + 20, now + 29.5, now + 30, now + 30.5])
    account.now = lambda: next(times)
    assert [account.admit(2, 30.0) for _ in range(6)] == [0.0, 0.0, 10.0, 0.5, 0.0, 9.5]


def test_slow_answers(books: Path) -> None:
    """With `slow` a client that will not wait gives up."""
    with client_of(books, "slow=5") as client, pytest.raises(httpx2.ReadTimeout):
        client.get("/api/v1/models", timeout=0.1)


def test_a_client_that_goes_away_in_the_middle_of_an_upload_is_no_news(books: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a request is dropped in silence, and the server goes on."""
    with client_of(books) as client:
        head = f"POST /api/v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SANDBOX_KEY}\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
            raw.sendall(head.encode())
        assert client.get("/api/v1/models").status_code == 200
    assert caplog.records == []


def test_without_a_server_a_drop_is_an_error(account: Account) -> None:
    """In an in-process transport, which has no connection to cut, a drop is a ConnectionResetError."""

    async def get() -> None:
        transport = httpx2.ASGITransport(app=build(account, Faults.parse("drop_before=1")))
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/api/v1/models")

    import anyio  # noqa: PLC0415 - this test alone runs a loop of its own

    with pytest.raises(ConnectionResetError):
        anyio.run(get)


def test_a_server_inside_leaves_the_process_alone(account: Account) -> None:
    """No signal handler is touched, no thread is left, no warning is raised."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with in_process(build(account)) as url:
            assert url.startswith("http://127.0.0.1:")
            assert httpx2.get(f"{url}/api/v1/models").status_code == 200
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert "sandbox" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)


def test_a_wished_port_that_is_taken_is_replaced(account: Account) -> None:
    """Inside a run the port is a wish; for `serve` it is an order."""
    with listen() as taken:
        port = taken.getsockname()[1]
        with in_process(build(account), port=port) as url:
            assert not url.endswith(f":{port}")
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve(build(account), port=port)


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_port_that_is_none(account: Account, port: int) -> None:
    """A number that is no port is an error that says so."""
    with pytest.raises(UsageError, match="cannot listen"):
        serve(build(account), port=port)
