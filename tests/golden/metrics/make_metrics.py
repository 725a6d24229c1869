# SPDX-License-Identifier: Apache-2.0
"""Makes metrics.json: scores as SciPy and scikit-learn give them. Inputs are stored with them.

    python3 -m venv VENV && VENV/bin/pip install numpy scipy scikit-learn
    VENV/bin/python tests/golden/metrics/make_metrics.py
"""

import json
import pathlib

import numpy
import scipy
import scipy.stats
import sklearn
import sklearn.metrics


def regression(name, p, t):
    p, t = numpy.asarray(p, float), numpy.asarray(t, float)
    interval = scipy.stats.pearsonr(p, t).confidence_interval(0.9)
    return {
        "name": name,
        "predictions": p.tolist(),
        "targets": t.tolist(),
        "pearson": scipy.stats.pearsonr(p, t).statistic,
        "spearman": scipy.stats.spearmanr(p, t).statistic,
        "mae": sklearn.metrics.mean_absolute_error(t, p),
        "mse": sklearn.metrics.mean_squared_error(t, p),
        "r2": sklearn.metrics.r2_score(t, p),
        "fisher_90": [interval.low, interval.high],
    }


def binary(name, p, t):
    decided = (numpy.asarray(p) >= 0.5).astype(int)
    return {
        "name": name,
        "predictions": list(map(float, p)),
        "targets": list(map(float, t)),
        "f1": sklearn.metrics.f1_score(t, decided),
        "accuracy": sklearn.metrics.accuracy_score(t, decided),
    }


def classes(name, p, t):
    return {
        "name": name,
        "predictions": list(map(float, p)),
        "targets": list(map(float, t)),
        "accuracy": sklearn.metrics.accuracy_score(t, p),
        "macro_f1": sklearn.metrics.f1_score(t, p, average="macro"),
    }


def main():
    rng = numpy.random.default_rng(20240517)
    t = numpy.round(rng.uniform(0, 5, 60), 1)
    noisy = t + rng.normal(0, 1, 60)
    rare = (rng.uniform(size=80) < 0.1).astype(int)
    guess = numpy.clip(0.3 * rare + rng.uniform(size=80) * 0.7, 0, 1)
    y = rng.integers(0, 5, 90)
    flipped = numpy.where(rng.uniform(size=90) < 0.4, rng.integers(0, 5, 90), y)
    golden = {
        "generator": "make_metrics.py",
        "reference": f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
        f"numpy {numpy.__version__}, seed 20240517",
        "regression": [
            regression("noise", numpy.round(noisy, 6), t),
            regression("ties on both sides", numpy.round(noisy), numpy.round(t)),
            regression("falling", numpy.round(-t**3, 6), t),
            regression("unrelated", numpy.round(rng.normal(size=40), 6), numpy.round(rng.normal(size=40), 6)),
            regression("four rows", [1, 2, 2, 4], [1, 3, 2, 2]),
        ],
        "binary": [
            binary("balanced", numpy.round(rng.uniform(size=50), 6), rng.integers(0, 2, 50)),
            binary("rare positives", numpy.round(guess, 6), rare),
            binary("none predicted", [0.1, 0.2, 0.3], [0, 1, 1]),
            binary("on the threshold", [0.5, 0.5, 0.4999], [1, 0, 1]),
        ],
        "classes": [
            classes("five classes", flipped, y),
            classes("one class never predicted", [0, 0, 1, 1], [0, 2, 1, 2]),
            classes("one class never true", [0, 3, 1, 1], [0, 0, 1, 1]),
        ],
        "normal_quantile": [[p, scipy.stats.norm.ppf(p)]
                            for p in (1e-300, 1e-12, 0.001, 0.025, 0.3, 0.5, 0.7, 0.95, 0.975, 0.9999, 1 - 1e-12)],
    }
    path = pathlib.Path(__file__).with_name("metrics.json")
    lines = []
    for key, value in golden.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"
        lines.append(f"{json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
