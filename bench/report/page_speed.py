#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the pages of long runs and large studies take to be made and to be opened, and how large they are.

    python3 bench/report/page_speed.py build/numerics/tests/study/page_maker

makes the runs (a study of 60 runs of 10,000 steps is 200 MB) in a temporary folder, the pages by the given
program (the page part of `detente report`), and opens each three times in a headless chromium."""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/report"))
import browser  # noqa: E402
import made_runs  # noqa: E402


def measure(maker, what, folder, words):
    logs = sum(path.stat().st_size for path in folder.rglob("metrics.jsonl"))
    began = time.monotonic()
    subprocess.run([maker, what, str(folder)], check=True)
    made = time.monotonic() - began
    page = folder / ("report.html" if what == "run" else "comparison.html")
    opened = []
    for _ in range(3):
        with browser.Browser(browser.find()) as chromium:
            opened.append(chromium.open(page.as_uri()).seconds)
    print(f"{words}: {logs / 1e6:.0f} MB of logs, page made in {made:.2f} s, "
          f"{page.stat().st_size / 1e6:.2f} MB, opened in {statistics.median(opened):.2f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("maker")
    parser.add_argument("--steps", type=int, default=10000)
    args = parser.parse_args()
    if browser.find() is None:
        sys.exit("no chromium is installed")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made_runs.write_run(root / "five", [f"task{k}" for k in range(5)], args.steps, 20)
        measure(args.maker, "run", root / "five", f"run of 5 tasks, {args.steps} steps")
        few = args.steps // 10  # each has the cosines of 1,225 pairs
        made_runs.write_run(root / "fifty", [f"task{k}" for k in range(50)], few, 20)
        measure(args.maker, "run", root / "fifty", f"run of 50 tasks, {few} steps")
        made_runs.write_study(root / "study", made_runs.METHODS[:10], ["a", "b"], 5, args.steps, 20)
        measure(args.maker, "study", root / "study", f"study of 60 runs, {args.steps} steps")


if __name__ == "__main__":
    main()
