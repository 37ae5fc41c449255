"""Still pictures of renders as `data:` links: a page that is mailed alone still shows what was made. Needs PyAV, the extra `media`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import av.error

from batchgen.core.model import Output

SIDE = 320
"""Pixels of the longer side: a card's frame on a phone. Such a JPEG takes 5 to 15 kB."""
QUALITY = 6
"""FFmpeg's scale for JPEG, 2 (best) to 31."""
EARLY = 0.25
"""Seconds into a video: the very first picture is often black."""


def posters(outputs: Path) -> Callable[[Output], str]:
    """Return what makes a still picture of an output under this folder: a `data:` link, or empty if there is none to be had."""

    def poster(output: Output) -> str:
        if not output.mime.startswith(("image/", "video/")):
            return ""
        try:
            return "data:image/jpeg;base64," + base64.b64encode(_picture(outputs / output.path)).decode()
        except (OSError, av.error.FFmpegError, ValueError, StopIteration):
            return ""  # missing or damaged: the page says so where it would stand

    return poster


def _picture(path: Path) -> bytes:
    """Return a small JPEG of a picture or of a video's first moment."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        frame = next(frames)
        for later in frames:
            if frame.time is not None and frame.time >= EARLY:
                break
            frame = later
    scale = SIDE / max(frame.width, frame.height, SIDE)
    width, height = (max(round(side * scale / 2) * 2, 2) for side in (frame.width, frame.height))
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": str(QUALITY), "qmax": str(QUALITY)}
    still = frame.reformat(width, height, "yuvj420p")
    still.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(still), *encoder.encode(None)))
