#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slides as strangers may make them: N small TIFF and SVS files with bytes changed, cut or put in, read one
after the other by one process (tests/slides/reader_program.cpp). It must live to the end, answer each, and
name every bad one.

    tests/attack/slides.py READER [N] [--seed S] [--seconds LIMIT] [--workers W]

Prints JSON: how many could be read, how many were refused, and how often a worker was lost over one."""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
from made_slides import aperio, tissue, write_slide  # noqa: E402
from slide_reader import Reader  # noqa: E402


def originals(folder):
    picture = tissue(150, 110, 3)
    beside = {"thumbnail": picture[::4, ::4], "label": picture[:20, :30], "macro": picture[:30, :40]}
    made = []
    for compression in ("none", "deflate", "jpeg"):
        for name, more in (
            ("tiff", {"mpp": 0.5}),
            ("svs", {"description": aperio(), "beside": beside}),
        ):
            path = folder / f"original_{compression}.{name}"
            write_slide(path, picture, levels=3, tile=64, compression=compression, **more)
            made.append((path.suffix, path.read_bytes(), directories(path.read_bytes())))
    return made


def directories(file):
    """Where the bytes of the TIFF's directories are: what matters most is a small part of a file."""
    places, at = [], int.from_bytes(file[4:8], "little")
    while at:
        count = int.from_bytes(file[at : at + 2], "little")
        end = at + 2 + 12 * count
        places += range(at, end + 4)
        at = int.from_bytes(file[end : end + 4], "little")
    return places


def changed(file, places, dice):
    bytes_ = bytearray(file)
    kind = dice.random()
    if kind < 0.15:
        return bytes(bytes_[: dice.randrange(len(bytes_))])
    if kind < 0.2:
        at, size = dice.randrange(len(bytes_)), dice.randrange(1, 200)
        bytes_[at:at] = dice.randbytes(size)
        return bytes(bytes_)
    if kind < 0.25:
        at = dice.randrange(len(bytes_))
        bytes_[at : at + dice.randrange(1, 500)] = b""
        return bytes(bytes_)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        at = dice.choice(places) if dice.random() < 0.7 else dice.randrange(len(bytes_))
        if dice.random() < 0.5:
            bytes_[at] ^= 1 << dice.randrange(8)
        elif dice.random() < 0.7:
            bytes_[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        else:  # a whole word: sizes and offsets
            word = dice.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(bytes_), dice.randrange(2**32)))
            bytes_[at : at + 4] = word.to_bytes(4, "little")
    return bytes(bytes_)


def rss_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reader")
    parser.add_argument("count", nargs="?", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--workers", type=int, default=1)
    flags = parser.parse_args()
    began = time.time()
    counts, words = Counter(), Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = originals(folder)
        reader = Reader(flags.reader, workers=flags.workers, seconds=flags.seconds)
        for i in range(flags.count):
            dice = random.Random(flags.seed * 1_000_003 + i)
            suffix, file, places = made[i % len(made)]
            path = folder / f"{i}{suffix}"
            path.write_bytes(changed(file, places, dice))
            kind, info = reader.info(path)
            answers = [(kind, info)]
            if kind == "I":
                levels = len(info["levels"])
                regions = [(path, 0, 0, 0, 150, 110), (path, 20, 30, levels - 1, 64, 64, 16, 16)]
                answers += reader.pictures(regions)[0]
            bad = [text for kind, text in answers if kind == "E"]
            for text in bad:
                assert f"'{path}'" in text, (path, text)
            if bad:
                # Of a file that is bad every answer says the same.
                counts["crash"] += "was ended by signal" in bad[0] or "ended with exit code" in bad[0]
                counts["hang"] += "did not answer" in bad[0]
                said = bad[0].split(f"'{path}'", 1)[1].replace(str(path), "").split("its last words")[0]
                words[" ".join(w for w in said.split() if not any(c.isdigit() for c in w))[:80]] += 1
            counts["refused" if bad else "read"] += 1
            path.unlink()
        last = reader.statistics()
        assert len(last["bad"]) == counts["refused"], (len(last["bad"]), counts)
        memory = rss_mib(reader.process.pid)
        assert reader.close() == 0
    print(
        json.dumps(
            {
                "files": flags.count,
                **{k: counts[k] for k in ("read", "refused", "crash", "hang")},
                "restarts": last["restarts"],
                "seconds": round(time.time() - began, 1),
                "rss_mib_at_end": round(memory, 1),
                "said_most": dict(words.most_common(8)),
            },
            indent=2,
        )
    )


main()
