#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a balanced step costs on networks as people have them, in units of plain training.

    PYTHONPATH=build/release/python python3 bench/python/models.py [--threads 1 2] [--only WORD]

For each network and way of batching (`own`: each task has a part of one joint batch; `one`: all tasks look
at the same examples), steps of: plain training of the summed losses, K backward passes one after the other
(what reconciling takes without an engine), and detente.Balancer with upgrad; all with fused Adam,
interleaved so that another load on the machine meets all alike. With --peers TorchJD's UPGrad (mtl_backward
and jac_to_grad with its faster options) takes them, too; with --sketch N, and the same examples for all,
Detente's Gram matrix from N random columns (gram_sketch), with the cosine of its direction and the exact
one. Printed: medians in ms, their ratios to plain, the strategy and what stands in its way. Networks of
Hugging Face are left out where `transformers` is not installed."""

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
try:
    from torchjd.aggregation import UPGrad
    from torchjd.autojac import jac_to_grad, mtl_backward
except ImportError:
    mtl_backward = None

MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def encoder_layer(width, heads=4, **options):
    return nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, batch_first=True, activation="gelu", **options
    )


def modules(*parts):
    return nn.Sequential(*parts)


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


class Residual(nn.Module):
    def __init__(self, *parts, skip=None):
        super().__init__()
        self.inner, self.skip = nn.Sequential(*parts), skip or nn.Identity()

    def forward(self, x):
        return self.inner(x) + self.skip(x)


def images(n):
    return torch.randn(n, 3, 32, 32)


def tokens(n):
    return torch.randint(5000, (n, 32))


@model
def mlp():
    return (
        modules(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 256)),
        lambda n: torch.randn(n, 64),
        256,
    )


@model
def convnet():
    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(8, b), nn.ReLU(), nn.MaxPool2d(2)]

    return modules(*block(3, 32), *block(32, 64), *block(64, 128), nn.Flatten()), images, 128 * 16


def resnet(norm):
    def block(a, b, stride):
        skip = None if a == b else modules(nn.Conv2d(a, b, 1, stride, bias=False), norm(b))
        inner = [nn.Conv2d(a, b, 3, stride, 1, bias=False), norm(b), nn.ReLU()]
        return [Residual(*inner, nn.Conv2d(b, b, 3, 1, 1, bias=False), norm(b), skip=skip), nn.ReLU()]

    widths = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    blocks = [layer for shape in widths for layer in block(*shape)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), norm(16), nn.ReLU()]
    return modules(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), images, 64


@model
def resnet_group_norm():
    return resnet(lambda c: nn.GroupNorm(8, c))


@model
def resnet_batch_norm():
    """Batch statistics, training mode."""
    return resnet(nn.BatchNorm2d)


@model
def depthwise():
    """MobileNet's inverted bottlenecks."""

    def block(c):
        return Residual(
            nn.Conv2d(c, 4 * c, 1), nn.GroupNorm(8, 4 * c), nn.Hardswish(),
            nn.Conv2d(4 * c, 4 * c, 3, padding=1, groups=4 * c), nn.GroupNorm(8, 4 * c), nn.Hardswish(),
            nn.Conv2d(4 * c, c, 1),
        )  # fmt: skip

    parts = [nn.Conv2d(3, 32, 3, 2, 1), block(32), block(32), nn.Conv2d(32, 64, 3, 2, 1), block(64)]
    return modules(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten()), images, 64


@model
def u_net():
    """Skip connections, transposed convolutions; pooled at the end."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, 2, 1)
            self.c, self.up = nn.Conv2d(32, 64, 3, 2, 1), nn.ConvTranspose2d(64, 32, 2, 2)
            self.d, self.up2 = nn.Conv2d(64, 32, 3, padding=1), nn.ConvTranspose2d(32, 16, 2, 2)
            self.e = nn.Conv2d(32, 16, 3, padding=1)

        def forward(self, x):
            a = F.relu(self.a(x))
            b = F.relu(self.b(a))
            d = F.relu(self.d(torch.cat([self.up(F.relu(self.c(b))), b], 1)))
            return F.relu(self.e(torch.cat([self.up2(d), a], 1))).mean((2, 3))

    return Net(), images, 16


@model
def audio_convolutions():
    """One-dimensional, dilated, weight norm."""
    norm = nn.utils.parametrizations.weight_norm
    parts = [nn.Conv1d(1, 32, 9, 4, 4), nn.GELU()]
    for dilation in (1, 2, 4):
        parts += [Residual(norm(nn.Conv1d(32, 32, 3, padding=dilation, dilation=dilation)), nn.GELU())]
    return modules(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten()), (lambda n: torch.randn(n, 1, 1024)), 32


@model
def lstm():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.lstm = nn.Embedding(5000, 64), nn.LSTM(64, 64, batch_first=True)
            self.top = nn.Linear(64, 64)

        def forward(self, ids):
            return torch.tanh(self.top(self.lstm(self.table(ids))[0][:, -1]))

    return Net(), tokens, 64


@model
def mixture():
    """A gate and four experts, every example through all of them (einsum)."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 64, 256) * 0.1)
            self.v = nn.Parameter(torch.randn(4, 256, 64) * 0.1)
            self.gate, self.first = nn.Linear(64, 4), nn.Linear(64, 64)

        def forward(self, x):
            x = F.relu(self.first(x))
            out = torch.einsum("beh,ehd->bed", F.relu(torch.einsum("bd,edh->beh", x, self.w)), self.v)
            return (out * self.gate(x).softmax(1).unsqueeze(2)).sum(1)

    return Net(), (lambda n: torch.randn(n, 64)), 64


@model
def mlp_mixer():
    """Mixes positions by a transposed Linear layer."""

    def block():
        across = [Lambda(lambda x: x.transpose(1, 2)), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64)]
        turned = Lambda(lambda x: x.transpose(1, 2))
        return [
            Residual(nn.LayerNorm(96), *across, turned),
            Residual(nn.LayerNorm(96), nn.Linear(96, 192), nn.GELU(), nn.Linear(192, 96)),
        ]

    parts = [nn.Conv2d(3, 96, 4, 4), Lambda(lambda x: x.flatten(2).transpose(1, 2)), *block(), *block()]
    return modules(*parts, Lambda(lambda x: x.mean(1))), images, 96


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

    return Encoder(), tokens, 128


@model
def vit():
    """Patches, a class token, learned positions."""

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

    return Vit(), images, 192


if transformers is not None:
    NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    BERT = {
        "vocab_size": 5000, "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 1024, **NO_DROPOUT,
    }  # fmt: skip

    class Pooled(nn.Module):
        def __init__(self, network, pool):
            super().__init__()
            self.network, self.pool = network, pool

        def forward(self, x):
            return self.pool(self.network(x).last_hidden_state)

    def first(z):
        return z[:, 0]

    def last(z):
        return z[:, -1]

    def mean(z):
        return z.mean(1)

    @model
    def bert():
        network = transformers.BertModel(transformers.BertConfig(**BERT), add_pooling_layer=False)
        return Pooled(network, first), tokens, 256

    @model
    def roberta():
        network = transformers.RobertaModel(transformers.RobertaConfig(**BERT), add_pooling_layer=False)
        return Pooled(network, first), tokens, 256

    @model
    def albert():
        """One layer's weights used four times."""
        network = transformers.AlbertModel(
            transformers.AlbertConfig(**BERT, embedding_size=128), add_pooling_layer=False
        )
        return Pooled(network, first), tokens, 256

    @model
    def distilbert():
        config = transformers.DistilBertConfig(
            vocab_size=5000, dim=256, n_layers=4, n_heads=4, hidden_dim=1024, dropout=0.0,
            attention_dropout=0.0,
        )  # fmt: skip
        return Pooled(transformers.DistilBertModel(config), first), tokens, 256

    @model
    def deberta():
        """Content and relative positions apart."""
        config = transformers.DebertaV2Config(
            **BERT, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=16,
            max_relative_positions=32,
        )  # fmt: skip
        return Pooled(transformers.DebertaV2Model(config), first), tokens, 256

    @model
    def t5_encoder():
        """RMSNorm, relative positions from a table of the first layer."""
        config = transformers.T5Config(
            vocab_size=5000, d_model=256, d_kv=64, d_ff=1024, num_layers=4, num_heads=4, dropout_rate=0.0
        )
        return Pooled(transformers.T5EncoderModel(config), mean), tokens, 256

    def gpt2_network():
        return transformers.GPT2Model(
            transformers.GPT2Config(
                vocab_size=5000, n_positions=64, n_embd=256, n_layer=4, n_head=4, resid_pdrop=0.0,
                embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
            )
        )  # fmt: skip

    @model
    def gpt2():
        return Pooled(gpt2_network(), last), tokens, 256

    @model
    def llama():
        """RMSNorm, rotary positions, gated units, grouped queries."""
        config = transformers.LlamaConfig(
            vocab_size=5000, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2,
        )  # fmt: skip
        return Pooled(transformers.LlamaModel(config), last), tokens, 256

    @model
    def hf_vit():
        config = transformers.ViTConfig(
            hidden_size=192, num_hidden_layers=4, num_attention_heads=3, intermediate_size=768,
            image_size=32, patch_size=4, **NO_DROPOUT,
        )  # fmt: skip
        return Pooled(transformers.ViTModel(config, add_pooling_layer=False), first), images, 192

    @model
    def swin():
        """Shifted windows, relative position tables."""
        config = transformers.SwinConfig(
            image_size=32, patch_size=2, embed_dim=48, depths=[2, 2], num_heads=[3, 6], window_size=4,
            drop_path_rate=0.0, **NO_DROPOUT,
        )  # fmt: skip
        return Pooled(transformers.SwinModel(config, add_pooling_layer=False), mean), images, 96

    @model
    def convnext():
        """Depthwise convolutions, layer scale."""
        config = transformers.ConvNextConfig(hidden_sizes=[32, 64], depths=[2, 2], num_stages=2, patch_size=2)
        network = transformers.ConvNextModel(config)
        return Pooled(network, lambda z: z.mean((2, 3))), images, 64

    try:
        import peft

        @model
        def gpt2_lora():
            """Adapters of rank 8 on every projection, the rest frozen."""
            network = peft.get_peft_model(
                gpt2_network(), peft.LoraConfig(r=8, target_modules=["c_attn", "c_proj", "c_fc"])
            )
            return Pooled(network, last), tokens, 256

    except ImportError:
        pass


def step_times(name, way, options):
    """Medians in seconds of each way of a step, Detente's first report, and the sketch's cosine."""
    tasks, rows = options.tasks, options.rows
    torch.manual_seed(0)
    trunk, sample, width = MODELS[name]()
    heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(tasks))
    x = sample(rows * tasks if way == "own" else rows)
    targets = torch.randn(len(x), tasks)
    shared = [p for p in trunk.parameters() if p.requires_grad]
    own = [list(head.parameters()) for head in heads]
    optimizer = torch.optim.Adam([*shared, *heads.parameters()], lr=1e-4, fused=True)
    balancer = detente.Balancer("upgrad", shared, own)
    sketched = detente.Balancer("upgrad", shared, own, gram_sketch=options.sketch)
    reports = []

    def losses(z=None):
        z = trunk(x) if z is None else z
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
        reports.append(balancer.backward(losses()))

    def sketch():
        sketched.backward(losses())

    def torchjd():
        z = trunk(x)
        mtl_backward(
            losses(z), features=z, tasks_params=own, shared_params=shared, parallel_chunk_size=1
        )
        jac_to_grad([p for p in shared if hasattr(p, "jac")], UPGrad(), optimize_gramian_computation=True)

    def direction(step):
        optimizer.zero_grad()
        step()
        return torch.cat([p.grad.reshape(-1) for p in shared if p.grad is not None]).double()

    ways = {"plain": plain, "passes": passes, "detente": detente_step}
    cosine = None
    if options.sketch and way == "one":
        ways["sketch"] = sketch
        cosine = F.cosine_similarity(direction(detente_step), direction(sketch), dim=0).item()
    if options.peers:
        ways["torchjd"] = torchjd
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    times = {key: [] for key in ways}
    for repeat in range(options.steps + 2):
        for key, step in ways.items():
            optimizer.zero_grad()
            began = clock()
            step()
            optimizer.step()
            if repeat >= 2:
                times[key].append(clock() - began)
    return {key: statistics.median(seen) for key, seen in times.items()}, reports[0], cosine


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="*", default=[1])
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16, help="per task (own) or in all (one)")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--only", default="", help="this network, or those whose names hold this")
    parser.add_argument("--ways", nargs="*", default=["own", "one"])
    parser.add_argument("--json", default="")
    parser.add_argument("--peers", action="store_true", help="TorchJD as well (pip install torchjd)")
    parser.add_argument("--sketch", type=int, default=0, help="columns of gram_sketch; 0: not measured")
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: where others compute, too"
    )
    options = parser.parse_args()
    rows = []
    print("network            batch threads  plain ms  passes  detente   sketch  torchjd  strategy")
    for name in MODELS:
        wanted = name == options.only if options.only in MODELS else options.only in name
        if not wanted:
            continue
        for way in options.ways:
            for threads in options.threads:
                torch.set_num_threads(threads)
                times, report, cosine = step_times(name, way, options)
                ratios = {key: seen / times["plain"] for key, seen in times.items() if key != "plain"}
                rows.append(
                    {
                        "network": name,
                        "batch": way,
                        "threads": threads,
                        "tasks": options.tasks,
                        "rows": options.rows,
                        "clock": options.clock,
                        "plain_ms": times["plain"] * 1e3,
                        "ratios": ratios,
                        "sketch_cosine": cosine,
                        "strategy": report.strategy,
                        "notice": report.notice,
                        "cpu": torch.backends.cpu.get_cpu_capability(),
                    }
                )
                shown = "".join(
                    f"{ratios[key]:9.2f}" if key in ratios else " " * 9
                    for key in ("passes", "detente", "sketch", "torchjd")
                )
                print(
                    f"{name:18} {way:5} {threads:7} {times['plain'] * 1e3:9.1f}{shown[1:]}  "
                    f"{report.strategy} {'' if cosine is None else f'(cosine {cosine:.5f}) '}{report.notice}",
                    flush=True,
                )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


main()
