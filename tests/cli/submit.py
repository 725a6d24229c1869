#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente compare --submit slurm, with scripts in the place of sbatch and squeue: what they are asked, what
is made of their answers, and that the runs' results are those of the sweep on this machine. (slurm.py has
the real ones.)"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from comparison import without_times

program = sys.argv[1]

SBATCH = """#!/bin/sh
here=$(dirname "$0")
[ -e "$here/refuse" ] && { echo "sbatch: error: invalid partition specified: gpu" >&2; exit 1; }
for word in "$@"; do printf '%s\\n' "$word"; done >"$here/asked"
echo x >>"$here/submissions"
echo "77;cluster"
"""
SQUEUE = """#!/bin/sh
here=$(dirname "$0")
[ -e "$here/down" ] && { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
cat "$here/queue"
"""
RECIPE = """
name: small
threads: 1
data: {kind: table, train: t.csv, split: {dev: 0.2, test: 0.2}}
model: {widths: [4]}
tasks:
  - {name: a, column: "target:a", metrics: [r2]}
train: {epochs: 2, batch_size: 16}
"""


with tempfile.TemporaryDirectory() as path:
    folder = Path(path)
    tools = folder / "tools"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    queue = tools / "queue"
    queue.write_text("")
    (folder / "t.csv").write_text("x,y,target:a\n" + "".join(
        f"{i % 7},{i % 5},{i % 7 - i % 5}\n" for i in range(120)))
    recipe = folder / "r.yaml"
    recipe.write_text(RECIPE)
    out = folder / "a 'study' %A $HOME"
    basic = "/usr/bin:/bin"
    if shutil.which("sbatch", path=basic):  # a machine of a cluster: only what the scripts take
        (folder / "bin").mkdir()
        for tool in ("sh", "dirname", "cat"):
            (folder / "bin" / tool).symlink_to(shutil.which(tool, path=basic))
        basic = str(folder / "bin")
    environment = {**os.environ, "PATH": f"{tools}:{basic}"}

    def compare(*words, code=0, to=out, env=None):
        done = subprocess.run([program, "compare", str(recipe), "--methods", "ew,uw", "--out", str(to),
                               "--json", *words], capture_output=True, text=True, timeout=200,
                              env=env or environment)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    def submit(*words, **more):
        return compare("--submit", "slurm", "--seeds", "2", *words, **more)

    def submissions():
        file = tools / "submissions"
        return len(file.read_text().split()) if file.exists() else 0

    def run_index(index):
        """As the array would."""
        script = (tools / "asked").read_text().splitlines()[-1]
        return subprocess.run(["sh", script], capture_output=True, text=True, timeout=100,
                              env={**environment, "SLURM_ARRAY_TASK_ID": str(index),
                                   "SLURM_CPUS_ON_NODE": "1"})

    # What is not possible is said before anything is made.
    for sbatch, word in [("--array=0-3", "--array"), ("-a 3", "-a"), ("--arr=1", "--arr"),
                         ("--job-name=x", "--job"),
                         ("-Jx", "-Jx"), ("--wrap=ls", "--wrap"), ("gpu", "gpu"), ("--exclusive a b", "'b'"),
                         ("--comment='x", "quote")]:
        assert word in submit("--sbatch", sbatch, code=2).stderr, sbatch
    assert submissions() == 0
    assert "--halving" in submit("--halving", "--grid", "optimizer.lr=0.1,0.2", code=2).stderr
    assert "slurm" in compare("--submit", "pbs", code=2).stderr
    missing = submit(code=2, env={**os.environ, "PATH": str(folder)}).stderr
    assert "sbatch" in missing and "login node" in missing, missing
    (tools / "refuse").touch()
    assert "invalid partition" in submit(code=2).stderr
    (tools / "refuse").unlink()
    assert not (out / "slurm/job.json").exists()

    # One array job for everything; options go through whole.
    said = submit("--jobs", "3", "--sbatch", "--partition=gpu --comment='two words; $(rm x)'").stderr
    assert "Submitted SLURM job 77: 4 runs" in said, said
    asked = (tools / "asked").read_text().splitlines()
    assert "--partition=gpu" in asked and "--comment=two words; $(rm x)" in asked, asked
    assert "--array=0-3%3" in asked and f"--chdir={out}/slurm" in asked, asked
    assert "--output=" + str(out).replace("%", "%%") + "/slurm/%A_%a.log" in asked, asked
    # While it is in the queue nothing is submitted or trained here.
    queue.write_text("0 RUNNING\n1 PENDING\n2 PENDING\n3 PENDING\n")
    said = submit().stderr
    assert "1 running, 3 waiting" in said and "Running: ew, seed 0" in said, said
    assert "job 77" in compare("--seeds", "2", code=2).stderr
    (tools / "down").touch()
    assert "Unable to contact" in submit(code=3).stderr
    (tools / "down").unlink()
    assert submissions() == 1
    # One has ended, one was killed, one fails, one never ran; the job has gone.
    assert run_index(0).returncode == 0
    result = out / "runs/ew/seed-0.json"
    assert json.loads(result.read_text())["dev"]["a"]["r2"] is not None
    before = result.stat().st_mtime_ns
    assert run_index(0).returncode == 0 and result.stat().st_mtime_ns == before  # not again
    (out / "runs/uw").mkdir(exist_ok=True)
    (out / "runs/uw/seed-0").write_text("no folder")
    assert run_index(1).returncode == 1
    assert "failure" in json.loads((out / "runs/uw/seed-0.json").read_text())
    (out / "runs/uw/seed-0").unlink()
    assert run_index(9).returncode == 3
    queue.write_text("2 RUNNING\n")
    done = submit()
    assert "1 finished, 1 failed, 1 running" in done.stderr and json.loads(done.stdout)["notes"], done
    queue.write_text("")
    said = submit().stderr
    assert "1 finished, 1 failed" in said and "Submitted SLURM job 77: 3 runs" in said, said
    assert submissions() == 2
    # More seeds later: the indices of what was submitted stay what they are.
    first_list = (tools / "asked").read_text()
    for index in range(3):
        assert run_index(index).returncode == 0, run_index(index)
    done = submit()
    assert "4 runs: 4 finished." in done.stderr and submissions() == 2, done.stderr
    assert (tools / "asked").read_text() == first_list
    # The same as on this machine, test rows too.
    here = folder / "here"
    whole = compare("--seeds", "2", to=here).stdout
    assert without_times(done.stdout) == without_times(whole), (done.stdout, whole)
    assert json.loads(whole)["measured"] == "test"
    for name in ("comparison.html", "comparison.json"):
        assert (out / name).exists(), name
    more = compare("--submit", "slurm", "--seeds", "3").stderr
    assert "6 runs: 4 finished. Submitted SLURM job 77: 2 runs" in more, more
    # Damaged records are named, never guessed.
    (out / "slurm/job.json").write_text("{")
    assert "job.json" in submit(code=3).stderr
    damaged = out / "slurm/damaged.json"
    for text in ("", "[]", '{"format": "detente-slurm-1", "tasks": [{}]}'):
        damaged.write_text(text)
        done = subprocess.run([program, "study-task", damaged, "0"], capture_output=True, text=True)
        assert done.returncode == 3 and "damaged.json" in done.stderr, (text, done)
    assert "study-task" not in subprocess.run([program, "--help"], capture_output=True, text=True).stdout
print("ok")
