# SPDX-License-Identifier: Apache-2.0
"""python ten_lines.py FOLDER: what a newcomer writes, with the package that is installed below FOLDER."""

import sys

import torch

import detente

assert detente.__file__.startswith(sys.argv[1]), f"{detente.__file__} is not below {sys.argv[1]}"

trunk, heads = torch.nn.Linear(4, 16), [torch.nn.Linear(16, 1) for _ in range(2)]
parameters = [p for module in (trunk, *heads) for p in module.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.02)
x = torch.randn(64, 4)
targets = [x[:, :1] - x[:, 1:2], x[:, 1:2] + x[:, 2:3]]
reports = []
for step in range(200):
    z = torch.relu(trunk(x))
    losses = [(head(z) - target).pow(2).mean() for head, target in zip(heads, targets)]
    optimizer.zero_grad()
    report = detente.backward(losses, "cagrad", c=0.4)
    optimizer.step()
    reports.append(report)

first, last = reports[0].losses, reports[-1].losses
assert sum(last) < 0.1 * sum(first), (first, last)
print(f"detente {detente.__version__}, PyTorch {torch.__version__}: losses {first} -> {last}")
