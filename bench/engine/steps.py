#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of training steps in docs/benchmarks.md: `detente bench step` for every row, beside what
each row is meant to reach.

  bench/engine/steps.py build/release/detente [--threads 1 --threads 2] [--only TEXT] [--json FILE]

Takes about three minutes a thread count on a quiet machine; on a busy one the numbers mean little
(the load average is printed). The exit status does not depend on the numbers.
"""
import argparse
import json
import subprocess
import sys

# name, options, what is compared ("plain" or "floor": K backward passes without a method), reach
CASES = [
    ("mlp, 10 tasks, own examples", "--model mlp --tasks 10 --batch 128 --steps 60", "plain", 1.10),
    ("mlp, 50 tasks, own examples", "--model mlp --tasks 50 --batch 128 --steps 25", "plain", 1.10),
    ("resnet-18, 4 tasks, own examples", "--model cnn --tasks 4 --batch 16 --steps 11", "plain", 1.20),
    ("resnet-18, 3 tasks, one batch",
     "--model cnn --input single --tasks 3 --batch 16 --steps 11", "floor", 0.92),
    ("transformer, 8 tasks, one batch",
     "--model transformer --input single --tasks 8 --batch 16 --steps 7", "floor", 1.03),
    ("the same, Gram matrix in bf16",
     "--model transformer --input single --tasks 8 --batch 16 --steps 7 --gram-precision bf16",
     "floor", 0.75),
    ("the same, Gram matrix of a quarter of the rows",
     "--model transformer --input single --tasks 8 --batch 16 --steps 7 --gram-rows 0.25", "floor",
     0.75),
    ("the same, Gram matrix by projection to 8 columns",
     "--model transformer --input single --tasks 8 --batch 16 --steps 7 --gram-sketch 8", "floor",
     0.75),
    ("siamese with 32,000 tokens, 2 tasks",
     "--model siamese --input single --tasks 2 --batch 32 --steps 60 --optimizer adamw", "floor",
     0.95),
    ("the same with LibTorch's Adam",
     "--model siamese --input single --tasks 2 --batch 32 --steps 60", "floor", 0.95),
    ("features: transformer, 8 tasks",
     "--model transformer --input single --tasks 8 --batch 16 --steps 9 --method mgda_ub",
     "plain", 1.15),
    ("class L: mlp, 10 tasks", "--model mlp --tasks 10 --batch 128 --steps 60 --method uw",
     "plain", 1.03),
    ("cagrad_fast: transformer, 8 tasks",
     "--model transformer --input single --tasks 8 --batch 16 --steps 7 --method cagrad_fast",
     "floor", None),
    ("little memory: transformer, 8 tasks",
     "--model transformer --input single --tasks 8 --batch 16 --steps 5 --memory low",
     "floor", None),
]


def measure(program, options, threads):
    command = [program, "bench", "step", *options.split(), "--threads", str(threads), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the detente program")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated; default 1")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--json", help="also write all numbers to this file")
    arguments = parser.parse_args()
    print("| step | threads | strategy | plain ms | K passes ms | with method ms | ratio | to | "
          "reach | memory, plain MB | memory, method MB | cosine | load |")
    print("|---|---:|---|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|")
    results = []
    for threads in arguments.threads or [1]:
        for name, options, to, reach in CASES:
            if arguments.only not in name:
                continue
            found = measure(arguments.program, options, threads)
            ratio = found["ratio"] if to == "plain" else found["ratio_floor"]
            floor = f"{found['ms_floor']:.1f}" if found["ms_floor"] else ""
            cosine = found["estimate_cosine"]
            verdict = "" if reach is None else f"{reach:.2f}" + ("" if ratio <= reach else " (missed)")
            print(f"| {name} | {threads} | {found['strategy']} | {found['ms_plain']:.1f} | {floor} | "
                  f"{found['ms_method']:.1f} | {ratio:.2f} | {to} | {verdict} | "
                  f"{found['plain_peak_bytes'] / 1e6:.0f} | {found['peak_bytes'] / 1e6:.0f} | "
                  f"{'' if cosine is None else f'{cosine:.5f}'} | "
                  f"{found['load_before']:.1f} |", flush=True)
            results.append({"step": name, "compared_to": to, "reach": reach, **found})
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
