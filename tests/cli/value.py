#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Values of examples with the real program.

value.py PROGRAM [TEST...]
"""

import csv
import json
import signal
import subprocess
import time
from pathlib import Path

import numpy
from in_one_folder import run_tests
from processes import PROGRAM, World, steps

PATIENCE = 200


def write_table(path, rows=150, seed=3):
    draw = numpy.random.default_rng(seed)
    lines = ['"x, first",y,side,"va""lue",part']
    for i in range(rows):
        x, y = draw.normal(size=2)
        lines.append(
            f"{x},{y},{int((x > 0) != (i % 5 == 0 and i < 110))},{x - y},{'train' if i < 110 else 'dev'}"
        )
    path.write_text("\n".join(lines) + "\n")


def make(folder):
    write_table(folder / "t.csv")
    (folder / "recipe.yaml").write_text(
        "data: {kind: table, train: t.csv, inputs: ['x, first', y], split: {column: part}}\n"
        "model: {widths: [12, 8], dropout: 0.1}\n"
        "tasks:\n"
        "  - {name: side, head: binary}\n"
        "  - {name: value, column: 'va\"lue', head: regression}\n"
        "balance: {method: upgrad}\n"
        "optimizer: {lr: 0.02}\n"
        "train: {epochs: 4, batch_size: 16, min_batch: 1, snapshot_minutes: 0.0001, keep: all}\n"
        "precision: float64\nthreads: 1\n"
        "valuation: {method: in_run, every: 3}\n"
    )


def call(folder, *command, code=0):
    done = subprocess.run(
        [PROGRAM, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == code, (command, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def values(path):
    with open(path, newline="") as file:
        return {
            (row["task_trained"], row["task_judged"], row["modality"], int(row["id"])): float(row["value"])
            for row in csv.DictReader(file)
        }


def largest_difference(one, other):
    assert one.keys() == other.keys() and one
    return max(abs(one[key] - other[key]) for key in one) / max(abs(value) for value in one.values())


def test_one_command_from_a_recipe_to_a_page(folder):
    told = json.loads(
        call(folder, "value", "recipe.yaml", "--method", "in_run", "--out", "one", "--json").stdout
    )
    assert told["rows"] == 110 and told["audit"]["max_relative_error"] < 1e-9, told
    assert [Path(file).name for file in told["files"]] == ["values.csv", "value.html"]
    header = (folder / "one" / "values.csv").read_text().splitlines()[0]
    assert header == "id,task_trained,task_judged,modality,value,stderr,count,method"
    assert len(values(folder / "one" / "values.csv")) == 110 * 4
    said = call(folder, "value", "one/run", "--method", "knn_shapley", "--out", "two", "--suspects")
    assert "lowest for side" in said.stdout, said.stdout
    assert (folder / "two" / "suspects.csv").read_text().startswith("id,task,label,value,disagreement,rank")
    # Nothing is written over unasked.
    again = call(folder, "value", "one/run", "--method", "loss", "--out", "two", code=2)
    assert "--force" in again.stderr, again.stderr
    call(folder, "value", "one/run", "--method", "loss", "--out", "one/run", code=2)


def test_every_method_has_values(folder):
    call(folder, "train", "recipe.yaml", "--out", "all", "--quiet")
    for method, more in (
        ("in_run", []),
        ("tracin", []),
        ("tracin", ["--self"]),
        ("tracin", ["--cosine"]),
        ("influence", []),
        ("influence", ["--solver", "ekfac"]),
        ("influence", ["--solver", "direct"]),
        ("influence", ["--solver", "lissa", "--iterations", "20"]),
        ("loss", []),
        ("knn_shapley", []),
        ("lava", []),
        ("oob", ["--models", "20"]),
        ("tmc", ["--permutations", "3"]),
        ("beta", ["--permutations", "3"]),
        ("banzhaf", ["--samples", "40"]),
        ("loo", []),
    ):
        call(folder, "value", "all", "--method", method, "--out", "each", "--force", *more)
        found = values(folder / "each" / "values.csv")
        by_pairs = method in ("in_run", "tracin", "influence") and more != ["--self"]
        assert len(found) == 110 * (4 if by_pairs else 2), (method, len(found))
        if more == ["--cosine"]:
            assert max(map(abs, found.values())) <= 1 + 1e-12, method


def test_influence_says_how_well_it_was_solved(folder):
    call(folder, "train", "recipe.yaml", "--out", "solved", "--quiet", "--set", "valuation.method=none")
    solved = ["value", "solved", "--method", "influence", "--damping", "0.02", "--force"]
    told = {}
    for solver in ("cg", "direct"):
        told[solver] = json.loads(
            call(folder, *solved, "--solver", solver, "--out", solver, "--json").stdout
        )["audit"]
        assert told[solver]["solver"] == solver and told[solver]["damping"] == 0.02, told
        for task in ("side", "value"):
            line = told[solver]["tasks"][task]
            assert line["reached"] and line["residual"] <= 1e-6, told
    assert largest_difference(values(folder / "cg/values.csv"), values(folder / "direct/values.csv")) < 1e-3
    said = call(folder, *solved, "--iterations", "2", "--out", "short").stdout
    assert "NOT down to" in said and "--iterations" in said, said
    assert "NOT down to" in (folder / "short" / "value.html").read_text()
    said = call(folder, *solved, "--solver", "ekfac", "--out", "layers").stdout
    assert "Kronecker factors of 4 layers" in said and "upgrad" in said, said
    for more, words in (
        (["--solver", "gc"], "direct"),
        (["--damping", "-1"], "at least 0"),
        (["--damping", "nan"], "at least 0"),
        (["--solver", "direct", "--damping", "0"], "larger damping"),
    ):
        done = subprocess.run(
            [PROGRAM, "value", "solved", "--method", "influence", "--out", "not", *more],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode != 0 and words in done.stderr, (more, done.returncode, done.stderr)
    # A recipe is not trained for options that are wrong.
    call(folder, "value", "recipe.yaml", "--method", "influence", "--solver", "x", "--out", "none", code=2)
    assert not (folder / "none").exists()


def test_two_processes_find_what_one_finds(folder):
    call(folder, "train", "recipe.yaml", "--out", "w1", "--quiet", "--set", "model.dropout=0")
    with World(folder, "w2", 2, "--set", "model.dropout=0") as world:
        codes, said = world.wait()
    assert codes == [0, 0], said
    assert (
        largest_difference(values(folder / "w1" / "values.csv"), values(folder / "w2" / "values.csv"))
        < 1e-6
    )
    summary = json.loads((folder / "w2" / "summary.json").read_text())
    assert summary["valuation"]["max_relative_error"] < 1e-9, summary["valuation"]


def test_a_killed_run_goes_on_to_the_same_values(folder):
    call(folder, "train", "recipe.yaml", "--out", "whole", "--quiet")
    out = folder / "killed"
    process = subprocess.Popen([PROGRAM, "train", "recipe.yaml", "--out", out, "--quiet"], cwd=folder)
    begun = time.time()
    while (
        (not (out / "metrics.jsonl").exists() or len(steps(out)) < 9)
        and process.poll() is None
        and time.time() - begun < PATIENCE
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    call(folder, "train", "recipe.yaml", "--out", "killed", "--quiet", "--resume")
    for name in ("values.csv", "model.safetensors"):
        assert (folder / "whole" / name).read_bytes() == (out / name).read_bytes(), name


def test_cleaning_leaves_the_rows_out(folder):
    call(
        folder,
        "train",
        "recipe.yaml",
        "--out",
        "dirty",
        "--quiet",
        "--set",
        "train.epochs=30",
        "--set",
        "model.dropout=0",
    )
    call(folder, "value", "dirty", "--method", "oob", "--out", "worth")
    told = json.loads(
        call(
            folder,
            "value",
            "clean",
            "dirty",
            "--values",
            "worth/values.csv",
            "--drop-harmful",
            "side",
            "--below",
            "0.2",
            "--out",
            "clean",
            "--json",
        ).stdout
    )
    assert told["rows"] == 22 and told["of"] == 110, told
    dropped = [
        int(line)
        for line in (folder / "clean" / "drop.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert len(dropped) == 22 and sum(row % 5 == 0 for row in dropped) > 11, dropped
    call(
        folder,
        "train",
        "clean/recipe.yaml",
        "--out",
        "cleaned",
        "--quiet",
        "--set",
        "valuation.method=none",
    )
    summary = json.loads((folder / "cleaned" / "summary.json").read_text())
    assert summary["train_rows"] == 88 and summary["dev_rows"] == 40, summary
    call(folder, "value", "clean", "dirty", "--values", "worth/values.csv", "--out", "clean2", code=2)


def test_what_is_wrong_has_words(folder):
    for command, words in (
        (["value", "recipe.yaml", "--method", "knn", "--out", "x"], "knn_shapley"),
        (["value", "recipe.yaml", "--out", "x"], "--method"),
        (["value", "--method", "oob", "--out", "x"], "folder of a run or a recipe"),
    ):
        assert words in call(folder, *command, code=2).stderr, command
    assert "does not exist" in call(folder, "value", "gone", "--method", "oob", "--out", "x", code=3).stderr
    call(folder, "train", "recipe.yaml", "--out", "plain", "--quiet", "--set", "valuation.method=none")
    assert (
        "valuation.method=in_run"
        in call(folder, "value", "plain", "--method", "in_run", "--out", "x", code=2).stderr
    )
    # Values of another run.
    lines = (folder / "one" / "values.csv").read_text().splitlines()
    (folder / "other.csv").write_text(
        "\n".join([lines[0], "7000,side,side,all,-1,,1,oob", "7001,side,side,all,1,,1,oob"]) + "\n"
    )
    assert (
        "7000"
        in call(
            folder,
            "value",
            "clean",
            "plain",
            "--values",
            "other.csv",
            "--drop-harmful",
            "side",
            "--below-value",
            "0",
            "--out",
            "x2",
            code=2,
        ).stderr
    )
    (folder / "cut.csv").write_text("\n".join(lines[:5])[:-9])
    call(folder, "value", "clean", "plain", "--values", "cut.csv", "--below", "0.1", "--out", "x3", code=3)


if __name__ == "__main__":
    run_tests(dict(globals()), make)
