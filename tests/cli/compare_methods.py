#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente compare RECIPE --methods: the real program on a small table. Killed at random moments it ends
with the same table; what fails, is missing or is not possible has its words."""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from comparison import without_times

program = sys.argv[1]
kills = int(sys.argv[2]) if len(sys.argv) > 2 else 3
rng = random.Random(7)


def table(rows):
    lines = ["x,y,z,target:a,target:b"]
    for _ in range(rows):
        x, y, z = (rng.uniform(-1, 1) for _ in range(3))
        lines.append(f"{x},{y},{z},{x + 0.5 * y + rng.gauss(0, 0.2)},{int(x * y + rng.gauss(0, 0.1) > 0)}")
    return "\n".join(lines) + "\n"


RECIPE = """
name: small
seed: 5
data: {kind: table, train: t.csv, split: {dev: 0.2, test: 0.2}}
model: {widths: [8]}
tasks:
  - {name: a, column: "target:a", metrics: [r2, mae]}
  - {name: "no", column: "target:b", head: binary, metrics: [auroc]}
train: {epochs: 3, batch_size: 16, select: a.mae}
"""


def run(*words, code=0, **more):
    done = subprocess.run([program, "compare", *map(str, words)], capture_output=True, text=True, **more)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "t.csv").write_text(table(240))
    recipe = folder / "r.yaml"
    recipe.write_text(RECIPE)
    matrix = [recipe, "--methods", "ew,cagrad[c=0.2]", "--seeds", "3", "--jobs", "2", "--json"]

    whole = without_times(run(*matrix, "--out", folder / "whole").stdout)
    assert whole["measured"] == "test" and whole["reference"] == "ew", whole
    assert {r["method"] for r in whole["rows"]} == {"single", "ew", "cagrad[c=0.2]"}
    assert all(r["seeds"] == 3 and r["low"] <= r["mean"] <= r["high"] for r in whole["rows"]), whole["rows"]
    assert [v["task"] for v in whole["verdicts"]] == ["a", "no"]
    for row in whole["rows"]:  # Student's t with 2 degrees of freedom
        values, n = row["by_seed"], 3
        mean = sum(values) / n
        half = 4.302652729749464 * (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5
        assert abs(row["mean"] - mean) < 1e-12 and abs(row["high"] - mean - half) < 1e-9, row
    for name in ("html", "json", "csv", "md", "tex"):
        assert (folder / "whole" / f"comparison.{name}").stat().st_size > 100, name
    # One seed's runs begin alike, whatever the method.
    first = [
        json.loads((folder / "whole/runs" / m / "seed-1/metrics.jsonl").read_text().splitlines()[0])["losses"]
        for m in ("ew", "cagrad_c=0.2_")
    ]
    assert first[0] == first[1], first

    # Nothing is trained again.
    before = {p: p.stat().st_mtime_ns for p in (folder / "whole/runs").glob("*/seed-*.json")}
    assert without_times(run(*matrix, "--out", folder / "whole").stdout) == whole
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "whole/runs").glob("*/seed-*.json")}

    # The page and the tables again, from what is there.
    page = (folder / "whole/comparison.html").read_bytes()
    for name in ("html", "json", "csv", "md", "tex"):
        (folder / "whole" / f"comparison.{name}").unlink()
    done = subprocess.run([program, "report", folder / "whole", "--json"], capture_output=True, text=True)
    assert done.returncode == 0 and without_times(done.stdout) == whole, done.stderr
    assert (folder / "whole/comparison.html").read_bytes() == page
    (folder / "damaged/runs").mkdir(parents=True)
    (folder / "damaged/study.json").write_text("{}")
    assert subprocess.run([program, "report", folder / "damaged"], capture_output=True).returncode == 3
    assert subprocess.run([program, "report", folder / "none"], capture_output=True).returncode == 3

    # Killed at random moments, and interrupted once.
    for kill in range(kills):
        process = subprocess.Popen(
            [program, "compare", *map(str, matrix), "--out", folder / "killed"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.5, 2.5))
        process.send_signal(signal.SIGINT if kill == 0 else signal.SIGKILL)
        code = process.wait(timeout=120)
        # SIGINT ends it at once while it has not begun.
        assert code in (0, 130, -signal.SIGINT, -signal.SIGKILL), code
    again = without_times(run(*matrix, "--out", folder / "killed").stdout)
    assert again == whole, (again, whole)

    # Two at once, another recipe, methods and options that do not exist.
    first = subprocess.Popen(
        [program, "compare", *map(str, matrix), "--out", folder / "two"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "two/recipe.yaml").exists():
        assert first.poll() is None
        time.sleep(0.02)
    assert str(first.pid) in run(*matrix, "--out", folder / "two", code=2).stderr
    first.kill()
    first.wait()
    other = run(*matrix, "--set", "optimizer.lr=0.5", "--out", folder / "whole", code=2)
    assert "optimizer.lr" in other.stderr, other.stderr
    for methods, word in [
        ("ew,cagrda", "cagrad"), ("cagrad[d=1]", "'d'"), ("ew,ew", "twice"), ("ew[", "bracket")]:
        errors = run(recipe, "--methods", methods, "--out", folder / "none", code=2).stderr
        assert word in errors, errors
    assert "--out" in run(recipe, "--methods", "ew", code=2).stderr
    lacking = run(recipe, "--methods", "ew", "--grid", "balance.c=1", "--out", folder / "none", code=2)
    assert "none of the methods" in lacking.stderr, lacking.stderr
    assert not (folder / "none").exists()

    # What is no study's folder is left alone.
    (folder / "mine").mkdir()
    (folder / "mine/comparison.html").write_text("mine")
    assert "other things" in run(*matrix, "--out", folder / "mine", code=2).stderr
    assert [p.read_text() for p in (folder / "mine").iterdir()] == ["mine"]
    assert "no folder" in run(*matrix, "--out", folder / "t.csv", code=3).stderr
    assert "other things" in run(*matrix, "--out", folder / "whole/runs/ew/seed-0", code=2).stderr

    # A grid: validation chooses, and the chosen alone are tested.
    tuned = [recipe, "--methods", "ew,cagrad", "--seeds", "2", "--no-stl", "--json",
             "--grid", "balance.c=0.1,0.9", "--grid", "optimizer.lr=1e-9,0.01"]
    found = json.loads(run(*tuned, "--out", folder / "grid").stdout)
    assert all("optimizer.lr=0.01" in m["setting"] for m in found["methods"]), found["methods"]
    tested = [p for p in (folder / "grid/runs").glob("*/seed-*.json") if "test" in json.loads(p.read_text())]
    assert len(tested) == 4 and all("lr=0.01" in p.parent.name for p in tested), tested

    for axis, words in [("balance.method=uw,ew", "--methods"), ("seed=1,2", "same rows"),
                        ("data.split.seed=1,2", "same rows")]:
        refused = run(recipe, "--methods", "ew", "--grid", axis, "--out", folder / "none", code=2)
        assert words in refused.stderr, refused.stderr

    # Halving finds the same of ew with three runs instead of four, of cagrad with six instead of eight,
    # stopped or not, and the page made again knows of it.
    halving = [*tuned, "--halving", "--out", folder / "halved"]
    process = subprocess.Popen([program, "compare", *map(str, halving)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    process.stderr.readline()
    process.stderr.readline()
    process.kill()
    process.communicate()
    halved = json.loads(run(*halving).stdout)
    runs = [p for p in (folder / "halved/runs").glob("*/seed-*.json")]
    assert len(runs) == 9, runs
    ew = [[r["by_seed"] for r in table["rows"] if r["method"] == "ew"] for table in (found, halved)]
    assert ew[0] == ew[1], ew
    again = subprocess.run([program, "report", folder / "halved", "--json"], capture_output=True, text=True,
                           check=True)
    assert json.loads(again.stdout) == halved
    assert "--grid" in run(recipe, "--methods", "ew", "--halving", "--out", folder / "none", code=2).stderr

    # A task that the test rows lack is undefined there; the others are measured.
    lines = (folder / "t.csv").read_text().splitlines()
    parts = ["part"] + ["train", "dev", "test"] * 80
    (folder / "lacks.csv").write_text("\n".join(
        (line[:-1] if part == "test" else line) + "," + part for line, part in zip(lines, parts)) + "\n")
    lacks = folder / "lacks.yaml"
    lacks.write_text(RECIPE.replace("t.csv", "lacks.csv").replace("{dev: 0.2, test: 0.2}", "{column: part}"))
    found = json.loads(run(lacks, "--methods", "ew,mgda", "--seeds", "2", "--json", "--out",
                           folder / "lacks").stdout)
    assert found["measured"] == "test"
    for row in found["rows"]:
        assert (row["mean"] is None) == (row["task"] == "no"), row
    assert any("cannot be compared on no" in v["text"] for v in found["verdicts"]), found["verdicts"]

    # One seed; no test rows; a method that always fails.
    recipe.write_text(RECIPE.replace(", test: 0.2", "").replace("epochs: 3", "epochs: 1"))
    done = run(recipe, "--methods", "ew,pcgrad", "--seeds", "1", "--out", folder / "one")
    assert "no interval" in done.stdout and "validation rows" in done.stdout, done.stdout
    huge = [line.split(",") for line in table(120).splitlines()]
    (folder / "huge.csv").write_text("\n".join(",".join([*c[:3], c[3] if i == 0 else c[3] + "e30", c[4]])
                                               for i, c in enumerate(huge)) + "\n")
    run(recipe, "--methods", "ew,pcgrad", "--seeds", "2", "--no-stl", "--set", "tasks.a.output=raw", "--set",
        f"data.train={folder / 'huge.csv'}", "--out", folder / "fails", code=5)
    found = json.loads((folder / "fails/comparison.json").read_text())
    assert all(m["failed"] == 2 for m in found["methods"]), found["methods"]
    assert len(found["notes"]) == 4 and "exit code" in found["notes"][0], found["notes"]
    assert "last line of its log: " in found["notes"][0], found["notes"]

    # Seeds by name are the same runs.
    named = [recipe, "--methods", "ew,pcgrad", "--no-stl", "--out", folder / "named", "--json"]
    once = without_times(run(*named, "--seeds", "2,0").stdout)
    assert once["seeds"] == [2, 0], once
    more = without_times(run(*named, "--seeds", "3").stdout)
    for few, all3 in zip(once["rows"], more["rows"]):
        assert few["by_seed"] == [all3["by_seed"][2], all3["by_seed"][0]], (few, all3)
    assert "4,7,11" in run(*named, "--seeds", "0-2", code=2).stderr
    again = subprocess.run([program, "report", folder / "named", "--json"], capture_output=True, text=True)
    assert without_times(again.stdout) == more, again.stderr

    # What was meant, where something else was named.
    assert "detente new --from" in run(folder / "t.csv", code=2).stderr
    named_too = run(folder / "t.csv", "--methods", "ew", "--out", folder / "x", code=2)
    assert "detente new --from" in named_too.stderr, named_too
    lacking = run(recipe, code=2).stderr
    assert "--methods ew,uw,pcgrad,cagrad --seeds 3 --out study" in lacking, lacking
    assert "there is no file" in run(folder / "none.yaml", code=3).stderr
    assert "is a folder" in run(folder / "named", "--methods", "ew", "--out", folder / "x", code=2).stderr

    # A study that has lost its study.json gets it again, and `report` is not in the way meanwhile.
    (folder / "named/study.json").unlink()
    done = subprocess.run([program, "report", folder / "named"], capture_output=True, text=True)
    assert done.returncode == 3 and "study.json is missing" in done.stderr, done
    assert not (folder / "named/report.html").exists()
    (folder / "named/report.html").write_text("of an earlier version")
    assert without_times(run(*named, "--seeds", "3").stdout) == more
    runs = folder / "named/runs/ew"
    done = subprocess.run([program, "report", runs], capture_output=True, text=True)
    assert done.returncode == 2 and "holds 3 of them" in done.stderr and "detente serve" in done.stderr, done

    # A damaged copy of the recipe: where, and what to do.
    for place, words in [(folder / "named", ["compare", *map(str, named), "--seeds", "3"]),
                         (runs / "seed-0", ["eval", str(runs / "seed-0")])]:
        copy = (place / "recipe.yaml").read_text()
        lines = copy.splitlines()
        (place / "recipe.yaml").write_text("\n".join([*lines[:3], "  : [broken", *lines[3:]]) + "\n")
        done = subprocess.run([program, *words], capture_output=True, text=True)
        assert done.returncode == 3, done
        for words_there in (f"{place / 'recipe.yaml'}:", "recipe show RECIPE >"):
            assert words_there in done.stderr, done.stderr
        (place / "recipe.yaml").write_text(copy)
        assert subprocess.run([program, *words], capture_output=True).returncode == 0

    # What `detente new` writes is read back, whatever the columns are called.
    odd = ["a b", "it's", "x: y", "- z", "#h", "no", "true", "[l]", "{m}", "a.b/c|d", "열", "1e3", "%p",
           "@q"]
    (folder / "odd names.csv").write_text(
        "\n".join(["u,v," + ",".join(odd)] + [
            ",".join([str(i), str(i % 7)] + [str((i * (k + 3)) % 23 + 0.5) for k in range(len(odd))])
            for i in range(60)]) + "\n")
    out = folder / "odd names.yaml"
    flags = [word for name in odd for word in ("--targets", name)]
    done = subprocess.run([program, "new", "--from", folder / "odd names.csv", *flags, "--out", out],
                          capture_output=True, text=True)
    assert done.returncode == 0 and f"data check '{out}'" in done.stdout, done
    done = subprocess.run([program, "data", "check", out], capture_output=True, text=True)
    assert done.returncode == 0, done
print("ok")
