#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a target's unit does to the methods (docs/results.md).

  bench/tables/rescaling.py build/release/detente [--recipe recipes/bike.yaml] [--task casual]
        [--factor 10000] [--methods ew,uw,...] [--seeds 5] [--epochs 8] [--out FILE.json]

A target in units a hundred times smaller has a squared error 10,000 times as large. `tasks[].weight`
does the same to the loss and leaves alone what the network must answer, so that the difference is
the method's. Each method trains twice with each seed, with and without the factor on one task's loss;
shown is the validation metric of the last epoch, every task's first, and the paired difference with
its 95 % interval over the seeds (Student's t).
"""
import argparse
import json
import math
import statistics
import subprocess
import tempfile
from pathlib import Path

# Quantiles of Student's t, 97.5 %, by degrees of freedom.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("detente")
parser.add_argument("--recipe", default="recipes/bike.yaml")
parser.add_argument("--task", default="casual")
parser.add_argument("--factor", type=float, default=10000)
parser.add_argument("--methods", default="ew,uw,gls,pcgrad,cagrad,mgda,imtl_g,nash_mtl,fairgrad")
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--out")
args = parser.parse_args()
if args.seeds - 1 not in T:
    parser.error("--seeds: expected 2 to 10, for an interval")


def metrics(method, seed, factor, folder):
    run = folder / f"{method}-{seed}-{factor:g}"
    command = [args.detente, "train", args.recipe, "--out", run, "--quiet"]
    for setting in [f"balance.method={method}", f"seed={seed}", f"train.epochs={args.epochs}",
                    f"tasks.{args.task}.weight={factor}", "threads=1", "engine.diagnose_every=0",
                    "output.tensorboard=false"]:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in epochs if line["type"] == "epoch"][-1]["dev"]
    return {task: next(iter(values.values())) for task, values in last.items()}, None


def interval(values):
    return statistics.mean(values), T[len(values) - 1] * statistics.stdev(values) / math.sqrt(
        len(values))


rows = []
with tempfile.TemporaryDirectory() as folder:
    for method in args.methods.split(","):
        plain, scaled = [], []
        for seed in range(args.seeds):
            for factor, found in [(1, plain), (args.factor, scaled)]:
                values, error = metrics(method, seed, factor, Path(folder))
                if error:
                    print(f"{method}, seed {seed}, factor {factor:g}: {error}", flush=True)
                else:
                    found.append(values)
        if len(plain) < args.seeds or len(scaled) < args.seeds:
            continue
        for task in plain[0]:
            before = [v[task] for v in plain]
            after = [v[task] for v in scaled]
            change, half = interval([b - a for a, b in zip(before, after)])
            rows.append({"method": method, "task": task, "plain": statistics.mean(before),
                         "scaled": statistics.mean(after), "change": change, "half": half})
            print(f"{method:12} {task:16} {rows[-1]['plain']:8.4f} {rows[-1]['scaled']:8.4f} "
                  f"{change:+8.4f} ± {half:.4f}", flush=True)
if args.out:
    Path(args.out).write_text(json.dumps({"arguments": vars(args), "rows": rows}, indent=1) + "\n")
