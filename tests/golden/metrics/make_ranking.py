# SPDX-License-Identifier: Apache-2.0
"""Makes ranking.json: rankings, calibration, agreement and labels as scikit-learn gives them; the
calibration error, which it lacks, from its definition over numpy's bins. Inputs are stored with them.

    python3 -m venv VENV && VENV/bin/pip install numpy scikit-learn
    VENV/bin/python tests/golden/metrics/make_ranking.py
"""

import json
import pathlib

import numpy
import sklearn
import sklearn.metrics


def calibration_error(p, t, bins=15):
    p, t = numpy.asarray(p, float), numpy.asarray(t, float)
    edges = numpy.arange(bins + 1) / bins
    place = numpy.digitize(p, edges[1:-1], right=True)  # (low, high]
    error = 0.0
    for b in range(bins):
        here = place == b
        if here.any():
            error += here.mean() * abs(p[here].mean() - t[here].mean())
    return error


def binary(name, p, t):
    return {
        "name": name,
        "predictions": list(map(float, p)),
        "targets": list(map(float, t)),
        "auroc": sklearn.metrics.roc_auc_score(t, p),
        "average_precision": sklearn.metrics.average_precision_score(t, p),
        "ece": calibration_error(p, t),
    }


def classes(name, probabilities, t):
    p = probabilities.argmax(1)
    ones = numpy.eye(probabilities.shape[1])[t]
    return {
        "name": name,
        "probabilities": probabilities.ravel().tolist(),
        "targets": list(map(float, t)),
        "auroc": sklearn.metrics.roc_auc_score(t, probabilities, multi_class="ovr", average="macro"),
        "average_precision": sklearn.metrics.average_precision_score(ones, probabilities, average="macro"),
        "ece": calibration_error(probabilities.max(1), p == t),
    }


def kappa(name, p, t):
    return {
        "name": name,
        "predictions": list(map(float, p)),
        "targets": list(map(float, t)),
        "quadratic_kappa": sklearn.metrics.cohen_kappa_score(t, p, weights="quadratic"),
    }


def labels(name, p, t):
    decided = (p >= 0.5).astype(int)
    return {
        "name": name,
        "columns": p.shape[1],
        "predictions": p.ravel().tolist(),
        "targets": t.ravel().astype(float).tolist(),
        "macro_f1": sklearn.metrics.f1_score(t, decided, average="macro"),
        "micro_f1": sklearn.metrics.f1_score(t, decided, average="micro"),
        "auroc": sklearn.metrics.roc_auc_score(t, p, average="macro"),
        "average_precision": sklearn.metrics.average_precision_score(t, p, average="macro"),
        "exact_match": sklearn.metrics.accuracy_score(t, decided),
        "accuracy": float((t == decided).mean()),
    }


def main():
    rng = numpy.random.default_rng(20261129)
    t = (rng.uniform(size=120) < 0.2).astype(int)
    score = numpy.clip(0.25 * t + 0.7 * rng.uniform(size=120), 0, 1)
    y = rng.integers(0, 4, 100)
    logits = rng.normal(size=(100, 4)) + 1.5 * numpy.eye(4)[y]
    probabilities = numpy.exp(logits) / numpy.exp(logits).sum(1, keepdims=True)
    rating = rng.integers(0, 6, 90)
    guess = numpy.clip(rating + rng.integers(-2, 3, 90), 0, 5)
    many = (rng.uniform(size=(70, 5)) < [0.5, 0.3, 0.2, 0.6, 0.1]).astype(int)
    of_many = numpy.round(numpy.clip(0.4 * many + 0.6 * rng.uniform(size=(70, 5)), 0, 1), 6)
    golden = {
        "generator": "make_ranking.py",
        "reference": f"scikit-learn {sklearn.__version__}, numpy {numpy.__version__}, seed 20261129",
        "binary": [
            binary("noise", numpy.round(score, 6), t),
            binary("many ties", numpy.round(score, 1), t),
            binary("all equal", numpy.full(120, 0.5), t),
            binary("perfect", t, t),
            binary("turned round", 1.0 - t, t),
            binary("sixteenths", numpy.arange(16) / 16, rng.permutation(16) % 2),
        ],
        "classes": [
            classes("four classes", numpy.round(probabilities, 9), y),
            classes("three rows of three", numpy.array([[.5, .3, .2], [.4, .4, .2], [.1, .2, .7]]),
                    numpy.array([0, 1, 2])),
        ],
        "kappa": [
            kappa("ratings", guess, rating),
            kappa("perfect", rating, rating),
            kappa("turned round", 5 - rating, rating),
            kappa("one answer", numpy.full(90, 2), rating),
        ],
        "labels": [labels("five labels", of_many, many), labels("rounded", numpy.round(of_many, 1), many)],
    }
    path = pathlib.Path(__file__).with_name("ranking.json")
    lines = []
    for key, value in golden.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"
        lines.append(f"{json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
