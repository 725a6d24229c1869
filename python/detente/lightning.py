# SPDX-License-Identifier: Apache-2.0
"""Balanced losses in PyTorch Lightning. Needs the package `lightning` (or `pytorch_lightning`).

class Model(detente.lightning.BalancedModule):
    def __init__(self):
        super().__init__("cagrad", c=0.4)       # method and options as those of detente.Balancer
        ...
    def training_step(self, batch, batch_idx):
        return self.balance({"depth": depth_loss, "normals": normals_loss})

The rest is Lightning's own: accumulate_grad_batches, gradient clipping, precision (with a GradScaler too),
schedulers. Under `automatic_optimization = False` call self.manual_backward(self.balance(losses)). The
balancer's state travels in Lightning's checkpoints. One process: strategies over several are refused."""

from __future__ import annotations

from typing import Any, Dict, Optional

import torch
from torch import Tensor

from ._arguments import Losses, split_losses
from ._balancer import Balancer
from ._report import Report

try:
    from lightning.pytorch import LightningModule
except ImportError:
    from pytorch_lightning import LightningModule


class BalancedModule(LightningModule):  # type: ignore[misc]
    """A LightningModule whose training_step returns self.balance(losses)."""

    report: Optional[Report] = None  # of the last backward pass

    def __init__(self, method: Any = "upgrad", **options: Any) -> None:
        super().__init__()
        self._method, self._options = method, options
        self._balancer: Optional[Balancer] = None
        self._losses: Optional[Losses] = None

    @property
    def balancer(self) -> Balancer:
        """Made when it is first asked for, because the trainer brings the GradScaler."""
        if self._balancer is None:
            if self.trainer.world_size > 1:
                raise NotImplementedError(
                    f"{self.trainer.world_size} processes; balancing in Python knows one"
                )
            scaler = getattr(self.trainer.precision_plugin, "scaler", None)
            self._balancer = Balancer(self._method, scaler=scaler, **self._options)
        return self._balancer

    def balance(self, losses: Losses) -> Tensor:
        """Their sum, for Lightning to log; `backward` balances the losses themselves."""
        self._losses = losses
        return torch.stack([loss.detach() for loss in split_losses(losses)[1] if loss is not None]).sum()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self._losses is None:
            raise RuntimeError(
                "there are no losses to balance; expected training_step to return self.balance(losses)"
            )
        losses, self._losses = self._losses, None
        parts = self.trainer.accumulate_grad_batches if self.automatic_optimization else 1
        names, values, named = split_losses(losses)
        values = [None if value is None else value / parts for value in values]
        self.report = self.balancer.backward(dict(zip(names, values)) if named else values)

    def on_save_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        checkpoint["detente"] = self.balancer.state_dict()

    def on_load_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        if self._trainer is not None and "detente" in checkpoint:  # load_from_checkpoint() has no trainer
            self.balancer.load_state_dict(checkpoint["detente"])
