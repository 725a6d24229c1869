#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several processes train one model: the real program, started as launchers start it, on loopback.

    processes.py PROGRAM [TEST...]
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
from run_files import tensors

PROGRAM = sys.argv[1]
TIMED = {"ms", "seconds", "examples_per_second"}
PATIENCE = 120
LONG_PATIENCE = 200  # of a command by itself


def write_data(folder, seed=3):
    draw = random.Random(seed)
    for name, rows in [("train.csv", 201), ("dev.csv", 40)]:
        lines = ["a,b,kind,sum,large,rare"]
        for i in range(rows):
            a, b = draw.random(), draw.random()
            rare = f"{a - b}" if i % 9 == 0 else ""  # a task that few rows have
            lines.append(f"{a},{b},{draw.choice('xyz')},{a + b},{int(a * b > 0.25)},{rare}")
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(
        "data: {kind: table, train: train.csv, dev: dev.csv}\n"
        "tasks:\n"
        "  - {name: sum, head: regression}\n"
        "  - {name: large, head: binary}\n"
        "  - {name: rare, head: regression}\n"
        "model: {kind: mlp, widths: [33, 17], dropout: 0}\n"
        "balance: {method: cagrad}\n"
        "train: {epochs: 3, batch_size: 20, min_batch: 1}\n"
        "parallel: {timeout_s: 20}\n"
        "threads: 1\n")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def call(folder, *command, code=0):
    done = subprocess.run(
        [PROGRAM, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=LONG_PATIENCE
    )
    assert done.returncode == code, (command, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


class World:
    """The processes of one run. Ended with it, whatever happens."""

    def __init__(self, folder, out, size, *more, ranks=None, environments=None, recipes=None):
        port = free_port()
        self.begun = time.time()
        self.processes = []
        for rank in ranks if ranks is not None else range(size):
            environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
                           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                           **(environments or {}).get(rank, {})}
            recipe = (recipes or {}).get(rank, folder / "recipe.yaml")
            self.processes.append(subprocess.Popen(
                [PROGRAM, "train", str(recipe), "--out", str(folder / out), "--quiet", *more],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def wait(self):
        """Exit codes and what was said on stderr."""
        said = [process.communicate(timeout=PATIENCE)[1] for process in self.processes]
        return [process.returncode for process in self.processes], said


def train(folder, out, size, *more, **how):
    with World(folder, out, size, *more, **how) as world:
        codes, said = world.wait()
    assert codes == [0] * len(codes), (codes, said)
    return folder / out


def steps(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for key in TIMED:
            line.pop(key, None)
    return lines


def newest_snapshot(out):
    return max((out / "snapshots").glob("step-*"), key=lambda path: int(path.name[5:]))


def same_run(one, other):
    """Bit for bit, but for the clock."""
    assert steps(one) == steps(other)
    a, b = newest_snapshot(one), newest_snapshot(other)
    assert a.name == b.name
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def largest_difference(one, other):
    a, b = (tensors(newest_snapshot(out) / "model.safetensors") for out in (one, other))
    assert a.keys() == b.keys()
    return max(float(numpy.max(numpy.abs(a[name] - b[name]), initial=0)) for name in a)


def test_any_number_of_processes_is_one(folder):
    alone = train(folder, "one", 1, "--set", "precision=float64")
    for size in (2, 3, 4):
        several = train(folder, f"w{size}", size, "--set", "precision=float64")
        assert sorted(p.name for p in several.iterdir() if "tfevents" not in p.name) == sorted(
            p.name for p in alone.iterdir() if "tfevents" not in p.name)
        assert largest_difference(alone, several) < 1e-5, (size, largest_difference(alone, several))
        losses = [[line["losses"] for line in steps(out) if line["type"] == "step"]
                  for out in (alone, several)] if "type" in steps(alone)[0] else [[], []]
        for mine, theirs in zip(*losses):
            for task in mine:
                assert mine[task] is None or abs(mine[task] - theirs[task]) < 1e-4
        again = train(folder, f"w{size}b", size, "--set", "precision=float64")
        same_run(several, again)


def write_pictures(folder, model, rows=60, more=""):
    draw = numpy.random.default_rng(5)
    for name, count in (("train", rows), ("dev", 12)):
        numbers = draw.integers(0, 256, (count, 8, 8), dtype=numpy.uint8)
        labels = (numbers[:, :, 4:].mean((1, 2)) > numbers[:, :, :4].mean((1, 2))).astype(numpy.uint8)
        for kind, values in (("images", numbers), ("labels", labels)):
            head = bytes((0, 0, 8, values.ndim)) + b"".join(n.to_bytes(4, "big") for n in values.shape)
            (folder / f"{name}-{kind}-idx{values.ndim}-ubyte").write_bytes(head + values.tobytes())
    (folder / "recipe.yaml").write_text(
        "data: {kind: images, train: train-images-idx3-ubyte, dev: dev-images-idx3-ubyte}\n"
        "tasks:\n"
        "  - {name: side, column: label, head: binary}\n"
        "  - {name: again, column: label, head: classes, classes: 2}\n"
        f"model: {model}\n"
        "balance: {method: cagrad}\n"
        "train: {epochs: 3, batch_size: 12, min_batch: 1}\n"
        "parallel: {timeout_s: 20}\n"
        "precision: float64\n"
        "threads: 1\n" + more)


def test_augmentation_belongs_to_the_rows(folder):
    write_pictures(folder, "{kind: convnet, channels: [4, 8], hidden: 8, dropout: 0}")
    changed = [word for name in ("flip=true", "crop=2", "erase=0.5", "jitter=0.2")
               for word in ("--set", f"data.augment.{name}")]
    alone = train(folder, "one", 1, *changed)
    plain = train(folder, "plain", 1)
    assert largest_difference(alone, plain) > 1e-3, "nothing is changed"
    for size, parts in ((1, 2), (2, 1), (2, 2), (3, 1)):
        other = train(folder, f"w{size}p{parts}", size, *changed, "--set", f"train.micro_batches={parts}")
        difference = largest_difference(alone, other)
        assert difference < 1e-5, (size, parts, difference)


# Each process normalises by its own rows; what predictions use is of all of them.
def test_running_statistics_are_those_of_all(folder):
    write_pictures(folder, "{kind: convnet, channels: [4, 8], hidden: 8, norm: batch, dropout: 0}")
    one_step = ("--set", "train.epochs=1", "--set", "train.batch_size=60")
    runs = [tensors(newest_snapshot(train(folder, f"step{size}", size, *one_step)) / "model.safetensors")
            for size in (1, 2, 3)]
    first = next(name for name in runs[0] if name.endswith("running_mean"))
    assert numpy.abs(runs[0][first]).max() > 0
    for several in runs[1:]:
        # Before the first normalisation nothing differs: the mean is that of all rows, ...
        assert numpy.abs(several[first] - runs[0][first]).max() < 1e-12, first
        # ... and the variance within the processes' parts is nearly that of all.
        variance = first.replace("mean", "var")
        assert numpy.allclose(several[variance], runs[0][variance], rtol=0.1), variance
    # In every process: rank 0's snapshot holds all there is.
    how = ("--set", "train.snapshot_minutes=0.00001", "--set", "train.keep=all")
    whole = train(folder, "whole", 2, *how)
    environments = {0: {"DETENTE_CRASH_AT": "snapshot.renamed:7"}}
    with World(folder, "killed", 2, *how, environments=environments) as world:
        codes, said = world.wait()
    assert codes == [-signal.SIGKILL, 75], (codes, said)
    same_run(whole, train(folder, "killed", 2, *how, "--resume"))
    # Nobody learns of it by chance.
    said = subprocess.run([PROGRAM, "train", str(folder / "recipe.yaml"), "--out", str(folder / "told"),
                           "--nproc", "2", *one_step],
                          capture_output=True, text=True, timeout=PATIENCE).stderr
    assert said.count("rows of each of the 2 processes") == 1, said


def test_modes_agree(folder):
    whole = train(folder, "sharded", 2, "--set", "precision=float64")
    other = train(folder, "naive", 2, "--set", "precision=float64", "--set", "parallel.mode=naive")
    assert largest_difference(whole, other) < 1e-6
    zero = train(folder, "zero", 2, "--set", "precision=float64", "--set", "parallel.zero=1")
    assert largest_difference(whole, zero) == 0
    # Each kept half of the moments, the snapshot has all.
    kept = [newest_snapshot(out) / "optimizer.safetensors" for out in (whole, zero)]
    assert kept[0].read_bytes() == kept[1].read_bytes()
    train(folder, "zero", 3, "--resume", "--set", "precision=float64", "--set", "parallel.zero=1", "--set",
          "train.epochs=4")
    plain = ("--set", "precision=float64", "--set", "balance.method=ew")
    one = train(folder, "plain1", 1, *plain)
    two = train(folder, "plain2", 2, *plain, "--set", "parallel.mode=ddp")
    assert largest_difference(one, two) < 1e-6
    features = ("--set", "precision=float64", "--set", "balance.method=mgda")
    one = train(folder, "features1", 1, *features, "--set", "engine.strategy=features")
    two = train(folder, "features2", 2, *features, "--set", "parallel.mode=features")
    assert largest_difference(one, two) < 1e-5
    with World(folder, "not", 2, "--set", "parallel.mode=ddp") as world:
        codes, said = world.wait()
    assert codes == [2, 2] and "parallel.mode" in said[0], (codes, said)


def test_accumulated_and_dropout_resume_bit_for_bit(folder):
    how = ("--set", "train.micro_batches=2", "--set", "model.dropout=0.3", "--set", "balance.method=pcgrad",
           "--set", "train.snapshot_minutes=0.00001", "--set", "train.keep=all")
    whole = train(folder, "whole", 2, *how)
    environments = {0: {"DETENTE_CRASH_AT": "snapshot.renamed:9"}}
    with World(folder, "killed", 2, *how, environments=environments) as world:
        codes, said = world.wait()
    assert codes[0] < 0 or codes[0] > 128, codes
    assert codes[1] == 75, (codes, said)
    same_run(whole, train(folder, "killed", 2, *how, "--resume"))


def wait_for_steps(out, count):
    deadline = time.time() + PATIENCE
    log = out / "metrics.jsonl"
    while time.time() < deadline:
        if log.exists() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{out} has not trained {count} steps")


LONG = ("--set", "train.epochs=60", "--set", "train.snapshot_minutes=0.001")


def test_a_killed_process_ends_all_and_the_run_goes_on(folder):
    whole = train(folder, "whole", 2, *LONG)
    for victim in (0, 1):
        out = folder / f"killed{victim}"
        with World(folder, out.name, 2, *LONG) as world:
            wait_for_steps(out, 60)
            world.processes[victim].send_signal(signal.SIGKILL)
            died = time.time()
            codes, said = world.wait()
            took = time.time() - died
        other = 1 - victim
        assert codes[victim] == -signal.SIGKILL and codes[other] == 75, (codes, said)
        assert f"rank {victim}" in said[other], said
        assert took < 20, took
        same_run(whole, train(folder, out.name, 2, *LONG, "--resume"))


def test_a_stopped_process_is_named(folder):
    out = folder / "stopped"
    with World(folder, "stopped", 3, *LONG, "--set", "parallel.timeout_s=3") as world:
        wait_for_steps(out, 60)
        world.processes[2].send_signal(signal.SIGSTOP)
        stopped = time.time()
        for process in world.processes[:2]:
            process.wait(timeout=PATIENCE)
        took = time.time() - stopped
        said = [process.communicate()[1] for process in world.processes[:2]]
        assert [process.returncode for process in world.processes[:2]] == [75, 75], said
        assert all("rank 2" in one for one in said), said
        assert took < 30, took


def test_an_interrupt_of_one_saves_all(folder):
    whole = train(folder, "whole", 2, *LONG)
    out = folder / "stopped"
    with World(folder, out.name, 2, *LONG) as world:
        wait_for_steps(out, 60)
        world.processes[1].send_signal(signal.SIGTERM)
        codes, said = world.wait()
    assert codes == [130, 130], (codes, said)
    assert "Go on in 2 processes with: detente train" in said[0], said
    same_run(whole, train(folder, out.name, 2, *LONG, "--resume"))


def test_the_number_of_processes_may_change(folder):
    how = ("--set", "precision=float64", "--set", "schedule.kind=constant", "--set", "schedule.warmup=0")
    for epochs, size in ((1, 4), (2, 2), (3, 3)):
        resume = ("--resume",) if epochs > 1 else ()
        out = train(folder, "run", size, *resume, *how, "--set", f"train.epochs={epochs}")
    alone = train(folder, "alone", 1, *how)
    assert largest_difference(out, alone) < 1e-5


def test_what_differs_is_said_by_all(folder):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    write_data(elsewhere, seed=4)
    with World(folder, "data", 2, recipes={1: elsewhere / "recipe.yaml"}) as world:
        codes, said = world.wait()
    assert all(code in (2, 3, 75) for code in codes), (codes, said)
    assert all("different" in one for one in said), said
    assert not (folder / "data" / "model.safetensors").exists()
    shutil.copy(folder / "recipe.yaml", folder / "other.yaml")
    (folder / "other.yaml").write_text((folder / "recipe.yaml").read_text() + "seed: 7\n")
    with World(folder, "recipe", 2, recipes={1: folder / "other.yaml"}) as world:
        codes, said = world.wait()
    assert codes == [2, 2] and "seed: 0 -> 7" in said[1], (codes, said)
    (folder / "broken.yaml").write_text("tasks: [")
    with World(folder, "broken", 2, recipes={1: folder / "broken.yaml"}) as world:
        codes, said = world.wait()
        took = time.time() - world.begun
    assert codes == [75, 2] and "rank 1 has failed" in said[0], (codes, said)
    assert took < 30, took


def test_an_error_of_one_is_known_to_all(folder):
    train(folder, "there", 1)
    with World(folder, "there", 2) as world:
        codes, said = world.wait()
    assert codes == [2, 75] and "rank 0 has failed" in said[1], (codes, said)


def main():
    wanted = sys.argv[2:]
    for name, test in sorted(globals().items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        begun = time.time()
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder))
            test(Path(folder))
        print(f"ok: {name} ({time.time() - begun:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
