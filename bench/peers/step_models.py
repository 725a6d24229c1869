# SPDX-License-Identifier: Apache-2.0
"""The networks of `detente bench step`, shape for shape, in PyTorch."""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    network: str  # "mlp", "cnn" or "transformer"
    multi: bool  # every task has examples of its own
    tasks: int
    batch: int  # per task, or of the one batch
    conflicting: bool = False  # heads alike, targets far apart, large gradients

    def describe(self) -> str:
        kind = "each" if self.multi else "shared"
        return f"{self.network}, {self.tasks} tasks, batch {self.batch} {kind}"


CASES = [
    Case("mlp10", "mlp", True, 10, 128),
    Case("mlp50", "mlp", True, 50, 128),
    Case("cnn3", "cnn", False, 3, 16),
    Case("cnn4", "cnn", True, 4, 16),
    Case("tr8", "transformer", False, 8, 16),
]


def mlp() -> nn.Module:
    sizes = [39, 400, 400, 400]
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: bool):
        super().__init__()
        self.layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, outputs) if groups else nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, groups: bool):
        super().__init__()
        self.first = Convolution(inputs, outputs, 3, stride, groups)
        self.second = Convolution(outputs, outputs, 3, 1, groups)
        shrinks = stride == 2
        self.shortcut = Convolution(inputs, outputs, 1, 2, groups) if shrinks else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class Resnet18(nn.Module):
    def __init__(self, groups: bool):
        super().__init__()
        self.stem = Convolution(3, 64, 7, 2, groups)
        blocks = []
        inputs = 64
        for outputs in [64, 128, 256, 512]:
            for i in range(2):
                stride = 2 if i == 0 and outputs > 64 else 1
                blocks.append(Block(inputs, outputs, stride, groups))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)).mean((2, 3))


class EncoderLayer(nn.Module):
    """Pre-norm, batch first."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.first = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.second = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.first(x)).chunk(3, -1)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        y = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return y + self.down(F.gelu(self.up(self.second(y))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[EncoderLayer(256, 4, 1024) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(1)


class Model(nn.Module):
    """A trunk, one linear head per task, squared errors; parameters and data from a fixed seed."""

    def __init__(self, case: Case):
        super().__init__()
        torch.manual_seed(1)
        self.case = case
        if case.network == "mlp":
            self.trunk, shape, width, out = mlp(), [39], 400, 4
        elif case.network == "cnn":
            size = 32 if case.multi else 64
            self.trunk, shape, width, out = Resnet18(case.multi), [3, size, size], 512, 10
        else:
            self.trunk, shape, width, out = Transformer(), [64, 256], 256, 1
        self.heads = nn.ModuleList(nn.Linear(width, out) for _ in range(case.tasks))
        rows = case.batch * (case.tasks if case.multi else 1)
        self.register_buffer("inputs", torch.randn(rows, *shape))
        self.register_buffer("target", torch.randn(case.tasks, case.batch, out))
        if case.conflicting:
            for head in self.heads:
                head.load_state_dict(self.heads[0].state_dict())
            self.target[0] += 1
            self.target[1] -= 2
            self.target *= 100

    def shared(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())

    def own(self, task: int) -> list[nn.Parameter]:
        return list(self.heads[task].parameters())

    def task_inputs(self) -> Tensor:
        """Each task's own examples, K x n x ... (multi only)."""
        return self.inputs.unflatten(0, (self.case.tasks, self.case.batch))

    def head_loss(self, task: int, features: Tensor) -> Tensor:
        return F.mse_loss(self.heads[task](features), self.target[task])

    def losses(self) -> tuple[Tensor, list[Tensor]]:
        """The features of one joint forward pass, and the losses on them."""
        z = self.trunk(self.inputs)
        parts = z.split(self.case.batch) if self.case.multi else [z] * self.case.tasks
        return z, [self.head_loss(k, part) for k, part in enumerate(parts)]
