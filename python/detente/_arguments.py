# SPDX-License-Identifier: Apache-2.0
"""What callers hand over, checked: losses, parameters, seeds, shares."""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from . import _core

Losses = Union[Mapping[str, Optional[Tensor]], Sequence[Optional[Tensor]]]
# What losses count: one number for all, or one each.
Shares = Union[float, Sequence[float], Mapping[str, float]]
Own = Union[Mapping[str, Iterable[Tensor]], Sequence[Iterable[Tensor]]]


def split_losses(losses: Losses) -> Tuple[Tuple[str, ...], List[Optional[Tensor]], bool]:
    named = False
    if isinstance(losses, Mapping):
        named = True
        names, values = tuple(str(name) for name in losses), list(losses.values())
    elif isinstance(losses, Tensor):
        if losses.dim() != 1:
            raise ValueError(
                f"losses are a dict, a list, or a tensor of one number per task; got one of shape "
                f"{tuple(losses.shape)}"
            )
        values = list(losses.unbind())
        names = tuple(f"task {k + 1}" for k in range(len(values)))
    else:
        if isinstance(losses, (str, bytes)) or not hasattr(losses, "__iter__"):
            raise TypeError(
                f"losses are a {type(losses).__name__}; expected a list with one per task, or a dict by name"
            )
        values = list(losses)
        names = tuple(f"task {k + 1}" for k in range(len(values)))
    for name, value in zip(names, values):
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"the loss of '{name}' is a {type(value).__name__}; expected a tensor with its graph, or "
                "None for a task that takes no part in this step"
            )
    return names, values, named


def tensor_list(given: Iterable[Tensor], what: str) -> List[Tensor]:
    if isinstance(given, torch.nn.Module):
        given = given.parameters()
    if isinstance(given, (Tensor, str)) or not hasattr(given, "__iter__"):
        raise TypeError(f"{what} is a {type(given).__name__}; expected a list of parameters, or a module")
    found = list(given)
    for one in found:
        if not isinstance(one, Tensor):
            raise TypeError(f"{what} holds a {type(one).__name__}; expected parameters alone")
    return found


def generator(seed: Any) -> "_core.Rng":
    """For methods that draw. Errors as of seed_number()."""
    return _core.Rng(seed_number(seed))


def seed_number(seed: Any) -> int:
    """TypeError and ValueError for what is no whole number from 0 to 2^64 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed is a {type(seed).__name__}; expected a whole number")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2^64 - 1")
    return int(seed)


def share_list(
    shares: Optional[Shares], names: Sequence[str], values: Sequence[Optional[Tensor]]
) -> List[float]:
    """One number per loss, 1 for absent ones; empty: all the same."""
    if shares is None:
        return []
    if isinstance(shares, Mapping):
        unknown = [name for name in shares if name not in names]
        if unknown:
            raise ValueError(f"shares names {unknown}; expected names of the losses: {list(names)}")
        listed: List[Any] = [shares.get(name) for name in names]
    elif isinstance(shares, (str, bytes)) or not hasattr(shares, "__iter__"):
        listed = [shares] * len(names)
    else:
        listed = list(shares)
    if len(listed) != len(names):
        raise ValueError(f"{len(listed)} shares for {len(names)} losses; expected one each")
    try:
        return [1.0 if value is None else float(share) for share, value in zip(listed, values)]
    except (TypeError, ValueError):
        raise TypeError(
            f"shares is {shares!r}; expected one number above 0 for each loss, such as how many examples are "
            "in its mean"
        ) from None


def row_list(rows: Optional[Tensor], tasks: int) -> List[int]:
    """The task of each example; empty: not given."""
    if rows is None:
        return []
    task_of = torch.as_tensor(rows)
    if task_of.dim() != 1 or task_of.is_floating_point() or task_of.dtype == torch.bool:
        raise ValueError(
            f"rows is one whole number per example, got {task_of.dtype} of shape {tuple(task_of.shape)}"
        )
    where = [int(row) for row in task_of.tolist()]
    if where and not -1 <= min(where) <= max(where) < tasks:
        raise ValueError(f"rows names task {max(where)} of {tasks}; expected -1 to {tasks - 1}")
    return where


def floating(given: Any, what: str) -> Tensor:
    """A tensor of real numbers. TypeError for anything else."""
    if not isinstance(given, Tensor):
        raise TypeError(f"{what} is a {type(given).__name__}; expected a tensor")
    if not given.is_floating_point():
        raise TypeError(f"{what} is of {given.dtype}; expected floating-point numbers")
    return given


def whole_number(given: Any, what: str, least: int) -> int:
    """TypeError for what is none, ValueError for one below `least`."""
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)):
        raise TypeError(f"{what} is a {type(given).__name__}; expected a whole number")
    if given < least:
        raise ValueError(f"{what} is {given}; expected {least} or more")
    return int(given)


def real_number(given: Any, what: str) -> float:
    """TypeError for what is none."""
    if isinstance(given, (bool, str, bytes)):
        raise TypeError(f"{what} is a {type(given).__name__}; expected a number")
    try:
        return float(given)
    except (TypeError, ValueError):
        raise TypeError(f"{what} is a {type(given).__name__}; expected a number") from None
