#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether values find what is known to be wrong: labels flipped on purpose, of one task or of all.

    gates.py PROGRAM IMAGES LABELS --study labels|two_digits|modality|clean [--seeds 3] --out DIR

IMAGES and LABELS: MNIST's training files (idx, gzip or not; data/mnist/README.md). `labels`: 1,000 images,
a fifth of the labels flipped, 500 validation images. `two_digits`: two digits over each other, a fifth of
the left one's labels flipped; what is asked is whether the left task's values find them while the right
one's do not. Prints a table and writes DIR/gates.json.
"""

import argparse
import csv
import gzip
import json
import os
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
    """{(trained, judged) or, with modalities, (trained, judged, modality): values in the order of the ids}"""
    found = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            key = (row["task_trained"], row["task_judged"])
            if row["modality"] != "all":
                key += (row["modality"],)
            found.setdefault(key, {})[int(row["id"])] = row["value"]
    return {key: numpy.array([float(column[i]) for i in sorted(column)]) for key, column in found.items()}


def call(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def value(program, source, method, folder, *more):
    told = json.loads(call(program, "value", source, "--method", method, "--out", folder, "--json", *more))
    return read_values(folder / "values.csv"), told


THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))

RECIPE = """name: gates
seed: {seed}
data: {{kind: arrays, train: train.npz, dev: dev.npz, scale: stored}}
model: {{{model}}}
tasks:
{tasks}
balance: {{method: ew}}
optimizer: {{lr: {lr}, weight_decay: 0}}
train: {{epochs: {epochs}, batch_size: {batch}, keep: all}}
threads: {threads}
"""


JOINED = """name: gates
seed: {seed}
data:
  kind: joined
  train: list.csv
  split: {{column: part}}
  parts:
    - {{name: image, kind: arrays, file: images.npz, row: image, scale: stored}}
    - {{name: sound, kind: audio, frames: 64, mel: {{mels: 40}}}}
model:
  kind: joined
  widths: [64]
  dropout: 0
  parts:
    - {{name: image, widths: [64], dropout: 0}}
    - {{name: sound, kind: convnet1d, hidden: 64, dropout: 0}}
tasks:
  - {{name: digit, head: classes, classes: 10}}
  - {{name: speaker, head: classes, class_names: [{speakers}]}}
balance: {{method: ew}}
optimizer: {{lr: 0.002, weight_decay: 0}}
train: {{epochs: {epochs}, batch_size: 32, keep: all}}
valuation: {{rows: 300, groups: parts}}
threads: {threads}
"""


def labels_data(images, labels, seed, folder, share=0.2, test=0):
    """1,000 training images with flipped labels, 500 to judge, and `test` more; which were flipped."""
    draw = numpy.random.default_rng(seed)
    chosen = draw.choice(len(images), 1500 + test, replace=False)
    x = images[chosen].reshape(len(chosen), -1).astype(numpy.float32) / 255
    y = labels[chosen].astype(numpy.int64)
    given, flipped = flip(y[:1000], draw, share)
    numpy.savez(folder / "train.npz", X=x[:1000], label=given)
    numpy.savez(folder / "dev.npz", X=x[1000:1500], label=y[1000:1500])
    if test:
        numpy.savez(folder / "test.npz", X=x[1500:], label=y[1500:])
    return flipped


def digits_recipe(folder, seed):
    """One hidden layer on the pixels that labels_data wrote."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        RECIPE.format(
            seed=seed,
            threads=THREADS,
            model="kind: mlp, widths: [64], dropout: 0",
            lr=0.002,
            epochs=10,
            batch=32,
            tasks="  - {name: label, head: classes, classes: 10}",
        )
    )
    return recipe


def labels_study(program, images, labels, seed, folder):
    flipped = labels_data(images, labels, seed, folder)
    recipe = digits_recipe(folder, seed)
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
            threads=THREADS,
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


def modality_study(program, images, labels, seed, folder, sounds, noise):
    """Takes 5 to 19 of each speaker and digit train, takes 0 to 4 judge."""
    draw = numpy.random.default_rng(seed)
    with open(sounds / "recordings.csv", newline="") as file:
        recordings = [row for row in csv.DictReader(file) if int(row["take"]) < 20]
    parts = ["dev" if int(row["take"]) < 5 else "train" for row in recordings]
    train = [i for i, part in enumerate(parts) if part == "train"]
    by_speaker = {}
    for i in train:
        by_speaker.setdefault(recordings[i]["speaker"], []).append(i)
    corrupted = set(draw.choice(train, len(train) // 5, replace=False).tolist())
    of_digit = [draw.permutation(numpy.flatnonzero(labels == digit)).tolist() for digit in range(10)]
    chosen, lines = [], ["image,audio,digit,speaker,part"]
    for i, (row, part) in enumerate(zip(recordings, parts)):
        heard = row
        if i in corrupted:
            others = [j for j in by_speaker[row["speaker"]] if recordings[j]["digit"] != row["digit"]]
            heard = recordings[others[draw.integers(len(others))]]
        audio = (sounds / heard["audio"]).resolve()
        lines.append(f"{len(chosen)},{audio},{row['digit']},{row['speaker']},{part}")
        chosen.append(of_digit[int(row["digit"])].pop())
    flipped = numpy.array([i in corrupted for i in train])
    x = images[chosen].reshape(len(chosen), -1).astype(numpy.float32) / 255
    x += numpy.float32(noise) * draw.standard_normal(x.shape, numpy.float32)
    numpy.savez(folder / "images.npz", X=x)
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        JOINED.format(seed=seed, threads=THREADS, epochs=12, speakers=", ".join(sorted(by_speaker)))
    )
    scores = {}
    run = folder / "in_run" / "run"
    for method, source in (("in_run", recipe), ("modality", run)):
        found, told = value(program, source, method, folder / method)
        trained = (
            {"digit": "all", "speaker": "all"}
            if method == "modality"
            else {"digit": "digit", "speaker": "speaker"}
        )
        for task in ("digit", "speaker"):
            for part in ("image", "sound"):
                values = found[trained[task], task, part]
                scores[f"{method} {task} {part}"] = auroc(values, flipped)
                scores[f"{method} {task} {part}, mean of wrong"] = values[flipped].mean()
                scores[f"{method} {task} {part}, mean of others"] = values[~flipped].mean()
        scores[f"{method} audit"] = told["audit"]["max_relative_error"]
    return scores


def clean_study(program, images, labels, seed, folder, share):
    labels_data(images, labels, seed, folder, share, 2000)
    recipe = digits_recipe(folder, seed)
    scores = {}

    def test(name, source):
        run = folder / f"run {name}"
        call(program, "train", source, "--out", run, "--quiet")
        told = json.loads(call(program, "eval", run, "--data", folder / "test.npz", "--json"))
        scores[name] = told["tasks"]["label"]["accuracy"]
        return run

    run = test("all rows", recipe)
    for method in ("knn_shapley", "loss"):
        value(program, run, method, folder / method)
        clean = [program, "value", "clean", run, "--values", folder / method / "values.csv", "--below", 0.2]
        call(*clean, "--out", folder / f"clean {method}")
        test(f"without the lowest of {method}", folder / f"clean {method}" / "recipe.yaml")
    call(*clean, "--random", "--seed", seed, "--out", folder / "random")
    test("without as many at random", folder / "random" / "recipe.yaml")
    return scores


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--study", choices=["labels", "two_digits", "modality", "clean"], required=True)
    parser.add_argument("--sounds", type=Path, help="modality: data/fsdd with its recordings")
    parser.add_argument(
        "--noise", type=float, default=0.0, help="modality: deviation added to pixels between 0 and 1"
    )
    parser.add_argument("--flipped", type=float, default=0.2, help="clean: share of the labels flipped")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    images, labels = read_idx(chosen.images), read_idx(chosen.labels)
    if chosen.study == "modality" and chosen.sounds is None:
        parser.error("--study modality needs --sounds")
    study = {
        "labels": labels_study,
        "two_digits": two_digits_study,
        "modality": lambda *given: modality_study(*given, chosen.sounds, chosen.noise),
        "clean": lambda *given: clean_study(*given, chosen.flipped),
    }[chosen.study]
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
        print(f"{name:<36} {table[name]['mean']:.3g} ± {spread:.2g}")
    (chosen.out / "gates.json").write_text(
        json.dumps({"study": chosen.study, "scores": table}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
