# SPDX-License-Identifier: Apache-2.0
"""What training examples are worth, on arrays: no run, no recipe and no network of the program's.

    values = value.knn_shapley(X, y, Xv, yv)            # Xv, yv: rows that judge
    suspects = numpy.argsort(values.values)[:50]
    values = value.data_oob(X, y)                       # needs none
    values = value.shapley(value.ridge_utility(X, y, Xv, yv))
    values = value.exact_shapley(lambda members: score_of(members), n=6)

Every function returns Values. What they share:

* `X` [n, width] and `Xv` [m, width]: features of the rows that are valued and of those that judge; real
  numbers, finite in float32, in which they are computed.
* `y` [n] or [n, tasks], `yv` [m] or [m, tasks]: labels; also a dict or DataFrame with a column for each task.
  NaN: not labelled. Whole numbers and truth values are classes, floating ones numbers, unless `kind` says
  otherwise: "classes" or "numbers", or one of them for each task.
* NumPy's arrays, tensors, lists, and what numpy.asarray() takes.
* `progress`: a function of (done, total). One that returns something false other than None ends the work, and
  what was measured until then counts.
* The same arguments and seed give the same values, whatever the number of threads (0: all cores).

Errors: ValueError for shapes that do not fit and options out of range, TypeError for what are no numbers,
texts included, ArithmeticError naming the row for features, labels or scores that are not finite. Exceptions
of your functions come through as they are, and so does Ctrl-C. The formulas are in the headers of
detente/valuation; docs/value.md says which method is for what."""

from __future__ import annotations

import warnings
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _core
from ._arguments import real_number, seed_number, whole_number
from ._value_inputs import Kind, Labels, answer_of, features_of, labels_of
from ._values import Series, Values, detection_auroc, detection_f1, made_values, read_values

__all__ = [
    "RidgeUtility",
    "Series",
    "Values",
    "banzhaf",
    "beta_shapley",
    "data_oob",
    "detection_auroc",
    "detection_f1",
    "exact_shapley",
    "knn_shapley",
    "lava",
    "leave_one_out",
    "read_values",
    "ridge_utility",
    "shapley",
]

Progress = Optional[Callable[[int, int], Any]]
FitAndScore = Callable[[np.ndarray, np.ndarray], Any]


def knn_shapley(
    X: Any,
    y: Any,
    Xv: Any,
    yv: Any,
    k: int = 10,
    *,
    soft: bool = False,
    tolerance: Union[None, float, Sequence[float]] = None,
    kind: Kind = None,
    threads: int = 0,
    progress: Progress = None,
) -> Values:
    """Exact Shapley values in the game "how well do the k nearest of us classify the rows that judge", of
    each task by itself (Jia et al., VLDB 2019; `soft`: Wang and Jia, 2023). Near is small Euclidean distance:
    for the angle give rows of length 1. A value is the share of right votes that an example adds, so values
    sum to the score of all less that of none. Rows at equal distances get the mean over all their orders; k
    may be above n.

    `soft`: votes are divided by the number of neighbours there are, not by k; of nobody 1 in as many as there
    are classes is known. `tolerance`, one or one for each task: labels of numbers that differ by at most as
    much are equal; None: half their standard deviation in y. Standard errors, in the same unit, say what
    other rows that judge would change. `progress` is told of those. n m (width multiply-adds and a share of a
    sort)."""
    rows, judging, labels = _both_sides(X, y, Xv, yv, kind)
    tolerances, nobody = [], []
    for name, known, classes, given in zip(
        labels.names, labels.train, labels.classes, _each(tolerance, labels.names)
    ):
        if classes and given is not None:
            raise ValueError(
                f"tolerance is {given}, but task {name} has classes; expected None, or kind='numbers'"
            )
        spread = known[~np.isnan(known)]
        half = 0.5 * float(np.std(spread, ddof=1)) if len(spread) > 1 else 0.0
        tolerances.append(0.0 if classes else half if given is None else real_number(given, "tolerance"))
        nobody.append(1 / classes if soft and classes else 0.0)
    arrays = _core.knn_shapley(
        rows,
        judging,
        labels.train,
        labels.test,
        tolerances,
        nobody,
        whole_number(k, "k", 1),
        bool(soft),
        whole_number(threads, "threads", 0),
        _told(progress),
    )
    return made_values(arrays, "knn_shapley", _own_series(labels), labels.flat, {"tolerance": tolerances})


def data_oob(
    X: Any,
    y: Any = None,
    *,
    kind: Kind = None,
    models: int = 100,
    seed: int = 0,
    l2: float = 0.01,
    fit_and_score: Optional[FitAndScore] = None,
    outputs: Optional[int] = None,
    progress: Progress = None,
) -> Values:
    """Data-OOB (Kwon and Zou, ICML 2023): many models, each fitted on n rows drawn with replacement; an
    example is worth the mean score that the models which did not draw it have on it. Needs no rows that
    judge.

    The model is a ridge model of each task: the score is 1 or 0 for a class that is right or not, minus the
    squared error for numbers. `l2` > 0: its penalty, as a share of the mean variance of the features.

    A model of your own: `fit_and_score(drawn, others)` fits on the rows `drawn` (int64 [n], increasing, with
    repeats) and returns scores of the rows `others` (int64), larger for better: [len(others)], or
    [len(others), outputs] for `outputs`; NaN for no label. It draws nothing itself unless it wants to. y,
    kind and l2 are not used then, and of `X` only how many rows it has, so it may be anything with a length.

    Standard errors are those of the mean over models, counts the models. The value is NaN of an example that
    every model drew. Model b draws the same rows whatever the number of models. `progress` is told of
    models."""
    models, seed = whole_number(models, "models", 1), seed_number(seed)
    if fit_and_score is not None:
        return _own_oob(X, fit_and_score, outputs, models, seed, _told(progress))
    if outputs is not None:
        raise ValueError(
            "outputs is given without fit_and_score; expected None: the tasks of y are the outputs"
        )
    rows = features_of(X, "X")
    labels = labels_of(y, y, len(rows), len(rows), kind)
    arrays = _core.oob_ridge(
        rows, labels.train, labels.classes, real_number(l2, "l2"), models, seed, _told(progress)
    )
    return made_values(arrays, "oob", _own_series(labels), labels.flat)


class RidgeUtility:
    """How well a ridge model that is fitted on some rows does on rows set aside, as ridge_utility() makes it:
    in place of a function for the games below, which then run without Python, a model in microseconds to
    milliseconds. Called with rows, as a function would be, it gives the score, or one for each task."""

    def __init__(self, game: "_core.RidgeGame", rows: int, labels: Labels) -> None:
        self._game = game
        self._series = _own_series(labels)
        self._flat = labels.flat
        self.rows = rows

    @property
    def tasks(self) -> Tuple[str, ...]:
        """Their names, one for each score; "all" where y was [n]."""
        return tuple(one.task_judged for one in self._series)

    def __call__(self, members: Any) -> Any:
        given = np.asarray(members)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise TypeError(
                f"members is of {given.dtype} and shape {list(given.shape)}; expected rows [count]"
            )
        rows = given.astype(np.int64)
        if ((rows < 0) | (rows >= self.rows)).any():
            raise ValueError(f"members holds other rows than 0 to {self.rows - 1}: {rows.tolist()}")
        scores = self._game(np.sort(rows))
        return float(scores[0]) if self._flat else scores

    def __repr__(self) -> str:
        return f"RidgeUtility({self.rows} rows, tasks {', '.join(self.tasks)})"


Utility = Union[RidgeUtility, Callable[[np.ndarray], Any]]


def ridge_utility(X: Any, y: Any, Xv: Any, yv: Any, *, kind: Kind = None, l2: float = 0.01) -> RidgeUtility:
    """For shapley(), beta_shapley(), banzhaf(), leave_one_out() and exact_shapley(): the mean score on (Xv,
    yv) of a ridge model fitted on members of (X, y). Of a class the score is 1 or 0 (1 in as many as there
    are classes where nothing is known), of numbers minus the squared error. `l2` > 0 as in data_oob(). The
    arrays are copied.

    ValueError also for a task that has one class, or no label in yv."""
    rows, judging, labels = _both_sides(X, y, Xv, yv, kind)
    game = _core.RidgeGame(rows, labels.train, judging, labels.test, labels.classes, real_number(l2, "l2"))
    return RidgeUtility(game, len(rows), labels)


def exact_shapley(utility: Utility, n: Optional[int] = None, *, progress: Progress = None) -> Values:
    """Shapley values from all 2^n sets, n <= 20: for few players, such as sources, tasks or modalities, and
    as the truth for the estimates below.

    `utility(members)`: what a set of players wins, larger for better, a number or one for each of several
    outputs; members int64 [count], increasing, of 0 to n - 1, without any for the empty set. `n` is left out
    for a RidgeUtility. Values are [n], [n, outputs] for several; standard errors 0, as the answers are taken
    for exact. `details`: "none" and "all", what no player and what all players win, which the values sum to
    the difference of; "evaluations"; "stop", "exact" or "interrupted". `progress` is told of sets.

    Raises ArithmeticError naming the set whose number is not finite, ValueError where the number of outputs
    changes, TypeError for answers that are no numbers."""
    return _play(_core.exact_values, "shapley", utility, n, _told(progress))


def shapley(
    utility: Utility,
    n: Optional[int] = None,
    *,
    permutations: int = 1000,
    truncation: float = 0.01,
    tolerance: float = 0.05,
    window: int = 100,
    seed: int = 0,
    progress: Progress = None,
) -> Values:
    """Shapley values from random orders (Ghorbani and Zou, ICML 2019): at most n - 1 evaluations an order.

    An order is left when its first players have won all but the share `truncation` of v(all) - v(none), which
    is as much as the values may be off by; 0: never. Done after `permutations` orders, or when over the last
    `window` of them values moved by less than the share `tolerance` of their size on average; 0: never.

    Standard errors are those of the mean over orders, counts the orders; `details["stop"]` is "converged",
    "budget" or "interrupted". `progress` is told of orders. The rest as of exact_shapley()."""
    return _orders(
        "tmc", utility, n, 1.0, 1.0, permutations, truncation, tolerance, window, seed, _told(progress)
    )


def beta_shapley(
    utility: Utility,
    n: Optional[int] = None,
    *,
    alpha: float = 16,
    beta: float = 1,
    permutations: int = 1000,
    truncation: float = 0.01,
    tolerance: float = 0.05,
    window: int = 100,
    seed: int = 0,
    progress: Progress = None,
) -> Values:
    """Beta(alpha, beta)-Shapley (Kwon and Zou, AISTATS 2022), both > 0: alpha > beta looks at small sets,
    where one example shows; alpha < beta at nearly full ones; Beta(1, 1) is Shapley. Values do not sum to
    anything known. Arguments and errors as of shapley()."""
    alpha, beta = real_number(alpha, "alpha"), real_number(beta, "beta")
    return _orders(
        "beta", utility, n, alpha, beta, permutations, truncation, tolerance, window, seed, _told(progress)
    )


def banzhaf(
    utility: Utility,
    n: Optional[int] = None,
    *,
    samples: int = 1000,
    seed: int = 0,
    progress: Progress = None,
) -> Values:
    """Banzhaf values (Wang and Jia, AISTATS 2023), which order players most steadily where the utility has
    noise: the mean over random sets with a player less that over those without it. One evaluation a sample
    tells of all players.

    Standard errors are those of a difference of two means, counts the sets. `progress` is told of samples.
    The rest as of exact_shapley()."""
    samples = whole_number(samples, "samples", 1)
    return _play(_core.banzhaf_values, "banzhaf", utility, n, samples, seed_number(seed), _told(progress))


def leave_one_out(
    utility: Utility, n: Optional[int] = None, *, repeats: int = 1, progress: Progress = None
) -> Values:
    """v(all) - v(all but i): n + 1 evaluations, `repeats` times for a utility with noise. Standard errors are
    those of the mean over repeats, NaN for one. `progress` is told of evaluations. The rest as of
    exact_shapley()."""
    repeats = whole_number(repeats, "repeats", 1)
    return _play(_core.leave_one_out, "loo", utility, n, repeats, _told(progress))


def lava(
    X: Any,
    y: Any,
    Xv: Any,
    yv: Any,
    *,
    kind: Kind = None,
    label_weight: float = 1,
    epsilon: float = 0.05,
    tolerance: float = 1e-6,
    max_iterations: int = 5000,
    memory: int = 2 << 30,
    threads: int = 0,
    progress: Progress = None,
) -> Values:
    """LAVA (Just et al., ICLR 2023): by how much more weight on an example would shorten the way, in the
    sense of optimal transport, from the training rows to those that judge. Needs no model. Values are in
    units of the squared distance of features plus `label_weight` times that of labels, sum to 0, and depend
    on `epsilon` (of the mean cost): the smaller, the nearer to transport without entropy, and the slower.

    y and yv None: of features alone. Numbers as labels count with their squared difference: scale them to the
    features. `tolerance`: how far masses may be off; RuntimeWarning where `max_iterations` do not reach it,
    and the values are those so far. `memory`: bytes that 4 n m may take, ValueError beyond.

    Standard errors are NaN: the method has none. `details`, a list with one for each task: "transport_cost",
    "mean_cost", "marginal_error", "iterations", "converged". `progress` is told of iterations, task after
    task."""
    if (y is None) != (yv is None):
        raise ValueError(
            f"{'y' if y is None else 'yv'} is None; expected labels of both sides, or of neither"
        )
    told, seen = _told(progress), []
    if y is None:
        rows = features_of(X, "X")
        judging = features_of(Xv, "Xv", rows.shape[1])
        nothing = np.zeros(0)
        tasks: List[Tuple[np.ndarray, np.ndarray, bool]] = [(nothing, nothing, True)]
        series, flat = [Series()], True
    else:
        rows, judging, labels = _both_sides(X, y, Xv, yv, kind)
        tasks = [(a, b, classes > 0) for a, b, classes in zip(labels.train, labels.test, labels.classes)]
        series, flat = _own_series(labels), labels.flat
    for known, other, classes in tasks:
        seen.append(
            _core.lava(
                rows,
                judging,
                known,
                other,
                classes,
                real_number(label_weight, "label_weight"),
                real_number(epsilon, "epsilon"),
                real_number(tolerance, "tolerance"),
                whole_number(max_iterations, "max_iterations", 1),
                whole_number(threads, "threads", 0),
                whole_number(memory, "memory", 1),
                told,
            )
        )
    details = {
        name: [one[place] for one in seen]
        for place, name in enumerate(
            ("transport_cost", "mean_cost", "marginal_error", "iterations", "converged"), start=1
        )
    }
    for one, names in zip(seen, series):
        if not one[5] and one[4] >= max_iterations:
            warnings.warn(
                f"lava() is not done after {one[4]} iterations (task {names.task_judged}): the marginal "
                f"error is {one[3]:.2g}, not below {tolerance}. Give more max_iterations or a larger epsilon",
                RuntimeWarning,
                stacklevel=2,
            )
    arrays = [np.concatenate(parts) for parts in zip(*(one[0] for one in seen))]
    return made_values((arrays[0], arrays[1], arrays[2]), "lava", series, flat, details)


# ---- within


def _both_sides(X: Any, y: Any, Xv: Any, yv: Any, kind: Kind) -> Tuple[np.ndarray, np.ndarray, Labels]:
    rows = features_of(X, "X")
    judging = features_of(Xv, "Xv", rows.shape[1])
    return rows, judging, labels_of(y, yv, len(rows), len(judging), kind)


def _own_series(labels: Labels) -> List[Series]:
    """Each task has a model of its own, which judges by the same task."""
    return [Series()] if labels.flat else [Series(name, name) for name in labels.names]


def _told(progress: Progress) -> Progress:
    if progress is not None and not callable(progress):
        raise TypeError(
            f"progress is a {type(progress).__name__}; expected a function of (done, total), or None"
        )
    return progress


def _each(given: Any, names: Sequence[str]) -> List[Any]:
    if given is None or np.ndim(given) == 0:
        return [given] * len(names)
    if len(given) != len(names):
        raise ValueError(
            f"tolerance has {len(given)} numbers; expected one, or one for each of {len(names)} tasks"
        )
    return list(given)


def _own_oob(
    X: Any, fit_and_score: FitAndScore, outputs: Optional[int], models: int, seed: int, progress: Progress
) -> Values:
    if not callable(fit_and_score):
        raise TypeError(f"fit_and_score is a {type(fit_and_score).__name__}; expected a function")
    n = len(X)
    columns = whole_number(1 if outputs is None else outputs, "outputs", 1)

    def asked(drawn: np.ndarray, others: np.ndarray) -> np.ndarray:
        scores = answer_of(fit_and_score(drawn, others), "fit_and_score", 2)
        expected = (len(others), columns)
        if scores.shape != expected and (columns > 1 or scores.shape != expected[:1]):
            raise ValueError(
                f"fit_and_score returned scores of shape {list(scores.shape)}; expected "
                f"{list(expected if columns > 1 else expected[:1])} for the rows that were not drawn"
            )
        return scores.reshape(-1)

    arrays = _core.oob_own(n, columns, asked, models, seed, progress)
    series = [Series()] if outputs is None else [Series("all", str(place)) for place in range(columns)]
    return made_values(arrays, "oob", series, outputs is None)


class _Asked:
    """A function of the caller's, its answers as the module takes them."""

    def __init__(self, utility: Callable[[np.ndarray], Any]) -> None:
        self._utility = utility
        self.flat = True

    def __call__(self, members: np.ndarray) -> np.ndarray:
        answer = answer_of(self._utility(members), "utility", 1)
        self.flat = answer.ndim == 0
        return answer.reshape(-1)


def _play(game: Callable[..., Any], method: str, utility: Utility, n: Optional[int], *options: Any) -> Values:
    if isinstance(utility, RidgeUtility):
        if n is not None and n != utility.rows:
            raise ValueError(f"n is {n}, but the utility has {utility.rows} rows; expected as many, or None")
        played = game(utility.rows, utility._game, *options)
        series, flat = utility._series, utility._flat
    else:
        if not callable(utility):
            raise TypeError(
                f"utility is a {type(utility).__name__}; expected a function of members, or what "
                "ridge_utility() gives"
            )
        if n is None:
            raise TypeError("n is missing; expected the number of players, which a function does not tell")
        asked = _Asked(utility)
        played = game(whole_number(n, "n", 1), asked, *options)
        flat = asked.flat
        series = [Series()] if flat else [Series("all", str(place)) for place in range(len(played[1]))]
    arrays, none, everyone, evaluations, stop = played
    details = {
        "none": float(none[0]) if flat else none,
        "all": float(everyone[0]) if flat else everyone,
        "evaluations": evaluations,
        "stop": stop,
    }
    return made_values(arrays, method, series, flat, details)


def _orders(
    method: str,
    utility: Utility,
    n: Optional[int],
    alpha: float,
    beta: float,
    permutations: int,
    truncation: float,
    tolerance: float,
    window: int,
    seed: int,
    progress: Progress,
) -> Values:
    return _play(
        _core.permutation_values,
        method,
        utility,
        n,
        alpha,
        beta,
        real_number(truncation, "truncation"),
        whole_number(permutations, "permutations", 1),
        real_number(tolerance, "tolerance"),
        whole_number(window, "window", 1),
        seed_number(seed),
        progress,
    )
