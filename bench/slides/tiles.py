#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiles per second of Detente's workers beside openslide-python, in one run, in turn. Prints JSON.

    python3 bench/slides/tiles.py build/release/tests/slides/slides_reader [--rounds 7] [--tiles 600]

A made slide (tests/cli/made_slides.py: JPEG tiles of 256 pixels, several levels) is read at random places,
each round at others, by handles and processes that are new. Four ways: openslide-python's read_region() alone
and with convert("RGB") as an array, which is what a network gets; Detente with one and two workers, as an
array of RGB that reached the caller. Two cases: tiles as they are (256 x 256), and tiles of 448 x 448 made
224 x 224 (by openslide-python: Pillow's reduce(2)). Each figure is the median of the rounds; `ratio` is of a
round's own figures, ours over read_region() alone and over the array."""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/cli"))
import numpy as np
import openslide
from made_slides import aperio, tissue, write_slide
from slide_reader import Reader

CASES = {"256": (256, 256), "448 to 224": (448, 224)}


def by_openslide(path, places, side, out, as_array):
    slide = openslide.OpenSlide(str(path))
    began = time.perf_counter()
    for x, y in places:
        tile = slide.read_region((x, y), 0, (side, side))
        if as_array:
            tile = tile.convert("RGB")
            if out != side:
                tile = tile.reduce(side // out)
            np.asarray(tile).sum()
    seconds = time.perf_counter() - began
    slide.close()
    return len(places) / seconds


def by_workers(program, path, places, side, out, workers, folder):
    regions = folder / "regions.tsv"
    words = ((path, x, y, 0, side, side, out, out) for x, y in places)
    regions.write_text("".join("\t".join(["R", *map(str, one)]) + "\n" for one in words))
    reader = Reader(program, workers=workers)
    # A worker opens the slide, and starts where it has not, before the clock runs, as above.
    reader.info(path)
    reader.say("T", regions)
    seconds = reader.answer()[1]["seconds"]
    reader.close()
    return len(places) / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("reader")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tiles", type=int, default=600)
    parser.add_argument("--side", type=int, default=6144, help="of the slide, in pixels")
    flags = parser.parse_args()
    try:
        import openslide_bin

        library = str(Path(openslide_bin.__file__).parent / "libopenslide.so.1")
        os.environ.setdefault("DETENTE_OPENSLIDE", library)
    except ImportError:
        pass
    results = {"openslide": openslide.__library_version__, "rounds": flags.rounds, "tiles": flags.tiles}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "made.svs"
        write_slide(path, tissue(flags.side, flags.side, 2), 5, 256, "jpeg", description=aperio())
        results["slide_mb"] = round(path.stat().st_size / 1e6, 1)
        for case, (side, out) in CASES.items():
            ways = {
                "read_region": lambda places: by_openslide(path, places, side, out, False),
                "array": lambda places: by_openslide(path, places, side, out, True),
                "workers_1": lambda places: by_workers(flags.reader, path, places, side, out, 1, folder),
                "workers_2": lambda places: by_workers(flags.reader, path, places, side, out, 2, folder),
            }
            rounds = []
            for i in range(flags.rounds):
                dice = random.Random(i)
                most = flags.side - side
                places = [(dice.randrange(most), dice.randrange(most)) for _ in range(flags.tiles)]
                names = list(ways)[i % 4 :] + list(ways)[: i % 4]  # each first in its turn
                rounds.append({one: ways[one](places) for one in names})
            middle = {one: statistics.median(r[one] for r in rounds) for one in ways}
            results[case] = {
                "tiles_per_second": {one: round(value, 1) for one, value in middle.items()},
                "ratio": {
                    f"{ours} / {theirs}": round(statistics.median(r[ours] / r[theirs] for r in rounds), 3)
                    for ours in ("workers_1", "workers_2")
                    for theirs in ("read_region", "array")
                },
            }
    print(json.dumps(results, indent=2))


main()
