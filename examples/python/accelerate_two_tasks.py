#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two tasks on one network under Hugging Face's Accelerate.

    python accelerate_two_tasks.py [--steps N] [--mixed-precision no|bf16|fp16] [--accumulate N]

In place of accelerator.backward(loss): the losses go to the balancer, each divided by the number of batches
that a step accumulates, and the balancer is told of Accelerate's GradScaler (fp16 alone has one)."""

import argparse

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

import detente


class TwoTasks(nn.Module):
    def __init__(self, inputs=8, width=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.size, self.sign = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, x):
        z = self.trunk(x)
        return self.size(z)[:, 0], self.sign(z)[:, 0]


def batches(rows=64):
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(8, generator=generator)
    while True:
        x = torch.randn(rows, 8, generator=generator)
        value = x @ direction
        yield x, value.abs(), (value > 0).float()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--mixed-precision", default="no", choices=["no", "bf16", "fp16"])
    parser.add_argument("--accumulate", type=int, default=2)
    chosen = parser.parse_args()

    accelerator = Accelerator(
        mixed_precision=chosen.mixed_precision, gradient_accumulation_steps=chosen.accumulate
    )
    torch.manual_seed(0)
    model = TwoTasks()
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=3e-3))
    balancer = detente.Balancer("upgrad", scaler=accelerator.scaler)

    for step, (x, size, sign) in zip(range(chosen.steps), batches()):
        x, size, sign = (tensor.to(accelerator.device) for tensor in (x, size, sign))
        with accelerator.accumulate(model):
            predicted_size, predicted_sign = model(x)
            losses = {
                "size": F.mse_loss(predicted_size.float(), size),
                "sign": F.binary_cross_entropy_with_logits(predicted_sign.float(), sign),
            }
            parts = accelerator.gradient_accumulation_steps
            report = balancer.backward({name: loss / parts for name, loss in losses.items()})
            optimizer.step()
            optimizer.zero_grad()
        if step % 20 == 0 or step == chosen.steps - 1:
            total = sum(float(loss.detach()) for loss in losses.values())
            accelerator.print(f"step {step}: loss {total:.3f} weights {report.weights}")


if __name__ == "__main__":
    main()
