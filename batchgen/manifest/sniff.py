"""What a file is, by its first bytes and not by its name.

A small table of our own: the three kinds of media that the API takes, and enough others to tell a person what they have
really got. `mimetypes` reads names only, and libmagic would be a system dependency.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchgen.core.model import MediaKind

HEAD = 4096
"""Bytes that are looked at; Matroska's DocType is the only thing that does not stand in the first 32."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What the bytes are: one of the media that the API knows."""

    kind: MediaKind
    mime: str


_IMAGE, _VIDEO, _AUDIO = MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.AUDIO
_STARTS = (
    (b"\xff\xd8\xff", Sniffed(_IMAGE, "image/jpeg")),
    (b"\x89PNG\r\n\x1a\n", Sniffed(_IMAGE, "image/png")),
    (b"ID3", Sniffed(_AUDIO, "audio/mpeg")),
    (b"OggS", Sniffed(_AUDIO, "audio/ogg")),
)
_RIFF = {b"WEBP": Sniffed(_IMAGE, "image/webp"), b"WAVE": Sniffed(_AUDIO, "audio/wav")}
_BRANDS = {b"qt  ": Sniffed(_VIDEO, "video/quicktime"), b"M4A ": Sniffed(_AUDIO, "audio/mp4"), b"M4B ": Sniffed(_AUDIO, "audio/mp4")}
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_STILLS = {b"heic": "a HEIC image", b"heix": "a HEIC image", b"mif1": "a HEIF image", b"msf1": "a HEIF image", b"avif": "an AVIF image"}
_STRANGERS = (
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"fLaC", "FLAC audio"),
    (b"FORM", "AIFF audio"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x00\x00\x01\x00", "an icon"),
)
_MARKUP = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(!doctype html|html|svg)", re.IGNORECASE | re.DOTALL)


def sniff(head: bytes) -> Sniffed | None:
    """Return what the first HEAD bytes of a file are, or None if that is none of the media that the API knows."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Sniffed(_VIDEO, "video/webm" if b"webm" in head[:HEAD] else "video/x-matroska")
    if head[4:8] == b"ftyp":
        return None if head[8:12] in _STILLS else _BRANDS.get(head[8:12], Sniffed(_VIDEO, "video/mp4"))
    if head[4:8] in _QUICKTIME_ATOMS:
        return Sniffed(_VIDEO, "video/quicktime")
    return _frames(head)


def _frames(head: bytes) -> Sniffed | None:
    """Tell MP3 frames from AAC (ADTS) frames: both start with eleven set bits, the layer bits differ."""
    if len(head) < 2 or head[0] != 0xFF:  # noqa: PLR2004 - a frame's sync word, ISO 11172-3
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004 - twelve set bits, layer 0: ADTS
        return Sniffed(_AUDIO, "audio/aac")
    return Sniffed(_AUDIO, "audio/mpeg") if head[1] & 0xE6 == 0xE2 else None  # noqa: PLR2004 - layer III


def describe(head: bytes) -> str:
    """Say in words what bytes are, or return an empty string."""
    found = sniff(head)
    if found:
        return f"{found.mime} data"
    if head[4:8] == b"ftyp":
        return _STILLS.get(head[8:12], "")
    for start, words in _STRANGERS:
        if head.startswith(start):
            return words
    markup = _MARKUP.match(head)
    if markup:
        return "an SVG image" if markup[1].lower() == b"svg" else "a web page (HTML)"
    return ""
