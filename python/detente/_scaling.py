# SPDX-License-Identifier: Apache-2.0
"""Balancing under torch.amp.GradScaler.

The scaler's factor is in the losses so that small gradients in fp16 survive the passes; a method must not see
it, because not every method answers scaled gradients with a scaled direction (nash_mtl's weights, losses that
a method compares with earlier ones, means kept over steps whose factor changed). So it is taken out before
the method looks and put back into .grad, where scaler.step() expects it."""

from __future__ import annotations

from typing import Any, Iterable, List, Optional

import torch
from torch import Tensor


def active(scaler: Optional[Any]) -> bool:
    """Whether there is a scaler and it is enabled. TypeError for what is none."""
    if scaler is None:
        return False
    if not all(callable(getattr(scaler, name, None)) for name in ("scale", "get_scale", "is_enabled")):
        raise TypeError(f"scaler is a {type(scaler).__name__}; expected a torch.amp.GradScaler")
    return bool(scaler.is_enabled())


def _factor(loss: Tensor) -> Optional[Tensor]:
    """The number on the device that a loss was multiplied by last, which is how a scaler does it."""
    if loss.grad_fn is None or loss.grad_fn.name() != "MulBackward0":
        return None
    try:
        factor = loss.grad_fn._saved_other  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):
        return None
    return factor if isinstance(factor, Tensor) and factor.dim() == 0 else None


def unscaled(losses: Iterable[Optional[Tensor]], scaler: Any) -> List[Optional[Tensor]]:
    """The losses without the scaler's factor, whether they have been through scaler.scale() or not."""
    values = list(losses)
    first = next((loss for loss in values if loss is not None), None)
    if first is not None and scaler._scale is None:
        scaler.scale(first.detach())  # makes the factor, without which scaler.step() refuses
    scale = float(scaler.get_scale())
    found: List[Optional[Tensor]] = []
    for loss in values:
        factor = None if loss is None else _factor(loss)
        scaled = factor is not None and float(factor) == scale
        found.append(loss / scale if loss is not None and scaled else loss)
    return found


def overflow(parameters: Iterable[Tensor]) -> None:
    """What plain backward leaves of losses that are not finite: gradients that make the scaler skip."""
    for parameter in parameters:
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, float("inf"))


def hint(losses: Iterable[Optional[Tensor]]) -> str:
    """A sentence for the error about losses or gradients that are not finite, where all losses were
    multiplied by one number on the device: so looks what scaler.scale() gives."""
    factors = [_factor(loss) for loss in losses if loss is not None]
    if not factors or any(factor is None for factor in factors):
        return ""
    if len({factor.data_ptr() for factor in factors if factor is not None}) > 1:
        return ""
    return (
        " Losses that went through a torch.amp.GradScaler need scaler=scaler, so that such a step is skipped."
    )
