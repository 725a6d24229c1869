#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long training waits for a snapshot (docs/run_directory.md): the time from one line of
metrics.jsonl to the next, where a snapshot was taken in between, while one was being written, and
otherwise; and what of it is not the step's own (its wait for the copy of the parameters included).

  bench/engine/snapshot_wait.py build/release/detente [--widths 2048,2048] [--batch 64]
                                [--threads 1] [--every 4] [--seconds 60]

Trains on a made-up table of two tasks with 400 columns. The exit status does not depend on the
numbers.
"""
import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("detente")
parser.add_argument("--widths", default="2048,2048")
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--every", type=float, default=4, help="seconds between snapshots")
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--folder", help="where the run is written; default: the temporary folder")
args = parser.parse_args()

random.seed(1)
with tempfile.TemporaryDirectory(dir=args.folder) as folder:
    folder = Path(folder)
    names = [f"x{i}" for i in range(400)]
    with open(folder / "t.csv", "w") as file:
        print(",".join(names + ["y", "z"]), file=file)
        lines = []
        for _ in range(500):
            x = [random.gauss(0, 1) for _ in names]
            lines.append(",".join(f"{v:.3f}" for v in x + [x[0] + x[1], x[0] * x[2]]))
        for i in range(200 * args.batch):
            print(lines[i % len(lines)], file=file)
    (folder / "t.yaml").write_text(
        f"data: {{kind: table, train: t.csv, split: {{dev: 0.02}}}}\n"
        f"model: {{widths: [{args.widths}]}}\n"
        "tasks: [{name: y}, {name: z}]\n"
        f"threads: {args.threads}\n"
        f"train: {{epochs: 100000, batch_size: {args.batch}, keep: all, "
        f"snapshot_minutes: {args.every / 60}}}\n"
        "output: {tensorboard: false}\n"
    )
    run = folder / "run"
    process = subprocess.Popen([args.detente, "train", folder / "t.yaml", "--out", run, "--quiet"])
    log = run / "metrics.jsonl"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.05)
    seen, begun, rest = [], time.perf_counter(), b""  # (step, when, ms of the step itself)
    saved = {}  # step of a snapshot: when it was whole
    with open(log, "rb") as lines:
        while time.perf_counter() - begun < args.seconds:
            new = lines.read()
            now = time.perf_counter()
            if not new:
                if (run / "snapshots").is_dir():
                    for path in (run / "snapshots").glob("step-*"):
                        saved.setdefault(int(path.name[5:]), now)
                time.sleep(0.0005)
                continue
            *whole, rest = (rest + new).split(b"\n")
            for line in map(json.loads, whole):
                if line["type"] == "step":
                    seen.append((line["step"], now, line["ms"]["total"] - line["ms"]["extra"]))
                else:
                    seen.append((None, now, None))  # an evaluation: no interval over it
    process.kill()
    process.wait()
    size = sum(f.stat().st_size for f in (run / f"snapshots/step-{max(saved)}").iterdir())

# Of each interval between two steps, what it waited beyond the second step itself.
taken, writing, quiet = [], [], []
open_until = 0.0
for (step, when, _), (following, end, own) in zip(seen, seen[1:]):
    if step is None:
        open_until = max(open_until, saved.get(last, 0.0))
        continue
    last = step
    if following is None:
        continue
    if step in saved:
        taken.append((1000 * (end - when) - own, own))
        open_until = saved[step]
    elif when < open_until:
        writing.append((1000 * (end - when) - own, own))
    else:
        quiet.append((1000 * (end - when) - own, own))


def told(name, intervals):
    if not intervals:
        return None
    waits = statistics.median(w for w, _ in intervals)
    step = statistics.median(s for _, s in intervals)
    print(f"{name:28} {len(intervals):5} intervals: step {step:7.1f} ms, beside it {waits:6.1f} ms")
    return waits, step


print(f"{size / 2**20:.0f} MiB a snapshot")
idle = told("no snapshot", quiet)
told("while one is written", writing)
wait = told("with the copy of one", taken)
if idle and wait:
    cost = wait[0] - idle[0]
    print(f"training waits {cost:.1f} ms for a snapshot, {100 * cost / idle[1]:.0f} % of a step")
