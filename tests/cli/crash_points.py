#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real program, killed at each of its crash points, then resumed: the same run, byte for byte.

    crash_points.py PROGRAM [TIMES]     each point at its first, ..., TIMES-th passing; default 1
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TIMED = {"ms", "seconds", "examples_per_second"}


def write_data(folder):
    draw = random.Random(3)
    for name, rows in [("train.csv", 96), ("dev.csv", 32)]:
        lines = ["a,b,kind,sum,large"]
        for _ in range(rows):
            a, b = draw.random(), draw.random()
            lines.append(f"{a},{b},{draw.choice('xyz')},{a + b},{int(a * b > 0.25)}")
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(
        "data: {kind: table, train: train.csv, dev: dev.csv}\n"
        "tasks:\n"
        "  - {name: sum, head: regression}\n"
        "  - {name: large, head: binary}\n"
        "balance: {method: cagrad}\n"
        "train: {epochs: 3, batch_size: 32}\n"
        "threads: 1\n")


def run(program, out, *more, **environment):
    return subprocess.run(
        [program, "train", str(out.parent / "recipe.yaml"), "--out", str(out), "--quiet", *more],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)


PARTS = ["log", "summary", "snapshots", "model", "answers"]


def result(out):
    """Everything a run says that does not depend on the clock."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for key in TIMED:
            line.pop(key, None)
    summary = json.loads((out / "summary.json").read_text())
    for measured in ("seconds", "peak_memory_mib"):
        summary.pop(measured)
    snapshots = sorted(path.name for path in (out / "snapshots").iterdir())
    kept = [(out / name).read_bytes() for name in ("model.safetensors", "answers.json")]
    return lines, summary, snapshots, *kept


def names(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*")
                  if "tfevents" not in path.name)


def main():
    program = sys.argv[1]
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    doctor = subprocess.run([program, "doctor", "--json"], capture_output=True, text=True, check=False)
    points = json.loads(doctor.stdout)["crash_points"]
    assert len(points) >= 12, points

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_data(folder)
        done = run(program, folder / "whole")
        assert done.returncode == 0, done.stderr
        expected = result(folder / "whole")
        kills = 0
        for point in points:
            for time in range(1, times + 1):
                out = folder / f"{point}-{time}"
                killed = run(program, out, DETENTE_CRASH_AT=f"{point}:{time}")
                if killed.returncode == 0 and time > 1:
                    break  # it is not met so often
                assert killed.returncode == -signal.SIGKILL, (point, killed.returncode, killed.stderr)
                kills += 1
                resumed = run(program, out, "--resume")
                assert resumed.returncode == 0, (point, time, resumed.stderr)
                for found, wanted, what in zip(result(out), expected, PARTS):
                    assert found == wanted, (point, time, what)
                assert names(out) == names(folder / "whole"), (point, time, names(out))
        wrong = run(program, folder / "wrong", DETENTE_CRASH_AT="snapshot.renam")
        assert wrong.returncode == 2 and "snapshot.renamed" in wrong.stderr, wrong.stderr
        print(f"{kills} kills at {len(points)} points, each resumed to the same run")


if __name__ == "__main__":
    main()
