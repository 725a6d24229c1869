#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Predicts with a run of Detente in Python, without Detente.

    python load_run.py RUN PAIRS.tsv > predictions.tsv

Needs torch, safetensors and PyYAML. Handles siamese models with the syllable and syllable_pairs
tokenizers; that is what the shipped recipes train.
"""
import json
import math
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


class Model:
    def __init__(self, run):
        run = Path(run)
        self.recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
        self.options = self.recipe["model"]
        assert self.options["mode"] == "siamese" and not self.options["lexical_features"]
        self.w = load_file(run / "model.safetensors")
        self.settings = json.loads((run / "tokenizer/tokenizer_config.json").read_text())
        lines = (run / "tokenizer/vocab.txt").read_text(encoding="utf-8").split("\n")
        self.vocabulary = {token: i for i, token in enumerate(lines) if token}

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"])

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
    def predict(self, a, b):
        limit = self.options["max_length"]
        ids = [torch.tensor(encode(s, self.settings, self.vocabulary, limit)) for s in (a, b)]
        orders = [ids, ids[::-1]] if self.options["symmetric"] else [ids]
        outputs = [self.outputs(*order) for order in orders]
        result = {}
        for task in self.recipe["tasks"]:
            y = torch.stack([o[task["name"]] for o in outputs])
            if task["head"] == "binary":
                result[task["name"]] = torch.sigmoid(y.mean()).item()
            elif task["head"] == "regression":
                if task["output"] == "sigmoid":
                    y = torch.sigmoid(y)
                if task["output"] != "raw":
                    y = task["low"] + (task["high"] - task["low"]) * y
                result[task["name"]] = y.mean().item()
            else:
                result[task["name"]] = int(y.mean(0).argmax())
        return result


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = Model(sys.argv[1])
    columns = [model.recipe["data"]["text_a"], model.recipe["data"]["text_b"]]
    lines = Path(sys.argv[2]).read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    header = lines[0].split("\t")
    first, second = (header.index(c) for c in columns)
    names = [t["name"] for t in model.recipe["tasks"]]
    print("\t".join(names))
    for line in lines[1:]:
        cells = line.split("\t")
        result = model.predict(cells[first], cells[second])
        print("\t".join(f"{result[n]:.6g}" for n in names))


if __name__ == "__main__":
    main()
