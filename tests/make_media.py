"""Make the media that the sandbox answers with: `python tests/make_media.py [FOLDER]`.

The files are committed, so nobody needs this but whoever wants other pictures. They are drawn in plain Python (a
backdrop, a disc, a bar and a diamond that move) and encoded by PyAV, a development dependency, single-threaded and
bit-exact, so that the same PyAV makes the same files again. The names carry all that the sandbox knows about a file:
`video-16x9-5s-a.mp4`, `image-3x4-b.png`, `audio-8s-a.mp3`.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av

FOLDER = Path(__file__).parent.parent / "batchgen" / "sandbox" / "media"
FRAMES_PER_SECOND = 12
SAMPLE_RATE = 22050
SAMPLES_A_FRAME = 1152  # what the MP3 encoder takes at a time, or twice that at low rates; it keeps what is left over

VIDEO_SIZES = {
    "16x9": (320, 180),
    "9x16": (180, 320),
    "1x1": (240, 240),
    "4x3": (320, 240),
    "3x4": (240, 320),
    "3x2": (288, 192),
    "2x3": (192, 288),
    "21x9": (336, 144),
}
COMMON_RATIOS = ("16x9", "9x16", "1x1")  # the three that nearly every video model offers get more of everything
COMMON_SECONDS = (5, 10)
OTHER_SECONDS = (3, 4, 6, 8, 12, 15)

IMAGE_SIZES = {
    "1x1": (512, 512),
    "16x9": (640, 360),
    "9x16": (360, 640),
    "4x3": (640, 480),
    "3x4": (480, 640),
    "3x2": (600, 400),
    "2x3": (400, 600),
    "5x4": (600, 480),
    "4x5": (480, 600),
    "21x9": (840, 360),
    "9x21": (360, 840),
    "4x1": (800, 200),
    "1x4": (200, 800),
    "8x1": (960, 120),
    "1x8": (120, 960),
}
TUNES = {"3s": 3, "8s": 8, "20s": 20}


class Palette(NamedTuple):
    """Colours of one variant: the backdrop's top and bottom, then the three shapes."""

    top: tuple[int, int, int]
    bottom: tuple[int, int, int]
    disc: tuple[int, int, int]
    bar: tuple[int, int, int]
    diamond: tuple[int, int, int]


PALETTES = {
    "a": Palette((24, 32, 72), (96, 64, 128), (255, 196, 61), (239, 71, 111), (6, 214, 160)),
    "b": Palette((255, 236, 209), (255, 170, 120), (120, 0, 0), (0, 48, 73), (214, 40, 40)),
    "c": Palette((4, 60, 70), (20, 140, 130), (244, 241, 222), (224, 122, 95), (242, 204, 143)),
    "d": Palette((235, 240, 255), (150, 180, 240), (67, 97, 238), (247, 37, 133), (76, 201, 240)),
    "e": Palette((18, 18, 22), (60, 60, 70), (255, 255, 255), (255, 90, 60), (140, 140, 160)),
    "f": Palette((38, 70, 20), (150, 190, 80), (255, 255, 240), (90, 40, 20), (255, 210, 70)),
}


def paint(size: tuple[int, int], palette: Palette, turn: float) -> bytearray:
    """Draw one picture as packed RGB; `turn` (0 to 1) is how far the shapes are on their round."""
    width, height = size
    small = min(width, height)
    angle = 2 * math.pi * turn
    disc = (width * (0.5 + 0.32 * math.cos(angle)), height * (0.5 + 0.30 * math.sin(2 * angle)), small * 0.16)
    diamond = (width * (0.5 - 0.34 * math.cos(angle + 1)), height * (0.5 + 0.32 * math.sin(angle + 2)), small * 0.20)
    bar = width * ((turn + 0.1) % 1.0)
    picture = bytearray()
    for y in range(height):
        row = bytearray(bytes(mix(palette.top, palette.bottom, y / height)) * width)
        span(row, width, (bar, small * 0.04), palette.bar)
        if abs(y - diamond[1]) < diamond[2]:
            span(row, width, (diamond[0], diamond[2] - abs(y - diamond[1])), palette.diamond)
        if abs(y - disc[1]) < disc[2]:
            span(row, width, (disc[0], math.sqrt(disc[2] ** 2 - (y - disc[1]) ** 2)), palette.disc)
        picture += row
    return picture


def mix(one: tuple[int, int, int], other: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """Blend two colours; in steps of an eighth, because flat bands encode to far fewer bytes."""
    step = int(share * 8) / 8
    red, green, blue = (round(a + (b - a) * step) for a, b in zip(one, other, strict=True))
    return red, green, blue


def span(row: bytearray, width: int, middle_and_half: tuple[float, float], colour: tuple[int, int, int]) -> None:
    """Colour a stretch of a row, given by its middle and half its length in pixels."""
    middle, half = middle_and_half
    left = max(0, round(middle - half))
    right = min(width, round(middle + half))
    if right > left:
        row[3 * left : 3 * right] = bytes(colour) * (right - left)


def frame(size: tuple[int, int], palette: Palette, turn: float) -> av.VideoFrame:
    """Draw one picture as a frame."""
    width, height = size
    made = av.VideoFrame(width, height, "rgb24")
    plane = made.planes[0]
    packed = paint(size, palette, turn)
    padding = b"\0" * (plane.line_size - 3 * width)
    plane.update(b"".join(bytes(packed[3 * width * y : 3 * width * (y + 1)]) + padding for y in range(height)))
    return made


def write_video(path: Path, size: tuple[int, int], seconds: int, palette: Palette) -> None:
    """Write an H.264 baseline MP4 that every browser plays, its index in front so that it starts before it is all there."""
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        stream.options = {"profile": "baseline", "preset": "veryslow", "crf": "30", "threads": "1", "flags": "+bitexact"}
        total = seconds * FRAMES_PER_SECOND
        for number in range(total):
            made = frame(size, palette, number / (5 * FRAMES_PER_SECOND) % 1.0).reformat(format="yuv420p")
            made.pts = number
            container.mux(stream.encode(made))
        container.mux(stream.encode())


def write_image(path: Path, size: tuple[int, int], palette: Palette, turn: float) -> None:
    """Write a PNG."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height = size
    codec.pix_fmt = "rgb24"
    codec.time_base = Fraction(1, 1)
    made = frame(size, palette, turn)
    made.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(made), *codec.encode()]))


def samples(seconds: int, root: float) -> Iterator[array[int]]:
    """Yield a plain arpeggio with soft attacks, as blocks of 16-bit mono samples."""
    notes = [root * step for step in (1, 5 / 4, 3 / 2, 2, 3 / 2, 5 / 4)]
    total = seconds * SAMPLE_RATE
    for start in range(0, total, SAMPLES_A_FRAME):
        block = array("h")
        for at in range(start, min(total, start + SAMPLES_A_FRAME)):
            beat, within = divmod(at / SAMPLE_RATE, 0.25)
            note = notes[int(beat) % len(notes)]
            loudness = min(1.0, within * 40) * math.exp(-6 * within)
            block.append(int(9000 * loudness * math.sin(2 * math.pi * note * at / SAMPLE_RATE)))
        yield block


def write_audio(path: Path, seconds: int, root: float) -> None:
    """Write an MP3 without an ID3 tag: the sandbox puts its own in front."""
    options = {"id3v2_version": "0", "write_xing": "1", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE)
        stream.bit_rate = 32000
        stream.layout = "mono"
        stream.format = "s16p"
        at = 0
        for block in samples(seconds, root):
            made = av.AudioFrame("s16p", "mono", len(block))
            made.planes[0].update(block.tobytes())
            made.sample_rate = SAMPLE_RATE
            made.pts = at
            made.time_base = Fraction(1, SAMPLE_RATE)
            at += len(block)
            container.mux(stream.encode(made))
        container.mux(stream.encode())


def make_videos(folder: Path) -> None:
    """Write every duration, aspect ratio and variant that ships."""
    letters = "abcdef"
    for place, (ratio, size) in enumerate(VIDEO_SIZES.items()):
        variants = 4 if ratio in COMMON_RATIOS else 2
        for seconds in COMMON_SECONDS:
            for number in range(variants):
                letter = letters[(place + number) % len(letters)]
                write_video(folder / f"video-{ratio}-{seconds}s-{letter}.mp4", size, seconds, PALETTES[letter])
        for number, seconds in enumerate(OTHER_SECONDS if ratio in COMMON_RATIOS else ()):
            letter = letters[(place + number + 4) % len(letters)]
            write_video(folder / f"video-{ratio}-{seconds}s-{letter}.mp4", size, seconds, PALETTES[letter])


def make_images(folder: Path) -> None:
    """Write every aspect ratio of the image models, the usual ones in all colours."""
    for place, (ratio, size) in enumerate(IMAGE_SIZES.items()):
        usual = "abcdef" if ratio in COMMON_RATIOS else "abcdef"[place % 4 : place % 4 + 3]
        for number, letter in enumerate(usual):
            write_image(folder / f"image-{ratio}-{letter}.png", size, PALETTES[letter], 0.07 + 0.13 * number)


def main() -> None:
    """Write all files afresh into FOLDER, the package's by default."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.suffix in {".mp4", ".png", ".mp3"}:
            old.unlink()
    av.logging.set_level(av.logging.ERROR)
    make_videos(folder)
    make_images(folder)
    for name, seconds in TUNES.items():
        for letter, root in (("a", 220.0), ("b", 277.2)):
            write_audio(folder / f"audio-{name}-{letter}.mp3", seconds, root)
    sizes = [path.stat().st_size for path in folder.iterdir()]
    print(f"{len(sizes)} files, {sum(sizes)} bytes, in {folder}")


if __name__ == "__main__":
    main()
