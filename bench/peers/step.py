#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training steps of `detente bench step` beside the same steps taken with what people use today.

    bench/peers/step.py --venv FOLDER --detente PROGRAM [--libmtl CHECKOUT] [--cagrad-repo CHECKOUT]

Every step is whole: forward pass, gradients, method, Adam. In each round every way takes one step,
so that all of them meet the same machine; ratios are of medians, to plain training in the same
process. First it is checked that all ways of a method give the same direction.

A virtual environment is made in FOLDER on the first call. LibMTL's last release does not run with
PyTorch 2, and CAGrad's authors publish no package: both are taken from a checkout where one is
given. Compiling the vmap row needs a C++ compiler. Everything takes
some ten minutes on a quiet machine.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import importlib.util
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # these need the environment
    from step_models import Case
    from step_ways import Peers, Way
    from torch import Tensor

TORCH = "torch==2.13.0"
PACKAGES = ["torchjd[full]", "numpy", "scipy", "cvxpy", "clarabel", "quadprog"]
SHOWN = ["torch", "torchjd", "LibMTL", "numpy", "scipy", "cvxpy", "clarabel", "quadprog"]
SLOW_S = 5.0  # such steps are taken once
METHODS = ["upgrad", "cagrad"]
# Of unit directions, in the check: a solver's tolerance and a ridge of 1e-4 pass, a wrong row or
# sign does not.
TOLERANCE = 2e-2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venv", type=pathlib.Path, required=True, help="scratch folder")
    parser.add_argument(
        "--python", type=pathlib.Path, help="an interpreter whose PyTorch to use; else installed"
    )
    parser.add_argument("--detente", type=pathlib.Path, help="the program; left out without")
    parser.add_argument("--libmtl", type=pathlib.Path, help="a checkout of LibMTL's repository")
    parser.add_argument("--cagrad-repo", type=pathlib.Path, help="a checkout of CAGrad's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=15, help="timed steps of each way")
    parser.add_argument("--cases", nargs="+", help="of mlp10 mlp50 cnn3 cnn4 tr8; default all")
    parser.add_argument("--quick", action="store_true", help="two steps: does everything run?")
    parser.add_argument("--json", type=pathlib.Path, help="also write the numbers to this file")
    return parser.parse_args()


def make_environment(options: argparse.Namespace, python: pathlib.Path) -> None:
    base = str(options.python or sys.executable)
    subprocess.run([base, "-m", "venv", options.venv], check=True)
    packages = list(PACKAGES)
    if options.python:
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        found = subprocess.run([base, "-c", ask], check=True, capture_output=True, text=True)
        own = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
        (pathlib.Path(own.stdout.strip()) / "torch.pth").write_text(found.stdout)
    else:
        packages.append(TORCH)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)


def enter_environment(options: argparse.Namespace) -> None:
    """Runs this script again with the interpreter of the environment; makes what is missing."""
    folder = options.venv.resolve()
    if pathlib.Path(sys.prefix) == folder:
        return
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        make_environment(options, python)
        complete.touch()
    with_libmtl = folder / "with_libmtl"
    if options.libmtl and not with_libmtl.exists():
        install = [python, "-m", "pip", "install", "--quiet"]
        # Its requirements would replace PyTorch; it also imports one that it does not name.
        subprocess.run([*install, "torch_geometric"], check=True)
        subprocess.run([*install, "--no-deps", options.libmtl.resolve()], check=True)
        with_libmtl.touch()
    threads = str(options.threads)
    for library in ["OMP", "MKL", "OPENBLAS"]:
        os.environ[f"{library}_NUM_THREADS"] = threads
    os.execv(python, [str(python), *sys.argv])


# The check.


def reference(case: Case, method: str) -> tuple[Tensor, Tensor]:
    """The Jacobian in double precision, and the method's direction from it."""
    import numpy as np
    import scipy.optimize
    import step_models
    import step_ways
    import torch

    model = step_models.Model(case).double()
    rows = []
    for loss in model.losses()[1]:
        found = torch.autograd.grad(loss, model.shared(), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in found]))
    jacobian = torch.stack(rows)
    gram = (jacobian @ jacobian.T).numpy()
    if (gram >= 0).all():
        raise SystemExit("step.py: the check's problem has no conflict, so it would show nothing.")
    k = case.tasks
    if method == "upgrad":
        weights = step_ways.upgrad_weights(torch.from_numpy(gram))
    else:
        scaled = gram / np.trace(gram)
        b = scaled.mean(axis=1)
        radius = step_ways.C * math.sqrt(b.mean())
        found = scipy.optimize.minimize(
            lambda w: w @ b + radius * np.sqrt(w @ scaled @ w),
            np.full(k, 1 / k),
            jac=lambda w: b + radius * (scaled @ w) / np.sqrt(w @ scaled @ w),
            bounds=[(0, 1)] * k,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
            tol=1e-14,
        ).x
        length = math.sqrt(found @ scaled @ found)
        weights = torch.from_numpy(1 / k + radius / length * found)
    return jacobian, jacobian.T @ weights


def detente_direction(program: pathlib.Path, method: str, jacobian: Tensor) -> Tensor:
    import numpy as np
    import step_ways
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "jacobian.npy"
        np.save(path, jacobian.numpy())
        command = [program, "solve", "--json", "--method", method, "--jacobian", path]
        if method == "cagrad":
            command += ["--set", f"c={step_ways.C}"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return jacobian.T @ torch.tensor(found["weights"], dtype=torch.float64)


def check_directions(detente: pathlib.Path | None, peers: Peers) -> None:
    import step_models
    import step_ways

    def distance(a: Tensor, b: Tensor) -> float:
        return float((a.double() / a.double().norm() - b / b.norm()).norm())

    worst: dict[str, float] = {}
    for multi in [True, False]:
        # Large gradients: on small ones the authors' solver stops early, and what is checked here
        # is not the solvers' accuracy but that every row computes what it says.
        case = step_models.Case("check", "mlp", multi, 3, 8, conflicting=True)
        for method in METHODS:
            jacobian, expected = reference(case, method)
            if distance(jacobian.mean(0), expected) < 3 * TOLERANCE:
                raise SystemExit(f"step.py: {method} hardly differs from the mean in the check.")
            found = {}
            if detente:
                direction = detente_direction(detente, method, jacobian)
                found["detente"] = distance(direction, expected)
            for row in step_ways.ROWS:
                if row.method == method:
                    try:
                        direction = row.make(case, peers).direction()
                    except step_ways.Absent:
                        continue
                    found[row.title] = distance(direction, expected)
            for title, value in found.items():
                name = f"{title} ({method})"
                worst[name] = max(worst.get(name, 0.0), value)
    wrong = [f"{name}: {value:.1e}" for name, value in worst.items() if not value < TOLERANCE]
    if wrong:
        raise SystemExit("step.py: other directions than expected:\n  " + "\n  ".join(wrong))
    listed = ", ".join(f"{name} {value:.0e}" for name, value in worst.items())
    print(f"checked: same directions; distance of unit vectors from the exact one: {listed}\n")


# The measurement.


def time_step(way: Way) -> float:
    start = time.perf_counter()
    way.step()
    return time.perf_counter() - start


def summary(times: list[float], plain_ms: float) -> dict:
    ms = statistics.median(times) * 1e3
    return {"ms": ms, "fastest_ms": min(times) * 1e3, "steps": len(times), "ratio": ms / plain_ms}


def failure(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return "failed: " + text.splitlines()[-1]


def measure(case: Case, peers: Peers, steps: int) -> dict[str, dict]:
    """By title of the row: its numbers, or a note why there are none."""
    import step_ways

    results: dict[str, dict] = {}
    ways = {}
    times: dict[str, list[float]] = {}
    for row in step_ways.ROWS:
        print(f"{case.name}: {row.title}", file=sys.stderr)
        try:
            way = row.make(case, peers)
            way.prepare()
            first = time_step(way)
        except step_ways.Absent as reason:
            results[row.title] = {"note": str(reason)}
            continue
        except Exception as error:  # whatever a peer raises; the others are measured all the same
            results[row.title] = {"note": failure(error)}
            continue
        if first > SLOW_S and row is not step_ways.PLAIN:
            times[row.title] = [first]
        else:
            times[row.title] = []
            ways[row.title] = way
    for i in range(-2, steps):
        for title, way in ways.items():
            seconds = time_step(way)
            if i >= 0:
                times[title].append(seconds)
    plain_ms = statistics.median(times[step_ways.PLAIN.title]) * 1e3
    results.update({title: summary(values, plain_ms) for title, values in times.items()})
    return results


def measure_detente(
    program: pathlib.Path, case: Case, threads: int, steps: int
) -> dict[str, dict]:
    """Its steps with each method, and the plain steps it takes between them."""
    results: dict[str, dict] = {}
    for method in METHODS:
        print(f"{case.name}: detente {method}", file=sys.stderr)
        command = [program, "bench", "step", "--json", "--model", case.network]
        command += ["--input", "multi" if case.multi else "single", "--method", method]
        command += ["--tasks", str(case.tasks), "--batch", str(case.batch)]
        command += ["--threads", str(threads), "--steps", str(steps)]
        title = f"**detente {method}**"
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode != 0:
            results[title] = {"note": f"failed ({ran.returncode}): {ran.stderr.strip()}"}
            continue
        found = json.loads(ran.stdout)
        results["detente plain"] = {
            "ms": found["ms_plain"],
            "fastest_ms": found["plain_min"],
            "steps": steps,
            "ratio": 1.0,
        }
        results[title] = {
            "ms": found["ms_method"],
            "fastest_ms": found["method_min"],
            "steps": steps,
            "ratio": found["ratio"],
            "strategy": found["strategy"],
        }
    return results


# The answer.


def cpu_model() -> str:
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(detente: pathlib.Path | None) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in SHOWN:
        if importlib.util.find_spec(name):
            found[name] = importlib.metadata.version(name)
    if detente:
        shown = subprocess.run([detente, "--version"], check=True, capture_output=True, text=True)
        found["detente"] = shown.stdout.strip()
    return found


def cell_text(cell: dict) -> str:
    if "ms" not in cell:
        return "–"
    once = ", once" if cell["steps"] == 1 else ""
    return f"{cell['ratio']:.2f} ({cell['ms']:.0f} ms{once})"


def table(cases: list[Case], results: dict[str, dict[str, dict]]) -> str:
    lines = ["| step | " + " | ".join(case.name for case in cases) + " |"]
    lines.append("|---|" + "---:|" * len(cases))
    titles = list(dict.fromkeys(title for rows in results.values() for title in rows))
    for title in titles:
        cells = [cell_text(results[case.name].get(title, {})) for case in cases]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    options = parse_arguments()
    enter_environment(options)
    import step_models
    import step_ways
    import torch

    torch.set_num_threads(options.threads)
    steps = 2 if options.quick else options.steps
    by_name = {case.name: case for case in step_models.CASES}
    names = options.cases or list(by_name)
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SystemExit(f"step.py: no case {unknown[0]}; there are {', '.join(by_name)}.")
    cases = [by_name[name] for name in names]
    detente = options.detente.resolve() if options.detente else None
    peers = step_ways.Peers(options.libmtl is not None, options.cagrad_repo)

    environment = {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "versions": versions(detente),
        "load_before": os.getloadavg()[0],
    }
    check_directions(detente, peers)
    results = {}
    for case in cases:
        results[case.name] = measure(case, peers, steps)
        gc.collect()
        if detente:
            results[case.name].update(measure_detente(detente, case, options.threads, steps))
    environment["load_after"] = os.getloadavg()[0]

    cores = f"{environment['cores']} cores, {options.threads} thread(s)"
    print(f"{environment['cpu']}, {cores};", end=" ")
    print(f"load average {environment['load_before']:.1f} before", end=" ")
    print(f"and {environment['load_after']:.1f} after")
    print(", ".join(f"{name} {version}" for name, version in environment["versions"].items()))
    for case in cases:
        print(f"{case.name}: {case.describe()}")
    print("\nRatio to plain training in the same process (median of a step).\n")
    print(table(cases, results))
    print()
    for name, rows in results.items():
        for title, cell in rows.items():
            if "note" in cell:
                print(f"{name}, {title}: {cell['note']}")
            elif "strategy" in cell:
                print(f"{name}, {title}: strategy {cell['strategy']}")
    if options.json:
        document = {"environment": environment, "cases": results}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
