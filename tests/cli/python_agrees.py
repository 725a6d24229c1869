#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a little, then compares `detente predict` with examples/python/load_run.py: on sentence
pairs, on a table, and on runs it does not read."""
import csv
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import safetensors  # noqa: F401
    import torch  # noqa: F401
    import yaml  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

program, source = sys.argv[1], Path(sys.argv[2])


def train(recipe, run, *settings):
    sets = [word for setting in ("threads=1", *settings) for word in ("--set", setting)]
    subprocess.run([program, "train", recipe, "--out", run, "--quiet", *sets], check=True)


def load_run(run, rows):
    command = [sys.executable, source / "examples/python/load_run.py", run, rows]
    return subprocess.run(command, capture_output=True, text=True)


def half_a_digit(number):
    """Half of the last decimal that is written: what rounding may have taken."""
    mantissa, _, exponent = number.partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def compare(run, rows, columns, tolerance):
    """`columns`: what predict calls the tasks' values, in their order."""
    out = run.with_suffix(".out.csv")
    subprocess.run([program, "predict", run, "--data", rows, "--out", out], check=True,
                   stdout=subprocess.DEVNULL)
    with open(out, encoding="utf-8", newline="") as file:
        ours = list(csv.DictReader(file))
    result = load_run(run, rows)
    assert result.returncode == 0, result.stderr
    theirs = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    assert len(ours) == len(theirs) > 0, (len(ours), len(theirs))
    worst = 0.0
    for a, b in zip(ours, theirs):
        for name, value in zip(columns, b, strict=True):
            if a[name] == value:
                continue
            rounded = half_a_digit(a[name])
            difference = abs(float(a[name]) - float(value)) - rounded
            worst = max(worst, difference / max(1.0, abs(float(value))))
    print(f"{run.name}: {len(ours)} rows, largest difference beyond rounding {worst:.2g}")
    assert worst < tolerance, (run.name, worst)


def pair_rows(path):
    rows = ["sentence1\tsentence2", "A man, playing!\t남자가 [CLS] 연주한다.", " \t빈 문장"]
    words = "한 남자가 기타를 연주하고 있다 . 여자는 책을 3권 읽는다 NFD가 힣 ÉTÉ 漢字".split()
    for i in range(40):
        a = " ".join(words[(i * 7 + j) % len(words)] for j in range(1 + i % 9))
        b = " ".join(words[(i * 5 + j) % len(words)] for j in range(1 + i % 7))
        rows.append(f"{a}\t{b}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def table_rows(path):
    """Numbers in every spelling, dates, categories, missing cells, words that YAML and CSV quote."""
    random.seed(3)
    kinds = ['예, "아니오"', "NULL", "~"]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "gap", "day", "colour", "code", "y", "scaled", "unit", "above", "kind"])
        for i in range(240):
            x, gap = random.gauss(0, 1), random.gauss(3, 100)
            spelled = [f"{x:.4f}", f" {x:+.5e} ", f"{x:.2f}"][i % 3]
            day = [f"2011-{1 + i % 12:02}-{1 + i % 28:02}", f"1969/12/{1 + i % 31:02} 23:59:07.5Z", "NA"]
            colour = ["red", " green", "blue ", "", "?", f"rare{i}"][i % 6 if i % 40 else 5]
            code = ["1", "1.0", "01", "2", "2.5", "1e20"][i % 6]
            row = [spelled, ["", "null", f"{gap:.3f}"][min(i % 7, 2)], day[i % 3], colour, code]
            row += [f"{math.sin(x) * 0.5:.5f}", f"{math.tanh(x):.4f}", f"{3 + math.tanh(x):.4f}"]
            writer.writerow(row + [int(x > 0), kinds[i % 3]])


TABLE_RECIPE = """
data: {kind: table, train: t.csv, split: {dev: 0.2}, categories: [code]}
tasks:
  - {name: y, head: regression}
  - {name: scaled, head: regression, output: scaled, low: -1, high: 1}
  - {name: unit, head: regression, output: sigmoid, low: 2, high: 4}
  - {name: above, head: binary}
  - {name: kind, head: classes, class_names: ['예, "아니오"', "NULL", "~"]}
train: {epochs: 3, batch_size: 16}
"""

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    pairs = folder / "pairs.tsv"
    pair_rows(pairs)
    small = ["data.max_rows=300", "train.epochs=1"]
    train(source / "recipes/kor_sts.yaml", folder / "pairs", *small)
    compare(folder / "pairs", pairs, ["score", "same_probability"], 1e-5)

    table = folder / "t.csv"
    table_rows(table)
    recipe = folder / "t.yaml"
    recipe.write_text(TABLE_RECIPE, encoding="utf-8")
    columns = ["y", "scaled", "unit", "above_probability", "kind"]
    for name, settings in {
        "relu": [],
        "gelu": ["model.activation=gelu", "model.widths=[16]", "model.embedding=3"],
        "silu": ["model.activation=silu", "precision=float64"],
    }.items():
        train(recipe, folder / name, *settings)
        compare(folder / name, table, columns, 1e-6)

    # What it does not read it says.
    train(source / "recipes/kor_sts.yaml", folder / "cross", *small, "model.mode=cross",
          "model.alignment=none")
    refused = load_run(folder / "cross", pairs)
    assert refused.returncode == 1 and "not siamese" in refused.stderr, refused.stderr
