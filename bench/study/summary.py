#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables over several studies: python3 bench/study/summary.py OUT, where OUT/*/comparison.json are those of
`detente compare` (bench/study/methods.sh makes them). Markdown on standard output.

Within a set the verdicts are the study's own: paired t-tests over seeds with Holm's correction. Across sets
a method's change is the mean over a set's tasks of the change of the first metric against the reference, in
percent and with the sign that makes more better; the exact Wilcoxon signed-rank test over sets, corrected by
Holm over methods, asks whether it has a direction (Demsar, Statistical comparisons of classifiers over
multiple data sets, 2006)."""
import itertools
import json
import statistics
import sys
from pathlib import Path

LESS_IS_BETTER = ("mae", "mse", "loss", "err", "nll", "perplexity", "entropy", "brier", "ece")


def higher_is_better(metric):
    return not any(word in metric for word in LESS_IS_BETTER)


def wilcoxon(changes):
    """Two-sided, exact by enumeration, zeros left out (Wilcoxon's own rule); 1 where nothing is left."""
    values = [v for v in changes if v != 0]
    if not values:
        return 1.0
    sizes = [abs(v) for v in values]
    ranks = [sum(s < size for s in sizes) + (sum(s == size for s in sizes) + 1) / 2 for size in sizes]
    half = sum(ranks) / 2
    seen = abs(sum(r for r, v in zip(ranks, values) if v > 0) - half)
    as_far = sum(abs(sum(r for r, s in zip(ranks, signs) if s) - half) >= seen - 1e-9
                 for signs in itertools.product([0, 1], repeat=len(ranks)))
    return as_far / 2 ** len(ranks)


def holm(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    result, highest = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[index]))
        result[index] = highest
    return result


def self_test():
    # Published: 0.0625 is the least that five sets can give, 2 / 2^5; ties share their ranks.
    assert wilcoxon([1, 2, 3, 4, 5]) == 2 / 32
    assert wilcoxon([1, -1]) == 1 and wilcoxon([0, 0]) == 1
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]


def change(study, method):
    """Mean over tasks of the first metric's change against the reference, percent, more is better."""
    means = {}
    first = {}
    for row in study["rows"]:
        first.setdefault(row["task"], row["metric"])
        if row["metric"] == first[row["task"]]:
            means[row["method"], row["task"]] = row["mean"]
    changes = []
    for task, metric in first.items():
        own, base = means.get((method, task)), means.get((study["reference"], task))
        if own is None or base in (None, 0):
            continue
        changes.append((1 if higher_is_better(metric) else -1) * 100 * (own - base) / abs(base))
    return statistics.fmean(changes) if changes else None


def main():
    self_test()
    studies = {path.parent.name: json.loads(path.read_text())
               for path in sorted(Path(sys.argv[1]).glob("*/comparison.json"))}
    for name in [name for name, study in studies.items()
                 if all(m["mean_rank"] is None for m in study["methods"])]:
        print(f"{name} has no ranks yet (a study that goes on?); left out", file=sys.stderr)
        del studies[name]
    if not studies:
        sys.exit(f"no OUT/*/comparison.json below {sys.argv[1]}; bench/study/methods.sh makes them")
    print("| set | tasks | measured | seeds | better than the reference | worse | best mean rank | the "
          "reference's rank |\n|---|---|---|---|---|---|---|---|")
    for name, study in studies.items():
        found = {"better": [], "worse": []}
        for v in study["verdicts"]:
            if v["p_holm"] is not None and v["p_holm"] <= 0.05:
                better = (v["difference"] > 0) == higher_is_better(v["metric"])
                half = (v["high"] - v["low"]) / 2
                found["better" if better else "worse"].append(
                    f"{v['method']} on {v['task']} ({v['metric']} {v['difference']:+.4f} ± {half:.4f})")
        ranks = {m["method"]: m["mean_rank"] for m in study["methods"] if m["mean_rank"] is not None}
        best = min(ranks, key=ranks.get)
        tasks = {row["task"] for row in study["rows"]}
        print(f"| {name} | {len(tasks)} | {study['measured']} | {len(study['seeds'])} | "
              f"{'; '.join(found['better']) or 'none'} | {'; '.join(found['worse']) or 'none'} | "
              f"{best} {ranks[best]:.2f} | {study['reference']} {ranks[study['reference']]:.2f} |")
    methods = list(dict.fromkeys(m["method"] for study in studies.values() for m in study["methods"]))
    rows = []
    for method in methods:
        changes = [c for study in studies.values()
                   if method != study["reference"] and (c := change(study, method)) is not None]
        ranks = [m["mean_rank"] for study in studies.values() for m in study["methods"]
                 if m["method"] == method and m["mean_rank"] is not None]
        rows.append((method, statistics.fmean(ranks), changes))
    tested = [row for row in rows if row[2]]
    corrected = dict(zip((row[0] for row in tested), holm([wilcoxon(row[2]) for row in tested])))
    print(f"\n| method | mean rank over {len(studies)} sets | median change % | sets better / worse | "
          "p (Wilcoxon) | p (Holm) |\n|---|---|---|---|---|---|")
    for method, rank, changes in sorted(rows, key=lambda row: row[1]):
        if not changes:
            print(f"| {method} | {rank:.2f} | reference | | | |")
            continue
        better, worse = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
        print(f"| {method} | {rank:.2f} | {statistics.median(changes):+.2f} | {better} / {worse} | "
              f"{wilcoxon(changes):.3f} | {corrected[method]:.3f} |")


main()
