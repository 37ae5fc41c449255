"""What a file is, by its first bytes: the API checks the detected signature and not only the name.

Some containers hold more than one kind: an ISO base media file may be video or only sound, so a signature answers with
every type that it may stand for. The manifest has a reader of its own on purpose: were it shared, one mistake would
hide in both.
"""

from __future__ import annotations

HEAD = 4096
"""Bytes from the start of a file that are enough to tell."""

_RIFF = {b"WEBP": ("image/webp",), b"WAVE": ("audio/wav", "audio/x-wav")}
_PLAIN = (
    (b"\x89PNG\r\n\x1a\n", ("image/png",)),
    (b"\xff\xd8\xff", ("image/jpeg",)),
    (b"OggS", ("audio/ogg",)),
    (b"ID3", ("audio/mpeg",)),
)
_EBML = b"\x1a\x45\xdf\xa3"
_SYNC = 0xFFE0
_LAYER = 0x0006  # zero for AAC in ADTS, 1 to 3 for MPEG audio


def types_of(head: bytes) -> tuple[str, ...]:
    """List the MIME types that a file with these first bytes may be; nothing if it is none that the API takes."""
    for start, types in _PLAIN:
        if head.startswith(start):
            return types
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], ())
    if head[4:8] == b"ftyp":
        return _iso(head[8:12])
    if head.startswith(_EBML):
        return ("video/webm",) if b"webm" in head[:64] else ("video/x-matroska",)
    return _frames(head)


def _iso(brand: bytes) -> tuple[str, ...]:
    """Tell the ISO base media files apart by their major brand."""
    if brand == b"qt  ":
        return ("video/quicktime",)
    if brand in {b"M4A ", b"M4B "}:
        return ("audio/mp4",)
    if brand in {b"avif", b"avis", b"heic", b"heix", b"mif1"}:
        return ()  # pictures, but none that the API takes
    return ("video/mp4", "audio/mp4")


def _frames(head: bytes) -> tuple[str, ...]:
    """Tell bare audio frames apart by their first two bytes."""
    if len(head) < 2 or int.from_bytes(head[:2], "big") & _SYNC != _SYNC:  # noqa: PLR2004 - a word has two bytes
        return ()
    return ("audio/mpeg",) if int.from_bytes(head[:2], "big") & _LAYER else ("audio/aac",)
