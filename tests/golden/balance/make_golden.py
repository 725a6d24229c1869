#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference values from public solvers; see README.md. Writes golden.json beside itself."""
import importlib.metadata
import json
import pathlib
import platform

import cvxpy
import numpy as np
import quadprog
import scipy
from scipy.optimize import minimize


def simplex_slsqp(objective, gradient, k):
    """The best of several starts; SLSQP stops early on its own."""
    best = None
    starts = [np.full(k, 1.0 / k)] + [np.eye(k)[i] * 0.9 + 0.1 / k for i in range(k)]
    for start in starts:
        found = minimize(objective, start, jac=gradient, method="SLSQP", bounds=[(0, 1)] * k,
                         constraints={"type": "eq", "fun": lambda w: w.sum() - 1,
                                      "jac": lambda w: np.ones(k)},
                         options={"ftol": 1e-16, "maxiter": 1000})
        if best is None or found.fun < best.fun:
            best = found
    return best.x


def mgda(gram, _):
    return simplex_slsqp(lambda w: w @ gram @ w, lambda w: 2 * gram @ w, len(gram))


def cagrad(gram, options):
    k = len(gram)
    b = gram.mean(axis=1)
    r = options["c"] * np.sqrt(b.mean())

    def objective(w):
        return b @ w + r * np.sqrt(w @ gram @ w)

    def gradient(w):
        return b + r * gram @ w / np.sqrt(w @ gram @ w)

    w = simplex_slsqp(objective, gradient, k)
    return 1.0 / k + r / np.sqrt(w @ gram @ w) * w


def project(gram, u):
    """argmin v'Gv subject to v >= u (Goldfarb-Idnani in quadprog)."""
    return quadprog.solve_qp(gram, np.zeros(len(gram)), np.eye(len(gram)), u)[0]


def dualproj(gram, _):
    return project(gram, np.full(len(gram), 1.0 / len(gram)))


def upgrad(gram, _):
    k = len(gram)
    return sum(project(gram, np.eye(k)[i]) for i in range(k)) / k


def nash_mtl(gram, _):
    """min a'Ga/2 - sum log a, by a conic solver."""
    a = cvxpy.Variable(len(gram), pos=True)
    root = np.linalg.cholesky(gram)
    problem = cvxpy.Problem(
        cvxpy.Minimize(0.5 * cvxpy.sum_squares(root.T @ a) - cvxpy.sum(cvxpy.log(a))))
    problem.solve(solver="CLARABEL")
    return a.value


def main():
    rng = np.random.default_rng(20240607)
    plan = [("mgda", mgda, {}, 1e-6), ("cagrad", cagrad, {"c": 0.4}, 1e-6),
            ("cagrad", cagrad, {"c": 1.5}, 1e-6),
            ("dualproj", dualproj, {}, 1e-9), ("upgrad", upgrad, {}, 1e-9),
            ("nash_mtl", nash_mtl, {}, 1e-4)]
    cases = []
    for name, solve, options, tolerance in plan:
        for k, p, shift in [(2, 3, 0.0), (3, 5, 0.0), (4, 6, 0.5), (6, 9, 0.0), (8, 12, 0.3)]:
            jacobian = rng.standard_normal((k, p)) + shift * rng.standard_normal(p)
            gram = jacobian @ jacobian.T
            weights = solve(gram, options)
            cases.append({"method": name, "options": options, "jacobian": jacobian.tolist(),
                          "inner": (gram @ weights).tolist(), "tolerance": tolerance})
    result = {"made_by": "tests/golden/balance/make_golden.py",
              "python": platform.python_version(), "numpy": np.__version__,
              "scipy": scipy.__version__, "cvxpy": cvxpy.__version__,
              "clarabel": importlib.metadata.version("clarabel"),
              "quadprog": importlib.metadata.version("quadprog"),
              "seed": 20240607, "precision": "float64", "cases": cases}
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(cases)} cases in {path}")


if __name__ == "__main__":
    main()
