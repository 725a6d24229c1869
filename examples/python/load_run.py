#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Predicts with a run of Detente in Python, without Detente.

    python load_run.py RUN ROWS.csv > predictions.tsv

Needs torch, safetensors and PyYAML. Handles tables (`model.kind: mlp`) and sentence pairs: siamese
models with the syllable and syllable_pairs tokenizers. That is what the shipped recipes train; of
other runs it says that they are others. Files are .tsv or .csv, with .gz or without.
"""
import csv
import datetime
import gzip
import json
import math
import re
import sys
import unicodedata
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from torch.nn import functional as F

BOUNDARY = "\u2581"


def is_punctuation(c):
    return (c.isascii() and not c.isalnum() and c.isprintable() and c != " ") or unicodedata.category(
        c
    ).startswith("P")


def symbols(text, settings):
    text = unicodedata.normalize("NFC", text)
    if settings["do_lower_case"]:
        text = text.lower()
    out = []
    for word in text.split():
        if out:
            out.append(BOUNDARY)
        out.extend(c for c in word if unicodedata.category(c)[0] != "C")
    return out


def encode(text, settings, vocabulary, limit):
    """Ids [positions, ids per position]."""
    unknown = vocabulary["[UNK]"]
    if settings["kind"] == "syllable":
        keep = [c for c in symbols(text, settings) if settings["keep_spaces"] or c != BOUNDARY]
        rows = [[vocabulary.get(c, unknown)] for c in keep]
        return (rows or [[unknown]])[:limit]
    framed = [BOUNDARY]
    for c in symbols(text, settings):
        sign = is_punctuation(c)
        if (sign or c == BOUNDARY) and framed[-1] != BOUNDARY:
            framed.append(BOUNDARY)
        if c != BOUNDARY:
            framed.append(c)
        if sign:
            framed.append(BOUNDARY)
    if framed[-1] != BOUNDARY:
        framed.append(BOUNDARY)

    def find(entry):
        if entry in vocabulary:
            return vocabulary[entry]
        if settings["buckets"] == 0:
            return unknown
        value = 2166136261
        for byte in entry.encode():
            value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
        return vocabulary["#0"] + value % settings["buckets"]

    rows = []
    for left, c, right in zip(framed, framed[1:], framed[2:]):
        rows.append([find(c), find("<" + left + c), find(c + right + ">")])
    return (rows or [[unknown] * 3])[:limit]


def demand(holds, what):
    if not holds:
        sys.exit(f"error: load_run.py cannot read this run: {what}. `detente predict` can.")


class Model:
    """What both kinds share: recipe, weights, heads."""

    def __init__(self, run):
        self.run = Path(run)
        self.recipe = yaml.safe_load((self.run / "recipe.yaml").read_text(encoding="utf-8"))
        self.options = self.recipe["model"]
        demand(self.options.get("sharing", "hard") == "hard", "its tasks share by experts or towers")
        for task in self.recipe["tasks"]:
            demand(task["head"] in ("regression", "binary", "classes") and not task.get("columns"),
                   f"task {task['name']} has several answers or ordered ones")
        self.w = load_file(self.run / "model.safetensors")

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"])

    def answer(self, task, outputs):
        """What a head's outputs [n, ...] say: a value, a probability, the name or id of a class. The
        mean over the first dimension, which is the orders of a pair."""
        name, head = task["name"], task["head"]
        y = outputs
        if head == "binary":
            return torch.sigmoid(y.mean()).item()
        if head == "classes":
            best = int(y.mean(0).argmax())
            return task["class_names"][best] if task["class_names"] else best
        if task["output"] == "standard":
            y = self.w[f"heads.{name}.mean"] + self.w[f"heads.{name}.deviation"] * y
        if task["output"] == "sigmoid":
            y = torch.sigmoid(y)
        if task["output"] in ("scaled", "sigmoid"):
            y = task["low"] + (task["high"] - task["low"]) * y
        return y.mean().item()


class PairModel(Model):
    def __init__(self, run):
        super().__init__(run)
        demand(self.options["mode"] == "siamese", "its model is not siamese")
        demand(not self.options["lexical_features"], "it has lexical features")
        settings = (self.run / "tokenizer/tokenizer_config.json").read_text(encoding="utf-8")
        self.settings = json.loads(settings)
        kind = self.settings["kind"]
        demand(kind in ("syllable", "syllable_pairs"), f"its tokenizer is {kind}")
        lines = (self.run / "tokenizer/vocab.txt").read_text(encoding="utf-8").split("\n")
        self.vocabulary = {token: i for i, token in enumerate(lines) if token}

    def side(self, ids):
        """One sentence, ids [n, unit]: pooled vector, token vectors, encoder output, weights."""
        weight = self.w["token_weights"][ids]
        tokens = (self.w["embedding.weight"][ids] * weight[..., None]).sum(1)
        tokens = tokens / weight.square().sum(1, keepdim=True).sqrt().clamp(min=1e-3)
        x = tokens
        if self.options["positions"] == "learned":
            x = x + self.w["position.weight"][: len(x)]
        heads = self.options["heads"]
        for i in range(self.options["layers"]):
            name = f"layers.{i}"
            qkv = self.linear(self.norm(x, name + ".norm1"), name + ".attention.qkv")
            q, k, v = qkv.view(len(x), 3, heads, -1).permute(1, 2, 0, 3)
            mixed = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), -1) @ v
            x = x + self.linear(mixed.transpose(0, 1).reshape(len(x), -1), name + ".attention.out")
            inner = F.gelu(self.linear(self.norm(x, name + ".norm2"), name + ".ffn.in"))
            x = x + self.linear(inner, name + ".ffn.out")
        if self.options["layers"] > 0:
            x = self.norm(x, "norm")
        token_weight = weight.mean(1) + 1e-6
        pooled = (x * token_weight[:, None]).sum(0) / token_weight.sum()
        return pooled, tokens, x, token_weight

    @staticmethod
    def aligned(x, y, wx, wy):
        cosines = F.normalize(x, dim=-1, eps=1e-6) @ F.normalize(y, dim=-1, eps=1e-6).T
        s, t = cosines.max(1).values, cosines.max(0).values
        a, b = (s * wx).sum() / wx.sum(), (t * wy).sum() / wy.sum()
        return 3.0 * torch.stack([a + b, (a - b).abs(), s.mean() + t.mean(), a * b])

    def outputs(self, first, second):
        (u, tu, xu, wu), (v, tv, xv, wv) = self.side(first), self.side(second)
        joined = [self.norm(torch.cat([u, v, (u - v).abs(), u * v]), "features.norm")]
        if self.options["alignment"] != "none":
            joined.append(self.aligned(tu, tv, wu, wv))
        if self.options["alignment"] == "both":
            p = self.w["alignment.weight"].T
            joined.append(self.aligned(xu @ p, xv @ p, wu, wv))
        features = torch.cat(joined)
        if self.options["hidden"] > 0:
            features = F.gelu(self.linear(features, "trunk"))
        return {t["name"]: self.linear(features, "heads." + t["name"]) for t in self.recipe["tasks"]}

    @torch.no_grad()
    def predict(self, row):
        """Of a row {column: cell}, for every task."""
        data, limit = self.recipe["data"], self.options["max_length"]
        texts = row[data["text_a"]], row[data["text_b"]]
        ids = [torch.tensor(encode(s, self.settings, self.vocabulary, limit)) for s in texts]
        orders = [ids, ids[::-1]] if self.options["symmetric"] else [ids]
        outputs = [self.outputs(*order) for order in orders]
        return {
            task["name"]: self.answer(task, torch.stack([o[task["name"]] for o in outputs]))
            for task in self.recipe["tasks"]
        }


NUMBER = re.compile(r"(?!\+-)\+?(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
DATE = re.compile(
    r"([0-9]{4})([-/])([0-9]{2})\2([0-9]{2})"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-9]{2}(?:\.[0-9]+)?))?Z?)?"
)


def is_missing(cell):
    return cell.strip(" ").lower() in ("", "?", "na", "nan", "null")


def number(cell):
    """The finite number that a cell spells, or None."""
    match = NUMBER.fullmatch(cell.strip(" "))
    value = float(match[1]) if match else math.inf
    return value if math.isfinite(value) else None


def days(cell):
    """Days since 1970 of a date, or None."""
    match = DATE.fullmatch(cell.strip(" "))
    if not match:
        return None
    year, _, month, day, hour, minute, second = match.groups()
    try:
        date = datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None
    seconds = 3600.0 * int(hour or 0) + 60.0 * int(minute or 0) + float(second or 0)
    return (date - datetime.date(1970, 1, 1)).days + seconds / 86400.0


def word(cell):
    """What stands for a cell among categories: numbers by value, so that 1, 1.0 and 01 are one."""
    if is_missing(cell):
        return ""
    value = number(cell)
    return cell.strip(" ") if value is None else repr(value).removesuffix(".0")


class TableModel(Model):
    def __init__(self, run):
        super().__init__(run)
        demand(self.options["kind"] == "mlp", f"its model is of kind {self.options['kind']}")
        text = (self.run / "columns.json").read_text(encoding="utf-8")
        self.columns = json.loads(text)["columns"]
        categories = [c for c in self.columns if c["kind"] == "category"]
        # 0 is the unknown one.
        self.ids = [{w: i + 1 for i, w in enumerate(c["categories"])} for c in categories]

    def scaled(self, column, cell):
        value = days(cell) if column["kind"] == "date" else number(cell)
        if value is None:
            sys.exit(f"error: column {column['name']!r}: {cell!r} is no {column['kind']}.")
        # Halves, as the difference of two huge numbers may be none any more.
        half = (0.5 * value - 0.5 * column["mean"]) / column["deviation"]
        return 2.0 * min(max(half, -0.5e6), 0.5e6)

    def features(self, row):
        """The numbers, then the marks of missing ones, then each category's vector."""
        numbers, marks, vectors = [], [], []
        for column in self.columns:
            cell = row[column["name"]]
            if column["kind"] == "category":
                i = len(vectors)
                table = self.w[f"embeddings.{i}.weight"]
                vectors.append(table[self.ids[i].get(word(cell), 0)])
                continue
            missing = is_missing(cell)
            numbers.append(0.0 if missing else self.scaled(column, cell))
            if column["missing"]:
                marks.append(float(missing))
        plain = torch.tensor(numbers + marks, dtype=torch.float32)
        return torch.cat([plain.to(self.w["layers.0.weight"].dtype), *vectors])

    @torch.no_grad()
    def predict(self, row):
        x = self.features(row)
        activation = getattr(F, self.options["activation"])  # relu, gelu, silu
        for i in range(len(self.options["widths"])):
            x = activation(self.linear(x, f"layers.{i}"))
        return {
            task["name"]: self.answer(task, self.linear(x, "heads." + task["name"])[None])
            for task in self.recipe["tasks"]
        }


def load(run):
    kind = yaml.safe_load((Path(run) / "recipe.yaml").read_text(encoding="utf-8"))["data"]["kind"]
    kinds = {"pairs": PairModel, "table": TableModel}
    demand(kind in kinds, f"its data are of kind {kind}")
    return kinds[kind](run)


def rows_of(path, table_format="auto"):
    """Rows {column: cell}. CSV follows RFC 4180; TSV has no quoting at all."""
    packed = path.lower().endswith(".gz")
    if table_format == "auto":
        name = path[:-3] if packed else path
        table_format = "csv" if name.lower().endswith(".csv") else "tsv"
    with (gzip.open if packed else open)(path, "rt", encoding="utf-8-sig", newline="") as file:
        if table_format == "csv":
            lines = [cells for cells in csv.reader(file, strict=True) if cells]
        else:
            text = file.read().replace("\r\n", "\n").rstrip("\n")
            lines = [line.split("\t") for line in text.split("\n")]
    header = [name.strip(" ") for name in lines[0]]
    return [dict(zip(header, cells, strict=True)) for cells in lines[1:]]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = load(sys.argv[1])
    names = [t["name"] for t in model.recipe["tasks"]]
    print("\t".join(names))
    for row in rows_of(sys.argv[2], model.recipe["data"]["format"]):
        result = model.predict(row)
        cells = [result[n] for n in names]
        print("\t".join(f"{c:.9g}" if isinstance(c, float) else str(c) for c in cells))


if __name__ == "__main__":
    main()
