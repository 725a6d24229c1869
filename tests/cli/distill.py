#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Self-distillation with the real program: what is promised of DINO, DDGSD, teachers and peers.

    distill.py PROGRAM [TEST...]
"""
import json
import os
import shutil
import signal
import subprocess
import time

import numpy
from in_one_folder import run_tests
from processes import PROGRAM, World, newest_snapshot, steps
from run_files import tensors

PATIENCE = 200


def write_images(path, rows, classes=4, seed=1):
    """Records of CIFAR-10's form: each class a colour and a stripe, with noise."""
    draw = numpy.random.default_rng(seed)
    records = []
    for i in range(rows):
        label = i % classes
        image = numpy.full((3, 32, 32), 40.0)
        image[label % 3] += 90
        image[:, :, 8 * (label % 4):8 * (label % 4) + 6] += 60
        image = numpy.clip(image + draw.normal(0, 20, image.shape), 0, 255).astype(numpy.uint8)
        records.append(bytes([label]) + image.tobytes())
    path.write_bytes(b"".join(records))


VIT = "model: {kind: vit, patch: 8, width: 16, layers: 1, heads: 2, ffn: 32, dropout: 0}\n"
CONV = "model: {kind: convnet, channels: [4, 8], hidden: 16, dropout: 0}\n"
DINO = ("  objective: dino\n"
        "  dino: {global_crops: 2, local_crops: 2, global_size: 32, local_size: 16, momentum: 0.9,\n"
        "         head: {hidden: 16, bottleneck: 8, out: 32}}\n")
END = ("  epochs: 3\n  batch_size: 16\n  min_batch: 1\n  snapshot_minutes: 0.0001\n"
       "threads: 1\nprecision: float64\n")


def recipe(folder, name, model, tasks, train, more=""):
    path = folder / f"{name}.yaml"
    path.write_text("data: {kind: images, train: train.bin, dev: dev.bin}\n" + model + "tasks:\n" + tasks +
                    "balance: {method: ew}\n" + more + "train:\n" + train + END)
    return path


def make(folder):
    write_images(folder / "train.bin", 72)
    write_images(folder / "dev.bin", 24, seed=2)
    recipe(folder, "dino", VIT, "  - {name: label, kind: probe, head: classes, classes: 4}\n", DINO,
           "schedule: {ends: reference, warmup: 0.2}\n"
           "optimizer: {lr: 0.002, weight_decay: 0.04, last_weight_decay: 0.4, clip_each: 3}\n")
    label = "  - {name: label, head: classes, classes: 4}\n"
    recipe(folder, "plain", CONV, label, "")
    recipe(folder, "ddgsd", CONV, label, "  objective: ddgsd\n")
    recipe(folder, "mutual", CONV, label, "  objective: mutual\n")
    recipe(folder, "kd", CONV, "  - {name: label, head: classes, classes: 4, weight: 0.1}\n"
           "  - {name: soft, kind: distill, of: label, teacher: plain_run, weight: 0.9}\n", "")


def run(*words, code=0, environment=None):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, **(environment or {})})
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def train(folder, name, out, *sets, code=0, more=()):
    words = ["train", folder / f"{name}.yaml", "--out", folder / out, "--quiet", *more]
    for assignment in sets:
        words += ["--set", assignment]
    said = run(*words, code=code)
    return (folder / out) if code == 0 else said


def refused(folder, name, *sets, code=2, said):
    shown = train(folder, name, "refused", *sets, code=code)
    for word in said if isinstance(said, (list, tuple)) else [said]:
        assert word in shown, (sets, word, shown)
    assert not (folder / "refused" / "model.safetensors").exists()


def lines(out, kind=None):
    return [line for line in steps(out) if kind in (None, line["type"])]


def snapshots(out):
    return sorted((out / "snapshots").glob("step-*"), key=lambda path: int(path.name[5:]))


def tensors_of(snapshot):
    return {file.stem + "." + name: value for file in sorted(snapshot.glob("*.safetensors"))
            for name, value in tensors(file).items()}


def state(out):
    return tensors_of(newest_snapshot(out))


def same_run(one, other):
    """Bit for bit, but for the clock."""
    assert lines(one) == lines(other)
    a, b = state(one), state(other)
    assert a.keys() == b.keys()
    for name in a:
        assert numpy.array_equal(a[name], b[name]), name


def near(one, other, within=1e-5):
    a, b = tensors(one / "model.safetensors"), tensors(other / "model.safetensors")
    assert a.keys() == b.keys()
    for name in a:
        assert numpy.allclose(a[name], b[name], rtol=0, atol=within), (name, abs(a[name] - b[name]).max())


def killed_and_resumed(folder, name, out, *sets):
    """SIGKILL in the middle, as soon as there is a snapshot."""
    words = [PROGRAM, "train", str(folder / f"{name}.yaml"), "--out", str(folder / out), "--quiet"]
    for assignment in sets:
        words += ["--set", assignment]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + PATIENCE
    try:
        while not list((folder / out / "snapshots").glob("step-*")) and process.poll() is None:
            assert time.time() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return train(folder, name, out, *sets, more=("--resume",))


def two_processes(folder, name, out, *sets):
    words = [word for assignment in sets for word in ("--set", assignment)]
    recipes = dict.fromkeys(range(2), folder / f"{name}.yaml")
    with World(folder, out, 2, *words, recipes=recipes) as world:
        codes, said = world.wait()
    assert codes == [0, 0], said
    return folder / out


def test_dino_learns_features_and_says_what_they_are_worth(folder):
    out = train(folder, "dino", "dino_run", "train.epochs=6")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["objective"] == "dino"
    scores = summary["tasks"]["label"]
    for metric in ("knn20", "knn10", "knn100", "knn200", "linear", "raw_knn20", "untrained_linear"):
        assert 0 <= scores[metric] <= 1, scores
    assert summary["knn20"] == scores["knn20"] and summary["linear"] == scores["linear"]
    assert scores["raw_knn20"] > 0.9, scores  # the classes are colours
    # The model kept is the teacher's trunk, and a trunk alone.
    kept = tensors(out / "model.safetensors")
    assert "cls_token" in kept and not any(name.startswith(("heads.", "dino.")) for name in kept)
    for line in lines(out, "step"):
        assert set(line["losses"]) == {"dino"}
        monitor = line["monitor"]
        assert 0 <= monitor["mean_entropy"] <= monitor["entropy_of_mean"] + 1e-9 <= 1 + 2e-9, monitor
        assert monitor["kl"] >= -1e-9
    momenta = [line["monitor"]["teacher_momentum"] for line in lines(out, "step")]
    total = len(momenta)
    expected = [1 - 0.1 * 0.5 * (1 + numpy.cos(numpy.pi * j / total)) for j in range(total)]
    assert numpy.allclose(momenta, expected, atol=1e-12)
    said = run("features", out, "--out", folder / "f.npy", "--json")
    assert json.loads(said) == {"rows": 24, "width": 16, "out": str(folder / "f.npy")}
    given = numpy.load(folder / "f.npy")
    assert given.dtype == numpy.float32 and given.shape == (24, 16) and numpy.isfinite(given).all()
    run("features", out, "--data", folder / "dev.bin", "--out", folder / "g.npy")
    assert numpy.array_equal(given, numpy.load(folder / "g.npy"))
    assert "expected FILE.npy" in run("features", out, "--out", folder / "f.csv", code=2)
    # What needs heads says so.
    said = run("predict", out, "--data", folder / "dev.bin", "--out", folder / "p.tsv", code=2)
    assert "detente features" in said
    assert "no task with a head" in run("export", out, "--to", "onnx", "--out", folder / "m.onnx", code=2)
    run("export", out, "--to", "safetensors", "--out", folder / "m.safetensors")
    said = run("compare", folder / "dino.yaml", "--methods", "ew,upgrad", "--seeds", "2",
               "--out", folder / "study", "--set", "train.dino.terms=tasks")
    assert "knn20" in said, said


def test_last_layer_stays_while_it_is_frozen(folder):
    out = train(folder, "dino", "frozen", "train.dino.freeze_last_layer=2", "train.keep=all",
                "train.epochs=4",
                "train.snapshot_minutes=0")
    found = [tensors_of(path) for path in snapshots(out)]
    last = [one["losses.0.dino.last_layer.weight_v"] for one in found]
    assert numpy.array_equal(last[0], last[1])  # neither a step nor a decay
    assert not numpy.array_equal(last[1], last[2])
    moments = [one["optimizer.m.dino.last_layer.weight_v"] for one in found]
    assert not moments[1].any() and moments[2].any()
    assert not numpy.array_equal(found[0]["model.cls_token"], found[1]["model.cls_token"])
    # The teacher with momentum 1 never moves; its answers are the untrained network's.
    still = train(folder, "dino", "still", "train.dino.momentum=1")
    kept = tensors(still / "model.safetensors")
    before = train(folder, "dino", "before", "train.dino.momentum=1", "optimizer.lr=1e-12",
                   "optimizer.weight_decay=0", "optimizer.last_weight_decay=-1")
    for name, value in tensors(before / "model.safetensors").items():
        assert numpy.allclose(kept[name], value, atol=1e-9), name


def test_terms_may_be_tasks(folder):
    one = train(folder, "dino", "one")
    both = train(folder, "dino", "both", "train.dino.terms=tasks", "balance.method=upgrad")
    a, b = lines(one, "step")[0], lines(both, "step")[0]
    assert set(b["losses"]) == {"global_to_global", "local_to_global"}
    # Two pairs of global views, four with a local one.
    mean = (2 * b["losses"]["global_to_global"] + 4 * b["losses"]["local_to_global"]) / 6
    assert abs(mean - a["losses"]["dino"]) < 1e-9
    assert "global_to_global|local_to_global" in b["cosines"]
    five = train(folder, "ddgsd", "five", "train.ddgsd.terms=tasks", "balance.method=pcgrad")
    total = train(folder, "ddgsd", "total")
    a, b = lines(total, "step")[0], lines(five, "step")[0]
    assert list(b["losses"]) == ["label_a", "label_b", "kl_ab", "kl_ba", "mmd"]
    assert abs(sum(b["losses"].values()) - a["losses"]["label"]) < 1e-9
    monitor = a["monitor"]
    assert abs(sum(monitor.values()) - a["losses"]["label"]) < 1e-9


def test_resumes_with_the_same_bits(folder):
    for name, sets in [("dino", ()), ("dino", ("train.micro_batches=2",)), ("ddgsd", ()), ("mutual", ()),
                       ("mutual", ("train.mutual.update=simultaneous", "train.mutual.peers=3"))]:
        key = name + str(len(sets))
        straight = train(folder, name, f"straight_{key}", *sets)
        again = killed_and_resumed(folder, name, f"killed_{key}", *sets)
        same_run(straight, again)


def test_two_processes_are_one(folder):
    for name, sets in [("dino", ()), ("ddgsd", ("train.ddgsd.mmd_weight=0",)), ("mutual", ()),
                       ("mutual", ("train.mutual.update=simultaneous",))]:
        # Rows that two do not divide, and a last batch of one row.
        more = (*sets, "data.max_rows=65")
        key = name + str(len(sets))
        near(train(folder, name, f"w1_{key}", *more), two_processes(folder, name, f"w2_{key}", *more))
    # In parts of a batch as well.
    near(folder / "w1_dino0", train(folder, "dino", "parts", "data.max_rows=65", "train.micro_batches=3"))


def test_peers_learn_in_turn_or_at_once(folder):
    in_turn = train(folder, "mutual", "in_turn")
    at_once = train(folder, "mutual", "at_once", "train.mutual.update=simultaneous")
    again = train(folder, "mutual", "again")
    same_run(in_turn, again)
    # The run's own model moves first either way; from the second step on its peers differ.
    a, b = lines(in_turn, "step"), lines(at_once, "step")
    assert a[0]["losses"] == b[0]["losses"] and a[0]["monitor"] != b[0]["monitor"]
    assert a[2]["losses"] != b[2]["losses"]
    peers = state(in_turn)
    own = peers["model.heads.label.weight"]
    other = peers["losses.0.peer2.model.heads.label.weight"]
    assert not numpy.allclose(own, other)


def test_teacher_of_another_run(folder):
    train(folder, "plain", "plain_run")
    out = train(folder, "kd", "kd_run")
    first = lines(out, "step")[0]
    assert set(first["losses"]) == {"label", "soft"} and first["losses"]["soft"] > 0
    assert "label" in lines(out, "epoch")[0]["dev"] and "soft" not in lines(out, "epoch")[0]["dev"]
    # A student that is its own teacher has nothing to learn from it.
    same = train(folder, "kd", "same", f"train.start_from={folder / 'plain_run'}", "tasks.label.weight=1",
                 "tasks.soft.what=features", "tasks.soft.weight=1")
    assert lines(same, "step")[0]["losses"]["soft"] > 0  # a projection that is still to be learned
    # The file of the model, a hard target, a confidence that nothing has.
    train(folder, "kd", "file", f"tasks.soft.teacher={folder / 'plain_run' / 'model.safetensors'}",
          "tasks.soft.hard=true")
    none = train(folder, "kd", "none", "tasks.soft.confidence=1")
    assert all(line["losses"]["soft"] is None for line in lines(none, "step")[:1])
    # The running average of the model itself, resumed.
    ema = ("tasks.soft.teacher=ema",)
    same_run(train(folder, "kd", "ema", *ema), killed_and_resumed(folder, "kd", "ema_again", *ema))
    near(train(folder, "kd", "kd_w1", "data.max_rows=65"),
         two_processes(folder, "kd", "kd_w2", "data.max_rows=65"))


def test_labels_of_the_average_for_rows_without(folder):
    draw = numpy.random.default_rng(4)
    for name, rows in [("t.csv", 120), ("v.csv", 40)]:
        x = draw.normal(size=(rows, 3))
        kinds = numpy.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
        cells = [kinds[i] if name == "v.csv" or i % 4 == 0 else "" for i in range(rows)]
        (folder / name).write_text("a,b,c,kind\n" + "".join(
            f"{r[0]},{r[1]},{r[2]},{cell}\n" for r, cell in zip(x, cells)))
    (folder / "self.yaml").write_text(
        "data: {kind: table, train: t.csv, dev: v.csv}\n"
        "model: {kind: mlp, widths: [16], dropout: 0}\n"
        "tasks:\n"
        "  - {name: kind, head: classes, class_names: ['no', 'yes']}\n"
        "  - {name: guess, kind: distill, of: kind, teacher: ema, decay: 0.9, hard: true, confidence: 0.6,\n"
        "     rows: unlabelled}\n"
        "balance: {method: cagrad}\n"
        "optimizer: {lr: 0.02}\n"
        "train: {epochs: 8, batch_size: 20}\n"
        "threads: 1\n")
    out = train(folder, "self", "self_run")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tasks"]["kind"]["accuracy"] > 0.8
    assert any(line["losses"]["guess"] is not None for line in lines(out, "step"))


def test_starts_from_features(folder):
    if not (folder / "dino_run").exists():
        train(folder, "dino", "dino_run", "train.epochs=6")
    begun = recipe(folder, "begun", VIT, "  - {name: label, head: classes, classes: 4}\n",
                   "  start_from: dino_run\n", "optimizer: {lr: 1e-12, weight_decay: 0}\n")
    out = train(folder, begun.stem, "begun_run", "train.epochs=1")
    taught, now = tensors(folder / "dino_run" / "model.safetensors"), tensors(out / "model.safetensors")
    for name, value in taught.items():
        assert numpy.allclose(now[name], value, atol=1e-9), name
    said = train(folder, "begun", "refused", "model.width=32", code=3)
    assert "has the shape" in said and "expected the same options" in said
    said = train(folder, "begun", "refused", "train.start_from=nowhere", code=3)
    assert "nowhere" in said
    said = train(folder, "plain", "refused", f"train.start_from={folder / 'dino_run'}", code=3)
    assert "convnet" in said


def test_collapse_is_named_with_its_remedy(folder):
    # Without a centre and without sharpening all rows get one answer, or none in particular.
    unchecked = ("train.dino.centre_momentum=1", "train.dino.teacher_temperature=0.1",
                 "train.dino.first_teacher_temperature=0.1", "train.epochs=60", "optimizer.lr=0.01",
                 "train.dino.freeze_last_layer=0", "train.probe_every=60", "train.snapshot_minutes=0")
    said = train(folder, "dino", "collapsed", *unchecked, code=4)
    assert "teacher_temperature" in said, said
    warned = train(folder, "dino", "warned", *unchecked, "train.dino.collapse=warn")
    assert lines(warned, "step")[-1]["step"] == 5 * 60
    # With both, and views that leave the colours by which these images differ, nothing is wrong.
    sound = train(folder, "dino", "sound", "train.epochs=60", "train.probe_every=60",
                  "train.snapshot_minutes=0",
                  "train.dino.local_scale=0.3", "train.dino.jitter=0", "train.dino.grey=0")
    last = lines(sound, "step")[-1]["monitor"]
    assert last["entropy_of_mean"] - last["mean_entropy"] > 0.05, last


def test_says_what_is_wrong(folder):
    refused(folder, "dino", "train.dino.global_crops=1", "train.dino.local_crops=0", said="two or more")
    refused(folder, "dino", "train.dino.head.out=1", said="head.out")
    refused(folder, "dino", "train.dino.global_size=64", said="64")
    refused(folder, "dino", "train.dino.local_size=12", said="patch")
    refused(folder, "dino", "train.dino.local_scale=0.9", said="local_scale")
    refused(folder, "dino", "train.dino.teacher_warmup_epochs=9", said="longer than the run")
    refused(folder, "dino", "train.dino.terms=tasks", "train.dino.local_crops=0", said="pairs of both kinds")
    refused(folder, "dino", "train.objective=dinner", said=["dinner", "dino"])
    refused(folder, "dino", "train.select=label.knn20", said="there is no supervised task")
    refused(folder, "ddgsd", "train.ddgsd.distortions.flip=false", "train.ddgsd.distortions.crop=0",
            said="changes nothing")
    refused(folder, "kd", "tasks.soft.teacher=nowhere", code=3, said="nowhere")
    refused(folder, "kd", "tasks.soft.of=labels", said=["labels", "label"])
    if not (folder / "plain_run").exists():
        train(folder, "plain", "plain_run")
    refused(folder, "kd", "tasks.label.classes=5", "data.max_rows=40", said="heads of one shape")
    refused(folder, "kd", "tasks.soft.teacher_task=colour", said=["colour", "label"])
    if not (folder / "dino_run").exists():
        train(folder, "dino", "dino_run", "train.epochs=6")
    refused(folder, "kd", f"tasks.soft.teacher={folder / 'dino_run'}", said="without tasks")
    # A run must not take the place of what it learns from.
    before = (folder / "plain_run" / "model.safetensors").read_bytes()
    for sets in (), (f"train.start_from={folder / 'plain_run'}", "tasks.soft.teacher=ema"):
        words = [word for one in sets for word in ("--set", one)]
        said = run("train", folder / "kd.yaml", "--out", folder / "plain_run", "--force", *words, code=2)
        assert "Choose another --out" in said, said
    assert (folder / "plain_run" / "model.safetensors").read_bytes() == before
    said = run("train", folder / "kd.yaml", "--out", folder / "idle", "--set", "tasks.soft.rows=unlabelled")
    assert "has taught nothing" in said, said
    refused(folder, "dino", "train.start_from=/dev/zero", code=3, said="there is no file")
    refused(folder, "dino", "train.dino.head.out=100000000", said="head.out")
    nothing = folder / "nothing.yaml"
    nothing.write_text((folder / "plain.yaml").read_text().replace(
        "- {name: label, head: classes, classes: 4}",
        "- {name: label, kind: probe, head: classes, classes: 4}"))
    refused(folder, "nothing", said="there is no task")
    table = folder / "table.yaml"
    (folder / "x.csv").write_text("a,kind\n1,x\n2,y\n3,x\n4,y\n")
    table.write_text("data: {kind: table, train: x.csv, dev: x.csv}\ntasks:\n"
                     "  - {name: kind, head: classes, class_names: [x, y]}\n"
                     "train: {objective: dino, epochs: 1}\n")
    refused(folder, "table", said="expected data.kind: images")
    # Constant pictures teach nothing, and are no reason to end with a crash.
    (folder / "train.bin.kept").write_bytes((folder / "train.bin").read_bytes())
    try:
        (folder / "train.bin").write_bytes(b"".join(bytes([i % 4]) + bytes([77]) * 3072 for i in range(72)))
        train(folder, "dino", "constant", "train.epochs=2")
    finally:
        shutil.move(folder / "train.bin.kept", folder / "train.bin")
    # A batch of one row.
    train(folder, "dino", "single", "train.batch_size=1", "data.max_rows=5", "train.epochs=1")


if __name__ == "__main__":
    run_tests(dict(globals()), make)
