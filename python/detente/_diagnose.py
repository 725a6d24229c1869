# SPDX-License-Identifier: Apache-2.0
"""Do the tasks fight? Measured, nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from . import _core
from ._arguments import Losses, split_losses, tensor_list


@dataclass(frozen=True)
class Diagnosis:
    """Of the tasks that took part, in their order. `similarity`: 2‖a‖‖b‖ / (‖a‖² + ‖b‖²), 1 for equal
    lengths (Yu et al., PCGrad, 2020)."""

    names: Tuple[str, ...]
    gram: np.ndarray  # k × k, float64
    norms: np.ndarray  # k
    cosines: np.ndarray  # k × k, NaN where a gradient is zero
    similarity: np.ndarray  # k × k
    conflict_share: float  # of the pairs with a negative cosine; NaN for fewer than two tasks

    @property
    def conflict(self) -> bool:
        return self.conflict_share > 0


def diagnose(losses: Losses, shared: Optional[Iterable[Tensor]] = None) -> Diagnosis:
    """The tasks' gradients with respect to the shared parameters (left out: those that several losses
    depend on) compared: one backward pass per task. Solves nothing, writes no .grad and keeps the graph."""
    names, values, _ = split_losses(losses)
    present = [(name, value) for name, value in zip(names, values) if value is not None]
    if not present:
        raise ValueError("no task takes part; expected at least one loss")
    tensors = [value for _, value in present]
    if shared is not None:
        parameters = [p for p in tensor_list(shared, "shared") if p.requires_grad]
    else:
        found, by_loss, _ = _core.reach(tensors)
        parameters = [
            p for j, p in enumerate(found) if len(tensors) == 1 or sum(row[j] for row in by_loss) > 1
        ]
        if any(isinstance(p, torch.nn.Parameter) for p in parameters):
            parameters = [p for p in parameters if isinstance(p, torch.nn.Parameter)]
    if not parameters:
        raise ValueError("the losses share no parameter; expected losses of one network, or shared=...")
    gram = np.zeros((len(tensors), len(tensors)))
    gradients = [
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in tensors
    ]
    for i, first in enumerate(gradients):
        for j, second in enumerate(gradients[: i + 1]):
            total = sum(
                float(torch.dot(a.to_dense().reshape(-1).double(), b.to_dense().reshape(-1).double()))
                for a, b in zip(first, second)
                if a is not None and b is not None
            )
            gram[i, j] = gram[j, i] = total
    norms = np.sqrt(np.diag(gram))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = np.clip(gram / np.outer(norms, norms), -1, 1)
        similarity = 2 * np.outer(norms, norms) / (np.add.outer(norms**2, norms**2))
    pairs = np.triu_indices(len(tensors), 1)
    share = float(np.mean(cosines[pairs] < 0)) if len(tensors) > 1 else float("nan")
    return Diagnosis(tuple(name for name, _ in present), gram, norms, cosines, similarity, share)
