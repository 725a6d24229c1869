#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a step of a method that looks at losses alone costs beside PyTorch's DistributedDataParallel.

    PYTHONPATH=build/release/python python3 bench/parallel/ddp.py [--model mlp conv transformer] [--json OUT]

Starts its processes itself (Gloo on loopback, one thread each). On the same network, examples and fused
Adam, in blocks of steps that take turns so that another load on the machine meets all alike:

    ddp       the network in DistributedDataParallel, sum of the weighted losses, .backward()
    balancer  detente.Balancer(method, process_group=...) on the network itself
    wrapped   the same on the network in DistributedDataParallel
    alone     as ddp without any exchange: what the passes and the optimiser take

A step's time is that of the slowest process. Printed: medians in ms, the median of the blocks' ratios to
ddp with its quartiles; the quickest tenth of the steps, which another load on the machine has met least,
and their ratio; how far the gradients are from ddp's (of methods whose weights move: after a step of
theirs). All processes share this machine: its loopback is no network, and what DDP hides behind the pass
it hides only where a core is free."""

import argparse
import copy
import datetime
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import detente


def mlp():
    widths = [256, 1024, 1024, 512]
    layers = [part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers), lambda n: torch.randn(n, 256), 512


def conv():
    def block(a, b, stride):
        return nn.Sequential(
            nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.GroupNorm(8, b), nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.GroupNorm(8, b), nn.ReLU(),
        )  # fmt: skip

    trunk = nn.Sequential(
        block(3, 32, 2), block(32, 64, 2), block(64, 128, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return trunk, lambda n: torch.randn(n, 3, 32, 32), 128


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5000, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

    def forward(self, x):
        return self.layers(self.embedding(x)).mean(1)


def transformer():
    return Encoder(), lambda n: torch.randint(5000, (n, 16)), 128


MODELS = {made.__name__: made for made in (mlp, conv, transformer)}


class Network(nn.Module):
    def __init__(self, trunk, width, tasks):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(tasks))

    def forward(self, x):
        z = self.trunk(x)
        return [head(z)[:, 0] for head in self.heads]


def ways_of(name, options):
    """A function for each way of a step, the networks behind them, and how large these are."""
    torch.manual_seed(0)
    trunk, sample, width = MODELS[name]()
    net = Network(trunk, width, options.tasks)
    rank = dist.get_rank()
    torch.manual_seed(100 + rank)
    x, targets = sample(options.rows), torch.randn(options.rows, options.tasks)
    nets = {way: copy.deepcopy(net) for way in ("ddp", "balancer", "wrapped", "alone")}
    called = {way: DistributedDataParallel(n) if way in ("ddp", "wrapped") else n for way, n in nets.items()}
    balancers = {
        way: detente.Balancer(options.method, process_group=dist.group.WORLD)
        for way in ("balancer", "wrapped")
    }
    weights = [1.0] * options.tasks

    def losses(way):
        return [F.mse_loss(y, targets[:, k]) for k, y in enumerate(called[way](x))]

    def plain(way):
        sum(w * loss for w, loss in zip(weights, losses(way))).backward()

    def balanced(way):
        return balancers[way].backward(losses(way)).weights

    # ddp's sum has the weights of the method's first step: the same direction there.
    weights[:] = balanced("balancer")
    for n in nets.values():
        n.zero_grad()
    return {way: balanced if way in balancers else plain for way in nets}, nets, balancers


def measure(name, options):
    ways, nets, balancers = ways_of(name, options)
    optimizers = {way: torch.optim.Adam(n.parameters(), lr=1e-4, fused=True) for way, n in nets.items()}

    def gradient(way):
        ways[way](way)
        found = torch.cat([p.grad.reshape(-1) for p in nets[way].parameters()]).double()
        nets[way].zero_grad()
        return found

    wanted = gradient("ddp")
    differs = {
        way: float((gradient(way) - wanted).norm() / wanted.norm()) for way in ("balancer", "wrapped")
    }
    balancers["balancer"]._processes.sent = 0
    gradient("balancer")
    sent = balancers["balancer"]._processes.sent

    def step(way):
        optimizers[way].zero_grad()
        dist.barrier()
        began = time.perf_counter()
        ways[way](way)
        optimizers[way].step()
        return time.perf_counter() - began

    order = list(ways)
    for way in order * 3:
        step(way)
    blocks = {way: [] for way in order}
    for block in range(options.blocks):
        turn = block % len(order)
        for way in order[turn:] + order[:turn]:
            blocks[way].append([step(way) for _ in range(options.steps)])
    slowest, quick = {}, {}
    for way in order:
        times = torch.tensor(blocks[way], dtype=torch.float64)
        dist.all_reduce(times, dist.ReduceOp.MAX)
        slowest[way] = times.median(1).values.tolist()
        quick[way] = times.flatten().quantile(0.1).item()
    rows = []
    for way in order:
        ratios = sorted(mine / plain for mine, plain in zip(slowest[way], slowest["ddp"]))
        quartiles = statistics.quantiles(ratios, n=4)
        rows.append({
            "way": way,
            "ms_step": 1e3 * statistics.median(slowest[way]),
            "ms_quick": 1e3 * quick[way],
            "quick_to_ddp": quick[way] / quick["ddp"],
            "to_ddp": statistics.median(ratios),
            "to_ddp_quartiles": [quartiles[0], quartiles[2]],
            "gradient_differs": differs.get(way),
        })  # fmt: skip
    return {
        "model": name,
        "parameters": sum(p.numel() for p in nets["ddp"].parameters()),
        "bytes_sent_each": sent,
        "rows": rows,
    }


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def show(result):
    print(f"\n{result['model']}: {result['parameters']} parameters")
    for row in result["rows"]:
        low, high = row["to_ddp_quartiles"]
        differs = row["gradient_differs"]
        print(f"  {row['way']:<10}{row['ms_step']:>9.2f} ms{row['to_ddp']:>8.3f} of ddp "
              f"({low:.3f} to {high:.3f}){row['ms_quick']:>9.2f} ms{row['quick_to_ddp']:>8.3f}"
              + (f"  gradient {differs:.0e}" if differs is not None else ""),
              flush=True)


def work(options):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    first = dist.get_rank() == 0
    said = {
        "method": options.method, "world": options.world, "tasks": options.tasks, "rows": options.rows,
        "blocks": options.blocks, "steps": options.steps, "torch": torch.__version__,
        "processor": processor(), "cores": os.cpu_count(), "results": [],
    }  # fmt: skip
    if first:
        print(f"{options.method}, {options.tasks} tasks, {options.world} processes of one thread, "
              f"{options.rows} examples each, PyTorch {torch.__version__}, {said['processor']}, "
              f"{said['cores']} cores")
    for name in options.model:
        result = measure(name, options)
        said["results"].append(result)
        if first:
            show(result)
    if first and options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(said, out, indent=1)
    dist.destroy_process_group()


def start(options):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    workers = [
        subprocess.Popen([sys.executable, __file__, *sys.argv[1:]], env={
            **os.environ, "RANK": str(rank), "WORLD_SIZE": str(options.world), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
            "DETENTE_DDP_BENCH": "worker",
        })  # fmt: skip
        for rank in range(options.world)
    ]
    ends = time.monotonic() + options.limit
    try:
        return max(abs(worker.wait(max(1, ends - time.monotonic()))) for worker in workers)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--method", default="ew", help="of class L (docs/methods)")
    parser.add_argument("--world", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--rows", type=int, default=32, help="examples of each process")
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5, help="of each way in a block")
    parser.add_argument("--json", default="")
    parser.add_argument("--limit", type=float, default=600, help="seconds for all")
    options = parser.parse_args()
    if os.environ.get("DETENTE_DDP_BENCH") == "worker":
        work(options)
    else:
        sys.exit(start(options))


if __name__ == "__main__":
    main()
