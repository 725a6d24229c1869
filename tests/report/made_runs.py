# SPDX-License-Identifier: Apache-2.0
"""Folders of runs and studies that nobody trained, for the pages that are made of them. As a program:

    made_runs.py study DIR [--methods N] [--seeds N] [--steps N] [--tasks N] [--epochs N]
    made_runs.py run DIR [--steps N] [--tasks N] [--epochs N]

writes what tests/study/page_maker.cpp reads and `detente serve` shows."""
import argparse
import itertools
import json
import math
import random
from pathlib import Path

METHODS = ("ew uw dwa rlw mgda pcgrad cagrad graddrop imtl_g nash_mtl aligned_mtl famo fairgrad upgrad "
           "dualproj config gradvac rgw mocograd sdmgrad").split()


def summary(name, method, seed, steps, epochs, tasks, dev, **more):
    found = {
        "name": name, "method": method, "status": "finished", "seed": seed, "epochs": epochs,
        "steps": steps, "best_epoch": epochs, "tasks": dev, "dev_rows": 1390, "train_rows": 11124,
        "parameters": 41633, "seconds": steps * 0.0125, "peak_memory_mib": 500.0 + 10 * len(method),
        "threads": 1, "device": "cpu", "processor": "A Processor <7> & \"Co\"",
        "engine": "LibTorch 2.13.0", "detente": "0.1.0"}
    found.update(more)
    return found


def write_run(folder, tasks, steps=200, epochs=4, seed=0, method="cagrad", name="made",
              groups=("trunk", "layers.0"), diagnose_every=10, level=0.5, broken=False, **more):
    """A run whose tasks conflict more and more; dev metrics are r2, rising to level + 0.01 seed, and mae.
    With `broken`, every number is null. Returns (dev of each epoch, cosines of each pair by step)."""
    rng = random.Random(f"{seed} {method}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = list(itertools.combinations(tasks, 2))
    value = (lambda v: None) if broken else (lambda v: round(v, 6))
    by_epoch, sums = [], {pair: [] for pair in pairs}
    with open(folder / "metrics.jsonl", "w", encoding="utf-8") as log:
        for step in range(1, steps + 1):
            epoch = min(epochs, (step - 1) * max(epochs, 1) // steps + 1) if epochs else 1
            cosines = {}
            for p, pair in enumerate(pairs):
                cosine = 0.4 - 0.8 * step / steps - 0.02 * (p % 7) + rng.gauss(0, 0.1)
                cosine = round(max(-1.0, min(1.0, cosine)), 6)
                sums[pair].append(cosine)
                cosines["|".join(pair)] = value(cosine)
            line = {
                "type": "step", "epoch": epoch, "step": step, "lr": 0.001,
                "losses": {t: value(math.exp(-3 * step / steps) + 0.1 * rng.random()) for t in tasks},
                "loss": value(1.0),
                "weights": {t: value(1 / len(tasks) + 0.1 * rng.random()) for t in tasks},
                "grad_norms": {t: value(1 + k + rng.random()) for k, t in enumerate(tasks)},
                "cosines": cosines,
                "conflict": None if broken else any(c < 0 for c in cosines.values()),
                "direction_norm": value(0.7)}
            if diagnose_every and step % diagnose_every == 0:
                line["diagnosis"] = {
                    "conflict_fraction": value(0.5), "magnitude_similarity": {}, "xi": {}, "triad": {},
                    "groups": {}}
                for i, group in enumerate(groups):
                    line["diagnosis"]["groups"][group] = {
                        "grad_norms": {t: value(1.0) for t in tasks},
                        "cosines": {pair: None if c is None else max(-1.0, round(c - 0.2 * i, 6))
                                    for pair, c in cosines.items()}}
            line["ms"] = {"total": value(12.5), "forward": value(4.0), "backward": value(7.25),
                          "solve": value(0.25), "extra": value(0.0)}
            log.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            if epochs and (step == steps or step * epochs // steps > (step - 1) * epochs // steps):
                done = len(by_epoch) + 1
                score = (level + 0.01 * seed) * done / epochs
                dev = {t: {"r2": value(score + 0.001 * k), "mae": value(2 - score)}
                       for k, t in enumerate(tasks)}
                by_epoch.append(dev)
                log.write(json.dumps({
                    "type": "epoch", "epoch": done, "step": step,
                    "train_losses": {t: value(0.2) for t in tasks}, "dev": dev, "seconds": 2.5,
                    "examples_per_second": 4000.0, "best": done == epochs},
                    ensure_ascii=False, separators=(",", ":")) + "\n")
    told = summary(name, method, seed, steps, epochs, tasks, by_epoch[-1] if by_epoch else {}, **more)
    (folder / "summary.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    (folder / "recipe.yaml").write_text(f"name: made  # <b>\nseed: {seed}\n")
    return by_epoch, {"|".join(pair): cosines for pair, cosines in sums.items()}


def write_study(folder, methods, tasks, seeds=3, steps=100, epochs=3, failed=(), tested=True, single=True,
                title="made", unfinished=()):
    """`failed` and `unfinished`: (method, seed) without a result, with and without words. Returns the
    measured values of each task's first metric: {(method, task): [value or None, by seed]}."""
    folder = Path(folder)
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    metrics = [{"name": "r2", "higher_is_better": True}, {"name": "mae", "higher_is_better": False}]
    # As study/plan.cpp names folders.
    def safe(name):
        return "".join(chr(b) if b < 128 and (chr(b).isalnum() or chr(b) in "-_=.") else "_"
                       for b in name.encode())

    variants = [(m, safe(m), tasks) for m in methods]
    variants += [("single", safe(f"single-{t}"), [t]) for t in tasks if single]
    plan = {"title": title, "command": "detente compare made.yaml --out study", "test_rows": tested,
            "seeds": list(range(seeds)), "halving": False,
            "tasks": [{"name": t, "metrics": metrics} for t in tasks],
            "variants": [{"method": m, "setting": "", "task": own[0] if m == "single" else "",
                          "folder": where, "overrides": []} for m, where, own in variants]}
    told = json.dumps({"plan": plan}, ensure_ascii=False)
    (folder / "study.json").write_text(told, encoding="utf-8")
    values = {}
    for v, (method, where, own) in enumerate(variants):
        for seed in range(seeds):
            run = folder / "runs" / where / f"seed-{seed}"
            level = 0.5 + 0.02 * (v % 5)
            dev, _ = write_run(run, own, steps, epochs, seed, method, title, level=level, diagnose_every=0)
            (run / "report.html").write_text("a page")
            result = {"variant": v, "seed": seed, "dev": dev[-1] if dev else {}, "seconds": 20.5,
                      "ms_per_step": 12.5 + v}
            rng = random.Random(f"{v} {seed}")
            test = {t: {"r2": round(level + 0.02 * ((v * (k + 2)) % 3) + rng.gauss(0, 0.01), 6),
                        "mae": round(2 - level + rng.gauss(0, 0.01), 6)} for k, t in enumerate(own)}
            if (method, seed) in failed:
                result["failure"] = "ended with <exit code> 1: \"no memory\""
            elif tested:
                result["test"] = test
            if (method, seed) not in unfinished:
                (run.parent / f"seed-{seed}.json").write_text(
                    json.dumps(result, ensure_ascii=False), encoding="utf-8")
            lost = (method, seed) in failed or (method, seed) in unfinished
            measured = test if tested else result["dev"]
            for t in own:
                values.setdefault((method, t), []).append(None if lost else measured[t]["r2"])
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "study"))
    parser.add_argument("folder")
    parser.add_argument("--methods", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    tasks = [f"task{k}" for k in range(args.tasks)]
    if args.what == "run":
        write_run(args.folder, tasks, args.steps, args.epochs)
    else:
        write_study(args.folder, METHODS[:args.methods], tasks, args.seeds, args.steps, args.epochs)


if __name__ == "__main__":
    main()
