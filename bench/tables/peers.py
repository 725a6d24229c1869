#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Detente beside what people use for tables, on bike and adult: time and quality, in one run
(docs/benchmarks.md). Needs scikit-learn, lightgbm and pandas.

  bench/tables/peers.py build/release/detente [--seeds 3] [--threads 1] [--out FILE.json]

Everyone gets the same rows: a tenth for choosing when to stop, a tenth (adult: the published test
file) that nothing is chosen on. Everyone's settings are its defaults but for what is listed:

  detente     the repository's recipe (one network for all tasks)
  sklearn     MLPRegressor (one for both targets, standardised) or MLPClassifier (one for each task)
              with the recipe's widths, rate, batch and early_stopping; one-hot categories
  lightgbm    one model for each target, categories as such, early stopping on the validation rows
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("detente")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--out")
args = parser.parse_args()
for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]:
    os.environ[name] = str(args.threads)  # before the libraries look

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import sklearn  # noqa: E402
from sklearn.metrics import accuracy_score, r2_score  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[2]


class Set:
    """Rows in three parts; `x` and `y` of a part are frames, categories typed as such."""

    def __init__(self, name, targets, ignored, categories, regression, frames, network):
        self.name, self.targets, self.regression = name, targets, regression
        self.frames, self.network = frames, network
        inputs = [c for c in frames["train"] if c not in targets and c not in ignored]
        words = [c for c in inputs if c in categories
                 or not pd.api.types.is_numeric_dtype(frames["train"][c])]
        known = {c: sorted(frames["train"][c].fillna("?").astype(str).unique()) for c in words}
        self.x, self.y, one_hot = {}, {}, {}
        for part, frame in frames.items():
            x = frame[inputs].copy()
            for c in words:
                x[c] = pd.Categorical(x[c].fillna("?").astype(str), categories=known[c])
            self.x[part], self.y[part] = x, frame[targets]
            one_hot[part] = pd.get_dummies(x, columns=words).astype(float)
        scale = StandardScaler().fit(one_hot["train"])
        self.dense = {part: scale.transform(values) for part, values in one_hot.items()}

    def score(self, target, answer):
        truth = self.y["test"][target].to_numpy()
        return r2_score(truth, answer) if self.regression else accuracy_score(truth, answer)


def bike():
    rows = pd.read_csv(ROOT / "data/bike/hour.csv.gz")
    rows["dteday"] = (pd.to_datetime(rows["dteday"]) - pd.Timestamp(0)).dt.days  # a date as a number
    order = np.random.RandomState(0).permutation(len(rows))
    tenth = len(rows) // 10
    frames = {"test": rows.iloc[order[:tenth]], "dev": rows.iloc[order[tenth:2 * tenth]],
              "train": rows.iloc[order[2 * tenth:]]}
    return Set("bike", ["target:casual", "target:registered"], ["target:cnt", "instant"],
               ["season", "mnth", "hr", "weekday", "weathersit"], True, frames,
               dict(hidden_layer_sizes=(256, 128), learning_rate_init=0.004, batch_size=64))


def adult():
    rows = pd.read_csv(ROOT / "data/adult/train.csv.gz")
    order = np.random.RandomState(0).permutation(len(rows))
    tenth = len(rows) // 10
    frames = {"test": pd.read_csv(ROOT / "data/adult/test.csv.gz"),
              "dev": rows.iloc[order[:tenth]], "train": rows.iloc[order[tenth:]]}
    return Set("adult",
               ["target:income_gt_50k", "target:never_married", "target:marital_status"],
               ["relationship", "fnlwgt"], [], False, frames,
               dict(hidden_layer_sizes=(128, 64), learning_rate_init=0.002, batch_size=128))


def run_detente(data, seed, folder):
    for part, frame in data.frames.items():
        if not (folder / f"{part}.csv").exists():
            frame.to_csv(folder / f"{part}.csv", index=False)
    run = folder / f"run-{seed}"
    begun = time.perf_counter()
    subprocess.run([args.detente, "train", ROOT / f"recipes/{data.name}.yaml", "--out", run,
                    "--quiet", "--set", f"seed={seed}", "--set", f"threads={args.threads}",
                    "--set", f"data.train={folder}/train.csv", "--set",
                    f"data.dev={folder}/dev.csv", "--set", "data.split.dev=0", "--set",
                    "data.split.test=0"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    done = subprocess.run([args.detente, "eval", run, "--data", folder / "test.csv", "--json"],
                          check=True, capture_output=True, text=True)
    tasks = json.loads(done.stdout)["tasks"]
    measure = "r2" if data.regression else "accuracy"
    return dict(zip(data.targets, [task[measure] for task in tasks.values()])), seconds


def run_sklearn(data, seed, _folder):
    options = dict(data.network, early_stopping=True, n_iter_no_change=5, max_iter=200,
                   random_state=seed)
    # It takes its own validation rows off; those are given to it with the others.
    x = np.concatenate([data.dense["train"], data.dense["dev"]])
    y = pd.concat([data.y["train"], data.y["dev"]])
    begun = time.perf_counter()
    if data.regression:
        scale = StandardScaler().fit(y)
        model = MLPRegressor(**options).fit(x, scale.transform(y))
        answers = dict(zip(data.targets,
                           scale.inverse_transform(model.predict(data.dense["test"])).T))
    else:
        answers = {t: MLPClassifier(**options).fit(x, y[t]).predict(data.dense["test"])
                   for t in data.targets}
    seconds = time.perf_counter() - begun
    return {t: data.score(t, answer) for t, answer in answers.items()}, seconds


def run_lightgbm(data, seed, _folder):
    kind = lightgbm.LGBMRegressor if data.regression else lightgbm.LGBMClassifier
    scores, begun = {}, time.perf_counter()
    for t in data.targets:
        model = kind(n_estimators=2000, random_state=seed, n_jobs=args.threads, verbose=-1)
        model.fit(data.x["train"], data.y["train"][t],
                  eval_set=[(data.x["dev"], data.y["dev"][t])],
                  callbacks=[lightgbm.early_stopping(50, verbose=False)])
        scores[t] = data.score(t, model.predict(data.x["test"]))
    return scores, time.perf_counter() - begun


cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
            if line.startswith("model name")), "unknown")
print(f"{cpu}, {args.threads} threads; scikit-learn {sklearn.__version__}, "
      f"lightgbm {lightgbm.__version__}, Python {sys.version.split()[0]}")
results = []
for data in [bike(), adult()]:
    with tempfile.TemporaryDirectory() as folder:
        for who, how in [("detente", run_detente), ("sklearn", run_sklearn),
                         ("lightgbm", run_lightgbm)]:
            found = [how(data, seed, Path(folder)) for seed in range(args.seeds)]
            seconds = statistics.median(s for _, s in found)
            scores = {t: [scores[t] for scores, _ in found] for t in data.targets}
            results.append({"set": data.name, "who": who, "seconds": seconds, "scores": scores})
            print(f"{data.name:6} {who:9} {seconds:7.1f} s  " + "  ".join(
                f"{t.removeprefix('target:')} {statistics.mean(v):.4f}"
                f" ± {statistics.stdev(v) if len(v) > 1 else float('nan'):.4f}"
                for t, v in scores.items()), flush=True)
if args.out:
    Path(args.out).write_text(json.dumps({"cpu": cpu, "arguments": vars(args),
                                          "results": results}, indent=1) + "\n")
