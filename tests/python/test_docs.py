# SPDX-License-Identifier: Apache-2.0
"""The snippets of docs/python.md run as they stand."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import detente

PAGE = Path(__file__).resolve().parents[2] / "docs/python.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net, heads = nn.Linear(3, 4), [nn.Linear(4, 1), nn.Linear(4, 1)]
    modules = nn.ModuleList([net, *heads])
    optimizer = torch.optim.SGD(modules.parameters(), lr=0.1)

    def losses_of(batch):
        z = torch.tanh(net(batch))
        return {"depth": heads[0](z).pow(2).mean(), "normals": (heads[1](z) - 1).pow(2).mean()}

    class Lazy(dict):
        """Losses with a graph of their own for whoever asks."""

        def __missing__(self, name):
            made = losses_of(torch.randn(5, 3))
            found = {
                "loss_a": made["depth"],
                "loss_b": made["normals"],
                "depth_loss": made["depth"],
                "normals_loss": made["normals"],
                "losses": list(made.values()),
            }
            if name not in found:
                raise KeyError(name)
            if name in ("depth_loss", "normals_loss"):  # of one graph
                self["depth_loss"], self["normals_loss"] = made["depth"], made["normals"]
            if name in ("loss_a", "loss_b"):
                self["loss_a"], self["loss_b"] = made["depth"], made["normals"]
            return found[name]

    names = Lazy(
        detente=detente, torch=torch, optimizer=optimizer, losses_of=losses_of, loader=[torch.randn(5, 3)]
    )
    before = net.weight.detach().clone()
    exec(snippet, names)
    if "optimizer.step()" in snippet:
        assert not torch.equal(before, net.weight)


def test_there_are_snippets():
    assert len(SNIPPETS) >= 3
