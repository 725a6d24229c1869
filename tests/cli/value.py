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
from processes import PROGRAM, World, call, steps

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


def test_parts_of_examples_have_values(folder):
    (folder / "joined.yaml").write_text(
        "data:\n"
        "  kind: joined\n"
        "  train: t.csv\n"
        "  split: {column: part}\n"
        "  parts:\n"
        "    - {name: 'the ''first''', kind: table, inputs: ['x, first']}\n"
        "    - {name: 'yes', kind: table, inputs: [y]}\n"
        "model: {kind: joined, widths: [8], dropout: 0}\n"
        "tasks:\n"
        "  - {name: side, head: binary}\n"
        "  - {name: value, column: 'va\"lue', head: regression}\n"
        "optimizer: {lr: 0.02}\n"
        "train: {epochs: 4, batch_size: 16}\n"
        "precision: float64\nthreads: 1\n"
    )
    call(folder, "train", "joined.yaml", "--out", "joined", "--quiet")
    told = json.loads(
        call(folder, "value", "joined", "--method", "modality", "--out", "parts", "--json").stdout
    )
    assert told["audit"]["max_relative_error"] < 1e-9, told
    found = values(folder / "parts" / "values.csv")
    assert len(found) == 110 * 4 and {key[2] for key in found} == {"the 'first'", "yes"}
    assert {key[0] for key in found} == {"all"}
    for task in ("side", "value"):
        total = sum(value for key, value in found.items() if key[1] == task)
        audit = told["audit"]["tasks"][task]
        assert abs(total - audit["total"]) < 1e-9 * abs(total) and abs(audit["values"] - total) < 1e-9, audit
        own = told["validation"][task]
        assert own["rows"] == 40 and set(own["loss"]["parts"]) == {"the 'first'", "yes"}, own
        shared = sum(part["value"] for part in own["loss"]["parts"].values())
        assert abs(shared - (own["loss"]["none"] - own["loss"]["all"])) < 1e-9, own
    # `side` hangs on the first column alone.
    side = told["validation"]["side"]["loss"]["parts"]
    assert side["the 'first'"]["value"] > abs(side["yes"]["value"]), side
    said = call(folder, "value", "joined", "--method", "modality", "--out", "parts", "--force").stdout
    assert "add up to what is shared out within" in said and "mean of its features" in said, said
    assert "lowest for side through yes: example" in said, said
    # Rows can be left out by what one part is worth.
    command = ["value", "clean", "joined", "--values", "parts/values.csv", "--drop-harmful", "side"]
    told = call(folder, *command, "--below", "0.1", "--modality", "yes", "--out", "misled", "--json").stdout
    assert json.loads(told)["rows"] == 11, told
    lowest = sorted((value, key[3]) for key, value in found.items() if key[1:3] == ("side", "yes"))[:11]
    dropped = (folder / "misled" / "drop.txt").read_text().splitlines()
    dropped = {int(line) for line in dropped if line and not line.startswith("#")}
    assert dropped == {row for _, row in lowest}, (dropped, lowest)
    wrong = call(folder, *command, "--below", "0.1", "--modality", "no", "--out", "x", code=2).stderr
    assert "'no'" in wrong and "yes" in wrong, wrong
    one = call(folder, "value", "one/run", "--method", "modality", "--out", "x", code=2).stderr
    assert "has one part (data.kind: table)" in one, one


def test_removing_is_measured(folder):
    call(folder, "train", "recipe.yaml", "--out", "long", "--quiet", "--set", "train.epochs=30")
    command = ["value", "long", "--method", "oob", "--out", "curve", "--rows", "100"]
    told = json.loads(call(folder, *command, "--curve", "0.2,0.4", "--curve-seeds", "3", "--json").stdout)
    assert [Path(file).name for file in told["files"]] == ["values.csv", "value.html", "curve.csv"]
    side, value = told["curves"]
    assert side["task"] == "side" and side["metric"] == "accuracy" and value["task"] == "value", told
    lowest, highest, chance = side["lines"]
    assert lowest["removed"] == [0, 22, 44] and chance["order"] == "at random", side
    assert lowest["scores"][0] == highest["scores"][0] == chance["scores"][0]
    # A fifth of the labels is wrong, and the lowest values are these.
    assert lowest["scores"][2] > highest["scores"][2] and lowest["scores"][1] >= chance["low"][1], side
    with open(folder / "curve" / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 3 and rows[1]["removed"] == "22", rows
    assert float(rows[1]["score"]) == lowest["scores"][1]
    assert "What is lost when examples are removed" in (folder / "curve" / "value.html").read_text()
    said = call(folder, *command, "--force", "--curve", "0.1").stdout
    assert "flatters a method that judges by them" in said and "lowest values first" in said, said
    # Rows that did not judge, where there are enough of them.
    write_table(folder / "more.csv", rows=200)
    (folder / "more.yaml").write_text((folder / "recipe.yaml").read_text().replace("t.csv", "more.csv"))
    call(folder, "train", "more.yaml", "--out", "more", "--quiet", "--set", "train.epochs=1")
    more = ["value", "more", "--method", "loss", "--out", "of_more", "--rows", "30", "--curve", "0.1"]
    assert "60 validation rows, none of which judged" in call(folder, *more).stdout
    for wrong, words in (("0.3,0.1", "0.1 comes after 0.3"), ("1", "below 1"), ("x", "--curve")):
        # Before anything is measured.
        assert words in call(folder, *command, "--force", "--curve", wrong, code=2).stderr, wrong


def test_rows_that_are_there_twice_are_named(folder):
    with open(folder / "t.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    # Training rows 1 and 3 once more, the latter with another label, and two that judge.
    for part, row, other in (("train", 1, False), ("train", 3, True), ("dev", 1, False), ("dev", 4, False)):
        x, y, side, value, _ = rows[row]
        rows.append([x, y, str(1 - int(side)) if other else side, value, part])
    with open(folder / "twice.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    (folder / "twice.yaml").write_text((folder / "recipe.yaml").read_text().replace("t.csv", "twice.csv"))
    call(folder, "train", "twice.yaml", "--out", "twice", "--quiet", "--set", "train.epochs=1")
    done = call(folder, "value", "twice", "--method", "knn_shapley", "--out", "of_twice", "--json")
    assert "2 of 42 validation rows have the very inputs of a training row" in done.stderr, done.stderr
    assert "validation row 40 is training row 1, 41 is 4" in done.stderr, done.stderr
    assert "2 training rows repeat the inputs of an earlier one (row 110 is training row 1" in done.stderr
    told = json.loads(done.stdout)["repeated"]
    assert told["validation"] == {"count": 2, "other_target": 0, "rows": [[40, 1], [41, 4]]}, told
    assert told["training"] == {"count": 2, "other_target": 1, "rows": [[110, 1], [111, 3]]}, told
    # Equal rows with equal labels are worth the same.
    found = values(folder / "of_twice" / "values.csv")
    assert found["side", "side", "all", 1] == found["side", "side", "all", 110]
    assert found["side", "side", "all", 3] != found["side", "side", "all", 111]
    assert "very inputs" in (folder / "of_twice" / "value.html").read_text()
    quiet = call(folder, "value", "one/run", "--method", "loss", "--out", "once", "--json")
    assert "inputs of" not in quiet.stderr and json.loads(quiet.stdout)["repeated"]["training"]["count"] == 0


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
