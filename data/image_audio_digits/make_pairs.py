#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws pairs.csv: which MNIST image goes with which recording of FSDD. Deterministic; python3 alone.

usage: make_pairs.py MNIST_LABELS FSDD_RECORDINGS_CSV > pairs.csv
"""
import csv
import gzip
import random
import sys

SEED = 0
# Rows of the training images: disjoint, so that no image is in two parts.
IMAGES = {"train": (0, 50000), "dev": (50000, 55000), "test": (55000, 60000)}


def read_labels(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:4] != b"\x00\x00\x08\x01" or len(data) != 60008:
        sys.exit(f"{path}: expected the 60,000 labels of train-labels-idx1-ubyte")
    return list(data[8:])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    labels = read_labels(sys.argv[1])
    with open(sys.argv[2], newline="") as file:
        recordings = list(csv.DictReader(file))
    draw = random.Random(SEED)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["image", "audio", "image_digit", "sound_digit", "same", "sum", "speaker", "part"])
    for part, (begin, end) in IMAGES.items():
        images = {digit: [i for i in range(begin, end) if labels[i] == digit] for digit in range(10)}
        for rows in images.values():
            draw.shuffle(rows)
        for recording in (r for r in recordings if r["part"] == part):
            said = int(recording["digit"])
            # One image of the digit that is said, and one of another.
            for seen in (said, (said + draw.randrange(1, 10)) % 10):
                out.writerow([images[seen].pop(), "../fsdd/" + recording["audio"], seen, said,
                              int(seen == said), seen + said, recording["speaker"], part])


if __name__ == "__main__":
    main()
