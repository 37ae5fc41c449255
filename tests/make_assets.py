"""Draws the reference images of the example manifests: `python tests/make_assets.py`. The same files come out every time.

Plain zlib and struct, so that nothing has to be installed for it.
"""

from __future__ import annotations

import colorsys
import csv
import struct
import zlib
from pathlib import Path

SIDE = 256
ROOT = Path(__file__).parent.parent
Colour = tuple[int, int, int]


def png(rows: list[bytes]) -> bytes:
    """Return a PNG of RGB rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", SIDE, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def colour(hue: float, lightness: float, saturation: float) -> Colour:
    """Return a colour as three bytes."""
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def inside(shape: int, x: float, y: float) -> bool:
    """Say whether a point (-1 to 1, y downwards) belongs to the product: a bottle, a box, a ball, a mug or a lamp."""
    bottle = (abs(x) < 0.28 and -0.2 < y < 0.8) or (abs(x) < 0.1 and -0.75 < y <= -0.2)
    box = abs(x) < 0.55 and -0.3 < y < 0.8
    ball = x * x + (y - 0.2) ** 2 < 0.36
    handle = 0.2 < ((x - 0.4) ** 2 + (y - 0.2) ** 2) ** 0.5 < 0.32 and x > 0.3
    mug = (abs(x) < 0.38 and -0.25 < y < 0.75) or handle
    lamp = (
        (abs(x) < 0.06 and -0.1 < y < 0.75) or (-0.65 < y < -0.05 and abs(x) < 0.3 + (y + 0.65) * 0.5) or (abs(x) < 0.3 and 0.7 < y < 0.8)
    )
    return (bottle, box, ball, mug, lamp)[shape % 5]


def product(number: int) -> bytes:
    """Return the picture of a product: a shape of a colour of its own before a quiet wall on a table."""
    hue = number * 0.382
    body, shade, wall, table = colour(hue, 0.5, 0.7), colour(hue, 0.38, 0.7), colour(hue + 0.5, 0.9, 0.3), colour(0.08, 0.72, 0.25)
    rows = []
    for row in range(SIDE):
        y = row / SIDE * 2 - 1
        line = bytearray()
        for column in range(SIDE):
            x = column / SIDE * 2 - 1
            if inside(number, x, y):
                line += bytes(shade if x > 0.12 else body)
            else:
                line += bytes(table if y > 0.7 else wall)
        rows.append(bytes(line))
    return png(rows)


def main() -> None:
    """Write every picture that the examples and `batchgen init` refer to."""
    assets = ROOT / "manifests" / "assets"
    (assets / "products").mkdir(parents=True, exist_ok=True)
    with (ROOT / "manifests" / "products.csv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            (assets / "products" / f"{row['sku']}.png").write_bytes(product(number))
    (assets / "vase.png").write_bytes(product(100))
    (assets / "mug.png").write_bytes(product(103))
    (ROOT / "batchgen" / "cli" / "start" / "product.png").write_bytes(product(104))


if __name__ == "__main__":
    main()
