#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether values find what is known to be wrong: labels flipped on purpose, of one task or of all.

    gates.py PROGRAM IMAGES LABELS --study labels|two_digits [--seeds 3] --out DIR

IMAGES and LABELS: MNIST's training files (idx, gzip or not; data/mnist/README.md). `labels`: 1,000 images,
a fifth of the labels flipped, 500 validation images. `two_digits`: two digits over each other, a fifth of
the left one's labels flipped; what is asked is whether the left task's values find them while the right
one's do not. Prints a table and writes DIR/gates.json.
"""

import argparse
import csv
import gzip
import json
import statistics
import subprocess
from pathlib import Path

import numpy


def read_idx(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    dims = data[3]
    shape = [int.from_bytes(data[4 + 4 * d : 8 + 4 * d], "big") for d in range(dims)]
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * dims).reshape(shape)


def flip(labels, draw, share=0.2):
    """Each flipped label becomes another class."""
    flipped = numpy.zeros(len(labels), bool)
    flipped[draw.choice(len(labels), round(share * len(labels)), replace=False)] = True
    wrong = (labels + draw.integers(1, 10, len(labels))) % 10
    return numpy.where(flipped, wrong, labels), flipped


def auroc(values, flipped):
    """The probability that a flipped example is worth less than another."""
    order = values.argsort(kind="stable")
    ranks = numpy.empty(len(values))
    ranks[order] = numpy.arange(1, len(values) + 1)
    for value in numpy.unique(values):
        same = values == value
        if same.sum() > 1:
            ranks[same] = ranks[same].mean()
    n, m = flipped.sum(), (~flipped).sum()
    return 1 - (ranks[flipped].sum() - n * (n + 1) / 2) / (n * m)


def read_values(path):
    """{(trained, judged): values in the order of the ids}"""
    found = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["task_trained"], row["task_judged"]), {})[int(row["id"])] = row["value"]
    return {key: numpy.array([float(column[i]) for i in sorted(column)]) for key, column in found.items()}


def call(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def value(program, source, method, folder, *more):
    told = json.loads(call(program, "value", source, "--method", method, "--out", folder, "--json", *more))
    return read_values(folder / "values.csv"), told


RECIPE = """name: gates
seed: {seed}
data: {{kind: arrays, train: train.npz, dev: dev.npz, scale: stored}}
model: {{{model}}}
tasks:
{tasks}
balance: {{method: ew}}
optimizer: {{lr: {lr}, weight_decay: 0}}
train: {{epochs: {epochs}, batch_size: {batch}, keep: all}}
threads: 2
"""


def labels_study(program, images, labels, seed, folder):
    draw = numpy.random.default_rng(seed)
    chosen = draw.choice(len(images), 1500, replace=False)
    x = images[chosen].reshape(1500, -1).astype(numpy.float32) / 255
    y = labels[chosen].astype(numpy.int64)
    given, flipped = flip(y[:1000], draw)
    numpy.savez(folder / "train.npz", X=x[:1000], label=given)
    numpy.savez(folder / "dev.npz", X=x[1000:], label=y[1000:])
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        RECIPE.format(
            seed=seed,
            model="kind: mlp, widths: [64], dropout: 0",
            lr=0.002,
            epochs=10,
            batch=32,
            tasks="  - {name: label, head: classes, classes: 10}",
        )
    )
    scores = {}
    found, told = value(program, recipe, "in_run", folder / "in_run", "--set", "train.epochs=2")
    scores["in_run, 2 epochs"] = auroc(found["label", "label"], flipped)
    scores["audit"] = told["audit"]["max_relative_error"]
    run = folder / "run"
    call(program, "train", recipe, "--out", run, "--quiet")
    for method in ("loss", "knn_shapley", "oob", "tracin", "influence", "lava", "banzhaf"):
        found, _ = value(program, run, method, folder / method)
        scores[method] = auroc(found["label", "label"], flipped)
    found, _ = value(program, run, "tracin", folder / "tracin_self", "--self")
    scores["tracin --self"] = auroc(found["label", "label"], flipped)
    found, _ = value(program, run, "influence", folder / "influence_ekfac", "--solver", "ekfac")
    scores["influence --solver ekfac"] = auroc(found["label", "label"], flipped)
    return scores


def two_digits_study(program, images, labels, seed, folder):
    draw = numpy.random.default_rng(seed)
    rows = 4000
    x = numpy.zeros((rows, 1, 36, 36), numpy.float32)
    sides = []
    for corner in (0, 8):
        chosen = draw.choice(len(images), rows)
        digits = images[chosen].astype(numpy.float32) / 255
        part = x[:, 0, corner : corner + 28, corner : corner + 28]
        numpy.maximum(part, digits, out=part)
        sides.append(labels[chosen].astype(numpy.int64))
    train = rows - 1000
    given, flipped = flip(sides[0][:train], draw)
    numpy.savez(folder / "train.npz", X=x[:train], left=given, right=sides[1][:train])
    numpy.savez(folder / "dev.npz", X=x[train:], left=sides[0][train:], right=sides[1][train:])
    recipe = folder / "recipe.yaml"
    tasks = "".join(f"  - {{name: {side}, head: classes, classes: 10}}\n" for side in ("left", "right"))
    recipe.write_text(
        RECIPE.format(
            seed=seed,
            lr=0.002,
            epochs=4,
            batch=64,
            tasks=tasks.rstrip(),
            model="kind: convnet, channels: [10, 20], kernel: 5, hidden: 50, dropout: 0",
        )
    )
    scores = {}
    found, told = value(
        program, recipe, "in_run", folder / "in_run", "--rows", "1000", "--set", "valuation.rows=1000"
    )
    for trained in ("left", "right"):
        for judged in ("left", "right"):
            scores[f"in_run {trained} to {judged}"] = auroc(found[trained, judged], flipped)
    scores["audit"] = told["audit"]["max_relative_error"]
    run = folder / "in_run" / "run"
    call(program, "train", recipe, "--out", folder / "run", "--quiet", "--set", "train.epochs=8")
    for method in ("loss", "tracin", "knn_shapley", "oob"):
        found, _ = value(program, folder / "run", method, folder / method)
        for side in ("left", "right"):
            scores[f"{method} {side}"] = auroc(found[side, side], flipped)
    assert run.exists()
    return scores


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--study", choices=["labels", "two_digits"], required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    images, labels = read_idx(chosen.images), read_idx(chosen.labels)
    study = {"labels": labels_study, "two_digits": two_digits_study}[chosen.study]
    scores = []
    for seed in range(chosen.seeds):
        folder = chosen.out / f"{chosen.study}_{seed}"
        folder.mkdir(parents=True)
        scores.append(study(chosen.program.resolve(), images, labels, seed, folder))
        print(
            f"seed {seed}:", {name: float(f"{score:.4g}") for name, score in scores[-1].items()}, flush=True
        )
    table = {}
    for name in scores[0]:
        each = [float(one[name]) for one in scores]
        table[name] = {"mean": statistics.mean(each), "each": each}
        spread = statistics.stdev(each) if len(each) > 1 else float("nan")
        print(f"{name:<24} {table[name]['mean']:.3g} ± {spread:.2g}")
    (chosen.out / "gates.json").write_text(
        json.dumps({"study": chosen.study, "scores": table}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
