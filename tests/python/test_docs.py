# SPDX-License-Identifier: Apache-2.0
"""The snippets of docs/python.md and docs/python_migrating.md run as they stand; those that import a package
that is not installed are skipped."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import detente

DOCS = Path(__file__).resolve().parents[2] / "docs"


def snippets(page):
    found = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)
    return [pytest.param(text, id=f"{page}-{i}") for i, text in enumerate(found)]


SNIPPETS = snippets("python.md") + snippets("python_migrating.md")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet(snippet, tmp_path, monkeypatch):
    if "detente.train(" in snippet:
        pytest.skip("test_runs.py has recipes and rows for it")
    if "init_process_group(" in snippet:
        pytest.skip("test_processes.py has processes for it, in the example that it starts")
    for package in re.findall(r"^(?:from|import) (\w+)", snippet, re.M):
        pytest.importorskip(package)
    if "import detente.lightning" in snippet:
        pytest.importorskip("lightning")
    if "import detente.huggingface" in snippet:
        pytest.importorskip("transformers")
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

    x, y = torch.randn(5, 3), torch.randn(2, 5, 1)
    migrating = "F.mse_loss" in snippet
    names = Lazy(
        detente=detente,
        torch=torch,
        nn=nn,
        F=F,
        optimizer=optimizer,
        losses_of=losses_of,
        loader=[(x, y)] if migrating else [torch.randn(5, 3)],
        trunk=net,
        heads=heads,
        x=x,
        y=y,
    )
    before = net.weight.detach().clone()
    try:
        exec(snippet, names)
    except ImportError as error:
        pytest.skip(str(error).splitlines()[0])
    if "optimizer.step()" in snippet:
        assert not torch.equal(before, net.weight)


def test_there_are_snippets():
    assert len(SNIPPETS) >= 8
