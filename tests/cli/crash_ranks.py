#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two processes that train together, one of them killed at a crash point: the other ends within seconds and
says who is missing, and both go on to the run that nothing happened to, byte for byte.

    crash_ranks.py PROGRAM [TIMES]     each point that every process passes, killed in each rank, once; with
                                       TIMES at its first, ..., TIMES-th passing, and rank 0's own points, too
"""
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import PROGRAM, World, same_run

# In rank 0 alone there are more: what it writes for all.
EVERYBODY = ["start.alike", "step.losses", "step.gradients", "step.updated", "step.asked", "epoch.trained",
             "snapshot.due", "finish.saved"]
EPOCHS = 2
# A notice of a process that has gone comes after half a second, that of a connection at once.
SOON = 10


def write_data(folder):
    draw = random.Random(3)
    for name, rows in [("train.csv", 40), ("dev.csv", 12)]:
        lines = ["a,b,sum,large"]
        for _ in range(rows):
            a, b = draw.random(), draw.random()
            lines.append(f"{a},{b},{a + b},{int(a * b > 0.25)}")
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(
        "data: {kind: table, train: train.csv, dev: dev.csv}\n"
        "tasks:\n"
        "  - {name: sum, head: regression}\n"
        "  - {name: large, head: binary}\n"
        "model: {kind: mlp, widths: [8], dropout: 0.2}\n"
        "balance: {method: cagrad}\n"
        f"train: {{epochs: {EPOCHS}, batch_size: 20}}\n"
        "parallel: {timeout_s: 20}\n"
        "threads: 1\n")


def kill(folder, whole, point, passing, rank):
    """Whether the rank has passed there so often."""
    out = folder / f"{point}-{passing}-{rank}"
    plan = {"DETENTE_CRASH_AT": f"{point}:{passing}", "DETENTE_CRASH_RANK": str(rank)}
    what = (point, passing, rank)
    with World(folder, out.name, 2, environments={0: plan, 1: plan}) as world:
        victim, other = world.processes[rank], world.processes[1 - rank]
        victim.wait(timeout=60)
        died = time.time()
        codes, said = world.wait()
        took = time.time() - died
    if codes == [0, 0] and passing > 1:
        return False
    assert codes[rank] == -signal.SIGKILL, (what, codes, said)
    assert took < SOON, (what, took, said)
    # All is saved, or nothing but the last snapshot is left to save: for that nobody needs the other.
    # (A snapshot has several parts, so its points may be passed more often than there are epochs.)
    alone = point.startswith("finish.") or (point.startswith("snapshot.") and passing >= EPOCHS)
    if point == "finish.saved":
        assert other.returncode == 0, (what, codes, said)
    elif not alone or other.returncode != 0:
        assert other.returncode == 75 and f"rank {rank}" in said[1 - rank], (what, codes, said)
        assert "does not answer" in said[1 - rank], (what, said)
    with World(folder, out.name, 2, "--resume") as world:
        codes, said = world.wait()
    assert codes == [0, 0], (what, codes, said)
    same_run(whole, out)
    return True


def main():
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    doctor = subprocess.run([PROGRAM, "doctor", "--json"], capture_output=True, text=True, check=False)
    points = json.loads(doctor.stdout)["crash_points"]
    assert set(EVERYBODY) <= set(points), points
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        write_data(folder)
        with World(folder, "whole", 2) as world:
            codes, said = world.wait()
        assert codes == [0, 0], (codes, said)
        kills, longest = 0, 0.0
        for point in points if times else EVERYBODY:
            for rank in (0, 1) if point in EVERYBODY else (0,):
                for passing in range(1, max(times, 1) + 1):
                    begun = time.time()
                    if not kill(folder, folder / "whole", point, passing, rank):
                        break
                    kills += 1
                    longest = max(longest, time.time() - begun)
        assert kills >= 2 * len(EVERYBODY), kills
        print(f"{kills} kills, each noticed by the other process and resumed to the same run; "
              f"{longest:.1f} s at most")


if __name__ == "__main__":
    main()
