# SPDX-License-Identifier: Apache-2.0
"""A method's answer for gradients one already has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Union

import numpy as np
import torch

from . import _core
from ._arguments import generator
from ._methods import Method, make_method

Array = Union[np.ndarray, torch.Tensor]


@dataclass(frozen=True)
class Solution:
    """`weights` (..., k) and, of a Jacobian, `direction` (..., p): the step is θ ← θ − η·direction. Kind,
    type and device are those of the input. The rest per problem, in the order of the leading dimensions."""

    weights: Array
    direction: Optional[Array]
    stop: List[str]
    certificate: List[float]
    message: List[str]


def _real(given: Any, what: str) -> Array:
    """An array of real numbers, or TypeError in words."""
    if isinstance(given, torch.Tensor):
        if given.is_complex():
            raise TypeError(f"{what} is of type {given.dtype}; {_NO_COMPLEX}")
        return given
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} is no array of numbers: {error}") from None
    if np.issubdtype(array.dtype, np.complexfloating):
        raise TypeError(f"{what} is of type {array.dtype}; {_NO_COMPLEX}")
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise TypeError(f"{what} is of type {array.dtype}; expected an array of numbers")
    return array


_NO_COMPLEX = (
    "expected real numbers. Of complex parameters give the gradients' real and imaginary parts side by side "
    "(torch.view_as_real)"
)


def _double(array: Array) -> np.ndarray:
    if isinstance(array, torch.Tensor):
        return array.detach().to("cpu", torch.float64).numpy()
    return np.asarray(array, dtype=np.float64)


def _like(array: Array, values: np.ndarray) -> Array:
    if isinstance(array, torch.Tensor):
        return torch.from_numpy(values).to(
            array.device, array.dtype if array.is_floating_point() else torch.float64
        )
    return values.astype(array.dtype if np.issubdtype(array.dtype, np.floating) else np.float64, copy=False)


def solve(
    jacobian: Optional[Array] = None,
    method: Union[str, Method] = "upgrad",
    losses: Optional[Array] = None,
    *,
    gram: Optional[Array] = None,
    seed: int = 0,
    **options: Any,
) -> Solution:
    """What `method` makes of the tasks' gradients, without a network: of a Jacobian (..., k, p), a row per
    task, or of a Gram matrix (..., k, k) alone. `losses` (..., k) where the method looks at them. NumPy or
    torch, any floating type, CPU or GPU; computed in double precision on the CPU. Leading dimensions are
    problems of their own, each with a fresh method; Ctrl-C is heard between them. Raises TypeError for what
    is no array of real numbers, ValueError for shapes that do not fit, ArithmeticError for numbers that are
    not finite or a Gram matrix that no gradients have."""
    if (jacobian is None) == (gram is None):
        raise ValueError("expected a jacobian or a gram matrix, one of them")
    given = jacobian if jacobian is not None else gram
    given = _real(given, "the jacobian" if gram is None else "the gram matrix")
    values = _double(given)
    if values.ndim < 2:
        raise ValueError(f"expected at least two dimensions, a row per task; got shape {values.shape}")
    lead = values.shape[:-2]
    tasks, columns = values.shape[-2:]
    if gram is not None and tasks != columns:
        raise ValueError(f"a Gram matrix is square; got {tasks} × {columns}")
    per_task = None
    if losses is not None:
        per_task = _double(_real(losses, "losses"))
        if per_task.shape[-1:] != (tasks,):
            raise ValueError(f"losses of shape {per_task.shape} for {tasks} tasks; expected one each")
        per_task = np.broadcast_to(per_task, lead + (tasks,)).reshape(-1, tasks)
    rng = generator(seed)
    weights, directions, found = [], [], []
    for i, problem in enumerate(values.reshape((-1, tasks, columns))):
        core = make_method(method, dict(options))
        own = None if per_task is None else np.ascontiguousarray(per_task[i])
        if core.needs == "J":
            if gram is not None:
                raise ValueError(
                    f"'{core.name}' needs the gradients themselves, which a Gram matrix does not "
                    "determine; expected a jacobian"
                )
            direction, result = _core.solve_rows(core, problem, own, rng)
            directions.append(direction)
        else:
            result = _core.solve_gram(core, problem if gram is not None else problem @ problem.T, own, rng)
            if jacobian is not None:
                directions.append(result["weights"] @ problem)
        weights.append(result["weights"])
        found.append(result)
    stacked = np.stack(weights).reshape(lead + (tasks,)) if weights else np.zeros(lead + (tasks,))
    direction_array = None
    if jacobian is not None:
        direction_array = _like(
            given,
            np.stack(directions).reshape(lead + (columns,)) if directions else np.zeros(lead + (columns,)),
        )
    return Solution(
        _like(given, stacked),
        direction_array,
        [r["stop"] for r in found],
        [r["certificate"] for r in found],
        [r["message"] for r in found],
    )
