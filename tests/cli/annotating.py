# SPDX-License-Identifier: Apache-2.0
"""How tests run `detente annotate` and `detente ask`, and read what they wrote."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

program = sys.argv[1]
KEY = "sk-very-secret-0123456789"
TASK = ["--task", "mood:negative,neutral,positive"]


def environment(key=KEY):
    """The caller's, with this key or, of None, without any."""
    clean = {k: v for k, v in os.environ.items() if k != "DETENTE_API_KEY"}
    return clean if key is None else {**clean, "DETENTE_API_KEY": key}


def run(*words, code=0, timeout=60, key=KEY):
    done = subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, timeout=timeout, env=environment(key)
    )
    assert done.returncode == code, (done.returncode, code, done.stdout, done.stderr)
    assert KEY not in done.stdout + done.stderr, done
    return done


def annotate(data, url, out, *words, **more):
    return run(
        "annotate",
        data,
        *TASK,
        "--endpoint",
        url,
        "--model",
        "m",
        "--out",
        out,
        "--first-wait",
        "0.05",
        *words,
        **more,
    )


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def calls_of(out):
    lines = Path(str(out) + ".transcript.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"format": "detente-transcript-1"}, lines[0]
    return [json.loads(line) for line in lines[1:]]


def make(folder):
    (folder / "d.csv").write_text("id,text\n1,all good\n2,rather bad\n3,so so\n", encoding="utf-8")
    (folder / "one.csv").write_text("id,text\n1,all good\n", encoding="utf-8")
    (folder / "many.csv").write_text("text\n" + "".join(f"good {i}\n" for i in range(12)), encoding="utf-8")
