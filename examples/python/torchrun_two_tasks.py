#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two tasks on one network in several processes, each on its part of every batch.

    torchrun --standalone --nproc-per-node 2 torchrun_two_tasks.py [--steps N] [--no-wrap]

and without torchrun in one process, with the same result: the gradient is that of all examples either way.
GPUs are used where there is one for each process."""

import argparse
import contextlib
import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import detente


class TwoTasks(nn.Module):
    def __init__(self, inputs=8, width=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.size, self.sign = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, x):
        z = self.trunk(x)
        return self.size(z)[:, 0], self.sign(z)[:, 0]


def batches(rows=65):
    """The whole batches, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(8, generator=generator)
    while True:
        x = torch.randn(rows, 8, generator=generator)
        value = x @ direction
        yield x, value.abs(), (value > 0).float()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--no-wrap", action="store_true", help="without DistributedDataParallel")
    chosen = parser.parse_args()

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpus = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 0
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    if processes > 1:
        dist.init_process_group("nccl" if gpus else "gloo")

    torch.manual_seed(0)  # the same start everywhere; the balancer compares
    model = net = TwoTasks().to(device)
    if processes > 1 and not chosen.no_wrap:
        model = DistributedDataParallel(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    balancer = detente.Balancer("upgrad", process_group=dist.group.WORLD if processes > 1 else None)

    for step, batch in zip(range(chosen.steps), batches()):
        x, size, sign = (tensor[rank::processes].to(device) for tensor in batch)
        predicted_size, predicted_sign = model(x)
        losses = {
            "size": F.mse_loss(predicted_size, size),
            "sign": F.binary_cross_entropy_with_logits(predicted_sign, sign),
        }
        optimizer.zero_grad()
        # Means over this process's examples; how many there are makes the mean over all of them.
        report = balancer.backward(losses, shares=len(x))
        optimizer.step()
        if rank == 0 and (step % 50 == 0 or step == chosen.steps - 1):
            words = ", ".join(f"{name} {loss:.4f}" for name, loss in report.losses.items())
            print(f"step {step}: {words}; {report}", flush=True)

    if processes > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
