#!/usr/bin/python3
"""Writes the picture pyramid static-test/tiles/Z/X/Y.png: a made-up tissue of
coloured cells, 2^Z x 2^Z tiles of 256 x 256 pixels per level. The tiles are
committed; this is how they came to be. Same output every time.

Usage: make_tiles.py FOLDER
"""
import pathlib
import random
import struct
import sys
import zlib

LEVELS = 4
TILE = 256
GRID = 24           # cells along a side of the picture
MEMBRANE = 0.035    # thickness, in grid units

PALETTE = [(18, 22, 38), (38, 70, 110), (46, 104, 138), (60, 138, 150), (98, 168, 140),
           (160, 190, 120), (214, 196, 110), (226, 150, 90), (206, 98, 92), (150, 70, 110),
           (96, 60, 120), (62, 66, 128), (240, 232, 214)]
NUCLEUS = len(PALETTE) - 1

rng = random.Random(2)
CENTRES = {(gx, gy): (gx + rng.random(), gy + rng.random(), rng.randrange(1, NUCLEUS),
                      rng.uniform(0.05, 0.16))
           for gx in range(-2, GRID + 2) for gy in range(-2, GRID + 2)}


def colour_at(x, y):
    """The palette index at a place, in grid units."""
    gx, gy = int(x), int(y)
    first = second = 9.0
    cell = None
    for nx in (gx - 1, gx, gx + 1):
        for ny in (gy - 1, gy, gy + 1):
            cx, cy, colour, radius = CENTRES[nx, ny]
            d = ((x - cx) ** 2 + (y - cy) ** 2) ** 0.5
            if d < first:
                first, second, cell = d, first, (colour, radius)
            elif d < second:
                second = d
    if second - first < MEMBRANE:
        return 0
    return NUCLEUS if first < cell[1] else cell[0]


def png(rows):
    """A PNG file of 4-bit palette rows."""
    def chunk(kind, body):
        return (struct.pack('>I', len(body)) + kind + body
                + struct.pack('>I', zlib.crc32(kind + body)))
    raw = b''.join(b'\0' + bytes(row[i] << 4 | row[i + 1] for i in range(0, TILE, 2))
                   for row in rows)
    return (b'\x89PNG\r\n\x1a\n'
            + chunk(b'IHDR', struct.pack('>IIBBBBB', TILE, TILE, 4, 3, 0, 0, 0))
            + chunk(b'PLTE', bytes(c for rgb in PALETTE for c in rgb))
            + chunk(b'IDAT', zlib.compress(raw, 9))
            + chunk(b'IEND', b''))


def main(folder):
    for z in range(LEVELS):
        step = GRID / (TILE << z)
        for x in range(1 << z):
            for y in range(1 << z):
                rows = [[colour_at((x * TILE + i + 0.5) * step, (y * TILE + j + 0.5) * step)
                         for i in range(TILE)] for j in range(TILE)]
                path = pathlib.Path(folder, str(z), str(x), f'{y}.png')
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(rows))


if __name__ == '__main__':
    main(*sys.argv[1:])
