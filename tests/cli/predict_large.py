#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`detente predict` on a table that is longer than what it holds of it: the memory does not grow with
the rows, the answers are those of a short table, and what goes wrong late leaves nothing behind."""
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

program = sys.argv[1]
ROWS = 300_000


def line_of(i):
    rng = random.Random(i % 5000)
    words = rng.choice(["red", "blue", "\"a, \"\"b\"\"\n\""])
    return f"{rng.random():.4f},{rng.random():.4f},{words}\n"


def predict(*args, **options):
    """Exit code, what it said, its peak memory in MB."""
    child = subprocess.Popen([program, "predict", "run", *args], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, **options)
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, said, usage.ru_maxrss / 1024


def files():
    return sorted(os.listdir("."))


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    header = "x,y,colour"
    lines = [line_of(i) for i in range(5000)]
    rng = random.Random(7)
    with open("train.csv", "w") as out:
        out.write(header + ",target\n")
        out.writelines(lines[i][:-1] + f",{rng.random():.3f}\n" for i in range(200))
    Path("r.yaml").write_text("""
data: {kind: table, train: train.csv, split: {dev: 0.2}}
train: {epochs: 1, tasks: [target], batch_size: 16}
tasks: [{name: target}]
""")
    subprocess.run([program, "train", "r.yaml", "--out", "run", "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    Path("short.csv").write_text(header + "\n" + "".join(lines))
    with open("long.csv", "w") as out:
        out.write(header + "\n")
        for _ in range(ROWS // len(lines)):
            out.writelines(lines)

    code, said, short_memory = predict("--data", "short.csv", "--out", "short.jsonl")
    assert code == 0, said
    code, said, memory = predict("--data", "long.csv", "--out", "long.jsonl")
    assert code == 0 and f"Wrote {ROWS} predictions" in said and "rows a second" in said, said
    print(said.strip(), f"({short_memory:.0f} MB for 5,000 rows, {memory:.0f} MB for {ROWS:,})")
    # The file alone would be 7 MB more, its cells 14, the answers' text 40.
    assert memory < short_memory + 12, (short_memory, memory)
    answers = Path("short.jsonl").read_text()
    assert Path("long.jsonl").read_text() == answers * (ROWS // len(lines))
    first = json.loads(answers.splitlines()[0])
    assert set(first) == {"x", "y", "colour", "target"} and isinstance(first["target"], float), first

    # Other forms of the same rows.
    with gzip.open("long.csv.gz", "wt", compresslevel=1) as out:
        out.write(Path("long.csv").read_text())
    assert predict("--data", "long.csv.gz", "--out", "packed.jsonl")[0] == 0
    assert Path("packed.jsonl").read_bytes() == Path("long.jsonl").read_bytes()
    with open("long.csv") as piped, open("piped.tsv", "w") as out:
        subprocess.run([program, "predict", "run", "--data", "-", "--format", "csv", "--out", "-"],
                       stdin=piped, stdout=out, check=True)
    assert len(Path("piped.tsv").read_text().splitlines()) == ROWS + 1
    assert predict("--data", "long.jsonl", "--out", "again.csv")[0] == 0
    assert Path("again.csv").read_text().startswith("x,y,colour,target\n")
    for name in ("packed.jsonl", "piped.tsv", "again.csv", "long.csv.gz", "long.jsonl"):
        os.remove(name)

    # Late errors name the line; the earlier file stays.
    with open("bad.csv", "w") as out:
        out.write(Path("short.csv").read_text())
        for _ in range(20):
            out.writelines(lines)
        out.write("0.1,word,red\n")
    number = Path("bad.csv").read_text().count("\n")
    Path("out.csv").write_text("earlier")
    before = files()
    code, said, _ = predict("--data", "bad.csv", "--out", "out.csv")
    assert code == 3 and f"line {number} " in said and "word" in said, said
    assert Path("out.csv").read_text() == "earlier" and files() == before, files()

    # Ctrl-C.
    child = subprocess.Popen([program, "predict", "run", "--data", "long.csv", "--out", "out.csv"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while len(files()) == len(before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(files()) == len(before) + 1, "no temporary file was seen"
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 130 and "nothing was written" in said, (child.returncode, said)
    assert Path("out.csv").read_text() == "earlier" and files() == before, files()
    os.chdir("/")
print("long tables are predicted portion by portion")
