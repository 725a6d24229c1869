# SPDX-License-Identifier: Apache-2.0
"""Training one network on several tasks at once without the tasks fighting.

    report = detente.backward([loss_a, loss_b], method="cagrad", c=0.4)   # was: (loss_a + loss_b).backward()
    optimizer.step()

Or, with what methods and strategies remember between steps:

    balancer = detente.Balancer("famo")
    report = balancer.backward({"depth": loss_a, "normals": loss_b})

Runs of the program `detente`, from recipes:

    run = detente.train("recipe.yaml")
    answers = run.predict(dataframe)

detente.distill has the losses and teachers of self-distillation, detente.value what training examples are
worth. detente.lightning, detente.huggingface and detente.compat are imported by name."""

import torch as _torch  # noqa: F401  (loads the libraries that the module is linked to)

from . import _check, distill, value
from ._balancer import Balancer, backward
from ._diagnose import Diagnosis, diagnose
from ._methods import Method, MethodInfo, MethodOption, methods
from ._process import DataError
from ._report import Report
from ._runs import Run, Study, compare, load_run, train
from ._solve import Solution, solve

__version__ = _check.version
__all__ = [
    "Balancer",
    "DataError",
    "Diagnosis",
    "Method",
    "MethodInfo",
    "MethodOption",
    "Report",
    "Run",
    "Solution",
    "Study",
    "backward",
    "compare",
    "diagnose",
    "distill",
    "load_run",
    "methods",
    "solve",
    "train",
    "value",
]
