# SPDX-License-Identifier: Apache-2.0
"""Balanced losses in Hugging Face's Trainer. Needs the package `transformers` (with `accelerate`).

trainer = detente.huggingface.BalancedTrainer(model, args, ..., method="cagrad", balancing={"c": 0.4})

The model's output has the losses of its tasks as a dict under "losses", {"topic": ..., "mood": None}; None
for a task without targets in the batch. Accumulation, fp16 with its GradScaler, bf16, schedulers and
checkpoints are the Trainer's; a checkpoint has the balancer's state as well (balancer.pt). One process."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from ._balancer import Balancer
from ._report import Report


class BalancedTrainer(Trainer):  # type: ignore[misc]
    """A Trainer with `method` and `balancing`, a dict of options, as those of detente.Balancer."""

    report: Optional[Report] = None  # of the last step

    def __init__(
        self, *args: Any, method: Any = "upgrad", balancing: Optional[Dict[str, Any]] = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.args.world_size > 1 or self.args.n_gpu > 1:
            raise NotImplementedError("several devices; expected one (CUDA_VISIBLE_DEVICES=0)")
        self.balancer = Balancer(method, scaler=self.accelerator.scaler, **(balancing or {}))
        self.add_callback(_Keeps(self))

    def losses_of(self, model: Any, inputs: Dict[str, Any]) -> Tuple[Dict[str, Optional[Tensor]], Any]:
        outputs = model(**inputs)
        losses = outputs.get("losses") if hasattr(outputs, "get") else None
        if not isinstance(losses, dict):
            raise ValueError("the model's output has no dict \"losses\"; expected one loss by task's name")
        return losses, outputs

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        losses, outputs = self.losses_of(model, inputs)
        total = torch.stack([loss for loss in losses.values() if loss is not None]).sum()
        return (total, outputs) if return_outputs else total

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        return super().prediction_step(model, inputs, prediction_loss_only, [*(ignore_keys or []), "losses"])

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        model.train()
        if callable(getattr(self.optimizer, "train", None)):
            self.optimizer.train()
        with self.compute_loss_context_manager():
            losses, _ = self.losses_of(model, self._prepare_inputs(inputs))
        parts = self.current_gradient_accumulation_steps
        shares = {name: None if loss is None else loss / parts for name, loss in losses.items()}
        self.report = self.balancer.backward(shares)
        return torch.stack([loss.detach() for loss in shares.values() if loss is not None]).sum()

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        folder = resume_from_checkpoint
        folder = get_last_checkpoint(self.args.output_dir) if folder is True else folder
        if folder and os.path.isfile(os.path.join(folder, "balancer.pt")):
            self.balancer.load_state_dict(torch.load(os.path.join(folder, "balancer.pt"), weights_only=True))
        return super().train(resume_from_checkpoint, *args, **kwargs)


class _Keeps(TrainerCallback):  # type: ignore[misc]
    def __init__(self, trainer: BalancedTrainer) -> None:
        self.trainer = trainer

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
        torch.save(self.trainer.balancer.state_dict(), os.path.join(folder, "balancer.pt"))
