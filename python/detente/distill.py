# SPDX-License-Identifier: Apache-2.0
"""Self-distillation in loops of one's own: the losses, heads, teachers and measures of the program's
`train.objective`, as modules and functions on tensors with their graphs.

    teacher = Ema(student, decay=0.996, steps=total_steps)
    loss = DinoLoss(4096, views=6)
    balancer.backward(loss.terms(student(views), teacher(views[:2 * n]), epoch))
    optimizer.step()
    teacher.update()

The formulas are in the headers of detente/distill; the values here come from there.
"""

from ._dino import CollapseError, DinoHead, DinoLoss, feature_deviation, freeze_last_layer
from ._distill_terms import (
    DDGSD,
    Terms,
    cosine_schedule,
    kd_loss,
    knn_accuracy,
    linear_accuracy,
    mutual_loss,
)
from ._ema import Ema

__all__ = [
    "CollapseError",
    "DDGSD",
    "DinoHead",
    "DinoLoss",
    "Ema",
    "Terms",
    "cosine_schedule",
    "feature_deviation",
    "freeze_last_layer",
    "kd_loss",
    "knn_accuracy",
    "linear_accuracy",
    "mutual_loss",
]
