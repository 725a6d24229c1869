# SPDX-License-Identifier: Apache-2.0
# The compiled module (python/module.cpp, distill_bindings.cpp, value_bindings.cpp). Lists are in the order of the tasks.
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from torch import Tensor

version: str
torch_version: str

class Rng:
    def __init__(self, seed: int) -> None: ...
    def state(self) -> List[int]: ...
    def set_state(self, state: Sequence[int]) -> None: ...

class Method:
    @property
    def name(self) -> str: ...
    @property
    def needs(self) -> str: ...
    @property
    def uses_losses(self) -> bool: ...
    @property
    def wants_losses_after_step(self) -> bool: ...
    def options(self) -> str: ...
    def state(self) -> str: ...
    def load_state(self, text: str) -> None: ...
    def arrays(self) -> Dict[str, np.ndarray]: ...
    def load_arrays(self, arrays: Dict[str, np.ndarray]) -> None: ...

class Engine:
    def __init__(
        self,
        shared: Sequence[Tensor],
        own: Sequence[Sequence[Tensor]],
        method: Method,
        names: Sequence[str],
        options: Sequence[Tuple[str, str]],
    ) -> None: ...
    def backward(
        self, losses: Sequence[Optional[Tensor]], rows: Sequence[int], shares: Sequence[float], rng: Rng
    ) -> Dict[str, Any]: ...
    def accumulate(self, losses: Sequence[Optional[Tensor]], shares: Sequence[float]) -> None: ...
    def finish(self, rng: Rng) -> Dict[str, Any]: ...
    def set_independent(
        self, first: Sequence[Optional[Tensor]], second: Sequence[Optional[Tensor]]
    ) -> None: ...
    def set_estimate(self, losses: Sequence[Optional[Tensor]]) -> None: ...
    def after_step(self, losses: Sequence[Optional[Tensor]]) -> None: ...
    def set_groups(self, names: Sequence[str], group_of: Sequence[int]) -> None: ...
    # `processes`: a _processes.Processes, or what has its functions.
    def set_group(self, processes: Any) -> None: ...
    def set_loss_scale(self, scale: float) -> None: ...
    @property
    def wants_independent(self) -> bool: ...
    @property
    def wants_estimate(self) -> bool: ...
    @property
    def shared_size(self) -> int: ...
    def state(self) -> str: ...
    def load_state(self, text: str) -> None: ...

def make_method(name: str, options: Sequence[Tuple[str, str]]) -> Method: ...
def python_method(object: Any, name: str, uses_losses: bool) -> Method: ...
def methods() -> List[Dict[str, Any]]: ...
def solve_gram(
    method: Method, gram: np.ndarray, losses: Optional[np.ndarray], rng: Rng
) -> Dict[str, Any]: ...
def solve_rows(
    method: Method, jacobian: np.ndarray, losses: Optional[np.ndarray], rng: Rng
) -> Tuple[np.ndarray, Dict[str, Any]]: ...
def reach(losses: Sequence[Optional[Tensor]]) -> Tuple[List[Tensor], List[List[bool]], bool]: ...

# ---- self-distillation: names, shapes and errors are those of detente/distill/*.h

class DinoOptions:
    def __init__(self, options: Sequence[Tuple[str, str]]) -> None: ...
    @property
    def student_temperature(self) -> float: ...
    @property
    def centre_momentum(self) -> float: ...
    @property
    def teacher_warmup_epochs(self) -> int: ...
    def teacher_temperature(self, epoch: int) -> float: ...

class CollapseMonitor:
    def __init__(self, outputs: int, patience: int) -> None: ...
    # "fine", "uniform", ... (collapse.h), and what to change ("" for the first).
    def add(
        self,
        mean_entropy: float,
        entropy_of_mean: float,
        feature_deviation: float,
        options: DinoOptions,
    ) -> Tuple[str, str]: ...
    def state(self) -> List[float]: ...
    def load_state(self, numbers: Sequence[float]) -> None: ...

class DdgsdOptions:
    def __init__(self, options: Sequence[Tuple[str, str]]) -> None: ...

# total, global_to_global, local_to_global, mean_entropy, entropy_of_mean, cross_entropy
def dino_terms(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    views: int,
    globals: int,
    student_temperature: float,
    teacher_temperature: float,
    /,
) -> Tuple[Tensor, Optional[Tensor], Optional[Tensor], float, float, float]: ...
def moved_centre(centre: Tensor, sum: Tensor, rows: float, momentum: float, /) -> Tensor: ...
def feature_deviation(features: Tensor, /) -> float: ...

# Name, values at the start, whether it is trained.
def dino_head_start(
    options: Sequence[Tuple[str, str]], width: int, rng: Rng, /
) -> List[Tuple[str, Tensor, bool]]: ...
def dino_head(features: Tensor, mlp: Sequence[Tensor], direction: Tensor, gain: Tensor, /) -> Tensor: ...
def is_last_layer(name: str, /) -> bool: ...
def follow(averages: Sequence[Tensor], values: Sequence[Tensor], decay: float, /) -> None: ...
def cosine_schedule(begin: float, end: float, steps: int, warmup: int, ends: str, /) -> List[float]: ...
def cosine_course(begin: float, end: float, step: int, total: int, /) -> float: ...

# Weighted: kl_ab, kl_ba, mmd.
def ddgsd_terms(
    logits_a: Tensor, logits_b: Tensor, features_a: Tensor, features_b: Tensor, options: DdgsdOptions, /
) -> Tuple[Tensor, Tensor, Tensor]: ...
def kd_loss(student: Tensor, teacher: Tensor, temperature: float, kind: str, /) -> Optional[Tensor]: ...
def mutual_term(own: Tensor, peers: Sequence[Tensor], /) -> Tensor: ...
def knn_accuracy(
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    ks: Sequence[int],
    temperature: float,
    /,
) -> List[float]: ...
def linear_accuracy(
    train: Tensor, train_labels: np.ndarray, test: Tensor, test_labels: np.ndarray, ridge: float, /
) -> float: ...

# ---- data valuation: detente/valuation/*.h. Features are float32 [rows, width], labels float64 [tasks, rows], both
# C-contiguous. `progress` is a function of (done, total) or None.

Progress = Optional[Callable[[int, int], Any]]
# values, standard errors (float64) and counts (int64): [outputs, n]
Estimates = Tuple[np.ndarray, np.ndarray, np.ndarray]
# Estimates, v(none), v(all), evaluations, "exact", "converged", "budget" or "interrupted"
Played = Tuple[Estimates, np.ndarray, np.ndarray, int, str]

def knn_shapley(
    train: np.ndarray,
    test: np.ndarray,
    labels: np.ndarray,
    test_labels: np.ndarray,
    tolerances: Sequence[float],
    nobody: Sequence[float],
    k: int,
    soft: bool,
    threads: int,
    progress: Progress,
    /,
) -> Estimates: ...
def oob_ridge(
    features: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[int],
    l2: float,
    models: int,
    seed: int,
    progress: Progress,
    /,
) -> Estimates: ...

# The function gives others x outputs numbers, in one dimension.
def oob_own(
    n: int,
    outputs: int,
    fit_and_score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    models: int,
    seed: int,
    progress: Progress,
    /,
) -> Estimates: ...

class RidgeGame:
    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        test: np.ndarray,
        test_labels: np.ndarray,
        classes: Sequence[int],
        l2: float,
        /,
    ) -> None: ...
    def __call__(self, members: np.ndarray, /) -> np.ndarray: ...

Utility = Union[RidgeGame, Callable[[np.ndarray], np.ndarray]]

def exact_values(n: int, utility: Utility, progress: Progress, /) -> Played: ...
def permutation_values(
    n: int,
    utility: Utility,
    alpha: float,
    beta: float,
    truncation: float,
    permutations: int,
    tolerance: float,
    window: int,
    seed: int,
    progress: Progress,
    /,
) -> Played: ...
def banzhaf_values(n: int, utility: Utility, samples: int, seed: int, progress: Progress, /) -> Played: ...
def leave_one_out(n: int, utility: Utility, repeats: int, progress: Progress, /) -> Played: ...

# Estimates, transport cost, mean cost, marginal error, iterations, converged. Labels [rows], empty for none.
def lava(
    train: np.ndarray,
    validation: np.ndarray,
    labels: np.ndarray,
    validation_labels: np.ndarray,
    classes: bool,
    label_weight: float,
    epsilon: float,
    tolerance: float,
    max_iterations: int,
    threads: int,
    memory: int,
    progress: Progress,
    /,
) -> Tuple[Estimates, float, float, float, int, bool]: ...

# The score, and why it is undefined ("" otherwise).
def detection_auroc(values: np.ndarray, bad: np.ndarray, /) -> Tuple[float, str]: ...
def detection_f1(values: np.ndarray, bad: np.ndarray, /) -> Tuple[float, str]: ...

# Method, ids, (task trained, task judged, modality) of each series, estimates.
def read_values(path: str, /) -> Tuple[str, np.ndarray, List[Tuple[str, str, str]], Estimates]: ...
def value_csv(
    method: str,
    ids: np.ndarray,
    names: Sequence[Tuple[str, str, str]],
    values: np.ndarray,
    errors: np.ndarray,
    counts: np.ndarray,
    /,
) -> str: ...
