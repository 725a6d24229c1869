# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

PerTask = Union[Dict[str, float], List[float]]


@dataclass(frozen=True)
class Report:
    """What happened in one step. Per task: a dict where the losses were one, else a list in their order;
    NaN (weights: 0) for a task that was absent. `gram`, `cosines`, `norms` and `conflict` are None where
    the tasks' gradients were not formed: methods that need only the losses take one pass (diagnose_every=n
    forms them every n-th step)."""

    losses: PerTask
    weights: PerTask
    names: Tuple[str, ...]
    present: int  # tasks that took part
    gram: Optional[np.ndarray]  # k × k, float64: inner products of the gradients of the shared parameters
    cosines: Optional[np.ndarray]  # k × k
    norms: Optional[PerTask]  # of the gradients of the shared parameters
    conflict: Optional[bool]  # whether some pair has a negative cosine
    groups: Tuple[Tuple[str, np.ndarray], ...]  # per group of parameters its Gram matrix
    direction_norm: float
    clip_factor: float
    loss_scale: float
    skipped: bool  # gradients overflowed (loss scaling): nothing was written
    strategy: str  # how the gradients were obtained: weighted, sequential, segmented, ghost, ...
    estimated: bool
    stop: str
    iterations: int
    certificate: float
    message: str
    notice: str  # once: what kept a faster strategy from being used
    backward_ms: float
    solve_ms: float

    def __str__(self) -> str:
        weights = self.weights if isinstance(self.weights, dict) else dict(zip(self.names, self.weights))
        return f"{self.strategy}: " + ", ".join(f"{name} {weight:.4g}" for name, weight in weights.items())


def report_of(found: Dict[str, Any], names: Sequence[str], named: bool) -> Report:
    def per_task(values: Sequence[float]) -> PerTask:
        return dict(zip(names, values)) if named else list(values)

    norms = found["norms"]
    return Report(
        **{
            **found,
            "names": tuple(names),
            "losses": per_task(found["losses"]),
            "weights": per_task(found["weights"]),
            "norms": None if norms is None else per_task(norms),
            "groups": tuple(found["groups"]),
        }
    )


def skipped_report(losses: Sequence[float], message: str, names: Sequence[str], named: bool) -> Report:
    """Of a step that a scaler skips because a loss or gradient was not finite: `message` says which."""
    count = len(names)
    return report_of(
        {
            "losses": list(losses),
            "weights": [0.0] * count,
            "present": sum(not np.isnan(loss) for loss in losses),
            "gram": None,
            "cosines": None,
            "norms": None,
            "conflict": None,
            "groups": [],
            "direction_norm": float("nan"),
            "clip_factor": 1.0,
            "loss_scale": float("nan"),
            "skipped": True,
            "strategy": "skipped",
            "estimated": False,
            "stop": "skipped",
            "iterations": 0,
            "certificate": float("nan"),
            "message": message,
            "notice": "",
            "backward_ms": 0.0,
            "solve_ms": 0.0,
        },
        names,
        named,
    )
