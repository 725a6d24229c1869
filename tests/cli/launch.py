#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente train --nproc of the real program: what is refused before anything starts, and one process that is
watched, killed and goes on. What several processes do together is tested where they train together."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

program = sys.argv[1]
RECIPE = """
name: small
threads: 1
data: {kind: table, train: t.csv, split: {dev: 0.2, test: 0.2}}
model: {widths: [8]}
tasks:
  - {name: a, column: "target:a", metrics: [r2]}
  - {name: b, column: "target:b", metrics: [mae]}
train: {epochs: 3, batch_size: 16}
"""
LAUNCHERS = ("DETENTE_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "TORCHELASTIC_", "OMPI_", "PMI", "MPI_",
             "SLURM_")
environment = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}


def train(*words, code=0, **variables):
    done = subprocess.run([program, "train", *map(str, words)], env={**environment, **variables},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def results(out):
    summary = json.loads((out / "summary.json").read_text())
    return summary["tasks"], summary["steps"]


with tempfile.TemporaryDirectory() as path:
    folder = Path(path)
    (folder / "t.csv").write_text("x,y,target:a,target:b\n" + "".join(
        f"{i % 7},{i % 5},{i % 7 - i % 5},{i % 3}\n" for i in range(400)))
    recipe = folder / "r.yaml"
    recipe.write_text(RECIPE)

    for words in (["--nproc", "0"], ["--nproc", "257"], ["--nproc", "two"], ["--max-restarts", "1"],
                  ["--nproc", "2", "--max-restarts", "-1"]):
        train(recipe, "--out", folder / "none", *words, code=2)
    started = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    said = train(recipe, "--out", folder / "none", "--nproc", "2", code=2, **started).stderr
    assert "environment has started this one as rank 1 of 2 already" in said, said
    said = train(folder / "no.yaml", "--nproc", "2", code=3).stderr
    assert said.count("error:") == 1 and "no.yaml" in said, said
    (folder / "full").mkdir()
    (folder / "full/of").touch()
    said = train(recipe, "--out", folder / "full", "--nproc", "2", code=2).stderr
    assert said.count("error:") == 1 and "[1]" not in said, said
    assert not (folder / "none").exists()
    print("refused once, before anything starts")

    train(recipe, "--out", folder / "whole", "--quiet")
    train(recipe, "--out", folder / "one", "--quiet", "--nproc", "1")
    assert results(folder / "one") == results(folder / "whole")
    done = train(recipe, "--out", folder / "watched", "--nproc=1", "--max-restarts=2", "--json")
    assert json.loads(done.stdout)["tasks"] == results(folder / "whole")[0], done.stdout
    print("one process, watched or not: the same results")

    # The second snapshot's end is met once: with the first attempt's snapshots the next has one to write.
    for name, more in (("killed", []), ("forced", ["--force"])):
        out = folder / name
        if more:
            train(recipe, "--out", out, "--quiet", "--set", "train.epochs=1")
        done = train(recipe, "--out", out, "--quiet", *more, "--nproc", "1", "--max-restarts", "1",
                     DETENTE_CRASH_AT="snapshot.pruned:2")
        assert "rank 0 (process" in done.stderr and "ended by SIGKILL" in done.stderr, done.stderr
        assert "started again, for time 1 of at most 1" in done.stderr, done.stderr
        assert results(out) == results(folder / "whole"), name
        print(f"{name}: goes on from its snapshot to the same results")
    # Killed before it has replaced what was there: that is no run to go on with.
    out = folder / "forced"
    done = train(recipe, "--out", out, "--quiet", "--force", "--set", "train.epochs=2", "--nproc", "1",
                 "--max-restarts", "1", code=137, DETENTE_CRASH_AT="run.marked")
    assert done.stderr.count("ended by SIGKILL") == 2, done.stderr
    print("--force: an earlier run is not gone on with")
