#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real program, interrupted and killed: it saves, says so, and goes on to the same result."""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

program, source = sys.argv[1], Path(sys.argv[2])
RECIPE = source / "recipes/kor_sts.yaml"
SMALL = ["--set", "data.max_rows=400", "--set", "train.epochs=3", "--set", "threads=1"]
SMALL += ["--set", "model.embedding_init=random"]


def command(out, *more):
    return [program, "train", str(RECIPE), "--out", str(out), *SMALL, *more]


def steps_logged(out):
    log = out / "metrics.jsonl"
    return log.read_text().count('"step","epoch"') if log.exists() else 0


def wait_for(condition, process):
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, f"ended too early with {process.returncode}"
        time.sleep(0.05)
    raise AssertionError("nothing happened in a minute")


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    subprocess.run(command(folder / "whole", "--quiet"), check=True)
    whole = json.loads((folder / "whole/summary.json").read_text())

    for name, signum, code in [
        ("int", signal.SIGINT, 130),
        ("hangup", signal.SIGHUP, 130),
        ("kill", signal.SIGKILL, -9),
    ]:
        out = folder / name
        process = subprocess.Popen(command(out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        # After the first epoch, so that there is a snapshot to go on from.
        wait_for(lambda: steps_logged(out) > 14, process)
        os.kill(process.pid, signum)
        errors = process.communicate(timeout=60)[1].decode()
        assert process.returncode == code, (name, process.returncode, errors)
        if code == 130:
            assert "--resume" in errors, errors
        subprocess.run(command(out, "--resume", "--quiet"), check=True)
        summary = json.loads((out / "summary.json").read_text())
        assert summary["tasks"] == whole["tasks"], (name, summary["tasks"], whole["tasks"])
        assert summary["steps"] == whole["steps"]
        print(f"{name}: resumed to the same metrics")

    # A job that a shell's script puts in the background has SIGINT ignored, as nohup does SIGHUP: it
    # goes on. SIGTERM is always meant.
    out = folder / "background"
    script = '"$@" & echo $!; wait $!'
    shell = subprocess.Popen(["sh", "-c", script, "sh", *command(out)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    job = int(shell.stdout.readline())
    wait_for(lambda: steps_logged(out) > 2, shell)
    os.kill(job, signal.SIGINT)
    seen = steps_logged(out)
    wait_for(lambda: steps_logged(out) > seen + 2, shell)
    os.kill(job, signal.SIGTERM)
    errors = shell.communicate(timeout=60)[1]
    assert shell.returncode == 130 and "--resume" in errors, (shell.returncode, errors)
    print("background: a SIGINT that is ignored stays so, SIGTERM is taken")

    # A file at its limit is a failed write, not the end by SIGXFSZ.
    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    limited = subprocess.run(command(folder / "limited", "--quiet"),
                             capture_output=True, preexec_fn=limit_files)
    assert limited.returncode == 3, (limited.returncode, limited.stderr)
    assert b"too large" in limited.stderr or b"disk full" in limited.stderr, limited.stderr
    print("limit: an error of writing")
