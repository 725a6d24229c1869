#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TensorBoard's own reader finds in the event files of a run, one that was killed and went on, exactly what
metrics.jsonl says: every tag, step and value (as float32), and nothing twice."""
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

program = sys.argv[1]
rng = random.Random(3)

RECIPE = """
name: small
data: {kind: table, train: t.csv, split: {dev: 0.25}}
model: {widths: [8]}
tasks:
  - {name: "the\\"first\\"one", column: a, head: regression, metrics: [r2, mae]}
  - {name: 둘째, column: b, head: binary, metrics: [auroc]}
balance: {method: cagrad}
train: {epochs: 4, batch_size: 16}
"""


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def scalars_of_log(path):
    """{tag: [(step, value)]} as docs/run_directory.md says what is shown."""
    found = {}

    def add(tag, step, value):
        if value is not None and math.isfinite(value):
            found.setdefault(tag, []).append((step, float32(value)))

    for line in map(json.loads, path.read_text().splitlines()):
        if line["type"] == "step":
            add("train/lr", line["step"], line["lr"])
            for key, tag in [("losses", "loss"), ("weights", "weight"), ("grad_norms", "gradient_norm"),
                             ("cosines", "cosine")]:
                for name, value in line.get(key, {}).items():
                    add(f"train/{tag}/{name}", line["step"], value)
        elif line["type"] == "epoch":
            for task, metrics in line["dev"].items():
                for name, value in metrics.items():
                    add(f"dev/{task}/{name}", line["step"], value)
    return found


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    lines = ["x,y,a,b"]
    for _ in range(300):
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        lines.append(f"{x},{y},{x - y + rng.gauss(0, 0.2)},{int(x + y > 0)}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    (folder / "r.yaml").write_text(RECIPE)
    train = [program, "train", folder / "r.yaml", "--out", folder / "run", "--quiet", "--set", "threads=1"]
    # Killed when the third epoch is in the log and its snapshot is not: its steps are written twice.
    killed = subprocess.run(train, env={**os.environ, "DETENTE_CRASH_AT": "epoch.logged:3"})
    assert killed.returncode == -9, killed.returncode
    before = len(scalars_of_log(folder / "run/metrics.jsonl")["train/lr"])
    subprocess.run([*train, "--resume"], check=True)
    files = list((folder / "run").glob("events.out.tfevents.*"))
    assert len(files) == 2, files

    expected = scalars_of_log(folder / "run/metrics.jsonl")
    reader = EventAccumulator(str(folder / "run"), size_guidance={"scalars": 0})
    reader.Reload()
    assert sorted(reader.Tags()["scalars"]) == sorted(expected), (reader.Tags()["scalars"], sorted(expected))
    assert len(expected) == 1 + 2 + 2 + 2 + 1 + 3, sorted(expected)
    assert 0 < before < len(expected["train/lr"]), (before, len(expected["train/lr"]))
    for tag, points in expected.items():
        read = [(event.step, event.value) for event in reader.Scalars(tag)]
        assert read == points, (tag, read[:3], points[:3], len(read), len(points))
print("ok")
