# SPDX-License-Identifier: Apache-2.0
"""For those who come from TorchJD: what its aggregators are called here, and where the answers differ.

docs/python_migrating.md has the loops side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from ._solve import Array, solve

_RIDGE = (
    "TorchJD adds reg_eps = 1e-4 to the diagonal of the Gram matrix over its trace before it solves, which "
    "moves the weights by about that much, more where gradients nearly depend on each other; and takes the "
    "plain mean where the trace is below norm_eps = 1e-4. Here the projection is exact at every scale."
)


@dataclass(frozen=True)
class _Ours:
    method: str
    options: Callable[[Any], Dict[str, Any]]
    difference: str = ""


def _nothing(aggregator: Any) -> Dict[str, Any]:
    return {}


def _preference(aggregator: Any) -> Dict[str, Any]:
    vector = getattr(aggregator, "pref_vector", None)
    return {} if vector is None else {"preference": np.asarray(vector, dtype=float).tolist()}


def _attributes(**names: str) -> Callable[[Any], Dict[str, Any]]:
    """Options by the aggregator's attributes, those that it has."""
    return lambda aggregator: {
        ours: getattr(aggregator, theirs) for ours, theirs in names.items() if hasattr(aggregator, theirs)
    }


def _aligned(aggregator: Any) -> Dict[str, Any]:
    return {**_preference(aggregator), "scale": getattr(aggregator, "scale_mode", "min")}


_TABLE: Dict[str, _Ours] = {
    "AlignedMTL": _Ours(
        "aligned_mtl",
        _aligned,
        "The median of an even number of eigenvalues is their lower one in TorchJD and the mean of the two "
        "middle ones here; the rank is cut relative to the type's precision there.",
    ),
    "CAGrad": _Ours(
        "cagrad",
        _attributes(c="c"),
        "TorchJD solves with a conic solver on the Gram matrix over its trace and gives no update where the "
        "trace or the solution's length is below norm_eps = 1e-4; here the duality gap is below 1e-9 at "
        "every scale.",
    ),
    "DualProj": _Ours("dualproj", _preference, _RIDGE),
    "FairGrad": _Ours(
        "fairgrad",
        _attributes(alpha="alpha"),
        "TorchJD gives up after max_iters evaluations of a least-squares solver that starts from 1/k; here "
        "the equation is solved to 1e-11.",
    ),
    "IMTLG": _Ours(
        "imtl_g",
        _nothing,
        "Weights whose sum is not positive would make every task worse: here config's direction is taken "
        "and the message says so; TorchJD takes them as they are, and zero where the sum is below 1e-12.",
    ),
    "Mean": _Ours("ew", lambda aggregator: {"scale": "mean"}),
    "MGDA": _Ours(
        "mgda",
        _nothing,
        "TorchJD stops after 100 Frank-Wolfe steps (or steps below 1e-3), which leaves errors up to 1e-2; "
        "here the weights are exact.",
    ),
    "NashMTL": _Ours(
        "nash_mtl",
        lambda aggregator: {"normalize": True, "max_norm": float(getattr(aggregator, "max_norm", 1.0))},
        "TorchJD repeats the official code's sequence of approximations, which depends on earlier steps and "
        "stops early; here the equation is solved. For update_weights_every see the method every_n.",
    ),
    "PCGrad": _Ours(
        "pcgrad",
        _nothing,
        "Both draw the order of the projections, from different generators: with more than two tasks single "
        "steps differ, their mean does not.",
    ),
    "Random": _Ours("rlw", _nothing, "Both draw the weights, from different generators."),
    "Sum": _Ours("ew", lambda aggregator: {"scale": "sum"}),
    "UPGrad": _Ours("upgrad", _preference, _RIDGE),
}


@dataclass(frozen=True)
class TorchJDWeights:
    """`weights`: for detente.backward(losses, method, **options). `difference`: where TorchJD's answer to the
    same gradients differs, and why; empty: nowhere but in rounding."""

    weights: Array  # of the kind and type of the matrix, one per row
    method: str
    options: Dict[str, Any]
    difference: str


def torchjd_weights(
    aggregator: Any, jacobian: Optional[Array] = None, *, gram: Optional[Array] = None, seed: int = 0
) -> TorchJDWeights:
    """The weights that the method of a TorchJD aggregator gives here: `aggregator` is one of its objects,
    whose settings are taken over, or its name ("UPGrad"). `jacobian` (..., k, p): a gradient per row, or
    `gram` (..., k, k). TorchJD itself is not needed.

    Raises ValueError for an aggregator without a counterpart, and what detente.solve raises."""
    name = aggregator if isinstance(aggregator, str) else type(aggregator).__name__
    ours = _TABLE.get(name)
    if ours is None:
        raise ValueError(
            f"'{name}' has no counterpart here; expected one of {', '.join(torchjd_names())}. "
            "Methods that look at coordinates (GradDrop, Krum, TrimmedMean, ConFIG) are used by their "
            "names: graddrop, krum, trimmed_mean, config"
        )
    options = ours.options(aggregator)
    found = solve(jacobian, ours.method, gram=gram, seed=seed, **options)
    return TorchJDWeights(found.weights, ours.method, options, ours.difference)


def torchjd_names() -> Tuple[str, ...]:
    """The aggregators of TorchJD that torchjd_weights knows."""
    return tuple(sorted(_TABLE))
