#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente compare --submit slurm with a cluster of its own: slurmctld and slurmd on loopback in a
temporary folder. Two methods with two seeds, one of them killed while it trains; what comes out is what the
sweep on this machine gives. Skipped (77), with words, where SLURM is not installed or cannot be started."""
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from comparison import without_times
from slurm_cluster import NotHere, cluster, wait_for

program = sys.argv[1]
METHODS, SEEDS = "ew,uw", "2"
RECIPE = """
name: small
threads: 1
data: {kind: table, train: t.csv, split: {dev: 0.2, test: 0.2}}
model: {widths: [16]}
tasks:
  - {name: a, column: "target:a", metrics: [r2]}
  - {name: b, column: "target:b", metrics: [mae]}
train: {epochs: 4, batch_size: 4}
"""


with tempfile.TemporaryDirectory() as path:
    folder = Path(path)
    (folder / "t.csv").write_text("x,y,target:a,target:b\n" + "".join(
        f"{i % 7},{i % 5},{i % 7 - i % 5},{i % 3}\n" for i in range(4000)))
    (folder / "r.yaml").write_text(RECIPE)
    out = folder / "the 'study' of %A"

    def compare(environment, to, *words):
        done = subprocess.run(
            [program, "compare", str(folder / "r.yaml"), "--methods", METHODS, "--seeds", SEEDS, "--no-stl",
             "--json", "--out", str(to), *words], env=environment, capture_output=True, text=True,
            timeout=280)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done

    cluster_folder = folder / "cluster"
    cluster_folder.mkdir()
    with ExitStack() as ending:
        try:
            environment = ending.enter_context(cluster(cluster_folder))
        except NotHere as reason:
            print("skipped:", reason)
            sys.exit(77)

        def queue():
            found = subprocess.run(["squeue", "-h", "-r", "-o", "%K %T"], env=environment, check=True,
                                   capture_output=True, text=True, timeout=30).stdout
            return dict(line.split() for line in found.splitlines())

        submit = ("--submit", "slurm", "--sbatch", "--partition=all --time=10 --comment='of a test'")
        refused = subprocess.run(
            [program, "compare", str(folder / "r.yaml"), "--methods", "ew", "--out", str(folder / "refused"),
             "--submit", "slurm", "--sbatch", "--partition=none"], env=environment, capture_output=True,
            text=True, timeout=60)
        assert refused.returncode == 2 and "nvalid partition" in refused.stderr, refused
        said = compare(environment, out, *submit).stderr
        assert "4 runs" in said and "Submitted SLURM job" in said, said
        job = json.loads((out / "slurm/job.json").read_text())["job"]
        said = compare(environment, out, *submit).stderr
        assert "Nothing was submitted" in said, said

        # The first that trains is ended in the middle. It saves itself and goes on later.
        def trains():
            for index, state in queue().items():
                tasks = json.loads(next((out / "slurm").glob("detente-*.json")).read_text())["tasks"]
                task = tasks[int(index)]
                run = out / "runs" / task["variant"]["folder"] / f"seed-{task['seed']}"
                log = run / "metrics.jsonl"
                if state == "RUNNING" and log.exists() and log.stat().st_size > 50_000:
                    return index, run
            return None
        wait_for(trains, 120, "a run trains",
                 lambda: (queue(), (cluster_folder / "slurmd.log").read_text()[-2000:]))
        index, killed = trains()
        subprocess.run(["scancel", f"{job}_{index}"], env=environment, check=True, timeout=30)
        wait_for(lambda: not queue(), 200, "the array ends")
        logs = "".join(p.read_text() for p in (out / "slurm").glob("*.log"))
        assert not killed.with_suffix(".json").exists(), (index, logs)
        last = json.loads((killed / "metrics.jsonl").read_text().splitlines()[-1])["step"]
        saved = [p.name for p in (killed / "snapshots").iterdir()]
        assert f"step-{last}" in saved, (last, saved)

        said = compare(environment, out, *submit).stderr
        assert "3 finished" in said and ": 1 runs" in said, (said, logs)
        wait_for(lambda: not queue(), 200, "the second job ends")
        collected = compare(environment, out, *submit)
        assert "4 runs: 4 finished." in collected.stderr, collected.stderr
        here = compare({**os.environ}, folder / "here").stdout
        assert without_times(collected.stdout) == without_times(here), (collected.stdout, here)
        report = subprocess.run([program, "report", str(out), "--json"], capture_output=True, text=True,
                                timeout=60)
        assert without_times(report.stdout) == without_times(here), report
        assert "--resume" not in logs and (out / "comparison.html").exists()
print("ok")
