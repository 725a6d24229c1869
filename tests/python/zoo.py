# SPDX-License-Identifier: Apache-2.0
"""Networks as people write them, each with several losses: name → function that gives (shared, own per
task, losses), where losses() makes the graph anew and gives the same numbers each time."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

ZOO = {}
own_examples = False  # heads_on gives each head a part of the batch


def with_own_examples(name):
    """ZOO[name], each task with examples of its own in one joint batch where heads_on makes the heads."""
    global own_examples
    own_examples = True
    try:
        return ZOO[name]()
    finally:
        own_examples = False


def network(function):
    ZOO[function.__name__] = function
    return function


def parameters(*modules):
    seen = []
    for module in modules:
        seen += [p for p in module.parameters() if not any(p is q for q in seen)]
    return seen


def heads_on(features, width, outputs=(1, 1, 1)):
    """Regression heads on features() of shape [batch, width]."""
    heads = [nn.Linear(width, out) for out in outputs]
    with torch.no_grad():
        rows = features().shape[0]
    targets = [torch.randn(rows, out) * (k + 1) for k, out in enumerate(outputs)]
    parts = [slice(0, rows)] * len(heads)
    if own_examples and rows >= len(heads) == 3:
        first = max(1, rows // 5)
        cuts = [0, first, max(first + 1, rows // 2), rows]
        parts = [slice(begin, end) for begin, end in zip(cuts, cuts[1:])]

    def losses():
        shared = features()
        return [
            F.mse_loss(head(shared[part]), target[part]) for head, target, part in zip(heads, targets, parts)
        ]

    return [list(head.parameters()) for head in heads], losses


def on_trunk(trunk, x, width):
    own, losses = heads_on(lambda: trunk(x), width)
    return parameters(trunk), own, losses


@network
def mlp():
    return on_trunk(
        nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh()), torch.randn(32, 6), 8
    )


@network
def mlp_without_bias():
    return on_trunk(
        nn.Sequential(nn.Linear(6, 16, bias=False), nn.GELU(), nn.Linear(16, 8)), torch.randn(20, 6), 8
    )


@network
def few_rows():
    return on_trunk(nn.Sequential(nn.Linear(40, 64), nn.SiLU(), nn.Linear(64, 8)), torch.randn(4, 40), 8)


@network
def frozen_first_layer():
    trunk = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8))
    trunk[0].requires_grad_(False)
    shared, own, losses = on_trunk(trunk, torch.randn(16, 6), 8)
    return [p for p in shared if p.requires_grad], own, losses


@network
def layer_norm():
    return on_trunk(
        nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 8)), torch.randn(16, 6), 8
    )


@network
def batch_norm():
    return on_trunk(
        nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8)),
        torch.randn(16, 6),
        8,
    )


@network
def convolutions():
    trunk = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.GroupNorm(2, 8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return on_trunk(trunk, torch.randn(6, 3, 10, 10), 8)


@network
def transposed_convolution():
    trunk = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.ConvTranspose2d(4, 3, 3, stride=2), nn.Flatten()
    )
    return on_trunk(trunk, torch.randn(5, 2, 9, 9), 3 * 9 * 9)


@network
def one_dimensional_convolution():
    return on_trunk(
        nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.AdaptiveMaxPool1d(2), nn.Flatten()),
        torch.randn(5, 2, 12),
        12,
    )


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.b(F.relu(self.a(x)))


@network
def residual():
    return on_trunk(nn.Sequential(nn.Linear(6, 8), Block(8), Block(8)), torch.randn(16, 6), 8)


@network
def one_module_twice():
    block = Block(6)
    return on_trunk(nn.Sequential(block, nn.Tanh(), block), torch.randn(16, 6), 6)


@network
def embedding_bag():
    bag = nn.EmbeddingBag(30, 8, mode="mean")
    ids = torch.randint(0, 30, (12, 5))
    own, losses = heads_on(lambda: bag(ids), 8)
    return parameters(bag), own, losses


class Encoder(nn.Module):
    def __init__(self, position="parameter", dropout=0.0):
        super().__init__()
        self.words = nn.Embedding(40, 16)
        self.position = nn.Parameter(torch.randn(1, 7, 16) * 0.1) if position == "parameter" else None
        self.table = nn.Embedding(7, 16) if position == "table" else None
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, ids):
        x = self.words(ids)
        x = x + (self.position if self.table is None else self.table(torch.arange(ids.shape[1])))
        return self.layers(x).mean(1)


@network
def transformer():
    encoder = Encoder()
    return on_trunk(encoder, torch.randint(0, 40, (6, 7)), 16)


@network
def transformer_with_position_table():
    return on_trunk(Encoder("table"), torch.randint(0, 40, (6, 7)), 16)


@network
def class_token():
    class Vit(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 16, 4, stride=4)
            self.token = nn.Parameter(torch.randn(1, 1, 16))
            self.position = nn.Parameter(torch.randn(1, 5, 16) * 0.1)
            layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
            return self.layers(x)[:, 0]

    return on_trunk(Vit(), torch.randn(5, 3, 8, 8), 16)


@network
def tied_language_model():
    table = nn.Embedding(20, 12)
    mixer = nn.Linear(12, 12)
    ids = torch.randint(0, 20, (4, 6))
    score = nn.Linear(12, 1)
    target = torch.randn(4)

    def losses():
        h = torch.tanh(mixer(table(ids)))
        logits = F.linear(h, table.weight)
        return [
            F.cross_entropy(logits[:, :-1].reshape(-1, 20), ids[:, 1:].reshape(-1)),
            F.mse_loss(score(h.mean(1))[:, 0], target),
        ]

    return parameters(table, mixer), [[], list(score.parameters())], losses


@network
def lstm():
    rnn = nn.LSTM(4, 8, batch_first=True)
    x = torch.randn(6, 5, 4)
    own, losses = heads_on(lambda: rnn(x)[0][:, -1], 8)
    return parameters(rnn), own, losses


@network
def gru_cell():
    cell = nn.GRUCell(4, 8)
    x = torch.randn(5, 6, 4)

    def features():
        h = torch.zeros(6, 8)
        for step in x:
            h = cell(step, h)
        return h

    own, losses = heads_on(features, 8)
    return parameters(cell), own, losses


@network
def weight_norm():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 8))
    return on_trunk(nn.Sequential(layer, nn.Tanh(), nn.Linear(8, 8)), torch.randn(12, 6), 8)


@network
def spectral_norm():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8))
    trunk = nn.Sequential(layer, nn.Tanh(), nn.Linear(8, 8)).eval()
    return on_trunk(trunk, torch.randn(12, 6), 8)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


@network
def custom_function():
    first, second = nn.Linear(6, 8), nn.Linear(8, 8)
    x = torch.randn(12, 6)
    own, losses = heads_on(lambda: second(Cube.apply(torch.tanh(first(x)))), 8)
    return parameters(first, second), own, losses


@network
def checkpointed():
    first, block = nn.Linear(6, 8), Block(8)
    x = torch.randn(12, 6)
    own, losses = heads_on(lambda: checkpoint(block, first(x), use_reentrant=False), 8)
    return parameters(first, block), own, losses


@network
def physics_informed():
    net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.linspace(0, 1, 12)[:, None]

    def losses():
        points = x.clone().requires_grad_()
        u = net(points)
        (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
        return [(slope + u).pow(2).mean(), (u[0] - 1).pow(2).mean()]

    return parameters(net), [[], []], losses


@network
def mixture_of_experts():
    experts = nn.ModuleList([nn.Linear(6, 8) for _ in range(3)])
    gates = nn.ModuleList([nn.Linear(6, 3) for _ in range(2)])
    towers = nn.ModuleList([nn.Linear(8, 1) for _ in range(2)])
    x, y = torch.randn(12, 6), [torch.randn(12, 1), torch.randn(12, 1)]

    def losses():
        mixed = torch.stack([F.relu(expert(x)) for expert in experts], 1)
        return [
            F.mse_loss(tower((gate(x).softmax(-1)[:, :, None] * mixed).sum(1)), target)
            for gate, tower, target in zip(gates, towers, y)
        ]

    return parameters(experts), [parameters(g, t) for g, t in zip(gates, towers)], losses


@network
def own_examples_by_slices():
    trunk = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8))
    heads = [nn.Linear(8, 1) for _ in range(3)]
    x, y = torch.randn(24, 6), [torch.randn(8, 1) for _ in range(3)]

    def losses():
        parts = trunk(x).split(8)
        return [F.mse_loss(head(part), target) for head, part, target in zip(heads, parts, y)]

    return parameters(trunk), [list(h.parameters()) for h in heads], losses


@network
def own_examples_by_mask():
    trunk = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8))
    heads = [nn.Linear(8, 1) for _ in range(2)]
    x, y, task = torch.randn(24, 6), torch.randn(24, 1), torch.arange(24) % 2

    def losses():
        z = trunk(x)
        return [F.mse_loss(head(z[task == k]), y[task == k]) for k, head in enumerate(heads)]

    return parameters(trunk), [list(h.parameters()) for h in heads], losses


@network
def low_rank_adapters():
    base = nn.Linear(6, 8)
    base.requires_grad_(False)
    down, up = nn.Parameter(torch.randn(2, 6) * 0.3), nn.Parameter(torch.randn(8, 2) * 0.3)
    x = torch.randn(12, 6)
    own, losses = heads_on(lambda: torch.tanh(base(x) + x @ down.t() @ up.t()), 8)
    return [down, up], own, losses


@network
def einsum_attention():
    q, k, v = (nn.Linear(6, 6) for _ in range(3))
    x = torch.randn(4, 5, 6)

    def features():
        weights = (torch.einsum("bid,bjd->bij", q(x), k(x)) / math.sqrt(6)).softmax(-1)
        return torch.einsum("bij,bjd->bid", weights, v(x)).amax(1)

    own, losses = heads_on(features, 6)
    return parameters(q, k, v), own, losses


@network
def scaled_dot_product():
    qkv = nn.Linear(8, 24)
    x = torch.randn(3, 5, 8)

    def features():
        q, k, v = qkv(x).chunk(3, -1)
        return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], is_causal=True)[:, 0].mean(
            1
        )

    own, losses = heads_on(features, 8)
    return parameters(qkv), own, losses


@network
def rms_norm_and_gated_unit():
    norm = nn.Parameter(torch.ones(8))
    gate, value, out = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)
    x = torch.randn(10, 8)

    def features():
        h = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * norm
        return out(F.silu(gate(h)) * value(h))

    own, losses = heads_on(features, 8)
    return [norm] + parameters(gate, value, out), own, losses


@network
def gather_and_where():
    table = nn.Parameter(torch.randn(9, 8))
    mixer = nn.Linear(8, 8)
    ids = torch.randint(0, 9, (10,))

    def features():
        h = mixer(table.index_select(0, ids))
        return torch.where(h > 0, h, 0.1 * h).masked_fill(ids[:, None] == 3, 0.0)

    own, losses = heads_on(features, 8)
    return [table] + parameters(mixer), own, losses


@network
def scalar_losses_of_parameters():
    a = nn.Parameter(torch.randn(5))
    return [a], [[], []], lambda: [(a**2).sum(), ((a - 1) ** 4).sum()]
