"""What a result's bytes are. Pure.

The bytes win over the Content-Type, and both win over any name in the URL, which is never used: a server's name could
be `../../.bashrc`. What neither knows is kept as `.bin`, because it is paid for; what is plainly a page of text is no
render but an error, whatever its status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD = 4_096
"""Bytes from the beginning that are looked at."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A media type and the suffix that files of it get here."""

    mime: str
    suffix: str


MAGIC: tuple[tuple[re.Pattern[bytes], Kind], ...] = tuple(
    (re.compile(pattern, re.DOTALL), Kind(mime, suffix))
    for pattern, mime, suffix in (
        (rb"\x89PNG\r\n\x1a\n", "image/png", ".png"),
        (rb"\xff\xd8\xff", "image/jpeg", ".jpg"),
        (rb"RIFF....WEBP", "image/webp", ".webp"),
        (rb"GIF8[79]a", "image/gif", ".gif"),
        (rb"....ftypavi[fs]", "image/avif", ".avif"),
        (rb"....ftyp(heic|heix|mif1)", "image/heic", ".heic"),
        (rb"....ftypqt  ", "video/quicktime", ".mov"),
        (rb"....ftypM4[AB] ", "audio/mp4", ".m4a"),
        (rb"....ftyp", "video/mp4", ".mp4"),
        (rb"\x1aE\xdf\xa3.{0,64}webm", "video/webm", ".webm"),
        (rb"\x1aE\xdf\xa3", "video/x-matroska", ".mkv"),
        (rb"RIFF....WAVE", "audio/wav", ".wav"),
        (rb"RIFF....AVI ", "video/x-msvideo", ".avi"),
        (rb"OggS.{24,28}OpusHead", "audio/ogg", ".opus"),
        (rb"OggS", "audio/ogg", ".ogg"),
        (rb"fLaC", "audio/flac", ".flac"),
        (rb"ID3", "audio/mpeg", ".mp3"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac", ".aac"),
        (rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x00-\xef]", "audio/mpeg", ".mp3"),
    )
)
"""First bytes -> kind, the special before the general."""

SUFFIXES = {kind.mime: kind.suffix for _, kind in reversed(MAGIC)} | {
    "audio/x-wav": ".wav",
    "audio/mp3": ".mp3",
    "audio/pcm": ".pcm",
    "audio/l16": ".pcm",
    "audio/basic": ".ulaw",
    "image/svg+xml": ".svg",
    "image/jpg": ".jpg",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
}
"""Suffix by Content-Type, for bytes that have no mark (raw audio) or one that we do not know."""

PAGES = frozenset({"text/html", "application/xhtml+xml", "application/json", "application/problem+json"})
"""Content-Types of error pages and captive portals."""

_TEXT = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype|<html|<head|<body|<\?xml|<error|[{\[])", re.IGNORECASE)
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)


def plain_type(content_type: str) -> str:
    """Return a Content-Type without its parameters, in lower case; "" for what is none."""
    text = content_type.split(";", 1)[0].strip().lower()
    return text if re.fullmatch(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}", text) else ""


def kind_of(head: bytes, declared: str) -> Kind | None:
    """Return what a file is, from its first bytes and its Content-Type; None if it is a page of text and no media."""
    for pattern, kind in MAGIC:
        if pattern.match(head):
            return kind
    if declared == "image/svg+xml" and _SVG.search(head):
        return Kind(declared, ".svg")
    if declared in PAGES or _TEXT.match(head):
        return None
    suffix = SUFFIXES.get(declared)
    return Kind(declared, suffix) if suffix else Kind(declared or "application/octet-stream", ".bin")
