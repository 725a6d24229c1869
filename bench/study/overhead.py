#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `detente compare` costs beside its runs: the same `detente train` commands from a plain loop.

    python3 bench/study/overhead.py PROGRAM RECIPE [--repeats 3] [--seeds 3] [--methods ew,uw]

One run at a time, no baselines. Prints JSON: seconds of each, and the ratio of the medians less one."""
import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("program")
parser.add_argument("recipe")
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--methods", default="ew,uw")
parser.add_argument("--set", action="append", default=[])
flags = parser.parse_args()
sets = [word for text in ["threads=1", *flags.set] for word in ("--set", text)]


def seconds(*commands):
    begin = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


with tempfile.TemporaryDirectory() as folder:
    study, loop = Path(folder) / "study", Path(folder) / "loop"
    compare = [flags.program, "compare", flags.recipe, "--methods", flags.methods, "--seeds",
               str(flags.seeds), "--jobs", "1", "--no-stl", "--out", str(study), *sets]
    trains = [[flags.program, "train", flags.recipe, "--quiet", "--out", str(loop / f"{method}-{seed}"),
               *sets, "--set", f"balance.method={method}", "--set", f"seed={seed}"]
              for seed in range(flags.seeds) for method in flags.methods.split(",")]
    # Without test rows: measuring them is work that the loop does not do.
    if subprocess.run([flags.program, "recipe", "show", flags.recipe, *sets], capture_output=True,
                      text=True).stdout.count("test: 0\n") == 0:
        parser.error("a recipe without test rows, please (--set data.split.test=0)")
    found = {"compare": [], "loop": []}
    for _ in range(flags.repeats):
        for name, commands in [("loop", trains), ("compare", [compare])]:
            for made in (study, loop):
                shutil.rmtree(made, ignore_errors=True)
            loop.mkdir()
            found[name].append(seconds(*commands))
    overhead = statistics.median(found["compare"]) / statistics.median(found["loop"]) - 1
    print(json.dumps({**found, "runs": len(trains), "overhead": overhead}, indent=1))
