"""The shipped media: real, playable, and still so when marked as a task's own."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Protocol

import av
import httpx2
import pytest

from batchgen.catalogue import Catalogue
from batchgen.sandbox.library import Piece, choose, pieces, ratio_of, render

Connect = Callable[..., httpx2.AsyncClient]


class Clock(Protocol):
    """The conftest's clock."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""


def test_what_ships_is_small_and_of_every_kind() -> None:
    """All three kinds ship, in well under 3 MB."""
    assert {piece.kind for piece in pieces()} == {"video", "image", "audio"}
    assert sum(len(render(piece.name, "")) for piece in pieces()) < 2_500_000


def shipped(kind: str) -> list[str]:
    """Name what ships of a kind."""
    return [piece.name for piece in pieces() if piece.kind == kind]


def named(name: str) -> Piece:
    """Find what a file's name says."""
    return next(piece for piece in pieces() if piece.name == name)


@pytest.mark.parametrize("name", shipped("video"))
def test_every_video_plays_when_marked(name: str) -> None:
    """A marked MP4 is H.264 that browsers play, its index in front, with the duration and aspect ratio of its name."""
    data = render(name, "task_0123456789/0.mp4")
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        frames = len(list(container.decode(stream)))
        assert (stream.codec_context.name, stream.pix_fmt, frames) == ("h264", "yuv420p", 12 * named(name).seconds)
        assert container.duration == named(name).seconds * av.time_base
        assert stream.width / stream.height == pytest.approx(named(name).ratio, rel=0.01)
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("name", shipped("image"))
def test_every_picture_decodes_when_marked(name: str) -> None:
    """A marked PNG decodes and has the aspect ratio of its name."""
    with av.open(io.BytesIO(render(name, "task_0123456789/0.png")), "r") as container:
        (frame,) = container.decode(container.streams.video[0])
        assert frame.width / frame.height == pytest.approx(named(name).ratio, rel=0.01)


@pytest.mark.parametrize("name", shipped("audio"))
def test_every_sound_plays_when_marked(name: str) -> None:
    """A marked MP3 decodes to its end and has the duration of its name."""
    with av.open(io.BytesIO(render(name, "task_0123456789/0.mp3")), "r") as container:
        samples = sum(frame.samples for frame in container.decode(container.streams.audio[0]))
        assert samples / 22050 == pytest.approx(named(name).seconds, abs=0.2)


@pytest.mark.parametrize("name", ["video-1x1-5s-c.mp4", "image-1x1-a.png", "audio-3s-a.mp3"])
def test_marks_make_files_distinct_and_repeatable(name: str) -> None:
    """Two tasks never get equal bytes, one task always does."""
    assert render(name, "task_1/0.x") != render(name, "task_2/0.x")
    assert render(name, "task_1/0.x") == render(name, "task_1/0.x")


@pytest.mark.parametrize(
    ("written", "ratio"),
    [
        ("16:9", 16 / 9),
        ("portrait_4_3", 3 / 4),
        ("landscape_21_9", 21 / 9),
        ("square_hd", 1.0),
        ("portrait", 9 / 16),
        ("auto", None),
        ("high", None),
        ("0:1", None),
        (7, None),
    ],
)
def test_ratios_are_read_in_every_spelling(written: object, ratio: float | None) -> None:
    """Every spelling of the catalogue's aspect ratios is understood; what is none is left to the usual one."""
    assert ratio_of(written) == ratio


def test_the_asked_ratio_and_duration_are_given() -> None:
    """The nearest shape and length are chosen, the model's defaults where nothing is asked."""
    defaults = {"duration": "5", "aspect_ratio": "1:1"}
    assert choose("video", {"duration": "10", "aspect_ratio": "9:16"}, defaults, "t").startswith("video-9x16-10s-")
    assert choose("video", {}, defaults, "t").startswith("video-1x1-5s-")
    assert choose("video", {"duration": 14}, defaults, "t").startswith("video-1x1-15s-")
    assert choose("video", {"n_frames": "15", "aspect_ratio": "portrait"}, {}, "t").startswith("video-9x16-15s-")
    assert choose("image", {"size": "standard", "image_size": "portrait_4_3"}, {}, "t").startswith("image-3x4-")
    assert choose("audio", {"duration_seconds": 22}, {}, "t").startswith("audio-20s-")


def test_variants_differ_between_tasks() -> None:
    """Many tasks of one shape do not all look alike."""
    assert len({choose("video", {"duration": "5", "aspect_ratio": "16:9"}, {}, f"task_{n}") for n in range(50)}) == 4


def test_every_model_has_something_to_answer() -> None:
    """No model of the catalogue is left without a result."""
    for model in Catalogue.shipped():
        defaults = {param.key: param.default for param in model.params.values()}
        assert choose(model.category, {}, defaults, "t").startswith(model.category)


async def finished(client: httpx2.AsyncClient, clock: Clock) -> str:
    """Render something and return its link."""
    task = (await client.post("/api/v1/generations", json={"model": "kling-2-6", "prompt": "x"})).json()["id"]
    early = f"http://sandbox.test/results/{task}/0.mp4"
    assert (await client.get(early)).status_code == 404
    clock.advance(2)
    url: str = (await client.get(f"/api/v1/generations/{task}")).json()["result"]["primary_url"]
    assert url.startswith(early)
    return url


@pytest.mark.anyio
async def test_a_download(connect: Connect, clock: Clock) -> None:
    """A result comes without a key, with length, type and a strong ETag; HEAD says the same."""
    url = await finished(connect(), clock)
    client = connect(key="")
    whole, head = await client.get(url), await client.head(url)
    assert whole.status_code == head.status_code == 200
    assert (whole.headers["content-type"], int(whole.headers["content-length"])) == ("video/mp4", len(whole.content))
    for name in ("content-length", "content-type", "etag", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    assert (await client.get(url, headers={"If-None-Match": whole.headers["etag"]})).status_code == 304


@pytest.mark.anyio
async def test_ranges(connect: Connect, clock: Clock) -> None:
    """A part can be asked for, so that a download that was cut can go on."""
    client = connect()
    url = await finished(client, clock)
    whole = await client.get(url)
    data, total = whole.content, len(whole.content)

    async def part(asked: str, **headers: str) -> tuple[int, bytes, str | None]:
        answer = await client.get(url, headers={"Range": asked, **headers})
        return answer.status_code, answer.content, answer.headers.get("content-range")

    assert await part("bytes=100-199") == (206, data[100:200], f"bytes 100-199/{total}")
    assert await part("bytes=100-") == (206, data[100:], f"bytes 100-{total - 1}/{total}")
    assert await part("bytes=-10") == (206, data[-10:], f"bytes {total - 10}-{total - 1}/{total}")
    assert await part(f"bytes={total}-") == (416, b"", f"bytes */{total}")
    assert await part("bytes=0-0,5-9") == (200, data, None)
    assert await part("bytes=100-", **{"If-Range": whole.headers["etag"]}) == (206, data[100:], f"bytes 100-{total - 1}/{total}")
    assert await part("bytes=100-", **{"If-Range": '"other"'}) == (200, data, None)


@pytest.mark.anyio
async def test_links_that_expire(connect: Connect, clock: Clock) -> None:
    """With `links` a link works for a time; asking for the status again gives a fresh one."""
    client = connect("links=60")
    url = await finished(client, clock)
    assert (await client.get(url)).status_code == 200
    clock.advance(61)
    assert (await client.get(url)).status_code == 403
    assert (await client.get(url.partition("?")[0] + "?until=soon")).status_code == 403
    fresh = (await client.get(f"/api/v1/generations/{url.split('/')[4]}")).json()["result"]["primary_url"]
    assert (await client.get(fresh)).status_code == 200


@pytest.mark.anyio
async def test_results_that_are_not_there(connect: Connect, clock: Clock) -> None:
    """A link to another file of a task, or of no task, is 404."""
    client = connect()
    url = await finished(client, clock)
    assert (await client.get(url.replace("0.mp4", "1.mp4"))).status_code == 404
    assert (await client.get("/results/task_none/0.mp4")).status_code == 404
