#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What self-distillation brings on CIFAR-10, beside what it must be compared with.

    python3 bench/distill/cifar10.py build/release/detente FILE --study ddgsd --out runs/ddgsd
    python3 bench/distill/cifar10.py build/release/detente FILE --study dino --seeds 3 --out runs/dino
    python3 bench/distill/cifar10.py build/release/detente FILE --study start --from runs/dino --out R

FILE: CIFAR-10 in its binary form (data/cifar10/README.md); a tenth of it is for validation. A run that is
there already is not trained again, so the command may be stopped and repeated. Means over seeds, and the
differences to the first line with 95 % intervals of Student's t over the pairs of one seed.

ddgsd  both terms, against cross-entropy on the same two views (no agreement asked for), a batch of twice the
       size seen once, and the five terms as tasks of a method
dino   nearest neighbours and a linear classifier on the features, beside raw pixels and the untrained network
start  500 labels, from the features of `dino` and from random parameters
"""
import argparse
import json
import math
import statistics
import subprocess
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
# Of Student's t, two-sided 95 %, by degrees of freedom.
QUANTILE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
SMALL_VIT = {"model.width": 96, "model.layers": 4, "model.ffn": 384}
SMALL_CONV = {"model.channels": "[16,32,64]", "model.hidden": 128}


def ddgsd(arguments):
    tasks = {"train.ddgsd.terms": "tasks"}
    variants = {
        "ddgsd": {},
        "cross-entropy, same views": {"train.ddgsd.kl_weight": 0, "train.ddgsd.mmd_weight": 0},
        "cross-entropy, batch x 2": {"train.objective": "supervised", "train.batch_size": 128,
                                     "data.augment.flip": "true", "data.augment.crop": 4},
        "five tasks, cagrad": {**tasks, "balance.method": "cagrad"},
        "five tasks, upgrad": {**tasks, "balance.method": "upgrad"},
    }
    more = {**SMALL_CONV, "train.epochs": arguments.epochs or 10}
    return "ddgsd_cifar10", {name: {**more, **sets} for name, sets in variants.items()}, ["accuracy"]


def dino(arguments):
    epochs = arguments.epochs or 10
    return "dino_cifar10", {"dino": {**SMALL_VIT, "train.epochs": epochs, "train.probe_every": epochs}}, [
        "knn20", "raw_knn20", "untrained_knn20", "linear", "untrained_linear"]


def start(arguments):
    text = (RECIPES / "dino_cifar10.yaml").read_text()
    recipe = arguments.out / "start.yaml"
    head, rest = text.split("tasks:\n")[0], "\ntasks:\n  - {name: label, head: classes, classes: 10}\n"
    recipe.write_text(head.replace("../data", str(RECIPES.parent / "data")) + rest +
                      "balance: {method: ew}\noptimizer: {lr: 0.001}\ntrain: {epochs: 40, batch_size: 50}\n")
    # The validation rows of the study of the features, none of which they were learned from.
    more = {**SMALL_VIT, "data.max_rows": 500, "data.augment.flip": "true", "data.augment.crop": 4,
            "train.epochs": arguments.epochs or 40}
    variants = {"from features": {**more, "train.start_from": "{features}"}, "from scratch": more}
    return str(recipe), variants, ["accuracy"]


def train(arguments, recipe, name, sets, seed):
    out = arguments.out / f"{name.replace(' ', '_').replace(',', '')}.{seed}"
    if not (out / "summary.json").exists():
        path = recipe if recipe.endswith(".yaml") else str(RECIPES / f"{recipe}.yaml")
        words = [arguments.program, "train", path, "--out", str(out), "--quiet", "--force",
                 "--set", f"data.train={arguments.data.resolve()}",
                 "--set", f"seed={seed}", "--set", f"threads={arguments.threads}"]
        for key, value in sets.items():
            value = str(value).replace("{features}", str(Path(arguments.features or "") / f"dino.{seed}"))
            words += ["--set", f"{key}={value}"]
        subprocess.run(words, check=True)
    return json.loads((out / "summary.json").read_text())


def interval(values):
    if len(values) < 2:
        return statistics.mean(values), math.nan
    half = QUANTILE[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), half


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("data", type=Path)
    parser.add_argument("--study", choices=["ddgsd", "dino", "start"], required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--from", dest="features", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    recipe, variants, metrics = {"ddgsd": ddgsd, "dino": dino, "start": start}[arguments.study](arguments)
    scores, conflicts, processor = {}, {}, ""
    for seed in range(arguments.seeds):
        for name, sets in variants.items():
            summary = train(arguments, recipe, name, sets, seed)
            for metric in metrics:
                scores.setdefault((name, metric), []).append(summary["tasks"]["label"][metric])
            if summary.get("conflict_share") is not None:
                conflicts.setdefault(name, []).append(summary["conflict_share"])
            processor = summary["processor"]
    first = next(iter(scores))
    rows = []
    for (name, metric), values in scores.items():
        mean, half = interval(values)
        row = {"variant": name, "metric": metric, "mean": mean, "half_width": half, "values": values}
        if (name, metric) != first:
            row["difference"], row["difference_half_width"] = interval(
                [b - a for a, b in zip(scores[first], values)])
        if name in conflicts:
            row["conflict_share"] = statistics.mean(conflicts[name])
        rows.append(row)
        line = f"{name:28} {metric:18} {mean:.4f} ± {half:.4f}"
        if "difference" in row:
            line += f"   to the first {row['difference']:+.4f} ± {row['difference_half_width']:.4f}"
        if name in conflicts:
            line += f"   conflict in {row['conflict_share']:.0%} of steps"
        print(line)
    result = {"processor": processor, "rows": rows}
    (arguments.out / "result.json").write_text(json.dumps(result, indent=1) + "\n")


main()
