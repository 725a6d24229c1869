#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training on whole slides with the real program: plans, parts, slides that break, resume, the page. The
argument is the program; 77 where OpenSlide is not there."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_one_folder import run_tests  # noqa: E402
from processes import same_run  # noqa: E402

program = sys.argv[1]
try:
    import openslide_bin

    os.environ.setdefault(
        "DETENTE_OPENSLIDE", str(Path(openslide_bin.__file__).parent / "libopenslide.so.1")
    )
except ImportError:
    pass

RECIPE = """name: slides
data: {kind: slides, train: made/slides.csv, annotations: regions, tile: 32, mpp: 1.0, tissue: 0.3, window: 2,
       split: {dev: 0.34, group: patient}}
model: {kind: convnet, channels: [4, 8]}
tasks:
  - {name: tissue, column: annotation, head: classes, class_names: [stroma, gland, fat]}
  - {name: blur, head: regression}
balance: {method: pcgrad}
train: {epochs: 2, batch_size: 16}
threads: 1
"""


def run(*words, code=0, timeout=180, **more):
    done = subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **more},
    )
    assert done.returncode == code, (words, done.returncode, code, done.stdout, done.stderr)
    return done


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def make(folder):
    run("slide", "make", "--out", folder / "made", "--slides", 8, "--size", 512)
    (folder / "recipe.yaml").write_text(RECIPE)
    run("train", folder / "recipe.yaml", "--out", folder / "whole", "--quiet")


def test_made_slides_are_not_made_twice(folder):
    assert "not an empty folder" in run("slide", "make", "--out", folder / "made", code=3).stderr
    assert len(rows_of(folder / "made/slides.csv")) == 8
    facts = json.loads(run("slide", "info", folder / "made/made000.tiff", "--json").stdout)
    assert facts["vendor"] == "generic-tiff" and len(facts["levels"]) == 3, facts
    assert abs(facts["mpp_x"] - 0.5) < 1e-3, facts


def test_a_run_knows_its_tiles(folder):
    tiles = rows_of(folder / "whole/slide_tiles.csv")
    train = {row["patient"] for row in tiles}
    assert 1 <= len(train) < 4, train
    assert all(float(row["tissue"]) >= 0.3 and row["mpp"] == "1" for row in tiles)
    assert {row["annotation"] for row in tiles} >= {"stroma", "gland"}
    slides = folder / "made/slides.csv"
    run("predict", folder / "whole", "--data", slides, "--out", folder / "p.csv")
    answers = rows_of(folder / "p.csv")
    assert len(answers) > len(tiles) and {"slide", "x", "y", "blur", "tissue"} <= set(answers[0])
    # What the first level of the plan is, `detente slide tiles` says, too; a single slide will do.
    one = folder / "made/made003.tiff"
    said = json.loads(
        run("slide", "tiles", one, "--set", "tile=32", "--set", "data.mpp=1", "--set", "tissue=0.3",
            "--overlay", folder / "plan.png", "--out", folder / "plan.csv", "--json").stdout)
    assert said["tiles"] == len([row for row in answers if row["slide"] == "made003.tiff"]), said
    assert (folder / "plan.png").read_bytes().startswith(b"\x89PNG")
    run("predict", folder / "whole", "--data", one, "--out", folder / "one.csv")
    assert len(rows_of(folder / "one.csv")) == said["tiles"] == len(rows_of(folder / "plan.csv"))


def test_the_page_shows_slides(folder):
    run("report", folder / "whole")
    text = (folder / "whole/report.html").read_text()
    assert "made00" in text and "Slides evenly chosen" in text
    answers = json.loads((folder / "whole/answers.json").read_text())
    assert 1 <= len(answers["examples"]) <= 3 and answers["examples"][0]["name"].endswith(".tiff"), answers
    assert all(len(task["maps"]["pairs"]) == len(answers["examples"]) for task in answers["tasks"])


def test_a_killed_run_goes_on(folder):
    out = folder / "killed"
    words = [program, "train", str(folder / "recipe.yaml"), "--out", str(out), "--quiet"]
    with subprocess.Popen(words, env={**os.environ, "DETENTE_CRASH_AT": "step.updated:5"}) as process:
        assert process.wait(timeout=120) == -signal.SIGKILL
    run("train", folder / "recipe.yaml", "--out", out, "--resume", "--quiet")
    same_run(folder / "whole", out)


def test_two_workers_train_alike(folder):
    run("train", folder / "recipe.yaml", "--out", folder / "two", "--set", "data.workers=2", "--quiet")
    one, two = (
        [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "two")
    )
    losses = [[record["losses"] for record in log if "losses" in record] for log in (one, two)]
    assert losses[0] and losses[0] == losses[1]


def test_a_list_of_tiles_trains_and_drops(folder):
    run("slide", "tiles", folder / "made/slides.csv", "--set", "tile=32", "--set", "mpp=1", "--set",
        "annotations=regions", "--set", "per_slide=9", "--out", folder / "tiles.csv")
    assert len(rows_of(folder / "tiles.csv")) == 72
    (folder / "drop.txt").write_text("0\n1\n")
    words = ["--set", f"data.train={folder / 'tiles.csv'}", "--set", "data.annotations=null", "--set",
             "data.split.group=patient", "--set", "train.epochs=1", "--quiet"]
    run("train", folder / "recipe.yaml", "--out", folder / "listed", *words)
    all_rows = len(rows_of(folder / "listed/slide_tiles.csv"))
    run("train", folder / "recipe.yaml", "--out", folder / "fewer", *words,
        "--set", f"data.drop={folder / 'drop.txt'}")
    assert all_rows - len(rows_of(folder / "fewer/slide_tiles.csv")) in (0, 2)
    refused = run("train", folder / "recipe.yaml", "--out", folder / "refused", "--set",
                  f"data.drop={folder / 'drop.txt'}", code=2)
    assert "slide tiles" in refused.stderr and not (folder / "refused").exists()


def without_pixels(path, levels):
    """The tiles of the first levels of a TIFF lie behind its end: it opens, and breaks when they are read."""
    data = bytearray(path.read_bytes())
    number = lambda at, size: int.from_bytes(data[at : at + size], "little")  # noqa: E731
    directory = number(4, 4)
    for _ in range(levels):
        entries = number(directory, 2)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            if number(entry, 2) == 324:  # TileOffsets
                count, place = number(entry + 4, 4), number(entry + 8, 4)
                at = entry + 8 if count == 1 else place
                data[at : at + 4 * count] = (0xFFFF0000).to_bytes(4, "little") * count
        directory = number(directory + 2 + 12 * entries, 4)
    path.write_bytes(data)


def test_a_slide_that_breaks_in_training_costs_itself(folder):
    late = folder / "late"
    shutil.copytree(folder / "made", late)
    planned = rows_of(folder / "whole/slide_tiles.csv")
    name = planned[0]["slide"]
    without_pixels(late / name, 2)
    done = run("train", folder / "recipe.yaml", "--out", folder / "lates", "--set",
               f"data.train={late / 'slides.csv'}")
    assert name in done.stderr, done.stderr
    # Its tiles were planned; what the others say is still learned, and the run is whole.
    assert name in {row["slide"] for row in rows_of(folder / "lates/slide_tiles.csv")}
    assert json.loads((folder / "lates/summary.json").read_text())["status"] == "finished"
    for line in (folder / "lates/metrics.jsonl").read_text().splitlines():
        assert "NaN" not in line and "null" not in json.dumps(json.loads(line).get("losses", [])), line


def test_damaged_slides_cost_themselves(folder):
    bad = folder / "bad"
    shutil.copytree(folder / "made", bad)
    whole = (bad / "made001.tiff").read_bytes()
    (bad / "made001.tiff").write_bytes(whole[: len(whole) // 3])
    (bad / "made004.tiff").write_text("no slide")
    damaged = run("train", folder / "recipe.yaml", "--out", folder / "damaged", "--set",
                  f"data.train={bad / 'slides.csv'}", "--set", "train.epochs=1")
    assert "made004.tiff" in damaged.stderr, damaged.stderr
    names = {row["slide"] for row in rows_of(folder / "damaged/slide_tiles.csv")}
    assert "made004.tiff" not in names, names
    (bad / "made002.tiff").unlink()
    gone = run("train", folder / "recipe.yaml", "--out", folder / "gone", "--set",
               f"data.train={bad / 'slides.csv'}", code=3)
    assert "made002.tiff" in gone.stderr and "line 4" in gone.stderr, gone.stderr


def test_without_openslide_it_says_so(folder):
    error = run("train", folder / "recipe.yaml", "--out", folder / "none", code=2,
                DETENTE_OPENSLIDE=str(folder / "none.so")).stderr
    assert "doctor --slides" in error or "OpenSlide" in error, error
    assert not (folder / "none").exists()


doctor = subprocess.run([program, "doctor", "--slides", "--strict"], capture_output=True, check=False)
if doctor.returncode != 0:
    print("skipped: OpenSlide's library is not there")
    sys.exit(77)
run_tests(dict(globals()), make)
