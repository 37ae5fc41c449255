"""Downloads over real sockets, and over a pretend wire where names and TLS matter."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream

from batchgen.core.messages import DiskTrouble, Download, Downloaded
from batchgen.core.ports import Media
from batchgen.media import Downloads, Limits
from batchgen.media.part import BLOCK, Note, Part, Steps, note_path, read_note

pytestmark = pytest.mark.anyio

Wish = Callable[..., Download]
READ = int(time.time())
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@dataclass
class Server:
    """Answers requests in turn with raw bytes; keeps what was asked."""

    url: str = ""
    answers: list[bytes] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, stream: SocketStream) -> None:
        """Read one request, send the next answer, hang up."""
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            lines = head.decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
            self.asked.append({"": lines[0], **headers})
            await stream.send(self.answers.pop(0))


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Start a result server on loopback whose every answer is written by the test."""
    server = Server()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.extra_attributes[SocketAttribute.local_port]()}/result"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        yield server
        tasks.cancel_scope.cancel()


async def stream(body: bytes) -> AsyncIterator[bytes]:
    """Make a body of the pretend wire; httpx2 lets no one stream a body that it has whole."""
    yield body


def answer(body: bytes = PNG, status: str = "200 OK", **headers: str) -> bytes:
    """Write a raw answer; `Content_Length` may lie."""
    named = {"Content-Type": "image/png", "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def later(seconds: float) -> str:
    """Write an instant in the header's way: so many seconds from when this file was read."""
    return formatdate(READ + seconds, usegmt=True)


def nobody(path: str) -> tuple[str, int] | None:
    """A ledger that knows no outputs."""
    return None


def names(root: Path) -> set[str]:
    """Every file in the outputs folder, hidden ones too."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def content(root: Path, name: str = "launch/hero.png") -> bytes:
    """Read a file of the outputs folder."""
    return (root / name).read_bytes()


DONE = {"launch/hero.png", "launch/hero.json"}


async def test_saved(tmp_path: Path, wish: Wish) -> None:
    """A result is whole, hashed and in place, with its sidecar and nothing else beside it; a repeat asks nobody."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        port: Media = media
        server.answers = [answer(PNG, ETag='"v1"')]
        event = await port.save(wish(server.url), nobody)
        again = await port.save(wish(server.url), nobody)
    assert event.output is not None
    assert (event.output.path, event.output.size, event.output.mime) == ("launch/hero.png", len(PNG), "image/png")
    assert event.output.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (content(tmp_path), names(tmp_path)) == (PNG, DONE)
    assert again == event
    assert len(server.asked) == 1
    assert server.asked[0]["accept-encoding"] == "identity"
    assert "authorization" not in server.asked[0]


async def test_owner_is_asked_in_the_thread_that_places(tmp_path: Path, wish: Wish) -> None:
    """A question to the ledger holds up no other request on the event loop."""
    asked: list[str] = []
    here = threading.get_ident()

    def owner(path: str) -> tuple[str, int] | None:
        assert threading.get_ident() != here
        asked.append(path)
        return None

    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer()]
        await media.save(wish(server.url), owner)
    assert asked == ["launch/hero.png"]


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        *((s, DiskTrouble.GONE) for s in (400, 401, 403, 404, 410)),
        *((s, DiskTrouble.CUT) for s in (201, 204, 304, 408, 418, 425, 429, 500, 502, 503, 504, 416)),
    ],
)
async def test_statuses(tmp_path: Path, wish: Wish, status: int, trouble: DiskTrouble) -> None:
    """A URL that has run out asks for a fresh one; every other refusal is tried again."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(b"", f"{status} X", Retry_After="7")] * 2
        event = await media.save(wish(server.url), nobody)
    assert (event.trouble, event.output) == (trouble, None)
    assert event.message
    assert event.retry_after in (7.0, None)
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "12"}, 12.0),
        ({"Retry_After": later(3660), "Date": later(3600)}, 60.0),  # our clock is an hour slow
        ({"Retry_After": later(3600), "Date": later(3660)}, 0.0),
        ({"Retry_After": later(-3600)}, 0.0),
        ({"Retry_After": "soon"}, None),
        ({}, None),
    ],
)
async def test_retry_after(tmp_path: Path, wish: Wish, headers: dict[str, str], seconds: float | None) -> None:
    """A server that says when to come back is heard."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(b"", "503 Busy", **headers)]
        event = await media.save(wish(server.url), nobody)
    assert (event.trouble, event.retry_after) == (DiskTrouble.CUT, seconds)


# ---------------------------------------------------------------- resuming


@pytest.mark.parametrize("headers", [{"ETag": '"v1"'}, {"Last_Modified": "Tue, 14 Nov 2023 22:14:20 GMT"}, {"ETag": 'W/"v1"'}, {}])
async def test_cut_transfer_is_resumed(tmp_path: Path, wish: Wish, headers: dict[str, str]) -> None:
    """What arrived stays, durably noted, and only the rest is asked for, also by a new process."""
    async with serving() as server:
        server.answers = [
            answer(PNG[:5_000], Content_Length=str(len(PNG)), **headers),
            answer(PNG[5_000:], "206 Partial", Content_Range=f"bytes 5000-{len(PNG) - 1}/{len(PNG)}", **headers),
        ]
        async with Downloads(tmp_path, allow_loopback=True) as media:
            cut = await media.save(wish(server.url), nobody)
        assert (cut.trouble, names(tmp_path)) == (DiskTrouble.CUT, {"launch/hero.part", "launch/hero.part.json"})
        async with Downloads(tmp_path, allow_loopback=True) as media:
            event = await media.save(wish(server.url), nobody)
    assert event.trouble is None
    assert (content(tmp_path), names(tmp_path)) == (PNG, DONE)
    assert server.asked[1]["range"] == "bytes=5000-"
    condition = next((value for value in headers.values() if not value.startswith("W/")), None)
    assert server.asked[1].get("if-range") == condition


async def test_a_range_shorter_than_asked(tmp_path: Path, wish: Wish) -> None:
    """A server may give less than the rest (RFC 9110, 14.2): that is no end, and the next try goes on from there."""
    spans = [(0, 5_000), (5_000, 6_000), (6_000, len(PNG))]
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        for start, end in spans:
            ranged = {"Content_Range": f"bytes {start}-{end - 1}/{len(PNG)}"} if start else {"Content_Length": str(len(PNG))}
            server.answers.append(answer(PNG[start:end], "206 Partial" if start else "200 OK", ETag='"v"', **ranged))
        events = [await media.save(wish(server.url), nobody) for _ in spans]
    assert [event.trouble for event in events] == [DiskTrouble.CUT, DiskTrouble.CUT, None]
    assert (content(tmp_path), names(tmp_path)) == (PNG, DONE)


async def test_many_cuts(tmp_path: Path, wish: Wish) -> None:
    """A server that cuts every answer short is outlasted, each try going on where the last one ended."""
    event = None
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        for start in range(0, len(PNG), 2_000):
            head = ("206 Partial", {"Content_Range": f"bytes {start}-{len(PNG) - 1}/{len(PNG)}"}) if start else ("200 OK", {})
            server.answers = [answer(PNG[start : start + 2_000], head[0], Content_Length=str(len(PNG) - start), ETag='"v"', **head[1])]
            event = await media.save(wish(server.url), nobody)
    assert event is not None
    assert event.trouble is None
    assert content(tmp_path) == PNG


@pytest.mark.parametrize(
    ("second", "third"),
    [
        pytest.param(("200 OK", "whole", {"ETag": '"v2"'}), None, id="ignores Range"),
        pytest.param(("416 No", "", {"Content_Range": "bytes */9"}), "whole", id="beyond the end of a shorter file"),
        pytest.param(("416 No", "", {}), "whole", id="416 without a length"),
        pytest.param(("206 Partial", "rest", {"Content_Range": "bytes 0-10/{n}"}), "whole", id="another start"),
        pytest.param(("206 Partial", "rest", {"Content_Range": "bytes 5000-9/99"}), "whole", id="another length"),
        pytest.param(("206 Partial", "rest", {"Content_Range": "bytes 5000-{m}/{n}", "ETag": '"v2"'}), "whole", id="another version"),
        pytest.param(("206 Partial", "rest", {"Content_Range": "junk"}), "whole", id="no sense"),
    ],
)
async def test_what_cannot_be_continued_is_started_over(
    tmp_path: Path, wish: Wish, second: tuple[str, str, dict[str, str]], third: str | None
) -> None:
    """Bytes of two versions are never joined."""
    bodies = {"whole": PNG, "rest": PNG[5_000:], "": b""}
    status, body, headers = second
    filled = {name: value.replace("{n}", str(len(PNG))).replace("{m}", str(len(PNG) - 1)) for name, value in headers.items()}
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [
            answer(b"\x89PNG\r\n\x1a\n" + b"?" * 4_992, Content_Length=str(len(PNG)), ETag='"v1"'),
            answer(bodies[body], status, **filled),
        ]
        if third:
            server.answers.append(answer(bodies[third], ETag='"v2"'))
        await media.save(wish(server.url), nobody)
        event = await media.save(wish(server.url), nobody)
    assert event.trouble is None
    assert (content(tmp_path), server.answers) == (PNG, [])


async def test_part_that_is_whole_already(tmp_path: Path, wish: Wish) -> None:
    """A part that turns out to be all of it is finished: by its note without asking, or by the server's 416."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        for total in (len(PNG), None):
            path = tmp_path / f"launch/t{total}.part"
            prepare(path, Note("bg-2", 0, etag='"v"', total=total, mime="image/png"), PNG)
            server.answers = [answer(b"", "416 No", Content_Range=f"bytes */{len(PNG)}")]
            event = await media.save(wish(server.url, stem=f"launch/t{total}"), nobody)
            assert event.trouble is None
    assert len(server.asked) == 1


def prepare(path: Path, note: Note, data: bytes) -> None:
    """Leave a part behind as a killed process would."""
    path.parent.mkdir(exist_ok=True)
    part = Part(path, note, clean=True)
    part.begin(note)
    part.append(data)
    part.sync()


async def test_bytes_that_are_not_certain_are_fetched_again(tmp_path: Path, wish: Wish) -> None:
    """After a power cut a part may end in zeros: only what was synced and noted counts."""
    prepare(tmp_path / "launch/hero.part", Note("bg-2", 0, etag='"v"', total=len(PNG)), PNG[:3_000])
    append_zeros(tmp_path / "launch/hero.part")
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG[3_000:], "206 Partial", Content_Range=f"bytes 3000-{len(PNG) - 1}/{len(PNG)}")]
        event = await media.save(wish(server.url), nobody)
    assert event.trouble is None
    assert (server.asked[0]["range"], content(tmp_path)) == ("bytes=3000-", PNG)


def append_zeros(path: Path) -> None:
    """Do what a file system may do when the power goes."""
    with path.open("ab") as file:
        file.write(bytes(4_000))


async def test_part_of_another_attempt_is_started_over(tmp_path: Path, wish: Wish) -> None:
    """Bytes of an older attempt are not continued."""
    prepare(tmp_path / "launch/hero.part", Note("bg-1", 0, etag='"v"', total=len(PNG)), b"old bytes")
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG)]
        await media.save(wish(server.url), nobody)
    assert "range" not in server.asked[0]
    assert (content(tmp_path), names(tmp_path)) == (PNG, DONE)


@pytest.mark.parametrize("foreign", ["hero.part", "hero.part.json"])
async def test_part_of_somebody_else_is_left_alone(tmp_path: Path, wish: Wish, foreign: str) -> None:
    """A file called NAME.part that we did not write keeps its bytes."""
    put(tmp_path / "launch" / foreign, b"a part in a play")
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG)]
        await media.save(wish(server.url), nobody)
    assert content(tmp_path, f"launch/{foreign}") == b"a part in a play"
    assert names(tmp_path) == {*DONE, f"launch/{foreign}"}


def put(path: Path, data: bytes) -> None:
    """Write a file with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


async def test_note_left_by_a_crash_after_the_last_rename_goes(tmp_path: Path, wish: Wish) -> None:
    """A repeat that finds the file finished also clears what was left of its part."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG)]
        await media.save(wish(server.url), nobody)
        prepare(tmp_path / "launch/hero.part", Note("bg-2", 0), b"x")
        assert (await media.save(wish(server.url), nobody)).trouble is None
    assert names(tmp_path) == DONE


async def test_cancelled_download_is_resumed(tmp_path: Path, wish: Wish) -> None:
    """A drain keeps what has arrived."""

    async def body() -> AsyncIterator[bytes]:
        yield PNG[:4_000]
        await anyio.sleep(30)

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body(), headers={"Content-Length": str(len(PNG)), "ETag": '"v"'})

    async with Downloads(tmp_path, allow_loopback=True, transport=httpx2.MockTransport(handle)) as media:
        with anyio.move_on_after(0.2):
            await media.save(wish("http://127.0.0.1/r"), nobody)
    note = read_note(note_path(tmp_path / "launch/hero.part"))
    assert note is not None
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG[note.durable :], "206 P", Content_Range=f"bytes {note.durable}-{len(PNG) - 1}/{len(PNG)}")]
        if not note.durable:
            server.answers = [answer(PNG)]
        event = await media.save(wish(server.url), nobody)
    assert event.trouble is None
    assert content(tmp_path) == PNG


# ---------------------------------------------------------------- hostile answers


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<!doctype html><p>login", "text/html"), (b"<html>", "image/png"), (b'{"error":1}', "application/json"), (b"", "image/png")],
)
async def test_pages_are_not_saved(tmp_path: Path, wish: Wish, body: bytes, kind: str) -> None:
    """A page of text in a render's place is tried again, and leaves nothing behind."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(body, Content_Type=kind)]
        event = await media.save(wish(server.url), nobody)
    assert (event.trouble, names(tmp_path)) == (DiskTrouble.CUT, set())


@pytest.mark.parametrize("declared", [True, False])
async def test_too_big(tmp_path: Path, wish: Wish, *, declared: bool) -> None:
    """A result over the limit is refused, by its length or while it arrives."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True, limits=Limits(max_bytes=9_000)) as media:
        server.answers = [answer(PNG) if declared else answer(PNG, Content_Length="")]
        event = await media.save(wish(server.url), nobody)
    assert (event.trouble, names(tmp_path)) == (DiskTrouble.REFUSED, set())
    assert "9000" in event.message


async def test_fifty_gigabytes_are_refused_by_their_length(tmp_path: Path, wish: Wish) -> None:
    """Before any of them is taken."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(b"", Content_Length=str(50 * 1024**3))]
        event = await media.save(wish(server.url), nobody)
    assert (event.trouble, names(tmp_path)) == (DiskTrouble.REFUSED, set())


async def test_what_has_come_of_an_endless_result_goes(tmp_path: Path, wish: Wish) -> None:
    """The part that is on the disk by then is taken away as well."""
    endless = PNG + bytes(3 * BLOCK)
    async with serving() as server, Downloads(tmp_path, allow_loopback=True, limits=Limits(max_bytes=2 * BLOCK)) as media:
        server.answers = [answer(endless, Content_Length="")]
        event = await media.save(wish(server.url), nobody)
    assert (event.trouble, names(tmp_path)) == (DiskTrouble.REFUSED, set())


async def test_answer_without_a_length(tmp_path: Path, wish: Wish) -> None:
    """A result whose length nobody says is taken to its end."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG, Content_Length="")]
        event = await media.save(wish(server.url), nobody)
    assert event.trouble is None
    assert content(tmp_path) == PNG


async def test_compressed_answer(tmp_path: Path, wish: Wish) -> None:
    """A server that compresses although nobody asked is understood."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(gzip.compress(PNG), Content_Encoding="gzip", ETag='"v"')]
        event = await media.save(wish(server.url), nobody)
    assert event.trouble is None
    assert content(tmp_path) == PNG


async def test_drip_is_given_up(tmp_path: Path, wish: Wish) -> None:
    """A server that sends a byte now and then holds a place only for so long; its bytes are kept."""

    async def body() -> AsyncIterator[bytes]:
        yield PNG[:100]
        for byte in PNG[100:]:
            await anyio.sleep(0.02)
            yield bytes([byte])

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body(), headers={"ETag": '"v"', "Content-Length": str(len(PNG))})

    media = Downloads(tmp_path, allow_loopback=True, limits=Limits(whole=0.2), transport=httpx2.MockTransport(handle))
    async with media:
        event = await media.save(wish("http://127.0.0.1/r"), nobody)
    assert event.trouble is DiskTrouble.CUT
    assert names(tmp_path) == {"launch/hero.part", "launch/hero.part.json"}


async def test_server_names_are_never_used(tmp_path: Path, wish: Wish) -> None:
    """Neither the URL nor Content-Disposition names a file here."""
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG, Content_Disposition='attachment; filename="../../.bashrc"')]
        await media.save(wish(server.url + "/../../evil.sh"), nobody)
    assert names(tmp_path) == DONE


# ---------------------------------------------------------------- hosts and redirects


async def names_of_hosts(host: str, port: int) -> list[str]:
    """Pretend to be the name service."""
    return {"media.example": ["93.184.216.34", "93.184.216.35"], "cdn.example": ["2606:2800:220:1::1"], "inside.example": ["10.0.0.1"]}[
        host
    ]


def pretend(tmp_path: Path, handle: Callable[[httpx2.Request], httpx2.Response]) -> Downloads:
    """Make downloads whose network is a function."""
    return Downloads(tmp_path, transport=httpx2.MockTransport(handle), resolver=names_of_hosts)


async def test_connects_to_the_address_that_was_checked(tmp_path: Path, wish: Wish) -> None:
    """The name is resolved once; TLS and the Host header still carry it."""
    seen: list[tuple[str, str, object]] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append((str(request.url), request.headers["host"], request.extensions.get("sni_hostname")))
        if request.url.host == "93.184.216.34":
            raise httpx2.ConnectError("unreachable")
        return httpx2.Response(200, content=stream(PNG))

    async with pretend(tmp_path, handle) as media:
        event = await media.save(wish("https://media.example:8443/r?sig=1"), nobody)
    assert event.trouble is None
    assert seen == [
        ("https://93.184.216.34:8443/r?sig=1", "media.example:8443", "media.example"),
        ("https://93.184.216.35:8443/r?sig=1", "media.example:8443", "media.example"),
    ]


async def test_redirects_are_checked_like_the_first_url(tmp_path: Path, wish: Wish) -> None:
    """A redirect to a good place is followed, relative ones too."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        places = {"/r": "https://cdn.example/a", "/a": "b"}
        place = places.get(request.url.path)
        return httpx2.Response(302, headers={"location": place}) if place else httpx2.Response(200, content=stream(PNG))

    async with pretend(tmp_path, handle) as media:
        event = await media.save(wish(), nobody)
    assert event.trouble is None
    assert content(tmp_path) == PNG


@pytest.mark.parametrize(
    "location",
    [
        "http://media.example/r",
        "https://inside.example/r",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://u:p@cdn.example/",
        "https://media.example:99999/",
        "/r",
    ],
)
async def test_hostile_redirects(tmp_path: Path, wish: Wish, location: str) -> None:
    """A redirect inwards, to another scheme or in a circle is refused."""
    asked = 0

    def handle(request: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        return httpx2.Response(307, headers={"location": location})

    async with pretend(tmp_path, handle) as media:
        event = await media.save(wish(), nobody)
    assert event.trouble is DiskTrouble.REFUSED
    assert asked == (6 if location == "/r" else 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://localhost/", "file:///etc/passwd", "https://inside.example/"])
async def test_private_urls_ask_nobody(tmp_path: Path, wish: Wish, url: str) -> None:
    """Without the sandbox's leave nothing on this machine or beside it is asked."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(request.url)

    async def resolver(host: str, port: int) -> list[str]:
        return {"localhost": ["127.0.0.1", "::1"]}.get(host) or await names_of_hosts(host, port)

    async with Downloads(tmp_path, transport=httpx2.MockTransport(handle), resolver=resolver) as media:
        event = await media.save(wish(url), nobody)
    assert (event.trouble, names(tmp_path)) == (DiskTrouble.REFUSED, set())


@pytest.mark.parametrize(
    "error",
    [httpx2.ReadError("x"), httpx2.RemoteProtocolError("x"), httpx2.ReadTimeout(""), ConnectionResetError("x"), httpx2.ConnectError("x")],
)
async def test_failures_of_the_network(tmp_path: Path, wish: Wish, error: Exception) -> None:
    """A network that fails is tried again later; it is never the disk's fault."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        raise error

    async with pretend(tmp_path, handle) as media:
        event = await media.save(wish(), nobody)
    assert event.trouble is DiskTrouble.CUT


async def test_redirect_that_cannot_be_read(tmp_path: Path, wish: Wish) -> None:
    """A redirect to nonsense is no result."""
    async with pretend(tmp_path, lambda _: httpx2.Response(307, headers={"location": "https://[::1"})) as media:
        event = await media.save(wish(), nobody)
    assert event.trouble is DiskTrouble.CUT


async def test_endless_url(tmp_path: Path, wish: Wish) -> None:
    """A URL longer than any library takes is refused and asks nobody."""
    async with pretend(tmp_path, lambda _: httpx2.Response(500)) as media:
        event = await media.save(wish("https://media.example/" + "a" * 70_000), nobody)
    assert event.trouble is DiskTrouble.REFUSED


async def test_server_that_insists_on_ranges(tmp_path: Path, wish: Wish) -> None:
    """A server that only ever answers with parts that nobody asked for is given up for now."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(206, content=stream(PNG[10:]), headers={"Content-Range": f"bytes 10-{len(PNG) - 1}/{len(PNG)}"})

    async with pretend(tmp_path, handle) as media:
        event = await media.save(wish(), nobody)
    assert event.trouble is DiskTrouble.CUT
    assert "not asked for" in event.message


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:{port}", "127.0.0.1:{port}"])
async def test_names_are_the_proxys_to_resolve(tmp_path: Path, wish: Wish, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Behind a proxy the name goes to it, unresolved; what it refuses is tried again later."""
    async with serving() as server:
        port = httpx2.URL(server.url).port
        monkeypatch.setenv("HTTPS_PROXY", proxy.format(port=port))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        server.answers = [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]
        async with Downloads(tmp_path) as media:
            event = await media.save(wish("https://no-such-host.invalid/r"), nobody)
    assert event.trouble is DiskTrouble.CUT
    assert server.asked[0][""] == "CONNECT no-such-host.invalid:443 HTTP/1.1"


async def test_no_proxy_for_this_machine(tmp_path: Path, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is reached directly, whatever the environment says."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer()]
        event = await media.save(wish(server.url.replace("127.0.0.1", "localhost")), nobody)
    assert event.trouble is None


# ---------------------------------------------------------------- the disk


@pytest.mark.parametrize("stem", ["taken/hero", "launch/" + "x" * 256, "../out"])
async def test_names_that_the_disk_does_not_take(tmp_path: Path, wish: Wish, stem: str) -> None:
    """A file where a folder should be, a name too long, a way out: trouble with the disk, in plain words."""
    put(tmp_path / "taken", b"a file")
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer()]
        event = await media.save(wish(server.url, stem=stem), nobody)
    assert event.trouble is DiskTrouble.DISK
    assert any(words in event.message for words in ("a file stands", "too long", "not inside"))
    assert names(tmp_path) == {"taken"}


FULL = """
import json, resource, sys
from pathlib import Path
import anyio, httpx2
from batchgen.core.messages import Download
from batchgen.media import Downloads

root, limit = Path(sys.argv[1]), int(sys.argv[2])
body = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(3_000_000)

async def stream(data):
    yield data

def handle(request):
    start = int(request.headers.get("range", "bytes=0-")[6:-1])
    headers = {"ETag": '"v"', "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
    return httpx2.Response(206 if start else 200, content=stream(body[start:]), headers=headers)

async def main():
    wish = Download("bg-1", 0, "http://127.0.0.1/r", "hero", 1, "m", "{}")
    async with Downloads(root, allow_loopback=True, transport=httpx2.MockTransport(handle)) as media:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        first = await media.save(wish, lambda path: None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        again = await media.save(wish, lambda path: None)
    print(json.dumps([first.trouble, first.message, again.trouble, (root / "hero.png").read_bytes() == body]))

anyio.run(main)
"""


@pytest.mark.parametrize("limit", [2_000_000, 100, 0])
def test_full_disk(tmp_path: Path, limit: int) -> None:
    """A disk that takes no more is trouble with a plain message, and with room again the download goes on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(limit)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    trouble, message, again, whole = json.loads(done.stdout)
    assert (trouble, again, whole) == ("disk", None, True)
    assert "larger than this disk" in message


async def test_downloads_of_one_name_take_turns(tmp_path: Path, wish: Wish) -> None:
    """The same download asked for twice at once is fetched once."""
    found: list[Downloaded] = []

    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG)]

        async def one() -> None:
            found.append(await media.save(wish(server.url), nobody))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(one)
    assert len(server.asked) == 1
    assert found == [found[0]] * 4
    assert found[0].trouble is None


DURABLE = """
import json, os, sys
from pathlib import Path
import anyio, httpx2
from batchgen.core.messages import Download
from batchgen.media import Downloads

root, size = Path(sys.argv[1]), int(sys.argv[2])
body, told, sync = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(size), [], os.fsync

def fsync(handle):
    sync(handle)
    told.append(["synced", os.readlink(f"/proc/self/fd/{handle}")])

def heard(event, details):
    if event == "os.rename":
        told.append(["renamed", *map(str, details[:2])])

async def stream(data):
    yield data

def handle(request):
    return httpx2.Response(200, content=stream(body), headers={"Content-Length": str(len(body))})

async def main():
    async with Downloads(root, allow_loopback=True, transport=httpx2.MockTransport(handle)) as media:
        saved = await media.save(Download("bg-1", 0, "http://127.0.0.1/r", "hero", 1, "m", "{}"), lambda path: None)
    assert saved.trouble is None, saved
    print(json.dumps(told))

os.fsync = fsync
sys.addaudithook(heard)
anyio.run(main)
"""


@pytest.mark.parametrize("size", [20_000, 3_000_000])
def test_a_power_cut_finds_whole_files_under_their_names(tmp_path: Path, size: int) -> None:
    """Each file is on the disk before it gets its name, the sidecar's name before the render gets its own, and that in the end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", DURABLE, str(tmp_path), str(size)], env=environment, capture_output=True, text=True, check=True
    )
    told: list[list[str]] = json.loads(done.stdout)
    folder = ["synced", str(tmp_path)]
    renames = [step for step in told if step[0] == "renamed" and step[2] in {str(tmp_path / "hero.json"), str(tmp_path / "hero.png")}]
    assert [Path(step[2]).name for step in renames] == ["hero.json", "hero.png"]
    sidecar, render = map(told.index, renames)
    for at, (_, before, _) in zip((sidecar, render), renames, strict=True):
        assert ["synced", before] in told[:at]
    assert folder in told[sidecar:render]
    assert folder in told[render:]


async def test_a_part_that_is_a_link_writes_nowhere_else(tmp_path: Path, wish: Wish) -> None:
    """What a link in the part's place leads to keeps its bytes, also where the note beside it is ours."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    prepare(tmp_path / "launch/hero.part", Note("bg-2", 0, etag='"v"', total=3 * BLOCK), b"old")
    (tmp_path / "launch/hero.part").unlink()
    (tmp_path / "launch/hero.part").symlink_to(victim)
    async with serving() as server, Downloads(tmp_path, allow_loopback=True) as media:
        server.answers = [answer(PNG + bytes(2 * BLOCK))]
        event = await media.save(wish(server.url), nobody)
    assert event.trouble is DiskTrouble.DISK
    assert victim.read_bytes() == b"precious"


async def test_two_that_want_one_name_at_once(tmp_path: Path, wish: Wish) -> None:
    """The second file of `a` and the first of `a-2`, saved in one go: each keeps its own bytes, under a name of its own."""
    asked: list[str] = []
    both, answers = anyio.Event(), anyio.Event()
    busy, over = threading.Event(), threading.Event()
    found: dict[str, Downloaded] = {}

    async def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        if len(asked) == 2:
            both.set()
        await answers.wait()
        body = PNG + request.url.path.encode()
        return httpx2.Response(200, content=stream(body), headers={"Content-Length": str(len(body))})

    def holds() -> Steps[None]:
        busy.set()
        assert over.wait(30)
        yield from ()

    async with Downloads(tmp_path, allow_loopback=True, transport=httpx2.MockTransport(handle)) as media:

        async def save(task: str, index: int) -> None:
            request = wish(
                f"http://127.0.0.1/{task}", key=task, stem=task, index=index, sidecar=json.dumps({"manifest": "m", "task": task})
            )
            found[task] = await media.save(request, nobody)

        async with anyio.create_task_group() as group:
            group.start_soon(save, "a", 1)
            group.start_soon(save, "a-2", 0)
            await both.wait()
            group.start_soon(media._visits.make, holds())  # both files are there before the disk can be visited
            await anyio.to_thread.run_sync(busy.wait)
            answers.set()
            await anyio.wait_all_tasks_blocked()
            over.set()
    assert sorted(event.output.path for event in found.values() if event.output) == ["a-2.a2.png", "a-2.png"]
    for task, event in found.items():
        assert event.output
        assert (tmp_path / event.output.path).read_bytes() == PNG + f"/{task}".encode()
        assert json.loads((tmp_path / event.output.path).with_suffix(".json").read_text("utf-8"))["client_request_id"] == task
