#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The balancing problems of `detente bench solve`, solved with the solvers people use today.

    bench/peers/solvers.py DETENTE FOLDER [--tasks 8 50] [--problems 5]

DETENTE is the program, FOLDER a scratch folder: a virtual environment with numpy, scipy, cvxpy
(Clarabel) and quadprog is made there on the first call, and the problems are written there. Prints
a Markdown table: median time of one solve, and the largest optimality residual, computed here from
the weights for the peers (detente's own certificate for detente; both relative, smaller is better).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

PACKAGES = ["numpy", "scipy", "cvxpy", "clarabel", "quadprog"]
METHODS = ["mgda", "cagrad", "upgrad", "dualproj", "nash_mtl"]
FAMILIES = ["independent", "conflicting"]
C = 0.4  # of cagrad


def enter_environment(folder):
    """Runs this script again with the interpreter of FOLDER/venv."""
    python = folder / "venv" / "bin" / "python"
    if pathlib.Path(sys.prefix) == (folder / "venv").resolve():
        return
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [str(python), *sys.argv])


# Residuals: how far weights are from optimal, relative to the terms that are summed.


def shortfall(np, gram, w, bound):
    terms = gram * w
    size = np.abs(terms).sum(axis=1) + abs(bound)
    return float(max(0.0, ((bound - terms.sum(axis=1)) / size).max()))


def mgda_residual(np, gram, w):
    return shortfall(np, gram, w, w @ gram @ w)


def cagrad_residual(np, gram, w):
    """Duality gap of the direction that the simplex weights w give, relative to its size."""
    k = len(gram)
    b = gram.mean(axis=1)
    r = C * np.sqrt(b.mean())
    length = np.sqrt(w @ gram @ w)
    level = (b + r / length * (gram @ w)).min()
    dual = w @ b + r * length
    return float(abs(dual - level) / (np.abs(gram).max() * (1 / k + r / length)))


def cone_residual(np, gram, v, u):
    """Violation of Gv >= 0, v >= u and complementarity."""
    terms = gram * v
    size = np.abs(terms).sum(axis=1)
    inner = terms.sum(axis=1) / size
    slack = (v - u) / max(np.abs(v).max(), 1e-300)
    return float(max((-inner).max(), (-slack).max(), np.minimum(np.abs(inner), slack).max()))


def nash_residual(np, gram, a):
    return float(np.abs(a * (gram @ a) - 1).max())


# Solvers. Each takes one Gram matrix and returns the residual's arguments after it.


def frank_wolfe(np, gram):
    """Sener and Koltun's loop: exact line search towards the worst row, 250 steps at most."""
    w = np.full(len(gram), 1 / len(gram))
    for _ in range(250):
        slope = gram @ w
        t = int(slope.argmin())
        v1, v12, v2 = w @ slope, slope[t], gram[t, t]
        step = 0.0 if v12 >= v1 else 1.0 if v12 >= v2 else (v1 - v12) / (v1 + v2 - 2 * v12)
        new = (1 - step) * w
        new[t] += step
        if np.abs(new - w).sum() < 1e-5:
            return (new,)
        w = new
    return (w,)


def root(np, gram):
    values, vectors = np.linalg.eigh(gram)
    return (vectors * np.sqrt(np.maximum(values, 0))).T


def mgda_cvxpy(np, gram):
    import cvxpy as cp

    w = cp.Variable(len(gram))
    scaled = gram / gram.diagonal().mean()
    objective = cp.sum_squares(root(np, scaled) @ w)
    cp.Problem(cp.Minimize(objective), [w >= 0, cp.sum(w) == 1]).solve(solver=cp.CLARABEL)
    return (w.value,)


def cagrad_cvxpy(np, gram):
    import cvxpy as cp

    scaled = gram / gram.diagonal().mean()
    b = scaled.mean(axis=1)
    w = cp.Variable(len(gram))
    objective = b @ w + C * np.sqrt(b.mean()) * cp.norm(root(np, scaled) @ w)
    cp.Problem(cp.Minimize(objective), [w >= 0, cp.sum(w) == 1]).solve(solver=cp.CLARABEL)
    return (w.value,)


def cagrad_slsqp(np, gram):
    """As in the authors' code."""
    from scipy.optimize import minimize

    k = len(gram)
    scaled = gram / gram.diagonal().mean()
    b = scaled.mean(axis=1)
    c = C * np.sqrt(b.mean()) + 1e-8
    found = minimize(
        lambda x: x @ b + c * np.sqrt(x @ scaled @ x + 1e-8),
        np.full(k, 1 / k),
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda x: 1 - x.sum()},
        tol=1e-8,
    )
    return (found.x,)


def project_quadprog(np, gram, u, ridge):
    """min vᵀGv, v >= u. A ridge, usually 1e-4, keeps quadprog from failing on singular matrices."""
    import quadprog

    k = len(gram)
    scaled = gram / np.trace(gram) + ridge * np.eye(k)
    return quadprog.solve_qp(scaled, np.zeros(k), np.eye(k), u)[0]


def dualproj_quadprog(np, gram, ridge=1e-4):
    u = np.full(len(gram), 1 / len(gram))
    return project_quadprog(np, gram, u, ridge), u


def upgrad_quadprog(np, gram, ridge=1e-4):
    return [(project_quadprog(np, gram, u, ridge), u) for u in np.eye(len(gram))]


def dualproj_plain(np, gram):
    return dualproj_quadprog(np, gram, ridge=0.0)


def upgrad_plain(np, gram):
    return upgrad_quadprog(np, gram, ridge=0.0)


def nash_cvxpy(np, gram):
    """The paper's sequence of convex problems, 20 at most, on the normalised matrix."""
    import cvxpy as cp

    k = len(gram)
    scale = np.linalg.norm(gram)
    g = gram / scale
    a = cp.Variable(k, nonneg=True)
    slope = cp.Parameter(k)
    problem = cp.Problem(
        cp.Minimize(cp.sum(g @ a) + slope @ a), [cp.log(a) + cp.log(g @ a) >= 0]
    )
    value = np.ones(k)
    for _ in range(20):
        slope.value = 1 / value + g @ (1 / (g @ value)) if (g @ value > 0).all() else 1 / value
        a.value = value
        problem.solve(solver=cp.CLARABEL)
        if a.value is None or np.linalg.norm(a.value - value) < 1e-6:
            break
        value = a.value
    return (value / np.sqrt(scale),)


RESIDUALS = {
    "mgda": mgda_residual,
    "cagrad": cagrad_residual,
    "dualproj": cone_residual,
    "upgrad": cone_residual,
    "nash_mtl": nash_residual,
}
PEERS = [
    ("mgda", "Frank-Wolfe, numpy", frank_wolfe),
    ("mgda", "cvxpy, Clarabel", mgda_cvxpy),
    ("cagrad", "scipy SLSQP", cagrad_slsqp),
    ("cagrad", "cvxpy, Clarabel", cagrad_cvxpy),
    ("upgrad", "quadprog, ridge 1e-4", upgrad_quadprog),
    ("upgrad", "quadprog", upgrad_plain),
    ("dualproj", "quadprog, ridge 1e-4", dualproj_quadprog),
    ("dualproj", "quadprog", dualproj_plain),
    ("nash_mtl", "cvxpy, Clarabel", nash_cvxpy),
]


def measure(np, method, solver, grams):
    times, residuals, failures = [], [], 0
    solver(np, grams[0])  # imports and first-call costs
    for gram in grams:
        start = time.perf_counter()
        try:
            answer = solver(np, gram)
        except Exception:  # whatever a peer raises counts as a failure of that solve
            failures += 1
            continue
        times.append(time.perf_counter() - start)
        for arguments in answer if isinstance(answer, list) else [answer]:
            residuals.append(RESIDUALS[method](np, gram, *arguments))
    if not times:
        return None, None, failures
    return statistics.median(times) * 1e6, max(residuals), failures


def time_text(us):
    return f"{us:.1f} µs" if us < 1000 else f"{us / 1000:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detente", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tasks", type=int, nargs="+", default=[8, 50])
    parser.add_argument("--problems", type=int, default=5, help="of the 32, for the peers")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    enter_environment(options.folder.resolve())
    import warnings

    import numpy as np

    warnings.filterwarnings("ignore")
    load = os.getloadavg()[0]
    problems = options.folder / "problems"
    command = [options.detente.resolve(), "bench", "solve", "--json", "--write", problems]
    command += ["--seconds", "10"]
    for method in METHODS:
        command += ["--method", method]
    for k in options.tasks:
        command += ["--tasks", str(k)]
    own = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["rows"]

    print(f"{os.cpu_count()} cores, load average {load:.1f} before", end=" ")
    lines = [
        "| method | family | tasks | solver | median | largest residual |",
        "|---|---|---:|---|---:|---:|",
    ]
    for k in options.tasks:
        for family in FAMILIES:
            grams = np.load(problems / f"{family}_{k}.npy")[: options.problems]
            for method in METHODS:
                row = next(
                    r for r in own if (r["method"], r["family"], r["tasks"]) == (method, family, k)
                )
                results = [("**detente**", row["median_us"], row["certificate"], 0)]
                for name, title, solver in PEERS:
                    if name == method:
                        results.append((title, *measure(np, method, solver, grams)))
                for title, median, residual, failures in results:
                    note = f" ({failures} of {len(grams)} failed)" if failures else ""
                    numbers = ["–", "–"]
                    if median is not None:
                        numbers = [time_text(median), f"{residual:.0e}"]
                    lines.append(
                        "| " + " | ".join([method, family, str(k), title + note, *numbers]) + " |"
                    )
    print(f"and {os.getloadavg()[0]:.1f} after\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
