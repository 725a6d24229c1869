# SPDX-License-Identifier: Apache-2.0
"""Writes whole slides: tiled TIFF with smaller levels, as OpenSlide's generic-tiff reads it, and the layout
of an Aperio SVS. Needs NumPy, and Pillow for JPEG."""

import io
import struct
import zlib
from fractions import Fraction

import numpy as np

COMPRESSIONS = {"none": 1, "jpeg": 7, "deflate": 8}
ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
SIZES = {ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8}


def aperio(mpp=0.25, power=40):
    return f"Aperio Image Library v12.0.0\nmade|AppMag = {power}|MPP = {mpp}"


def half(picture):
    """Every pixel the mean of 2 x 2, the last row and column of an odd side twice; uint8."""
    high, wide = picture.shape[:2]
    padded = np.pad(picture, ((0, high % 2), (0, wide % 2), (0, 0)), mode="edge").astype(np.uint16)
    sums = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    return ((sums + 2) // 4).astype(np.uint8)


def compressed(pixels, compression, quality):
    if compression == "deflate":
        return zlib.compress(pixels.tobytes(), 6)
    if compression == "jpeg":
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
        return file.getvalue()
    return pixels.tobytes()


def tiles_of(picture, tile, compression, quality):
    high, wide = picture.shape[:2]
    for y in range(0, high, tile):
        for x in range(0, wide, tile):
            part = picture[y : y + tile, x : x + tile]
            missing = ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0))
            # A JPEG's edge would ring into the picture.
            part = np.pad(part, missing, mode="edge")
            yield compressed(np.ascontiguousarray(part), compression, quality)


class Tiff:
    """Directories one after the other; each entry is (tag, type, values)."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(b"II*\0\0\0\0\0")
        self.next = 4

    def data(self, parts):
        places = []
        for part in parts:
            places.append((self.file.tell(), len(part)))
            self.file.write(part)
        return places

    def directory(self, entries):
        if self.file.tell() % 2:
            self.file.write(b"\0")
        begin = self.file.tell()
        after = begin + 2 + 12 * len(entries) + 4
        rows, pointed = b"", b""
        for tag, kind, values in sorted(entries):
            if kind == ASCII:
                value = values.encode() + b"\0"
            elif kind == SHORT:
                value = struct.pack(f"<{len(values)}H", *values)
            else:
                value = struct.pack(f"<{len(values)}I", *values)
            count = len(value) // SIZES[kind]
            if len(value) > 4:
                place = struct.pack("<I", after + len(pointed))
                pointed += value + b"\0" * (len(value) % 2)
                value = place
            rows += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        self.file.write(struct.pack("<H", len(entries)) + rows)
        next_one = self.file.tell()
        self.file.write(b"\0\0\0\0" + pointed)
        end = self.file.tell()
        self.file.seek(self.next)
        self.file.write(struct.pack("<I", begin))
        self.file.seek(end)
        self.next = next_one

    def close(self):
        self.file.close()


def common_entries(picture, compression, description, mpp, subfile):
    entries = [
        (254, LONG, [subfile]),
        (256, LONG, [picture.shape[1]]),
        (257, LONG, [picture.shape[0]]),
        (258, SHORT, [8, 8, 8]),
        (259, SHORT, [COMPRESSIONS[compression]]),
        (262, SHORT, [6 if compression == "jpeg" else 2]),
        (277, SHORT, [3]),
        (284, SHORT, [1]),
    ]
    if compression == "jpeg":
        entries.append((530, SHORT, [2, 2]))
    if description:
        entries.append((270, ASCII, description))
    if mpp:
        per_cm = Fraction(10000 / mpp).limit_denominator(1000)
        entries += [(tag, RATIONAL, [per_cm.numerator, per_cm.denominator]) for tag in (282, 283)]
        entries.append((296, SHORT, [3]))
    return entries


def write_slide(
    path, picture, levels=1, tile=256, compression="none", quality=90, mpp=None, description=None, beside=None
):
    """A slide of `picture` (height, width, 3; uint8), each level half of the one before. `tile`: a multiple
    of 16, of 32 where nothing is compressed. `mpp` (microns per pixel) becomes resolution tags; a
    `description` of aperio() makes it an SVS, with `beside` (name: picture) beside it. Returns the levels as
    they were written, before compression."""
    tiff = Tiff(path)
    written = []
    level = np.ascontiguousarray(picture, np.uint8)
    for i in range(levels):
        written.append(level)
        places = tiff.data(tiles_of(level, tile, compression, quality))
        scaled = mpp * 2**i if mpp else None
        entries = common_entries(
            level, compression, description, scaled, 0 if i == 0 or beside is not None else 1
        )
        entries += [
            (322, LONG, [tile]),
            (323, LONG, [tile]),
            (324, LONG, [place for place, _ in places]),
            (325, LONG, [size for _, size in places]),
        ]
        tiff.directory(entries)
        # Aperio's second directory is the thumbnail.
        for name, image in (beside or {}).items():
            if i == (0 if name == "thumbnail" else levels - 1):
                write_strip(tiff, name, image)
        level = half(level)
    tiff.close()
    return written


def write_strip(tiff, name, image):
    """A picture that is no level: one strip, not compressed."""
    image = np.ascontiguousarray(image, np.uint8)
    ((place, size),) = tiff.data([image.tobytes()])
    what = "" if name == "thumbnail" else f"{name} {image.shape[1]}x{image.shape[0]}"
    text = "Aperio Image Library v12.0.0\n" + what
    entries = common_entries(image, "none", text, None, {"label": 1, "macro": 9}.get(name, 0))
    entries += [(273, LONG, [place]), (278, LONG, [image.shape[0]]), (279, LONG, [size])]
    tiff.directory(entries)


def tissue(width, height, seed=0):
    """Something like a section: pink and violet blobs with grain on near white."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    field = np.zeros((height, width), np.float32)
    for _ in range(12):
        cx, cy = random.uniform(0, width), random.uniform(0, height)
        r = random.uniform(0.05, 0.2) * max(width, height)
        field += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (r * r))
    inside = np.clip(field - 0.4, 0, 1)[..., None]
    grain = random.normal(0, 12, (height, width, 1)).astype(np.float32)
    stain = np.array([180, 90, 150], np.float32) + 40 * np.sin(x / 9 + y / 7)[..., None] * [0.5, 1, 0.3]
    picture = np.array([245, 243, 246], np.float32) * (1 - inside) + (stain + grain) * inside
    return np.clip(picture, 0, 255).astype(np.uint8)
