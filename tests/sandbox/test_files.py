from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx2
import pytest

from batchgen.sandbox.signature import types_of

Connect = Callable[..., httpx2.AsyncClient]
MEDIA = Path(__file__).parents[2] / "batchgen" / "sandbox" / "media"
MP4 = (MEDIA / "video-16x9-3s-e.mp4").read_bytes()
MP3 = (MEDIA / "audio-3s-a.mp3").read_bytes()


class Clock(Protocol):
    """The conftest's clock."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""


async def upload(client: httpx2.AsyncClient, content: bytes, **fields: str) -> httpx2.Response:
    """Send a file."""
    return await client.post("/api/v1/files", files={"file": ("näme 1.bin", content)}, data=fields)


@pytest.mark.anyio
async def test_an_image(connect: Connect, png: bytes) -> None:
    """An image is taken, has no duration token, and can be asked for again."""
    client = connect()
    answer = await upload(client, png, kind="image", model="kling-2-6", client_request_id="bg-9")
    body = answer.json()
    assert answer.status_code == 201
    assert (body["kind"], body["mime_type"], body["size"], body["duration_token"]) == ("image", "image/png", len(png), None)
    assert (await client.get(f"/api/v1/files/{body['id']}")).json() == body
    assert list((await client.get("/sandbox/books")).json()["uploads"].values()) == [1]


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "content", "mime"), [("video", MP4, "video/mp4"), ("audio", MP3, "audio/mpeg")])
async def test_a_duration_token(connect: Connect, kind: str, content: bytes, mime: str) -> None:
    """Video and audio get a duration token."""
    body = (await upload(connect(), content, kind=kind)).json()
    assert body["mime_type"] == mime
    assert body["duration_token"]


@pytest.mark.anyio
async def test_other_spellings(connect: Connect, png: bytes) -> None:
    """With `camel` the undocumented fields are spelt the other way."""
    body = (await upload(connect("camel"), png, kind="image")).json()
    assert {"fileId", "mimeType", "durationToken"} <= set(body)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "fields", "said"),
    [
        (b"%PDF-1.7 and so on", {"kind": "image"}, "content is none of"),
        (MP4, {"kind": "image"}, "content is none of"),
        (b"", {"kind": "image"}, "0 bytes"),
        (b"\x89PNG\r\n\x1a\n" + bytes(10 * 1024 * 1024), {"kind": "image"}, "10485760 are allowed"),
        (MP4, {"kind": "film"}, "image, video or audio"),
        (MP4, {}, "image, video or audio"),
        (MP4, {"kind": "video", "model": "kling-2-6"}, "takes no files of kind video"),
        (MP4, {"kind": "video", "model": "kling-9"}, "does not exist"),
        (MP4, {"kind": "video", "client_request_id": "x" * 129}, "1 to 128"),
    ],
)
async def test_refused_uploads(connect: Connect, content: bytes, fields: dict[str, str], said: str) -> None:
    """The content, not the name, decides; so do size, kind and the model's own rules."""
    answer = await upload(connect(), content, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "validation_failed"
    assert said in answer.json()["error"]["message"]


@pytest.mark.anyio
async def test_a_model_with_larger_limits(connect: Connect) -> None:
    """With `model` that model's own limit counts."""
    large = b"\x89PNG\r\n\x1a\n" + bytes(10 * 1024 * 1024)
    assert (await upload(connect(), large, kind="image", model="nano-banana-2")).status_code == 201


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"rubbish"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="kind"\r\n\r\nimage\r\n--b--\r\n'),
    ],
)
async def test_bodies_that_are_no_upload(connect: Connect, content_type: str, body: bytes) -> None:
    """A body that is not a form with a file is validation_failed."""
    answer = await connect().post("/api/v1/files", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_failed")


@pytest.mark.anyio
async def test_uploads_as_references(connect: Connect, clock: Clock, png: bytes) -> None:
    """A reference by the url of an upload is taken until the server forgets the file, also under another host name."""
    client = connect("forget=100")
    url = (await upload(client, png, kind="image")).json()["url"]

    async def refer(to: str, kind: str = "image") -> int:
        params = {"referenceMediaItems": [{"url": to, "kind": kind, "name": "a.png", "mimeType": "image/png"}]}
        return (await client.post("/api/v1/generations", json={"model": "wan-2-6", "prompt": "x", "params": params})).status_code

    assert await refer(url) == 200
    assert await refer(url.replace("sandbox.test", "127.0.0.1:4711")) == 200
    assert await refer(url, "video") == 400
    clock.advance(101)
    assert await refer(url) == 400
    assert (await client.get(f"/api/v1/files/{url.split('/')[4]}")).status_code == 404


@pytest.mark.anyio
async def test_the_duration_token_must_come_along(connect: Connect) -> None:
    """A video reference without its token, or with another, is refused."""
    client = connect()
    file = (await upload(client, MP4, kind="video", model="happyhorse-1-0")).json()

    async def refer(**token: str) -> int:
        params = {"referenceMediaItems": [{"url": file["url"], "kind": "video", **token}]}
        return (await client.post("/api/v1/generations", json={"model": "happyhorse-1-0", "prompt": "x", "params": params})).status_code

    assert await refer() == 400
    assert await refer(durationToken="other") == 400
    assert await refer(durationToken=file["duration_token"]) == 200


@pytest.mark.parametrize(
    ("head", "types"),
    [
        (b"\xff\xd8\xff\xe0", ("image/jpeg",)),
        (b"RIFF0000WEBPVP8 ", ("image/webp",)),
        (b"RIFF0000WAVEfmt ", ("audio/wav", "audio/x-wav")),
        (b"RIFF0000AVI ", ()),
        (b"\0\0\0\x14ftypqt  ", ("video/quicktime",)),
        (b"\0\0\0\x14ftypM4A ", ("audio/mp4",)),
        (b"\0\0\0\x14ftypisom", ("video/mp4", "audio/mp4")),
        (b"\0\0\0\x14ftypheic", ()),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm", ("video/webm",)),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska", ("video/x-matroska",)),
        (b"OggS\0", ("audio/ogg",)),
        (b"ID3\x04", ("audio/mpeg",)),
        (b"\xff\xfb\x90", ("audio/mpeg",)),
        (b"\xff\xf1\x50", ("audio/aac",)),
        (b"GIF89a", ()),
        (b"\xff", ()),
        (b"", ()),
    ],
)
def test_signatures(head: bytes, types: tuple[str, ...]) -> None:
    """Each type that the API takes is told by its first bytes; others are nothing."""
    assert types_of(head) == types
