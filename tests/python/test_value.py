# SPDX-License-Identifier: Apache-2.0
"""detente.value against enumeration of all sets in NumPy, and the ways into and out of it."""

import builtins
import inspect
import itertools
import math
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from detente import value

TIGHT = {"rtol": 1e-9, "atol": 1e-12}
SCORES = ("classes", "numbers")


def sets_of(players):
    players = list(players)
    return [s for size in range(len(players) + 1) for s in itertools.combinations(players, size)]


def by_enumeration(utility, n, weight=None):
    """Σ over S without i of weight(|S|) (v(S + i) - v(S)); Shapley's weights by default."""
    if weight is None:

        def weight(size):
            return 1 / (n * math.comb(n - 1, size))

    won = {s: np.asarray(utility(np.array(s, dtype=np.int64)), dtype=float) for s in sets_of(range(n))}
    result = []
    for i in range(n):
        others = sets_of(j for j in range(n) if j != i)
        result.append(sum(weight(len(s)) * (won[tuple(sorted((*s, i)))] - won[s]) for s in others))
    return np.array(result)


def knn_by_definition(X, matches, x, k, soft, nobody):
    """Shapley values at one row that judges; u of the examples in `matches`, the mean over orders of ties."""
    distances = ((X - x) ** 2).sum(1)

    def utility(members):
        if len(members) == 0:
            return nobody if soft else 0.0
        members = sorted(members, key=lambda i: distances[i])
        groups = [list(group) for _, group in itertools.groupby(members, key=lambda i: distances[i])]
        votes, place = 0.0, 0
        for group in groups:  # in a group of ties each place has the group's mean
            taken = max(0, min(k - place, len(group)))
            votes += taken * np.mean([matches[i] for i in group])
            place += len(group)
        return votes / (min(k, len(members)) if soft else k)

    return by_enumeration(utility, len(X))


def some_game(n, outputs=None, seed=3):
    """A number, or several, for each set of n players, drawn once."""
    shape = (2**n,) if outputs is None else (2**n, outputs)
    won = np.random.default_rng(seed).normal(size=shape)
    return lambda members: won[sum(1 << int(i) for i in members)]


def some_rows(n, m, width=3, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, width)).astype(np.float32),
        rng.integers(classes, size=n),
        rng.normal(size=(m, width)).astype(np.float32),
        rng.integers(classes, size=m),
    )


# ---- neighbours


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 6, 7, 20])
@pytest.mark.parametrize("duplicates", [False, True])
def test_knn_shapley_is_the_enumeration_of_all_sets(k, soft, duplicates):
    X, y, Xv, yv = some_rows(6, 4, classes=3)
    if duplicates:
        X[3] = X[1]
        X[5] = X[1]
    values = value.knn_shapley(X, y, Xv, yv, k, soft=soft)
    classes = len(np.unique(np.concatenate([y, yv])))
    points = np.array([knn_by_definition(X, y == label, x, k, soft, 1 / classes) for x, label in zip(Xv, yv)])
    np.testing.assert_allclose(values.values, points.mean(0), **TIGHT)
    np.testing.assert_allclose(values.standard_errors, points.std(0, ddof=1) / 2, **TIGHT)
    assert values.counts.tolist() == [4] * 6 and values.counts.dtype == np.int64
    if duplicates and y[3] == y[1]:
        assert values.values[3] == values.values[1]


def test_knn_shapley_of_one_row():
    values = value.knn_shapley([[1.0]], [4], [[2.0]], [4], k=3)
    np.testing.assert_allclose(values.values, [1 / 3])
    assert math.isnan(values.standard_errors[0]) and values.counts[0] == 1
    assert not values.harmful().any() and values.verdicts().tolist() == ["undecided"]


def test_knn_values_sum_to_the_score_and_equal_examples_are_worth_the_same():
    X, y, Xv, yv = some_rows(40, 9)
    X[7], y[7] = X[11], y[11]
    values = value.knn_shapley(X, y, Xv, yv, k=3).values
    near = np.argsort(((Xv[:, None] - X[None]) ** 2).sum(2), axis=1, kind="stable")[:, :3]
    np.testing.assert_allclose(values.sum(), (y[near] == yv[:, None]).mean(), **TIGHT)
    assert values[7] == values[11]


def test_knn_numbers_match_within_the_tolerance():
    X, _, Xv, _ = some_rows(5, 3)
    rng = np.random.default_rng(1)
    y, yv = rng.normal(size=5), rng.normal(size=3)
    for tolerance, used in ((0.4, 0.4), (None, 0.5 * y.std(ddof=1))):
        values = value.knn_shapley(X, y, Xv, yv, 2, tolerance=tolerance)
        expected = [knn_by_definition(X, abs(y - label) <= used, x, 2, False, 0) for x, label in zip(Xv, yv)]
        np.testing.assert_allclose(values.values, np.mean(expected, 0), **TIGHT)
        assert values.details["tolerance"] == [pytest.approx(used)]


def test_several_tasks_are_each_by_itself_and_rows_without_a_label_play_no_part():
    X, y, Xv, yv = some_rows(8, 5)
    other = np.where(np.arange(8) % 4 == 1, np.nan, 1 - y)
    both, judging = np.stack([y.astype(float), other], 1), np.stack([yv, yv], 1).astype(float)
    judging[2, 1] = np.nan
    values = value.knn_shapley(X, both, Xv, judging, 3, kind="classes")
    assert values.values.shape == values.standard_errors.shape == values.counts.shape == (8, 2)
    np.testing.assert_array_equal(values.values[:, 0], value.knn_shapley(X, y, Xv, yv, 3).values)
    known, asked = ~np.isnan(other), [0, 1, 3, 4]
    alone = value.knn_shapley(X[known], 1 - y[known], Xv[asked], yv[asked], 3)
    np.testing.assert_allclose(values.values[known, 1], alone.values, **TIGHT)
    assert np.isnan(values.values[~known, 1]).all() and values.counts[:, 1].tolist() == [
        4 if one else 0 for one in known
    ]
    named = value.knn_shapley(
        X, {"a": y, "b": both[:, 1]}, Xv, {"a": yv, "b": judging[:, 1]}, 3, kind="classes"
    )
    np.testing.assert_array_equal(named.values, values.values)
    assert named.series == (("a", "a", "all"), ("b", "b", "all"))
    np.testing.assert_array_equal(named.select("b").values, values.values[:, 1])
    with pytest.raises(ValueError, match="task_judged='c'; expected one of"):
        named.select("c")


def test_threads_and_class_names_change_nothing():
    X, y, Xv, yv = some_rows(300, 50)
    one = value.knn_shapley(X, y, Xv, yv, threads=1)
    np.testing.assert_array_equal(one.values, value.knn_shapley(X, y, Xv, yv, threads=3).values)
    np.testing.assert_array_equal(
        one.values, value.knn_shapley(X, 2**60 + y, Xv, 2**60 + yv, threads=1).values
    )
    np.testing.assert_array_equal(one.values, value.knn_shapley(X, y == 1, Xv, yv == 1).values)


# ---- games


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("outputs", [None, 2])
def test_exact_shapley_is_the_enumeration_of_all_sets(n, outputs):
    game = some_game(n, outputs)
    values = value.exact_shapley(game, n)
    np.testing.assert_allclose(values.values, by_enumeration(game, n), **TIGHT)
    assert values.values.shape == ((n,) if outputs is None else (n, 2))
    assert not values.standard_errors.any() and (values.counts == 2 ** (n - 1)).all()
    details = values.details
    np.testing.assert_allclose(values.values.sum(0), details["all"] - details["none"], **TIGHT)
    assert details["evaluations"] == 2**n and details["stop"] == "exact"


def test_axioms():
    first, second = some_game(5, seed=1), some_game(5, seed=2)
    a, b = value.exact_shapley(first, 5).values, value.exact_shapley(second, 5).values
    summed = value.exact_shapley(lambda s: 2 * first(s) - second(s), 5).values
    np.testing.assert_allclose(summed, 2 * a - b, **TIGHT)  # linear
    blind = value.exact_shapley(lambda s: first([i for i in s if i != 3]), 5).values
    assert blind[3] == 0  # a player who changes nothing
    alike = value.exact_shapley(lambda s: len(s) ** 2.0, 5).values
    np.testing.assert_allclose(alike, np.full(5, 5.0), **TIGHT)  # symmetry
    for estimate in (value.shapley, value.banzhaf, value.leave_one_out):
        moved = [estimate(lambda s, c=c: first(s) + c, 5).values for c in (0, 100)]
        if estimate is not value.banzhaf:  # whose halves have other means
            np.testing.assert_allclose(moved[0], moved[1], atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_estimates_come_to_the_enumeration(n):
    game = some_game(n)

    def beta(size):  # Beta(4, 1)
        def b(x, y):
            return math.gamma(x) * math.gamma(y) / math.gamma(x + y)

        return b(size + 1, n - 1 - size + 4) / b(4, 1)

    never = {"tolerance": 0, "truncation": 0, "permutations": 4000}
    for values, truth in (
        (value.shapley(game, n, **never), by_enumeration(game, n)),
        (value.beta_shapley(game, n, alpha=4, beta=1, **never), by_enumeration(game, n, beta)),
        (value.banzhaf(game, n, samples=20000), by_enumeration(game, n, lambda size: 0.5 ** (n - 1))),
        (value.leave_one_out(game, n), by_enumeration(game, n, lambda size: float(size == n - 1))),
    ):
        off = np.abs(values.values - truth)
        errors = np.where(np.isnan(values.standard_errors), 0, values.standard_errors)
        assert (off <= 4.5 * errors + 1e-9).all(), (values.method, off, errors)
    assert np.isnan(value.leave_one_out(game, n).standard_errors).all()
    assert not np.isnan(value.leave_one_out(game, n, repeats=2).standard_errors).any()


def test_a_function_gets_members_in_order_and_the_empty_set():
    seen = []

    def utility(members):
        seen.append(members)
        return float(len(members))

    value.shapley(utility, 4, permutations=3)
    assert len(seen[0]) == 0
    for members in seen:
        assert members.dtype == np.int64 and members.flags.writeable and (np.diff(members) > 0).all()


@pytest.mark.parametrize(
    "answer", [1, True, np.float32(1), np.int8(1), torch.tensor(1.0, requires_grad=True), np.array(1)]
)
def test_numbers_of_every_kind_are_answers(answer):
    assert value.leave_one_out(lambda members: answer, 2).values.tolist() == [0, 0]
    assert value.leave_one_out(lambda members: [answer, 2.0], 2).values.tolist() == [[0, 0], [0, 0]]


def test_the_seed_decides():
    game = some_game(6)
    X, y, *_ = some_rows(30, 1)
    for run in (
        lambda seed: value.shapley(game, 6, permutations=20, seed=seed),
        lambda seed: value.beta_shapley(game, 6, permutations=20, seed=seed),
        lambda seed: value.banzhaf(game, 6, samples=20, seed=seed),
        lambda seed: value.data_oob(X, y, models=20, seed=seed),
    ):
        a, b, c = run(5), run(5), run(2**64 - 1)
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.values != c.values).any()


# ---- ridge models


def ridge_by_definition(X, targets, l2=0.01):
    """Predictions of a ridge model on rows with repeats: a function of features."""
    X, targets = X.astype(float), np.asarray(targets, dtype=float)
    if len(X) == 0:
        return lambda rows: np.zeros((len(rows), targets.shape[1]))
    x, t = X - X.mean(0), targets - targets.mean(0)
    penalty = l2 / X.shape[1] * (x**2).sum()
    w = np.zeros((X.shape[1], targets.shape[1]))
    if penalty > 0:
        w = np.linalg.solve(x.T @ x + penalty * np.eye(X.shape[1]), x.T @ t)
    return lambda rows: (rows.astype(float) - X.mean(0)) @ w + targets.mean(0)


def scores_by_definition(X, y, Xv, yv, classes):
    if not classes:
        return -((ridge_by_definition(X, y[:, None])(Xv)[:, 0] - yv) ** 2)
    if len(X) == 0:
        return np.full(len(yv), 1 / classes)
    signs = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)
    return (ridge_by_definition(X, signs)(Xv).argmax(1) == yv).astype(float)


@pytest.mark.parametrize("kind", SCORES)
def test_ridge_utility_is_the_mean_score_of_a_ridge_model(kind):
    X, y, Xv, yv = some_rows(6, 7, width=2, classes=3, seed=8)
    classes = 3 if kind == "classes" else 0
    if not classes:
        y, yv = y + X[:, 0], yv + Xv[:, 0]
    utility = value.ridge_utility(X, y, Xv, yv)

    def definition(members):
        return scores_by_definition(X[members], y[members], Xv, yv, classes).mean()

    for members in sets_of(range(6)):
        members = np.array(members, dtype=np.int64)
        np.testing.assert_allclose(utility(members), definition(members), rtol=1e-5, atol=1e-9)
    values = value.exact_shapley(utility)
    np.testing.assert_allclose(values.values, by_enumeration(definition, 6), rtol=1e-4, atol=1e-6)
    for game in (value.shapley, value.beta_shapley, value.banzhaf, value.leave_one_out):
        fast, slow = game(utility), game(lambda members: utility(members), 6)
        np.testing.assert_array_equal(fast.values, slow.values)
        np.testing.assert_array_equal(fast.counts, slow.counts)
        assert fast.details == slow.details


def test_ridge_utility_holds_copies_and_has_a_score_for_each_task():
    X, y, Xv, yv = some_rows(9, 5)
    utility = value.ridge_utility(X, {"a": y, "b": X[:, 0]}, Xv, {"a": yv, "b": Xv[:, 0]})
    assert utility.tasks == ("a", "b") and utility.rows == 9 and "9 rows" in repr(utility)
    before = utility([0, 1, 2, 5])
    assert before.shape == (2,)
    X[:], y[:], Xv[:], yv[:] = 0, 0, 0, 0
    np.testing.assert_array_equal(utility([5, 1, 0, 2]), before)
    values = value.shapley(utility, permutations=5)
    assert values.values.shape == (9, 2) and values.series[1] == ("b", "b", "all")
    for wrong, error in (([9], ValueError), ([-1], ValueError), ([0.5], TypeError), (3, TypeError)):
        with pytest.raises(error, match="members"):
            utility(wrong)


def test_one_utility_serves_several_threads():
    utility = value.ridge_utility(*some_rows(40, 20))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: value.banzhaf(utility, samples=200, seed=seed % 2), range(8)))
    for one, same in zip(found[:-2], found[2:]):
        np.testing.assert_array_equal(one.values, same.values)


# ---- out of bag


@pytest.mark.parametrize("kind", SCORES)
def test_data_oob_is_the_mean_score_of_models_that_did_not_draw_the_example(kind):
    X, y, _, _ = some_rows(12, 1, seed=4)
    y = y if kind == "classes" else y + X[:, 0]
    seen = [[] for _ in range(12)]

    def fit_and_score(drawn, others):
        assert len(drawn) == 12 and drawn.dtype == others.dtype == np.int64
        assert sorted({*drawn.tolist(), *others.tolist()}) == list(range(12))
        assert not set(drawn.tolist()) & set(others.tolist())
        scores = scores_by_definition(X[drawn], y[drawn], X[others], y[others], 2 if kind == "classes" else 0)
        for row, score in zip(others, scores):
            seen[row].append(score)
        return scores

    own = value.data_oob(X, fit_and_score=fit_and_score, models=30, seed=7)
    np.testing.assert_allclose(own.values, [np.mean(scores) for scores in seen], **TIGHT)
    errors = [np.std(scores, ddof=1) / math.sqrt(len(scores)) for scores in seen]
    np.testing.assert_allclose(own.standard_errors, errors, rtol=1e-9, atol=1e-12)
    assert own.counts.tolist() == [len(scores) for scores in seen]
    built_in = value.data_oob(X, y, models=30, seed=7)
    np.testing.assert_allclose(built_in.values, own.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(built_in.counts, own.counts)


def test_data_oob_takes_anything_with_a_length_and_several_outputs():
    def fit_and_score(drawn, others):
        return torch.stack([torch.from_numpy(others).float(), torch.full((len(others),), math.nan)], 1)

    values = value.data_oob(["a", "b", "c", "d"], fit_and_score=fit_and_score, outputs=2, models=50)
    assert values.values[:, 0].tolist() == [0, 1, 2, 3] and np.isnan(values.values[:, 1]).all()
    assert not values.counts[:, 1].any()
    with pytest.raises(ValueError, match=r"shape \[1\]; expected \["):
        value.data_oob([0] * 9, fit_and_score=lambda drawn, others: [1.0])
    with pytest.raises(ArithmeticError, match="inf on row"):
        value.data_oob([0] * 9, fit_and_score=lambda drawn, others: np.full(len(others), np.inf))
    with pytest.raises(ValueError, match="without fit_and_score"):
        value.data_oob([[1.0]], [1], outputs=2)
    with pytest.raises(TypeError, match="fit_and_score is a int"):
        value.data_oob([0] * 9, fit_and_score=3)


# ---- transport


def lava_by_definition(costs, epsilon):
    """The calibrated dual of the training side, by Sinkhorn's iterations."""
    n, m = costs.shape
    eps = epsilon * costs.mean()
    f, g = np.zeros(n), np.zeros(m)

    def soft_min(rows):
        least = rows.min(1, keepdims=True)
        return least[:, 0] - eps * np.log(np.exp(-(rows - least) / eps).mean(1))

    for _ in range(3000):
        g = soft_min(costs.T - f)
        f = soft_min(costs - g)
    return -(f - (f.sum() - f) / (n - 1))


def test_lava_is_the_dual_of_transport():
    X, y, Xv, yv = some_rows(6, 5, seed=2)
    squares = ((X[:, None].astype(float) - Xv[None]) ** 2).sum(2)
    features = value.lava(X, None, Xv, None, epsilon=0.1, tolerance=1e-10)
    np.testing.assert_allclose(features.values, lava_by_definition(squares, 0.1), rtol=1e-4, atol=1e-4)
    numbers = value.lava(X, y + 0.5, Xv, yv + 0.5, epsilon=0.1, tolerance=1e-10, label_weight=2)
    costs = squares + 2 * (y[:, None] - yv[None]) ** 2
    np.testing.assert_allclose(numbers.values, lava_by_definition(costs, 0.1), rtol=1e-4, atol=1e-4)
    assert numbers.details["converged"] == [True] and np.isnan(numbers.standard_errors).all()
    assert abs(numbers.values.sum()) < 1e-9

    def apart(a, b):
        return ((a.mean(0) - b.mean(0)) ** 2).sum() + ((a.std(0) - b.std(0)) ** 2).sum()

    labels = [[apart(X[y == a], Xv[yv == b]) for b in yv] for a in y]
    classes = value.lava(X, y, Xv, yv, epsilon=0.1, tolerance=1e-10)
    np.testing.assert_allclose(
        classes.values, lava_by_definition(squares + labels, 0.1), rtol=1e-4, atol=1e-4
    )
    both = value.lava(X, np.stack([y, y], 1), Xv, np.stack([yv, yv], 1), epsilon=0.1, tolerance=1e-10)
    np.testing.assert_array_equal(both.values, np.stack([classes.values] * 2, 1))


def test_lava_says_what_it_cannot():
    X, y, Xv, yv = some_rows(6, 5)
    with pytest.warns(RuntimeWarning, match="after 1 iterations.*max_iterations"):
        value.lava(X, y, Xv, yv, max_iterations=1, tolerance=1e-12)
    with pytest.raises(ValueError, match="memory|bytes|rows"):
        value.lava(X, y, Xv, yv, memory=1)
    with pytest.raises(ValueError, match="yv is None"):
        value.lava(X, y, Xv, None)


# ---- what goes in


def test_tensors_lists_and_narrow_numbers_are_taken():
    X, y, Xv, yv = some_rows(10, 6)
    X, Xv = np.round(X * 4) / 4, np.round(Xv * 4) / 4  # exact in bfloat16
    expected = value.knn_shapley(X, y, Xv, yv, 3)
    tensor, other = torch.from_numpy(X).requires_grad_(), torch.from_numpy(Xv)
    for rows, judging in (
        (tensor, other),
        (tensor.bfloat16(), other.half()),
        (X.astype(np.float64), np.asfortranarray(Xv)),
        (X.tolist(), Xv.tolist()),
        (np.repeat(X, 2, 1)[:, ::2], Xv[::-1][::-1]),
    ):
        values = value.knn_shapley(rows, torch.from_numpy(y), judging, yv.tolist(), 3)
        np.testing.assert_array_equal(values.values, expected.values)
    mixed = [None if i == 4 else int(label) for i, label in enumerate(y)]  # as pandas has missing ones
    missing = value.knn_shapley(X, np.array(mixed, dtype=object), Xv, yv, 3)
    assert np.isnan(missing.values[4]) and np.isnan(missing.values).sum() == 1


def test_wrong_shapes_and_kinds_say_what_was_expected():
    X, y, Xv, yv = some_rows(6, 4)
    nan = X.copy()
    nan[4, 1] = np.nan
    numbers = y.astype(float)
    for given, error, words in (
        ({"X": X[0]}, ValueError, r"X has shape \[3\]; expected \[rows, columns\]"),
        ({"X": X[:, None]}, ValueError, r"X has shape \[6, 1, 3\].*reshape\(len\(rows\), -1\)"),
        ({"X": X[:0]}, ValueError, r"X has shape \[0, 3\]"),
        ({"Xv": Xv[:, :2]}, ValueError, "Xv has 2 columns; expected 3"),
        ({"X": nan}, ArithmeticError, "X has nan in row 4, column 1"),
        ({"X": X * np.float64(1e300)}, ArithmeticError, "inf in row 0.*float32"),
        ({"Xv": nan[:4] * np.inf}, ArithmeticError, "Xv has .* in row 0"),
        ({"X": [[1, 2], [3]]}, ValueError, "X has rows of several lengths"),
        ({"X": "rows.csv"}, TypeError, "X holds texts"),
        ({"X": X.astype(complex)}, TypeError, "X is of complex128"),
        ({"X": None}, TypeError, "X is None"),
        ({"y": y[:5]}, ValueError, "y has 5 labels for 6 rows of X"),
        ({"yv": yv[:3]}, ValueError, "yv has 3 labels for 4 rows of Xv"),
        ({"y": np.stack([y, y], 1)}, ValueError, "y has 2 tasks and yv 1"),
        ({"y": y.reshape(1, 1, 6)}, ValueError, r"y has shape \[1, 1, 6\]; expected \[6\] or \[6, tasks\]"),
        ({"y": y.astype(str)}, TypeError, "y holds texts.*return_inverse"),
        ({"y": list("ababab")}, TypeError, "y holds texts"),
        ({"y": np.array(["a", None] * 3, dtype=object)}, TypeError, "y holds texts"),
        ({"y": np.array([{}] * 6)}, TypeError, "y holds a dict"),
        ({"y": {}}, ValueError, "y has no task"),
        ({"y": numbers}, ValueError, "y is of float64 and yv of int64.*kind="),
        (
            {"y": np.where(np.arange(6) == 2, -np.inf, numbers), "yv": yv / 1.0},
            ArithmeticError,
            "y has -inf in row 2, task 0",
        ),
        ({"kind": "regression"}, ValueError, "kind is 'regression'; expected 'classes' or 'numbers'"),
        ({"kind": ["classes"] * 2}, ValueError, "one of them for each of 1 tasks"),
    ):
        with pytest.raises(error, match=words):
            value.knn_shapley(**{"X": X, "y": y, "Xv": Xv, "yv": yv, **given})
    for given, error, words in (
        ({"k": 0}, ValueError, "k is 0; expected 1 or more"),
        ({"k": 1.5}, TypeError, "k is a float"),
        ({"threads": -1}, ValueError, "threads is -1"),
        ({"progress": 3}, TypeError, "progress is a int"),
        ({"tolerance": 0.1}, ValueError, "tolerance is 0.1, but task 0 has classes"),
        ({"tolerance": -0.1, "kind": "numbers"}, ValueError, "tolerance"),
        ({"tolerance": [1, 2], "kind": "numbers"}, ValueError, "tolerance has 2 numbers"),
    ):
        with pytest.raises(error, match=words):
            value.knn_shapley(X, y, Xv, yv, **given)


def test_games_say_what_was_expected():
    game = some_game(3)
    utility = value.ridge_utility(*some_rows(6, 4))
    for call, error, words in (
        (lambda: value.shapley(game), TypeError, "n is missing"),
        (lambda: value.shapley("accuracy", 3), TypeError, "utility is a str"),
        (lambda: value.shapley(utility, 5), ValueError, "n is 5, but the utility has 6 rows"),
        (lambda: value.shapley(game, 0), ValueError, "n is 0"),
        (lambda: value.exact_shapley(game, 21), ValueError, "at most 20"),
        (lambda: value.shapley(game, 3, permutations=0), ValueError, "permutations is 0"),
        (lambda: value.shapley(game, 3, truncation=-1), ValueError, "truncation"),
        (lambda: value.shapley(game, 3, truncation="much"), TypeError, "truncation is a str"),
        (lambda: value.shapley(game, 3, seed=-1), ValueError, "seed is -1"),
        (lambda: value.shapley(game, 3, seed=0.5), TypeError, "seed is a float"),
        (lambda: value.beta_shapley(game, 3, alpha=0), ValueError, "alpha"),
        (lambda: value.banzhaf(game, 3, samples=0), ValueError, "samples is 0"),
        (lambda: value.leave_one_out(game, 3, repeats=0), ValueError, "repeats is 0"),
        (lambda: value.shapley(lambda s: "0.5", 3), TypeError, "utility returned a str"),
        (lambda: value.shapley(lambda s: None, 3), TypeError, "utility returned a NoneType"),
        (lambda: value.shapley(lambda s: [[1.0]], 3), TypeError, "utility returned a list"),
        (lambda: value.shapley(lambda s: [], 3), ValueError, "no outputs"),
        (lambda: value.shapley(lambda s: [1.0] * (1 + len(s)), 3), ValueError, "4 outputs for 3 members"),
        (
            lambda: value.shapley(lambda s: math.nan if len(s) else 0.0, 3),
            ArithmeticError,
            "nan for the 3 members",
        ),
        (lambda: value.ridge_utility(*some_rows(6, 4), l2=0), ValueError, "l2"),
        (lambda: value.ridge_utility([[1.0]], [1], [[1.0]], [1]), ValueError, "one class"),
        (lambda: value.ridge_utility([[1.0]], [1.0], [[1.0]], [math.nan]), ValueError, "no label"),
        (lambda: value.data_oob([[1.0]]), TypeError, "y is None"),
        (lambda: value.data_oob([[1.0]], [0.5], models=0), ValueError, "models is 0"),
    ):
        with pytest.raises(error, match=words):
            call()


# ---- what goes on


class Strange(Exception):
    def __init__(self, where, *, why):
        super().__init__(where)
        self.why = why


@pytest.mark.parametrize("raised", [Strange("here", why=[1]), KeyboardInterrupt("now"), SystemExit(3)])
def test_exceptions_of_functions_come_out_unchanged(raised):
    calls = []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) >= 3:
            raise raised
        return np.zeros(len(arguments[1])) if len(arguments) == 2 and hasattr(arguments[1], "dtype") else 0.5

    rows = some_rows(30, 300)
    for run in (
        lambda: value.exact_shapley(fails, 4),
        lambda: value.shapley(fails, 4),
        lambda: value.beta_shapley(fails, 4),
        lambda: value.banzhaf(fails, 4),
        lambda: value.leave_one_out(fails, 4),
        lambda: value.data_oob([0] * 9, fit_and_score=fails),
        lambda: value.banzhaf(value.ridge_utility(*rows), progress=fails),
        lambda: value.data_oob(rows[0], rows[1], progress=fails),
        lambda: value.lava(*rows, progress=fails),
    ):
        calls.clear()
        with pytest.raises(type(raised)) as caught:
            run()
        assert caught.value is raised and len(calls) == 3


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals")
def test_ctrl_c_is_heard_where_no_python_runs():
    X, y, Xv, yv = some_rows(200, 100, width=8)
    utility = value.ridge_utility(X, y, Xv, yv)
    for run in (
        lambda: value.banzhaf(utility, samples=10**9),
        lambda: value.shapley(utility, permutations=10**9, tolerance=0, truncation=0),
        lambda: value.leave_one_out(utility, repeats=10**9),
        lambda: value.data_oob(X, y, models=10**8),
    ):
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            run()
        timer.join()


def test_progress_is_told_and_may_end_the_work():
    told = []
    rows = some_rows(30, 300)
    value.knn_shapley(*rows, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (300, 300) and told == sorted(told)
    values = value.banzhaf(some_game(4), 4, samples=100, progress=lambda done, total: done < 10)
    assert values.counts.tolist() == [10] * 4 and values.details["stop"] == "interrupted"
    values = value.data_oob(rows[0], rows[1], models=100, progress=lambda done, total: np.bool_(done < 5))
    assert values.counts.max() <= 5
    values = value.exact_shapley(some_game(4), 4, progress=lambda done, total: False)
    assert np.isnan(values.values).all() and not values.counts.any()


def test_other_threads_run_meanwhile():
    utility = value.ridge_utility(*some_rows(300, 200, width=20))
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    value.leave_one_out(utility)
    done.set()
    thread.join()
    assert len(ticks) > 3


# ---- what comes out


def test_values_as_a_table(tmp_path, monkeypatch):
    X, y, Xv, yv = some_rows(8, 5)
    labels, judging = {"a": y, 'b,"c"': 1 - y}, {"a": yv, 'b,"c"': 1 - yv}
    for values in (value.knn_shapley(X, labels, Xv, judging, 3), value.knn_shapley(X, y, Xv, yv, 3)):
        for path in (tmp_path / "values.csv", str(tmp_path / "other.csv")):
            values.save(path)
            read = value.read_values(path)
            for name in ("values", "standard_errors", "counts", "ids"):
                np.testing.assert_array_equal(getattr(read, name), getattr(values, name))
            assert (read.method, read.series, len(read)) == ("knn_shapley", values.series, 8)
    header = (tmp_path / "values.csv").read_text().splitlines()[0]
    assert header == "id,task_trained,task_judged,modality,value,stderr,count,method"
    lava = value.lava(X, y, Xv, yv)
    lava.save(tmp_path / "lava.csv")
    assert np.isnan(value.read_values(tmp_path / "lava.csv").standard_errors).all()
    with pytest.raises(OSError):
        value.read_values(tmp_path / "none.csv")
    (tmp_path / "wrong.csv").write_text(header + "\n0,all,all\n")
    with pytest.raises(ValueError, match="line 2|:2"):
        value.read_values(tmp_path / "wrong.csv")
    (tmp_path / "empty.csv").write_text(header + "\n")
    with pytest.raises(ValueError, match="no values"):
        value.read_values(tmp_path / "empty.csv")

    imported = builtins.__import__

    def without(name, *rest):
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"to_pandas\(\) needs pandas: pip install pandas"):
        values.to_pandas()


def test_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y, Xv, yv = some_rows(8, 5)
    y = pandas.DataFrame({"a": y, "b": X[:, 0]})
    y["c"] = pandas.array([1, None] * 4, dtype="Int64")
    yv = pandas.DataFrame({"a": yv, "b": Xv[:, 0], "c": [1, 0, 1, 1, 1]})
    values = value.knn_shapley(pandas.DataFrame(X), y, Xv, yv, 3)
    assert [one.task_judged for one in values.series] == ["a", "b", "c"]
    np.testing.assert_array_equal(values.values[:, 0], value.knn_shapley(X, y["a"], Xv, yv["a"], 3).values)
    frame = values.to_pandas()
    values.save(tmp_path / "values.csv")
    written = pandas.read_csv(tmp_path / "values.csv")
    pandas.testing.assert_frame_equal(frame, written, check_dtype=False, check_exact=True)
    assert np.isnan(frame["value"][frame["task_trained"] == "c"]).sum() == 4


def test_verdicts_are_beyond_two_standard_errors():
    nan = math.nan
    values = value.Values(
        np.array([2.1, 2.0, -2.0, -2.1, 0.0, nan, 5.0, -1e-9]),
        np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0, nan, 0.0]),
        np.ones(8, dtype=np.int64),
        "mine",
        (value.Series(),),
        np.arange(8),
    )
    expected = ["helpful", *["undecided"] * 2, "harmful", *["undecided"] * 3, "harmful"]
    assert values.verdicts().tolist() == expected
    assert values.harmful().tolist() == [one == "harmful" for one in expected]
    assert values.helpful().tolist() == [one == "helpful" for one in expected]
    assert repr(values) == "Values(8 by mine: 1 helpful, 2 harmful beyond two standard errors)"


def test_detection():
    rng = np.random.default_rng(0)
    values, bad = np.round(rng.normal(size=30), 1), rng.random(30) < 0.4
    pairs = [(a < b) + (a == b) / 2 for a in values[bad] for b in values[~bad]]
    assert value.detection_auroc(values, bad) == pytest.approx(np.mean(pairs))
    assert value.detection_auroc(torch.from_numpy(values), bad.astype(int)) == pytest.approx(np.mean(pairs))
    unknown = np.append(values, math.nan)
    assert value.detection_auroc(unknown, np.append(bad, True)) == pytest.approx(np.mean(pairs))
    assert value.detection_f1([0, 0.1, 5, 6, 7], [1, 1, 0, 0, 0]) == 1
    X, y, Xv, yv = some_rows(8, 5)
    found = value.knn_shapley(X, y, Xv, yv)
    assert value.detection_auroc(found, np.arange(8) < 3) == value.detection_auroc(
        found.values, np.arange(8) < 3
    )
    for wrong, words in (
        (([1.0, 2.0], [1]), "2 values and 1 flags"),
        (([1.0, 2.0], [1, 2]), "other numbers than 0 and 1"),
        (([1.0, 2.0], [0, 0]), "undefined"),
        (([[1.0], [2.0]], [0, 1]), r"values has shape \[2, 1\]"),
    ):
        with pytest.raises(ValueError, match=words):
            value.detection_auroc(*wrong)


def test_wrong_labels_are_found():
    rng = np.random.default_rng(0)
    X, Xv, w = rng.normal(size=(200, 5)), rng.normal(size=(80, 5)), rng.normal(size=5)
    y, yv = (X @ w > 0).astype(int), (Xv @ w > 0).astype(int)
    bad = rng.random(200) < 0.15
    y[bad] = 1 - y[bad]
    for values, least in (
        (value.knn_shapley(X, y, Xv, yv), 0.9),
        (value.data_oob(X, y), 0.9),
        (value.shapley(value.ridge_utility(X, y, Xv, yv), permutations=50), 0.8),
    ):
        assert value.detection_auroc(values, bad) > least, values.method


def test_everything_public_is_described():
    for name in value.__all__:
        thing = getattr(value, name)
        assert inspect.getdoc(thing), name
        for member, one in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(one) and not member.startswith("_"):
                assert inspect.getdoc(one), f"{name}.{member}"
