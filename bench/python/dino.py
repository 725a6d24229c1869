#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a step of DINO costs in the program, beside the same step in PyTorch.

    PYTHONPATH=build/release/python python3 bench/python/dino.py --out dino.json [--threads 1 2]

A vision transformer of width 192 with 12 layers and patches of 4 on images of 32 x 32, 32 at a time, two
global views of 32 and four local ones of 16 pixels. Ways of a step:

    pytorch          by hand in PyTorch, eager: the teacher on the global views, the student on all (a pass
                     for each size), loss, centre, backward, gradients clipped one by one, fused AdamW, the
                     teacher's average
    pytorch_tasks    the same with the two kinds of pairs as two losses, a backward pass for each, added up:
                     what having both gradients costs by hand
    program          `detente train`, train.dino.terms: one, method ew
    program_ew       terms: tasks, method ew
    program_upgrad   terms: tasks, method upgrad
    python_upgrad    the loop of `pytorch` with detente.distill and detente.Balancer("upgrad")

The program's times are ms.total of its metrics.jsonl. It makes the views within a step, with all of its
changes; the loops in Python have made theirs beforehand. So the parts are reported as well: forward (of the
program with the views), backward, and the rest, of which the last two are the same work everywhere. Records
of CIFAR's form are written by this script; their pixels are noise.

Blocks alternate: each round has one of every way, in turn forwards and backwards, a way of the program being
a run of its own; the first steps of a block do not count. Reported are medians over all steps that count,
quartiles, and the median over the rounds of a way's median divided by that of `pytorch`. Wants a quiet
machine; the load before and after is in the output."""

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import detente
from detente import distill

GLOBAL, LOCAL = 2, 4
SIDE, PATCH = 32, 4
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.04
CLIP, MOMENTUM = 3.0, 0.996
PARTS = ("total", "forward", "backward", "rest")


# ---- by hand


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(attended.transpose(1, 2).reshape(n, t, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Vit(nn.Module):
    """Features of the class token, positions resized for views of another size."""

    def __init__(self, width, layers, heads):
        super().__init__()
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + (SIDE // PATCH) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        side = x.shape[-1] // PATCH
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions(side)
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])

    def positions(self, side):
        whole = SIDE // PATCH
        if side == whole:
            return self.places
        grid = self.places[:, 1:].transpose(1, 2).unflatten(2, (whole, whole))
        grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
        return torch.cat([self.places[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class Head(nn.Module):
    def __init__(self, width, hidden, bottleneck, out):
        super().__init__()
        layers = [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        self.direction = nn.Parameter((torch.rand(out, bottleneck) * 2 - 1) / bottleneck**0.5)

    def forward(self, x):
        return F.linear(F.normalize(self.mlp(x), dim=1), F.normalize(self.direction, dim=1))


class Student(nn.Module):
    def __init__(self, trunk, head):
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, groups):
        return self.head(torch.cat([self.trunk(group) for group in groups]))


class ByHand:
    """A loop's step; `kind`: one of the ways that are Python's."""

    def __init__(self, options, kind):
        torch.manual_seed(0)
        self.kind, self.images = kind, options.batch
        trunk = Vit(options.width, options.layers, options.heads)
        shape = {"hidden": options.hidden, "bottleneck": options.bottleneck, "out": options.outputs}
        ours = kind == "python_upgrad"
        self.student = Student(trunk, (distill.DinoHead if ours else Head)(options.width, **shape))
        self.parameters = [p for p in self.student.parameters() if p.requires_grad]
        decayed = [p for p in self.parameters if p.dim() > 1]
        others = [p for p in self.parameters if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": 0.04}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-4, fused=True)
        if ours:
            self.teacher = distill.Ema(self.student, decay=MOMENTUM)
            self.criterion = distill.DinoLoss(options.outputs, views=GLOBAL + LOCAL, on_collapse="ignore")
            self.balancer = detente.Balancer("upgrad")
        else:
            self.teacher = copy.deepcopy(self.student).requires_grad_(False)
            self.centre = torch.zeros(1, options.outputs)

    def losses(self, student, teacher):
        """Both kinds of pairs, each its mean; the centre moves."""
        with torch.no_grad():
            p = torch.softmax((teacher - self.centre) / TEACHER_TEMPERATURE, 1).view(GLOBAL, self.images, -1)
            self.centre = 0.9 * self.centre + 0.1 * teacher.mean(0, keepdim=True)
        q = torch.log_softmax(student / STUDENT_TEMPERATURE, 1).view(GLOBAL + LOCAL, self.images, -1)
        both = -(p.flip(0) * q[:GLOBAL]).sum() / (GLOBAL * self.images)
        local = -(p.sum(0) * q[GLOBAL:]).sum() / (GLOBAL * LOCAL * self.images)
        return both, local

    def backward(self, losses):
        if self.kind == "python_upgrad":
            self.balancer.backward(losses)
            return
        both, local = losses
        if self.kind == "pytorch":
            pairs = (GLOBAL * (GLOBAL - 1), GLOBAL * LOCAL)
            ((both * pairs[0] + local * pairs[1]) / sum(pairs)).backward()
            return
        first = torch.autograd.grad(both, self.parameters, retain_graph=True)
        second = torch.autograd.grad(local, self.parameters)
        for parameter, a, b in zip(self.parameters, first, second):
            parameter.grad = a.add_(b)

    def __call__(self, views):
        """Seconds of forward, backward and the rest."""
        begin = time.perf_counter()
        self.optimizer.zero_grad()
        with torch.no_grad():
            taught = self.teacher(views[:1])
        learned = self.student(views)
        ours = self.kind == "python_upgrad"
        losses = self.criterion.terms(learned, taught) if ours else self.losses(learned, taught)
        forward = time.perf_counter()
        self.backward(losses)
        backward = time.perf_counter()
        gradients = [p.grad for p in self.parameters]
        lengths = torch._foreach_norm(gradients)
        torch._foreach_mul_(gradients, [(CLIP / (length + 1e-6)).clamp_max(1.0) for length in lengths])
        self.optimizer.step()
        if ours:
            self.teacher.update()
        else:
            averages = [
                p for p, q in zip(self.teacher.parameters(), self.student.parameters()) if q.requires_grad
            ]
            torch._foreach_lerp_(averages, [p.detach() for p in self.parameters], 1 - MOMENTUM)
        end = time.perf_counter()
        return forward - begin, backward - forward, end - backward


def hand_block(step, options, views):
    times = []
    for k in range(options.warm + options.steps):
        forward, backward, rest = (1000 * seconds for seconds in step(views[k % len(views)]))
        times.append(
            {"total": forward + backward + rest, "forward": forward, "backward": backward, "rest": rest}
        )
    return times[options.warm :]


def made_views(pixels, options):
    """Of a few batches: random parts, resized and turned; a batch of the global, one of the local views."""
    draw = torch.Generator().manual_seed(0)
    batches = []
    for k in range(options.batches):
        images = pixels[k * options.batch : (k + 1) * options.batch]
        groups = []
        for count, side, smallest in ((GLOBAL, SIDE, 20), (LOCAL, SIDE // 2, 8)):
            made = []
            for _ in range(count):
                part = int(torch.randint(smallest, SIDE + 1, (), generator=draw))
                y, x = (int(torch.randint(SIDE - part + 1, (), generator=draw)) for _ in range(2))
                view = images[:, :, y : y + part, x : x + part]
                view = F.interpolate(view, size=(side, side), mode="bilinear", antialias=True)
                made.append(view.flip(3) if float(torch.rand((), generator=draw)) < 0.5 else view)
            groups.append(torch.cat(made))
        batches.append(groups)
    return batches


# ---- the program


METHODS = {"program": ("one", "ew"), "program_ew": ("tasks", "ew"), "program_upgrad": ("tasks", "upgrad")}


def program_block(way, options, threads, records, folder):
    terms, method = METHODS[way]
    recipe = {
        "name": way,
        "seed": 0,
        "threads": threads,
        "data": {"kind": "images", "train": str(records), "split": {"dev": 0.1, "seed": 0}},
        "model": {
            "kind": "vit",
            "patch": PATCH,
            "width": options.width,
            "layers": options.layers,
            "heads": options.heads,
            "ffn": 4 * options.width,
            "dropout": 0,
        },
        "tasks": [],
        "balance": {"method": method},
        "optimizer": {"lr": 1e-4, "weight_decay": 0.04, "clip_each": CLIP},
        "train": {
            "objective": "dino",
            "dino": {
                "global_crops": GLOBAL,
                "local_crops": LOCAL,
                "global_size": SIDE,
                "local_size": SIDE // 2,
                "terms": terms,
                "collapse": "ignore",
                "momentum": MOMENTUM,
                "freeze_last_layer": 0,
                "head": {"hidden": options.hidden, "bottleneck": options.bottleneck, "out": options.outputs},
            },
            "epochs": 1,
            "batch_size": options.batch,
        },
    }
    run = detente.train(recipe, folder, quiet=True)
    times = []
    for record in run.records("step"):
        ms = record["ms"]
        rest = ms["total"] - ms["forward"] - ms["backward"]
        times.append(
            {"total": ms["total"], "forward": ms["forward"], "backward": ms["backward"], "rest": rest}
        )
    if len(times) < options.warm + options.steps:
        sys.exit(f"the program made {len(times)} steps; expected {options.warm + options.steps}")
    return times[options.warm : options.warm + options.steps]


# ---- both

WAYS = ("pytorch", "program", "pytorch_tasks", "program_ew", "program_upgrad", "python_upgrad")


def processor():
    try:
        text = Path("/proc/cpuinfo").read_text()
        return next(
            line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def measured(options, threads, folder):
    torch.set_num_threads(threads)
    # The last batch of an epoch is smaller, and a tenth of the rows is not trained on.
    rows = int((options.warm + options.steps + 2) * options.batch / 0.9) + options.batch
    draw = np.random.default_rng(0)
    records = draw.integers(0, 256, size=(rows, 1 + 3 * SIDE * SIDE), dtype=np.uint8)
    records[:, 0] %= 10
    file = Path(folder) / "data_batch_1.bin"
    records.tofile(file)
    pixels = torch.tensor(records[: options.batches * options.batch, 1:]).float()
    views = made_views((pixels / 255 - 0.5).view(-1, 3, SIDE, SIDE) * 4, options)
    hands = {way: ByHand(options, way) for way in options.ways if way not in METHODS}
    found = {way: [] for way in options.ways}
    for k in range(options.rounds):
        order = options.ways if k % 2 == 0 else options.ways[::-1]
        for way in order:
            if way in METHODS:
                with tempfile.TemporaryDirectory() as runs:
                    block = program_block(way, options, threads, file, Path(runs) / "run")
            else:
                block = hand_block(hands[way], options, views)
            found[way].append(block)
    return {way: summary(blocks, found.get("pytorch")) for way, blocks in found.items()}


def summary(blocks, base):
    def median(block, part="total"):
        return statistics.median(step[part] for step in block)

    steps = [step for block in blocks for step in block]
    totals = [step["total"] for step in steps]
    low, _, high = statistics.quantiles(totals, n=4) if len(totals) > 1 else (totals[0],) * 3
    row = {f"{part}_ms": statistics.median(step[part] for step in steps) for part in PARTS}
    row.update(quartiles_ms=[low, high], rounds_ms=[median(block) for block in blocks], steps=len(steps))
    if base:
        row["to_pytorch"] = statistics.median(median(a) / median(b) for a, b in zip(blocks, base))
    return row


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", help="file for the numbers as JSON")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="blocks of every way")
    parser.add_argument("--steps", type=int, default=12, help="that count, of a block")
    parser.add_argument("--warm", type=int, default=3, help="steps before them")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=4, help="of views made beforehand")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=512, help="of the head")
    parser.add_argument("--bottleneck", type=int, default=128)
    parser.add_argument("--outputs", type=int, default=1024)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    report = {
        "processor": processor(),
        "processors": os.cpu_count(),
        "torch": torch.__version__,
        "detente": detente.__version__,
        "options": {name: value for name, value in vars(options).items() if name != "out"},
        "load_before": os.getloadavg()[0],
        "threads": {},
    }
    print(f"{report['processor']}, load {report['load_before']:.2f}", flush=True)
    for threads in options.threads:
        with tempfile.TemporaryDirectory() as folder:
            rows = measured(options, threads, folder)
        report["threads"][str(threads)] = rows
        print(f"\n{threads} thread{'s' if threads > 1 else ''}, ms: {', '.join(PARTS)}; to pytorch")
        for way, row in rows.items():
            numbers = "".join(f"{row[f'{part}_ms']:10.2f}" for part in PARTS)
            print(f"{way:16}{numbers}{row.get('to_pytorch', float('nan')):10.3f}", flush=True)
    report["load_after"] = os.getloadavg()[0]
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
