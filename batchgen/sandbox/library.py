"""Which shipped file answers a task, and how its bytes become the task's own.

A file's name says what it is: `video-16x9-5s-a.mp4` is kind, aspect ratio, seconds, variant. A task gets the nearest
ratio, then the nearest duration, and a variant drawn by its id, so that a contact sheet looks varied.

No two tasks get equal bytes, as no two renders are: the task's name is written into a place that each format keeps for
such things and every player skips (a `free` box after the MP4's last, a tEXt chunk before the PNG's end, an ID3 tag
before the MP3's frames). Image models always answer with PNG, audio models with MP3, whatever `output_format` asks for.
"""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

_NAME = re.compile(r"(video|image|audio)(?:-(\d+)x(\d+))?(?:-(\d+)s)?-[a-z]\.(mp4|png|mp3)")
_RATIO = re.compile(r"(\d+)[:x](\d+)")
_SHAPE = re.compile(r"(portrait|landscape)_(\d+)_(\d+)")

_RATIO_KEYS = ("aspect_ratio", "aspectRatio", "image_size", "imageSize", "size")
_SECONDS_KEYS = ("duration", "duration_seconds", "n_frames")
"""Sora's n_frames offers 10 and 15, which are its clips' seconds."""

_WORDS = {"square": 1.0, "square_hd": 1.0, "landscape": 16 / 9, "portrait": 9 / 16}
_USUAL_RATIO = {"video": 16 / 9, "image": 1.0, "audio": 1.0}
_USUAL_SECONDS = {"video": 5.0, "image": 0.0, "audio": 8.0}

TYPES = {"mp4": "video/mp4", "png": "image/png", "mp3": "audio/mpeg"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One shipped file. `ratio` is width by height, 1.0 for sound; `seconds` is 0 for a picture."""

    name: str
    kind: str
    ratio: float
    seconds: float


@cache
def pieces() -> tuple[Piece, ...]:
    """List what ships."""
    names = sorted(item.name for item in _folder().iterdir())
    return tuple(_piece(match) for match in map(_NAME.fullmatch, names) if match)


def _folder() -> Traversable:
    return resources.files("batchgen.sandbox").joinpath("media")


def _piece(match: re.Match[str]) -> Piece:
    kind, width, height, seconds, _ = match.groups()
    return Piece(match.group(), kind, int(width) / int(height) if width else 1.0, float(seconds or 0))


def choose(kind: str, params: Mapping[str, object], defaults: Mapping[str, object], lot: str) -> str:
    """Choose the file for a result: `defaults` are the model's, `lot` decides among equals. Returns a file name."""
    asked = {**defaults, **params}
    ratio = first(map(ratio_of, (asked.get(key) for key in _RATIO_KEYS))) or _USUAL_RATIO[kind]
    seconds = seconds_of(asked) or _USUAL_SECONDS[kind]
    of_kind = [piece for piece in pieces() if piece.kind == kind]
    nearest = min(abs(math.log(piece.ratio / ratio)) for piece in of_kind)
    of_ratio = [piece for piece in of_kind if math.isclose(abs(math.log(piece.ratio / ratio)), nearest)]
    closest = min(abs(piece.seconds - seconds) for piece in of_ratio)
    equals = [piece.name for piece in of_ratio if math.isclose(abs(piece.seconds - seconds), closest)]
    return equals[int.from_bytes(hashlib.sha256(lot.encode()).digest()[:4], "big") % len(equals)]


def first(values: Iterable[float | None]) -> float | None:
    """Return the first that is there."""
    return next((value for value in values if value), None)


def ratio_of(value: object) -> float | None:
    """Read `16:9`, `portrait_4_3` (three by four), `square_hd`, `landscape`; None for anything else, such as `auto`."""
    if not isinstance(value, str):
        return None
    if match := _RATIO.fullmatch(value):
        return _divided(match[1], match[2])
    if match := _SHAPE.fullmatch(value):
        long, short = match[2], match[3]
        return _divided(long, short) if match[1] == "landscape" else _divided(short, long)
    return _WORDS.get(value.lower())


def _divided(width: str, height: str) -> float | None:
    return int(width) / int(height) if int(width) and int(height) else None


def seconds_of(params: Mapping[str, object]) -> float | None:
    """Read how long the result should be; None if no parameter says so."""
    return first(map(_seconds, (params.get(key) for key in _SECONDS_KEYS)))


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _shipped(name: str) -> bytes:
    return _folder().joinpath(name).read_bytes()


def render(name: str, mark: str) -> bytes:
    """Return the bytes of a shipped file, made distinct by `mark` (ASCII); always the same for the same arguments."""
    suffix = name.rpartition(".")[2]
    return _MARKED[suffix](_shipped(name), mark.encode("ascii"))


def _marked_mp4(data: bytes, mark: bytes) -> bytes:
    """Append a `free` box: nothing in front of it moves, so all offsets in the index stay right."""
    return data + (8 + len(mark)).to_bytes(4, "big") + b"free" + mark


def _marked_png(data: bytes, mark: bytes) -> bytes:
    """Put a tEXt chunk in front of IEND, which is always the last 12 bytes."""
    chunk = b"tEXt" + b"Comment\0" + mark
    framed = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return data[:-12] + framed + data[-12:]


def _marked_mp3(data: bytes, mark: bytes) -> bytes:
    """Put an ID3v2.3 tag with one TXXX frame in front; ours ship without a tag."""
    text = b"\0" + b"task\0" + mark
    frame = b"TXXX" + len(text).to_bytes(4, "big") + b"\0\0" + text
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + data


_MARKED = {"mp4": _marked_mp4, "png": _marked_png, "mp3": _marked_mp3}
