#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a balanced step costs on networks as people have them, in units of plain training.

    PYTHONPATH=build/release/python python3 bench/python/models.py [--threads 1 2] [--only WORD] [--json FILE]

For each network and way of batching (`own`: each task has a part of one joint batch; `one`: all tasks look at
the same examples), steps of: plain training of the summed losses, K backward passes one after the other (what
reconciling takes without an engine), and detente.Balancer with upgrad; all with fused Adam, interleaved so that
another load on the machine meets all alike. Printed: medians in ms, their ratios to plain, the strategy and
what stands in its way. Those of Hugging Face are left out where `transformers` is not installed."""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

import detente

try:
    import transformers
except ImportError:
    transformers = None

MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def encoder_layer(width, heads=4, **options):
    return nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, batch_first=True, activation="gelu", **options
    )


@model
def mlp():
    return nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 256)), (
        lambda n: torch.randn(n, 64)
    ), 256


@model
def convnet():
    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(8, b), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 32), *block(32, 64), *block(64, 128), nn.Flatten()), (
        lambda n: torch.randn(n, 3, 32, 32)
    ), 128 * 16


@model
def text_encoder():
    """Looked-up positions, mean over the tokens."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(5000, 128), nn.Embedding(64, 128)
            self.layers = nn.TransformerEncoder(encoder_layer(128), 2, enable_nested_tensor=False)

        def forward(self, ids):
            x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
            return self.layers(x).mean(1)

    return Encoder(), (lambda n: torch.randint(5000, (n, 32))), 128


@model
def vit():
    """Patches, a class token, learned positions; 32 x 32 images."""

    class Vit(nn.Module):
        def __init__(self, width=192):
            super().__init__()
            self.patches = nn.Conv2d(3, width, 4, 4)
            self.token = nn.Parameter(torch.zeros(1, 1, width))
            self.places = nn.Parameter(torch.randn(1, 65, width) * 0.02)
            self.layers = nn.TransformerEncoder(
                encoder_layer(width, 3, norm_first=True), 4, enable_nested_tensor=False
            )

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
            return self.layers(x)[:, 0]

    return Vit(), (lambda n: torch.randn(n, 3, 32, 32)), 192


if transformers is not None:

    class Pooled(nn.Module):
        def __init__(self, network, place):
            super().__init__()
            self.network, self.place = network, place

        def forward(self, x):
            return self.network(x).last_hidden_state[:, self.place]

    @model
    def bert():
        """4 layers, width 256, 32 tokens."""
        config = transformers.BertConfig(
            vocab_size=5000,
            hidden_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=1024,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        network = transformers.BertModel(config, add_pooling_layer=False)
        return Pooled(network, 0), (lambda n: torch.randint(5000, (n, 32))), 256

    @model
    def gpt2():
        config = transformers.GPT2Config(
            vocab_size=5000, n_positions=64, n_embd=256, n_layer=4, n_head=4,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )  # fmt: skip
        return Pooled(transformers.GPT2Model(config), -1), (lambda n: torch.randint(5000, (n, 32))), 256

    @model
    def llama():
        """RMSNorm, rotary positions, gated units, grouped queries."""
        config = transformers.LlamaConfig(
            vocab_size=5000, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2,
        )  # fmt: skip
        return Pooled(transformers.LlamaModel(config), -1), (lambda n: torch.randint(5000, (n, 32))), 256

    @model
    def hf_vit():
        config = transformers.ViTConfig(
            hidden_size=192, num_hidden_layers=4, num_attention_heads=3, intermediate_size=768,
            image_size=32, patch_size=4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        network = transformers.ViTModel(config, add_pooling_layer=False)
        return Pooled(network, 0), (lambda n: torch.randn(n, 3, 32, 32)), 192


def step_times(name, way, tasks, rows, repeats):
    """Medians in seconds of plain, K passes and Detente, and Detente's last report."""
    torch.manual_seed(0)
    trunk, sample, width = MODELS[name]()
    heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(tasks))
    x = sample(rows * tasks if way == "own" else rows)
    targets = torch.randn(len(x), tasks)
    shared = [p for p in trunk.parameters() if p.requires_grad]
    own = [list(head.parameters()) for head in heads]
    optimizer = torch.optim.Adam([*shared, *heads.parameters()], lr=1e-4, fused=True)
    balancer = detente.Balancer("upgrad", shared, own)
    reports = []

    def losses():
        z = trunk(x)
        parts = z.split(rows) if way == "own" else [z] * tasks
        wanted = targets.split(rows) if way == "own" else [targets] * tasks
        return [F.mse_loss(h(p)[:, 0], t[:, k]) for k, (h, p, t) in enumerate(zip(heads, parts, wanted))]

    def plain():
        sum(losses()).backward()

    def passes():
        values = losses()
        for k, loss in enumerate(values):
            loss.backward(retain_graph=k + 1 < tasks)

    def detente_step():
        reports[:] = [balancer.backward(losses())]

    times = {plain: [], passes: [], detente_step: []}
    for repeat in range(repeats + 2):
        for step, seen in times.items():
            optimizer.zero_grad()
            began = time.perf_counter()
            step()
            optimizer.step()
            if repeat >= 2:
                seen.append(time.perf_counter() - began)
    return [statistics.median(seen) for seen in times.values()], reports[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="*", default=[1])
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16, help="per task (own) or in all (one)")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--ways", nargs="*", default=["own", "one"])
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    rows = []
    print("network        batch threads  plain ms  passes  detente  detente/passes  strategy")
    for name in MODELS:
        if options.only not in name:
            continue
        for way in options.ways:
            for threads in options.threads:
                torch.set_num_threads(threads)
                (plain, passes, ours), report = step_times(
                    name, way, options.tasks, options.rows, options.steps
                )
                rows.append(
                    {
                        "network": name,
                        "batch": way,
                        "threads": threads,
                        "tasks": options.tasks,
                        "rows": options.rows,
                        "plain_ms": plain * 1e3,
                        "passes_ratio": passes / plain,
                        "detente_ratio": ours / plain,
                        "strategy": report.strategy,
                        "notice": report.notice,
                        "cpu": torch.backends.cpu.get_cpu_capability(),
                    }
                )
                print(
                    f"{name:14} {way:5} {threads:7} {plain * 1e3:9.1f} {passes / plain:7.2f} {ours / plain:8.2f} "
                    f"{ours / passes:15.2f}  {report.strategy} {report.notice}",
                    flush=True,
                )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


main()
