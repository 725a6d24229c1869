#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do labels of a language model help? Naver's film reviews, whose polarity is known from their ratings.

    naver.py PROGRAM --endpoint http://127.0.0.1:8080 --model any --work runs/annotate [--rows all=300,cot=50]

Three questions, each with what it has to be compared with:

1. How good are the labels? Every pattern of `detente annotate` labels reviews whose label it is not shown
   (the file it reads has none). Accuracy has a Wilson interval, and beside it stands what always giving
   the more frequent label would reach on the same rows: a pattern that does no better has found out
   nothing.
2. Do they help? A small network is trained on a few known labels alone, and on these and the model's
   labels as a second task of the same trunk. Beside it stand the same rows with their known labels: what
   there was to gain had the model made no mistake.
3. Can the bad ones be found? `detente value` judges the model's labels by the validation rows, `value
   clean` leaves the lowest out. Beside it stands the removal of as many at random. Where a pattern has
   several votes, the labels with a larger share of them (--sure) are tried, too. A recipe has no weight
   for a row, so a confidence can only keep a label or leave it out.

The training file's labelled reviews are shuffled and divided: --small known ones (they are also the
examples of few_shot and the documents of rag and react), --dev that choose the epoch and judge values, -n
to be labelled by the model. The accuracies of questions 2 and 3 are those on --test-rows others, of other
films. All runs have the same vocabulary, network and number of epochs.

An expensive pattern may label fewer rows (--rows): the first ones, so that those of all patterns overlap.
Nothing is asked or trained twice: the same command goes on where it was stopped, with more rows too.
--seconds ends each pattern after that time and goes on with what it has. Prints Markdown and writes
WORK/naver.json.
"""

import argparse
import csv
import gzip
import hashlib
import json
import math
import random
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["negative", "positive"]
ABOUT = "polarity:Does the writer of this Korean film review like the film?"
# What each pattern needs beside the rows.
PATTERNS = {
    "zero_shot": [],
    "few_shot": ["examples"],
    "few_shot_nearest": ["examples", "nearest"],
    "cot": [],
    "self_consistency": [],
    "rag": ["docs"],
    "react": ["docs"],
}

RECIPE = """name: annotate_naver
seed: {seed}
threads: {threads}
data:
  kind: text
  train: {train}
  dev: {dev}
  text: document
tokenizer: {{kind: wordpiece, vocab: {vocab}}}
model: {{kind: transformer, width: 64, layers: 1, heads: 4, ffn: 128, max_length: 60, dropout: 0.3}}
tasks:
{tasks}
balance: {{method: {method}}}
engine: {{clip_norm: 1.0}}
optimizer: {{lr: 0.002}}
train: {{epochs: {epochs}, batch_size: 32, select: known.accuracy}}
output: {{tensorboard: false}}
"""


def wilson(right, rows, z=1.959964):
    """The 95 % interval of a share (Wilson, 1927): unlike p ± 2 s it never leaves [0, 1]."""
    if rows == 0:
        return None
    p = right / rows
    middle = (p + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows))
    return [middle - half, middle + half]


def self_test():
    # Published: 0 of 10 gives 0 to 0.2775, 81 of 263 gives 0.2553 to 0.3662 (Newcombe, 1998, method 3).
    assert abs(wilson(0, 10)[1] - 0.2775) < 5e-5 and abs(wilson(0, 10)[0]) < 1e-12
    assert all(abs(a - b) < 5e-5 for a, b in zip(wilson(81, 263), (0.2553, 0.3662)))


def say(text):
    print(text, file=sys.stderr, flush=True)


def call(*command):
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout


# ---- Rows

def read_reviews(path):
    """(text, 0 or 1) of the rows that have a label (neither an empty cell nor -1) and a text."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["document"], int(row["label"])) for row in lines
                if row["label"] in ("0", "1") and row["document"].strip()]


def write_table(path, columns, rows):
    text = "\t".join(columns) + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def divide(args):
    """The parts, written into the work folder; a folder that was made with other settings is an error."""
    settings = {key: getattr(args, key) for key in ("n", "small", "dev", "test_rows", "seed")}
    settings["files"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (args.train, args.test)]
    kept = args.work / "settings.json"
    if kept.exists() and json.loads(kept.read_text()) != settings:
        sys.exit(f"{kept} says that this folder was made with other rows; name another --work")
    reviews, others = read_reviews(args.train), read_reviews(args.test)
    if len(reviews) < args.small + args.dev + 1:
        sys.exit(f"{args.train} has {len(reviews)} labelled rows; --small and --dev need more")
    random.Random(args.seed).shuffle(reviews)
    random.Random(args.seed).shuffle(others)
    ends = [args.small, args.small + args.dev, args.small + args.dev + args.n]
    parts = {"small": reviews[:ends[0]], "dev": reviews[ends[0]:ends[1]], "pool": reviews[ends[1]:ends[2]],
             "test": others[:args.test_rows]}
    (args.work / "docs").mkdir(parents=True, exist_ok=True)
    write_table(args.work / "examples.tsv", ["document", "polarity"],
                [(text, LABELS[label]) for text, label in parts["small"]])
    for place, (text, label) in enumerate(parts["small"]):
        (args.work / "docs" / f"{place:05}.txt").write_text(f"Review: {text}\nLabel: {LABELS[label]}\n")
    write_table(args.work / "pool.tsv", ["document"], [(text,) for text, _ in parts["pool"]])
    # The model's labels are to be right, so those of rows that judge them are the known ones.
    for name in ("dev", "test"):
        write_table(args.work / f"{name}.tsv", ["document", "known", "guessed"],
                    [(text, label, label) for text, label in parts[name]])
    kept.write_text(json.dumps(settings))
    return parts


# ---- Labels

def annotate(args, name):
    """The counts of `detente annotate --json`; the labels stand in WORK/labels/NAME.tsv."""
    out = args.work / "labels" / f"{name}.tsv"
    out.parent.mkdir(exist_ok=True)
    command = [args.program, "annotate", args.work / "pool.tsv", "--text", "document", "--about", ABOUT,
               "--task", "polarity:" + ",".join(LABELS), "--pattern", name.removesuffix("_nearest"),
               "--endpoint", args.endpoint, "--model", args.model, "--seed", args.seed, "--out", out,
               "--rows", args.rows.get(name, args.rows.get("all", args.n)), "--concurrency",
               args.concurrency, "--total-timeout", 3600, "--idle-timeout", 3600, "--json"]
    needs = PATTERNS[name]
    command += ["--examples", args.work / "examples.tsv"] if "examples" in needs else []
    command += ["--nearest"] if "nearest" in needs else []
    command += ["--docs", args.work / "docs"] if "docs" in needs else []
    command += ["--samples", args.samples] if name == "self_consistency" else []
    if Path(f"{out}.transcript.jsonl").exists():
        command.append("--resume")
    running = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        told, errors = running.communicate(timeout=args.seconds)
    except subprocess.TimeoutExpired:
        running.terminate()  # as Ctrl-C does, it keeps what was answered
        told, errors = running.communicate()
    if running.returncode not in (0, 5, 130):  # 5: some rows failed; 130: ended by --seconds
        sys.exit(f"{name} ended with exit code {running.returncode}\n{errors[-2000:]}")
    return json.loads(told)


def spent(transcript):
    """Calls, tokens and seconds of all runs: those of the transcript, not of the last command."""
    sums = {"calls": 0, "prompt_tokens": 0, "answer_tokens": 0, "seconds": 0.0}
    for line in transcript.read_text(encoding="utf-8").splitlines()[1:]:
        one = json.loads(line)
        sums["calls"] += len(one.get("tries", [0]))
        sums["seconds"] += one.get("seconds", 0)
        for key in ("prompt_tokens", "answer_tokens"):
            sums[key] += (one.get("answer") or {}).get(key, 0)
    return sums


def judge(args, name, pool):
    """What a pattern's labels are worth; {row: (label, confidence)} of those it gave."""
    counts = annotate(args, name)["tasks"]["polarity"]
    file = args.work / "labels" / f"{name}.tsv"
    cells = []  # no file: the time was over before the first answer
    if file.exists():
        with open(file, encoding="utf-8", newline="\n") as lines:
            cells = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    given = {row: (LABELS.index(cell["polarity"]), float(cell["polarity_confidence"]))
             for row, cell in enumerate(cells) if cell["polarity"]}
    right = sum(pool[row][1] == label for row, (label, _) in given.items())
    positive = sum(pool[row][1] for row in given)
    asked = len(pool) - counts["not_reached"]
    found = {"pattern": name, "rows": asked, "labelled": len(given), "right": right,
             "said_positive": sum(label for label, _ in given.values()),
             "accuracy": right / len(given) if given else None, "interval": wilson(right, len(given)),
             "majority": max(positive, len(given) - positive) / len(given) if given else None,
             "confidence": statistics.fmean(c for _, c in given.values()) if given else None,
             **{key: counts[key] for key in ("no_label", "not_in_sources", "failed")},
             **spent(Path(f"{file}.transcript.jsonl"))}
    return found, given


# ---- Training

class Trainer:
    def __init__(self, args, parts):
        self.args, self.parts = args, parts
        self.runs = args.work / "runs"
        self.runs.mkdir(exist_ok=True)
        self.fixed = b"".join((args.work / f"{name}.tsv").read_bytes() for name in ("dev", "test"))

    def recipe(self, name, seed, known, guessed):
        """Writes the training file and the recipe; what of both decides the result, as a hash."""
        args, pool = self.args, self.parts["pool"]
        rows = [(text, label, "") for text, label in self.parts["small"]]
        rows += [(pool[row][0], pool[row][1], "") for row in known]
        rows += [(pool[row][0], "", label) for row, label in guessed.items()]
        table = self.runs / f"{name}.tsv"
        write_table(table, ["document", "known", "guessed"], rows)
        tasks = ["known"] + (["guessed"] if guessed else [])
        tasks = "\n".join(f"  - {{name: {task}, head: binary, metrics: [accuracy, f1]}}" for task in tasks)
        text = RECIPE.format(seed=seed, threads=args.threads, train=table.resolve(), tasks=tasks,
                             dev=(args.work / "dev.tsv").resolve(), vocab=args.vocab.resolve(),
                             epochs=args.epochs, method=args.method)
        recipe = self.runs / f"{name}-{seed}.yaml"
        recipe.write_text(text)
        return recipe, hashlib.sha256(text.encode() + table.read_bytes() + self.fixed).hexdigest()

    def finish(self, name, seed, recipe, key):
        """Trains a recipe and returns the accuracies on the test rows; not twice with the same key."""
        run, kept = self.runs / f"{name}-{seed}", self.runs / f"{name}-{seed}.json"
        if kept.exists() and json.loads(kept.read_text())["key"] == key:
            return json.loads(kept.read_text())
        call(self.args.program, "train", recipe, "--out", run, "--force", "--quiet")
        test = self.args.work / "test.tsv"
        told = json.loads(call(self.args.program, "eval", run, "--data", test, "--json"))
        result = {"key": key, **{task: metrics["accuracy"] for task, metrics in told["tasks"].items()}}
        kept.write_text(json.dumps(result))
        return result

    def arm(self, name, known=(), guessed=None, seeds=None):
        say(f"training {name}")
        return [self.finish(name, seed, *self.recipe(name, seed, known, guessed or {}))
                for seed in range(self.args.seeds if seeds is None else seeds)]

    def cleaned(self, name, base, guessed):
        """`base` trained anew without the model's labels of least value, and without as many at random."""
        args, results = self.args, {"cleaned": [], "thinned": []}
        say(f"training {name} without some labels")
        for seed in range(args.seeds):
            run = self.runs / f"{base}-{seed}"
            key = json.loads((self.runs / f"{base}-{seed}.json").read_text())["key"]
            key += f" {args.value} {args.share}"
            folder = self.runs / f"{name}-value-{seed}"
            drop = folder / "drop.txt"
            kept = self.runs / f"{name}-cleaned-{seed}.json"
            if not kept.exists() or json.loads(kept.read_text())["key"] != key:
                call(args.program, "value", run, "--method", args.value, "--rows", args.dev, "--out", folder,
                     "--force")
                call(args.program, "value", "clean", run, "--values", folder / "values.csv",
                     "--drop-harmful", "guessed", "--below", args.share, "--out", folder, "--force")
            clean = self.finish(f"{name}-cleaned", seed, folder / "recipe.yaml", key)
            lines = [line.split("#")[0].strip() for line in drop.read_text().splitlines()]
            gone = [int(line) for line in lines if line]
            assert all(row >= args.small for row in gone)
            fewer = dict(guessed)
            for row in random.Random(seed).sample(sorted(fewer), len(gone)):
                del fewer[row]
            thinned = f"{name}-thinned{seed}"  # its table is of this seed
            results["thinned"].append(self.finish(thinned, seed, *self.recipe(thinned, seed, (), fewer)))
            wrong = [self.parts["pool"][row][1] != label for row, label in guessed.items()]
            lost = [wrong[row - args.small] for row in gone]
            results["cleaned"].append({**clean, "removed": len(gone), "removed_wrong": sum(lost),
                                       "wrong": sum(wrong)})
        return results


def study(args, parts, labels):
    """Question 2 and 3: for each pattern the accuracies of all arms."""
    trainer = Trainer(args, parts)
    arms = {"known labels alone": {"alone": trainer.arm("alone")}}
    for name in args.train_on:
        guessed = {row: label for row, (label, _) in labels.get(name, {}).items()}
        if len(guessed) < args.least or len(set(guessed.values())) < 2:
            say(f"{name} gave {len(guessed)} labels, too few or all the same; nothing is trained on them")
            continue
        found = {"two_tasks": trainer.arm(f"{name}-two", guessed=guessed)}
        sure = {row: label for row, (label, share) in labels[name].items() if share >= args.sure}
        if 0 < len(sure) < len(guessed) and len(set(sure.values())) == 2:
            found["sure"] = trainer.arm(f"{name}-sure", guessed=sure)
        found.update(trainer.cleaned(name, f"{name}-two", guessed))
        found["same_rows_known"] = trainer.arm(f"{name}-known", known=list(guessed))
        arms[name] = found
    everything = trainer.arm("all", known=range(len(parts["pool"])), seeds=args.all_seeds)
    arms["all labels known"] = {"all": everything}
    return arms


# ---- Tables

def share(value, digits=3):
    return "–" if value is None else f"{value:.{digits}f}"


def spread(results, task="known"):
    values = [result[task] for result in results or [] if task in result]
    if not values:
        return "–"
    return f"{statistics.fmean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def label_table(found):
    lines = ["| pattern | rows asked | with a label | accuracy of these [95 %] | always the more frequent | "
             "said positive | calls | prompt tokens | answer tokens | seconds |", "|---|" + "---:|" * 9]
    for one in found:
        between = "" if one["interval"] is None else " [{:.3f}, {:.3f}]".format(*one["interval"])
        lines.append(f"| `{one['pattern']}` | {one['rows']} | {one['labelled']} | {share(one['accuracy'])}"
                     f"{between} | {share(one['majority'])} | {one['said_positive']} | {one['calls']} | "
                     f"{one['prompt_tokens']} | {one['answer_tokens']} | {one['seconds']:.0f} |")
    return "\n".join(lines)


def arm_table(arms, sizes):
    lines = ["| labels of | rows | two tasks | head of the second task | the sure ones | without the lowest "
             "values | without as many at random | wrong: all / left out | these rows, known labels |",
             "|---|---:|" + "---|" * 7]
    for name, found in arms.items():
        if "two_tasks" in found:
            cells = [spread(found["two_tasks"]), spread(found["two_tasks"], "guessed")]
            cells += [spread(found.get(key)) for key in ("sure", "cleaned", "thinned")]
            cleaned = found["cleaned"]
            gone = sum(one["removed"] for one in cleaned)
            lost = sum(one["removed_wrong"] for one in cleaned) / gone if gone else None
            cells.append(f"{share(cleaned[0]['wrong'] / sizes[name])} / {share(lost)}")
            cells.append(spread(found["same_rows_known"]))
            lines.append(f"| `{name}` | {sizes[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arguments():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("program", type=Path, help="detente")
    parser.add_argument("--endpoint", required=True, help="OpenAI-compatible, e.g. http://127.0.0.1:8080")
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is made; kept")
    parser.add_argument("--train", type=Path, default=ROOT / "data/naver/train.tsv.gz")
    parser.add_argument("--test", type=Path, default=ROOT / "data/naver/test.tsv.gz")
    parser.add_argument("--vocab", type=Path, default=ROOT / "data/vocab/koelectra.txt")
    parser.add_argument("-n", type=int, default=2000, help="rows for the model to label (2000)")
    parser.add_argument("--small", type=int, default=300, help="rows with known labels (300)")
    parser.add_argument("--dev", type=int, default=500, help="validation rows (500)")
    parser.add_argument("--test-rows", type=int, default=2000, help="at most (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the division and the samples (0)")
    parser.add_argument("--patterns", default=",".join(PATTERNS), help="with commas between them (all)")
    parser.add_argument("--rows", default="", help="PATTERN=N,...: only the first N; all=N: of the others")
    parser.add_argument("--seconds", type=float, help="end each pattern after so long (no limit)")
    parser.add_argument("--samples", type=int, default=5, help="of self_consistency (5)")
    parser.add_argument("--concurrency", type=int, default=1, help="rows asked at a time (1)")
    parser.add_argument("--train-on", help="patterns whose labels are trained on (those of --patterns)")
    parser.add_argument("--least", type=int, default=20, help="labels that a training needs (20)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (3)")
    parser.add_argument("--all-seeds", type=int, help="those on all known labels, the longest (as --seeds)")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--method", default="cagrad", help="balance.method (cagrad)")
    parser.add_argument("--value", default="knn_shapley", help="method of detente value (knn_shapley)")
    parser.add_argument("--share", type=float, default=0.2, help="of the rows that cleaning leaves out (0.2)")
    parser.add_argument("--sure", type=float, default=0.8, help="least share of the votes (0.8)")
    parser.add_argument("--threads", type=int, default=1, help="of training (1)")
    args = parser.parse_args()
    args.patterns = args.patterns.split(",")
    args.train_on = args.patterns if args.train_on is None else [n for n in args.train_on.split(",") if n]
    try:
        args.rows = {name: int(rows) for name, rows in
                     (part.split("=") for part in args.rows.split(",") if part)}
    except ValueError:
        parser.error("expected --rows PATTERN=N,...")
    for name in [*args.patterns, *args.train_on, *args.rows]:
        if name not in PATTERNS and name != "all":
            parser.error(f"there is no pattern {name}; expected some of {', '.join(PATTERNS)}")
    if args.seconds and args.concurrency > 1:
        parser.error("--seconds needs --concurrency 1: else it is not the first rows that have answers")
    return args


def main():
    self_test()
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    parts = divide(args)
    found, labels = [], {}
    for name in args.patterns:
        say(f"labels by {name}")
        one, labels[name] = judge(args, name, parts["pool"])
        found.append(one)
        say(f"  {one['labelled']} of {one['rows']} rows, accuracy {share(one['accuracy'])}, "
            f"{one['seconds']:.0f} s")
    arms = study(args, parts, labels)
    sizes = {name: len(rows) for name, rows in parts.items()}
    result = {"settings": {key: str(value) if isinstance(value, Path) else value
                           for key, value in vars(args).items()},
              "rows": sizes, "labels": found, "trained": arms}
    (args.work / "naver.json").write_text(json.dumps(result, indent=1) + "\n")
    ones = sum(label for _, label in parts["test"])
    frequent = max(ones, sizes["test"] - ones) / sizes["test"]
    alone, everything = (spread(arms[row][arm]) for row, arm in
                         (("known labels alone", "alone"), ("all labels known", "all")))
    print(label_table(found))
    print(f"\nTest accuracy ({sizes['test']} rows), mean and range over {args.seeds} seeds. Always the more "
          f"frequent label: {frequent:.3f}. The {sizes['small']} known labels alone: {alone}. All "
          f"{sizes['small'] + sizes['pool']} known: {everything}, "
          f"{len(arms['all labels known']['all'])} seeds.\n")
    print(arm_table(arms, {one["pattern"]: one["labelled"] for one in found}))


if __name__ == "__main__":
    main()
