#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Predicts for the rows of a table with a model that `detente export` wrote.

    python run_exported.py MODEL.onnx|MODEL.pt TABLE.csv > predictions.tsv

Needs numpy, and onnxruntime for .onnx or torch for others. The model carries how its inputs are made
("detente.json", "columns.json"): nothing of the run is needed.
"""
import csv
import gzip
import io
import json
import math
import sys
from datetime import datetime, timezone

import numpy as np

MISSING = {"", "?", "na", "nan", "null"}


def load(path):
    """(files by name, function from a dictionary of inputs to a dictionary of answers)"""
    if str(path).endswith(".onnx"):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        files = session.get_modelmeta().custom_metadata_map
        return files, lambda inputs: dict(zip(names, session.run(names, inputs)))
    import torch

    files = {"detente.json": "", "columns.json": ""}
    model = torch.jit.load(str(path), _extra_files=files)

    def answer(inputs):
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        return {task: value.numpy() for task, value in model(**tensors).items()}

    return files, answer


def number(cell, kind):
    cell = cell.strip(" ")
    if cell.lower() in MISSING:
        return math.nan
    if kind == "date":
        date = datetime.fromisoformat(cell.rstrip("Z").replace("/", "-"))
        return date.replace(tzinfo=timezone.utc).timestamp() / 86400
    return float(cell)


def word(cell):
    """What a category's cell counts as: numbers by their value."""
    cell = cell.strip(" ")
    if cell.lower() in MISSING:
        return ""
    try:
        value = float(cell)
    except ValueError:
        return cell
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def encode(rows, columns):
    """The arrays "numbers" and "categories" of a table's rows."""
    numbers = [c for c in columns if c["kind"] != "category"]
    categories = [c for c in columns if c["kind"] == "category"]
    places = [{w: i + 1 for i, w in enumerate(c["categories"])} for c in categories]
    arrays = {}
    if numbers:
        arrays["numbers"] = np.array(
            [[number(row[c["name"]], c["kind"]) for c in numbers] for row in rows], np.float64
        )
    if categories:
        arrays["categories"] = np.array(
            [
                [place.get(word(row[c["name"]]), 0) for c, place in zip(categories, places)]
                for row in rows
            ],
            np.int64,
        )
    return arrays


def main():
    model, table = sys.argv[1:]
    files, answer = load(model)
    content = open(table, "rb").read()
    if table.endswith(".gz"):
        content = gzip.decompress(content)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    answers = answer(encode(rows, json.loads(files["columns.json"])["columns"]))
    tasks = [output["name"] for output in json.loads(files["detente.json"])["outputs"]]
    print("\t".join(tasks))
    for i in range(len(rows)):
        print("\t".join(" ".join(f"{v:.9g}" for v in np.atleast_1d(answers[t][i])) for t in tasks))


if __name__ == "__main__":
    main()
