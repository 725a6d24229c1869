#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a little, exports, and compares what PyTorch and ONNX Runtime answer with `detente predict`.

    exported_agrees.py PROGRAM SOURCE torch|onnxruntime
"""
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

program, source, runtime = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
try:
    import numpy as np

    __import__(runtime)
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

spec = importlib.util.spec_from_file_location("example", source / "examples/python/run_exported.py")
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
kind, ending = {"torch": ("torchscript", "pt"), "onnxruntime": ("onnx", "onnx")}[runtime]


def run(*arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def exported(folder, recipe, data, *settings):
    """(the example's view of the exported model, the predictions of `detente predict`)"""
    trained, model, out = folder / "run", folder / f"model.{ending}", folder / "predictions.jsonl"
    run("train", recipe, "--out", trained, "--quiet", "--set", "train.epochs=1", "--set", "threads=1",
        *settings)
    said = run("export", trained, "--to", kind, "--out", model)
    assert "Python:" in said, said
    run("predict", trained, "--data", data, "--out", out)
    return example.load(model), [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def table(folder):
    """Numbers with gaps, dates, categories with words of their own; a task of every kind behind
    experts."""
    rng = np.random.default_rng(1)
    header = ["größe", "when", "a b", "kind", "no", "is it?", "class's", "grade", "tags", "left",
              "right"]
    lines = []
    for i in range(300):
        x = rng.normal()
        cells = [
            "" if i % 7 == 0 else f"{1e6 + 10 * x:.6f}",
            f"2024-0{1 + i % 9}-1{i % 10}" + (" 06:30" if i % 2 else ""),
            "NA" if i % 11 == 0 else str(i % 5),
            ["yes", "ä", "x y", "NULL"][i % 4],
            f"{3000 + 500 * x + (i % 4):.4f}",
            str(int(x + 0.1 * (i % 5) > 0)),
            ["red", "green", "ß"][int(i % 4 > 1) + int(x > 0)],
            str(int(x > -1) + int(x > 0) + int(x > 1)),
            ("warm" if x > 0 else "") + "|" + ("odd" if i % 2 else ""),
            f"{100 * x:.4f}",
            f"{0.01 * (i % 5):.4f}",
        ]
        lines.append(",".join(cells))
    data = folder / "table.csv"
    data.write_text(",".join(header) + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"""
name: exported
data: {{kind: table, train: {data}, split: {{dev: 0.2}}, categories: ["a b"]}}
model: {{widths: [24, 16], activation: gelu, embedding: 3, sharing: cgc, expert_widths: [16]}}
tasks:
  - {{name: "no", column: "no", head: regression}}
  - {{name: "is-it?", column: "is it?", head: binary}}
  - {{name: "class's", column: "class's", head: classes, class_names: [red, green, ß]}}
  - {{name: grade, head: ordinal, classes: 4}}
  - {{name: tags, head: labels, separator: "|", class_names: [warm, odd]}}
  - {{name: place, columns: [left, right]}}
train: {{batch_size: 32}}
""",
        encoding="utf-8",
    )
    return recipe, data


def worst_of(pairs):
    return max(abs(a - b) / max(1.0, abs(b)) for a, b in pairs)


def graphs(folder):
    """Small graphs whose nodes have a tag and an attribute, in a network with each readout: numbers
    for each graph. Yields (answers, predictions)."""
    rng = np.random.default_rng(2)
    many, lines, targets = [], ["40"], ["edges_of,odd"]
    for i in range(40):
        count = int(rng.integers(1, 7))
        edges = [(a, a + 1) for a in range(count - 1)] + ([(0, count - 1)] if count > 3 else [])
        tags = [int(t) for t in rng.integers(0, 3, count)]
        tags[0] = i % 3  # all tags are in the training rows
        many.append((tags, edges))
        lines.append(f"{count} {i % 2}")
        for node in range(count):
            beside = sorted([b for a, b in edges if a == node] + [a for a, b in edges if b == node])
            lines.append(" ".join(map(str, [tags[node], len(beside), *beside])))
        targets.append(f"{len(edges) + tags.count(1)},{i % 2}")
    (folder / "graphs.txt").write_text("\n".join(lines) + "\n")
    (folder / "targets.csv").write_text("\n".join(targets) + "\n")
    for model, readout in [("gcn", "mean"), ("gin", "sum")]:
        here = folder / model
        here.mkdir()
        recipe = here / "recipe.yaml"
        recipe.write_text(f"""
data: {{kind: graph, train: ../graphs.txt, targets: ../targets.csv, split: {{dev: 0.2}}}}
model: {{kind: {model}, readout: {readout}, widths: [8, 8]}}
tasks:
  - {{name: edges_of, head: regression}}
  - {{name: odd, head: binary}}
train: {{batch_size: 8}}
""")
        (files, answer), expected = exported(here, recipe, folder / "graphs.txt")
        features, edges, graph_of, sizes = [], [], [], []
        for i, (tags, own) in enumerate(many):
            first = len(features)
            features += [[0.0] + [float(t == tag) for t in range(3)] for tag in tags]
            edges += [(first + a, first + b) for a, b in own]
            edges += [(first + b, first + a) for a, b in own]
            graph_of += [i] * len(tags)
            sizes.append(len(tags))
        answers = answer({"features": np.array(features, np.float32),
                          "edges": np.array(edges, np.int64).T.copy(),
                          "graph_of": np.array(graph_of, np.int64),
                          "sizes": np.array(sizes, np.int64)})
        for i, line in enumerate(expected):
            yield float(answers["edges_of"][i]), line["edges_of"]
            yield float(answers["odd"][i]), line["odd_probability"]


def maps(folder):
    """Images whose sides halve to odd numbers, in each network for maps: classes and depths of pixels."""
    rng = np.random.default_rng(3)
    data = folder / "images"
    for part in ("image", "label", "depth"):
        (data / part).mkdir(parents=True)
    images = []
    for i in range(12):
        image = rng.random((37, 34, 3)).astype(np.float32)
        image[5:20, 3 + i:15 + i] += 1
        images.append(image)
        np.save(data / "image" / f"{i}.npy", image)
        np.save(data / "label" / f"{i}.npy", (image[..., 0] > 1).astype(np.float32))
        np.save(data / "depth" / f"{i}.npy", image[..., 1:2] + 1)
    for model in ("unet", "segnet", "mtan"):
        here = folder / model
        here.mkdir()
        recipe = here / "recipe.yaml"
        options = "channels: [4, 6, 8]" if model == "unet" else "width: 4"
        recipe.write_text(f"""
data: {{kind: dense, train: ../images, dev: ../images}}
model: {{kind: {model}, {options}}}
tasks:
  - {{name: things, column: label, head: segmentation, classes: 2}}
  - {{name: depth, head: depth}}
train: {{batch_size: 4}}
""")
        trained, out = here / "run", here / f"model.{ending}"
        run("train", recipe, "--out", trained, "--quiet", "--set", "train.epochs=1",
            "--set", "threads=1")
        run("export", trained, "--to", kind, "--out", out)
        run("predict", trained, "--data", data, "--out", here / "answers")
        files, answer = example.load(out)
        answers = answer({"image": np.stack(images).transpose(0, 3, 1, 2).copy()})
        for i in range(len(images)):
            depth = np.load(here / "answers" / "depth" / f"{i}.npy").reshape(37, 34)
            yield float(np.abs(np.asarray(answers["depth"][i]).reshape(37, 34) - depth).max()), 0.0
            things = np.load(here / "answers" / "things" / f"{i}.npy").reshape(37, 34)
            chances = np.asarray(answers["things"][i])
            sure = np.abs(chances[0] - chances[1]) > 1e-4
            assert (chances.argmax(0) == things)[sure].all(), (model, i)


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "table").mkdir()
    recipe, data = table(folder / "table")
    (files, answer), expected = exported(folder / "table", recipe, data)
    import csv

    rows = list(csv.DictReader(data.open(encoding="utf-8")))
    answers = answer(example.encode(rows, json.loads(files["columns.json"])["columns"]))
    described = json.loads(files["detente.json"])
    assert [o["name"] for o in described["outputs"]] == [
        "no", "is-it?", "class's", "grade", "tags", "place"], described
    words = described["outputs"][2]["classes"]
    pairs = []
    for i, line in enumerate(expected):
        pairs.append((float(answers["no"][i]), line["no"]))
        pairs.append((float(answers["is-it?"][i]), line["is-it?_probability"]))
        best = int(np.argmax(answers["class's"][i]))
        assert words[best] == line["class's"], (i, answers["class's"][i], line)
        pairs.append((float(answers["class's"][i][best]), line["class's_probability"]))
        median = int(np.argmax(np.cumsum(answers["grade"][i]) >= 0.5))
        assert median == line["grade"], (i, answers["grade"][i], line)
        pairs.append((float(answers["grade"][i][median]), line["grade_probability"]))
        for j, label in enumerate(described["outputs"][4]["labels"]):
            pairs.append((float(answers["tags"][i][j]), line[f"tags_{label}"]))
        for j, value in enumerate(described["outputs"][5]["values"]):
            pairs.append((float(answers["place"][i][j]), line[f"place_{value}"]))
    first = worst_of(pairs)

    (folder / "pairs").mkdir()
    data = folder / "pairs" / "pairs.tsv"
    sentences = ["한 남자가 기타를 연주하고 있다.", "여자는 책을 읽는다", "", "É 漢字 3"]
    lines = [f"{a}\t{b}" for a in sentences for b in sentences]
    data.write_text("sentence1\tsentence2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (files, answer), expected = exported(
        folder / "pairs", source / "recipes/kor_sts.yaml", data, "--set", "data.max_rows=300",
        "--set", "model.lexical_features=false")
    spec = importlib.util.spec_from_file_location("run", source / "examples/python/load_run.py")
    loader = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loader)
    except ImportError:
        loader = None  # it wants torch and more
    second = 0.0
    if loader is not None:
        model = loader.PairModel(folder / "pairs" / "run")
        pad, limit = model.vocabulary["[PAD]"], model.options["max_length"]

        def ids(texts):
            encoded = [loader.encode(t, model.settings, model.vocabulary, limit) for t in texts]
            longest = max(map(len, encoded))
            unit = len(encoded[0][0])
            return np.array([e + [[pad] * unit] * (longest - len(e)) for e in encoded], np.int64)

        answers = answer({
            "first": ids([line["sentence1"] for line in expected]),
            "second": ids([line["sentence2"] for line in expected]),
        })
        second = worst_of(
            pair
            for i, line in enumerate(expected)
            for pair in [(float(answers["score"][i]), line["score"]),
                         (float(answers["same"][i]), line["same_probability"])])
    third = 0.0
    if loader is not None:
        (folder / "cross").mkdir()
        (files, answer), expected = exported(
            folder / "cross", source / "recipes/kor_sts.yaml", data, "--set", "data.max_rows=300",
            "--set", "model.lexical_features=false", "--set", "model.mode=cross",
            "--set", "model.alignment=none")
        # Of the same sentences: the tokenizer is that of the siamese run.
        unit = len(loader.encode("가", model.settings, model.vocabulary, limit)[0])
        marks = {mark: [[model.vocabulary[mark]] * unit] for mark in ("[CLS]", "[SEP]")}
        sequences, kinds = [], []
        for line in expected:
            a, b = (loader.encode(line[name], model.settings, model.vocabulary, limit)
                    for name in ("sentence1", "sentence2"))
            sequences.append(marks["[CLS]"] + a + marks["[SEP]"] + b + marks["[SEP]"])
            kinds.append(len(a) + 2)
        longest = max(map(len, sequences))
        answers = answer({
            "joined": np.array([s + [[pad] * unit] * (longest - len(s)) for s in sequences], np.int64),
            "segments": np.array([[0] * n + [1] * (longest - n) for n in kinds], np.int64),
        })
        third = worst_of(
            pair
            for i, line in enumerate(expected)
            for pair in [(float(answers["score"][i]), line["score"]),
                         (float(answers["same"][i]), line["same_probability"])])
    (folder / "graphs").mkdir()
    fourth = worst_of(graphs(folder / "graphs"))
    (folder / "maps").mkdir()
    fifth = worst_of(maps(folder / "maps"))
    print(f"{runtime}: table {first:.2g}, pairs {second:.2g}, cross pairs {third:.2g}, "
          f"graphs {fourth:.2g}, maps {fifth:.2g}")
    # Predictions are printed with six digits.
    sys.exit(0 if first < 1e-5 and max(second, third, fourth, fifth) < 1e-4 else 1)
