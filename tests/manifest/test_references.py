"""References: files by what is in them, URLs by what they say."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from batchgen.catalogue import Catalogue, Model
from batchgen.core.model import MediaKind, Reference
from batchgen.manifest.references import Unusable, Wanted, resolve
from batchgen.manifest.sniff import describe, sniff

from .conftest import PNG

MEDIA = {
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/png": PNG,
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "video/mp4": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00",
    "video/quicktime": b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "video/x-matroska": b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x88matroska",
    "audio/mpeg": b"ID3\x04\x00\x00\x00\x00\x00\x00",
    "audio/mp4": b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00",
    "audio/wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "audio/aac": b"\xff\xf1\x50\x80\x00\x1f\xfc",
    "audio/ogg": b"OggS\x00\x02\x00\x00",
}


def model(name: str = "qwen-image") -> Model:
    """A model; of qwen-image the rules were not seen, so it takes every kind."""
    return Catalogue.shipped().get(name)


def problem(wanted: Wanted, folder: Path, name: str = "qwen-image") -> str:
    """What is said about a reference that cannot be used."""
    with pytest.raises(Unusable) as caught:
        resolve(wanted, str(folder), model(name))
    return f"{caught.value}; {caught.value.right}"


@pytest.mark.parametrize("mime", MEDIA)
def test_every_kind_of_media_is_known_by_its_bytes(mime: str) -> None:
    """The table has what the API documents."""
    found = sniff(MEDIA[mime])
    assert found is not None
    assert (found.mime, found.kind.value) == (mime, mime.split("/", 1)[0])


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf3\x40\x00", "audio/mpeg"),
        (b"\xff\xf9\x50\x80", "audio/aac"),
        (b"\x00\x00\x00\x08wide\x00\x00", "video/quicktime"),
        (b"\x00\x00\x00\x18ftypM4V \x00", "video/mp4"),
    ],
)
def test_other_beginnings_of_the_same_media(head: bytes, mime: str) -> None:
    """MP3 without a tag, AAC of MPEG-2, old QuickTime."""
    found = sniff(head)
    assert found is not None
    assert found.mime == mime


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"%PDF-1.7", "a PDF document"),
        (b"GIF89a", "a GIF image"),
        (b"\x00\x00\x00\x18ftypheic", "a HEIC image"),
        (b"\x00\x00\x00\x18ftypavif", "an AVIF image"),
        (b"<!DOCTYPE html><html>", "a web page (HTML)"),
        (b"<?xml version='1.0'?>\n<svg>", "an SVG image"),
        (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
        (b"RIFF\x00\x00\x00\x00AVI ", ""),
        (b"\xff", ""),
        (b"", ""),
        (b"hello", ""),
    ],
)
def test_strangers_are_called_by_their_name(head: bytes, said: str) -> None:
    """A person should learn what the file is, where we know."""
    assert sniff(head) is None
    assert describe(head) == said


def test_a_file_becomes_a_reference_by_content(tmp_path: Path) -> None:
    """Hash, size, absolute path, and the kind of the bytes, whatever the name says."""
    (tmp_path / "a.jpg").write_bytes(PNG)
    found = resolve(Wanted.read("a.jpg"), str(tmp_path), model())
    assert found == Reference(
        MediaKind.IMAGE,
        "image/png",
        "a.jpg",
        sha256=hashlib.sha256(PNG).hexdigest(),
        path=str(tmp_path / "a.jpg"),
        size=len(PNG),
    )


def test_changed_content_has_another_hash(tmp_path: Path) -> None:
    """What is remembered of a file ends with its size or time of change."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    first = resolve(Wanted.read("a.png"), str(tmp_path), model())
    path.write_bytes(PNG + b"more")
    assert resolve(Wanted.read("a.png"), str(tmp_path), model()).sha256 != first.sha256


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", b"%PDF-1.7 ...", '"a.png" is a PDF document; the file\'s content counts, not its name'),
        ("a.png", b"", '"a.png" is empty'),
        ("a.png", b"hello", "is no image, video or audio"),
        ("b.png", PNG, 'there is no file "a.png"; did you mean b.png?'),
        ("x/b.png", PNG, 'there is no file "a.png"'),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """Each has its sentence."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert said in problem(Wanted.read("a.png"), tmp_path)


def test_folders_pipes_and_impossible_names_are_refused(tmp_path: Path) -> None:
    """Nothing but a regular file is opened."""
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "p")
    assert "is a folder" in problem(Wanted.read("d"), tmp_path)
    assert "no regular file" in problem(Wanted.read("p"), tmp_path)
    assert "cannot be read" in problem(Wanted.read("a\x00b"), tmp_path)
    assert "cannot be read" in problem(Wanted.read("a" * 300), tmp_path)
    assert "there is no folder" in problem(Wanted.read("no/a.png"), tmp_path)
    assert "the reference is empty" in problem(Wanted.read(""), tmp_path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """A name that leads through a file is one that the system refuses even to root."""
    (tmp_path / "a.png").write_bytes(PNG)
    assert "there is no file" in problem(Wanted.read("a.png/b.png"), tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read" in problem(Wanted.read("loop"), tmp_path)


def test_size_is_checked_before_anything_is_hashed(tmp_path: Path) -> None:
    """A file of 40 GB costs no reading."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    os.truncate(path, 40 << 30)
    said = problem(Wanted.read("a.png"), tmp_path, "kling-2-6")
    assert "42,949,672,960 bytes; kling-2-6 takes image files of up to 10,485,760" in said


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    """One byte more is not."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    os.truncate(path, 10 * 1024 * 1024)
    assert resolve(Wanted.read("a.png"), str(tmp_path), model("kling-2-6")).size == 10 * 1024 * 1024
    os.truncate(path, 10 * 1024 * 1024 + 1)
    assert "make it smaller" in problem(Wanted.read("a.png"), tmp_path, "kling-2-6")


def test_kinds_and_types_of_the_model_are_kept(tmp_path: Path) -> None:
    """A video for an image model, Matroska where only one model takes it."""
    (tmp_path / "a.mp4").write_bytes(MEDIA["video/mp4"])
    (tmp_path / "a.mkv").write_bytes(MEDIA["video/x-matroska"])
    assert "kling-2-6 takes no video; it takes image" in problem(Wanted.read("a.mp4"), tmp_path, "kling-2-6")
    assert "does not take it; it takes video/mp4" in problem(Wanted.read("a.mkv"), tmp_path)
    assert resolve(Wanted.read("a.mkv"), str(tmp_path), model("wan-2-6")).mime == "video/x-matroska"


def test_what_the_manifest_claims_must_be_so(tmp_path: Path) -> None:
    """A kind or type that contradicts the bytes is a mistake; other names of the same type are none."""
    (tmp_path / "a").write_bytes(PNG)
    (tmp_path / "w").write_bytes(MEDIA["audio/wav"])
    (tmp_path / "m").write_bytes(MEDIA["video/mp4"])
    assert "is image/png, not video" in problem(Wanted(file="a", kind="video"), tmp_path)
    assert "is image/png, not" in problem(Wanted(file="a", mime_type="image/jpeg"), tmp_path)
    found = resolve(Wanted(file="w", mime_type="audio/x-wav", name="voice.wav"), str(tmp_path), model())
    assert (found.mime, found.name) == ("audio/x-wav", "voice.wav")
    assert resolve(Wanted(file="m", kind="audio"), str(tmp_path), model()).mime == "audio/mp4"


@pytest.mark.parametrize(
    ("url", "mime", "name"),
    [
        ("https://cdn.example/a/b%20c.PNG?v=1#x", "image/png", "b c.PNG"),
        ("https://cdn.example:8443/a.mov", "video/quicktime", "a.mov"),
        ("HTTPS://cdn.example/a.mp3", "audio/mpeg", "a.mp3"),
        ("http://localhost:8000/a.webp", "image/webp", "a.webp"),
        ("http://127.0.0.1/a.webp", "image/webp", "a.webp"),
        ("http://[::1]:80/a.webp", "image/webp", "a.webp"),
    ],
)
def test_urls_are_passed_on_untouched(tmp_path: Path, url: str, mime: str, name: str) -> None:
    """Their kind comes from the suffix; nothing is fetched."""
    found = resolve(Wanted.read(url), str(tmp_path), model())
    assert found == Reference(MediaKind(mime.split("/", 1)[0]), mime, name, url=url)


def test_a_url_without_a_suffix_needs_a_kind(tmp_path: Path) -> None:
    """With it, the type may stay open."""
    url = "https://cdn.example/media/17"
    assert "write {url: ..., kind: image}" in problem(Wanted.read(url), tmp_path)
    assert resolve(Wanted(url=url, kind="image"), str(tmp_path), model()) == Reference(MediaKind.IMAGE, "", "17", url=url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://cdn.example/a.png", "use https"),
        ("ftp://cdn.example/a.png", "use https"),
        ("file:///etc/passwd", "use https"),
        ("data:image/png;base64,AAAA", "use https"),
        ("https://user:secret@cdn.example/a.png", "has a user name or password in it"),
        ("https:///a.png", "names no host"),
        ("https://cdn.example/a b.png", "write %20"),
        ("https://cdn.example/a\n.png", "write %20"),
        ("https://[::1/a.png", "is no URL"),
        ("https://cdn.example:99999/a.png", "is no URL"),
        ("https://cdn.example/" + "a" * 2048 + ".png", "longer than 2048"),
        ("https://cdn.example/a.mkv", "does not take it"),
    ],
)
def test_urls_that_cannot_be_used(tmp_path: Path, url: str, said: str) -> None:
    """Each has its sentence, and a password is not repeated."""
    text = problem(Wanted.read(url), tmp_path)
    assert said in text
    assert "secret" not in text
