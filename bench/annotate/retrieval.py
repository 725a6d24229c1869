#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well `detente search` finds Korean texts: by words (BM25) beside the vectors of runs of one's own.

    bench/annotate/retrieval.py PROGRAM --korsts korsts_dev.tsv --korquad korquad_v1_dev.json.gz \\
        --encoder runs/klue_sts [--encoder runs/kor_sts] [--queries 2000] [--out retrieval.json]

Two collections are made of published sets. Nothing of either is trained on here; whether a run has seen it is
for whoever names the run to know.

  KorSTS dev     documents: every different second sentence; a query is a first sentence, answered by
                 each second one that was given at least 4 of 5 beside it
  KorQuAD 1 dev  documents: the paragraphs; a query is a question, answered by its paragraph

Prints recall at 1, 5 and 10, and nDCG at 10, each with its 95 % interval over the queries.
"""

import argparse
import csv
import gzip
import json
import random
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("recall@1", "recall@5", "recall@10", "ndcg@10")


def write(folder, texts, pairs, most, seed):
    """Documents d00001.txt, ... and the judged queries; returns the numbers of both."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    name = {text: f"d{i:05d}.txt" for i, text in enumerate(texts)}
    for text, file in name.items():
        (docs / file).write_text(text + "\n", encoding="utf-8")
    queries = sorted({query for query, _ in pairs})
    if len(queries) > most:
        queries = random.Random(seed).sample(queries, most)
    kept = set(queries)
    with open(folder / "judged.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["query", "file"])
        out.writerows([query, name[text]] for query, text in pairs if query in kept)
    return len(name), len(queries)


def korsts(path):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = list(dict.fromkeys(row["sentence2"].strip() for row in rows))
    pairs = [(r["sentence1"].strip(), r["sentence2"].strip()) for r in rows if float(r["score"]) >= 4]
    return texts, pairs


def korquad(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        paragraphs = [p for article in json.load(file)["data"] for p in article["paragraphs"]]
    texts = list(dict.fromkeys(" ".join(p["context"].split()) for p in paragraphs))
    pairs = [(" ".join(q["question"].split()), " ".join(p["context"].split()))
             for p in paragraphs for q in p["qas"]]
    return texts, pairs


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("program")
    parser.add_argument("--korsts", type=Path)
    parser.add_argument("--korquad", type=Path)
    parser.add_argument("--encoder", action="append", default=[], help="folder of a run; may be given again")
    parser.add_argument("--queries", type=int, default=2000, help="at most so many of a collection")
    parser.add_argument("--seed", type=int, default=0, help="which queries, where there are more")
    parser.add_argument("--out", type=Path, help="JSON")
    args = parser.parse_args()
    results = []
    for name, path, read in (("KorSTS dev", args.korsts, korsts), ("KorQuAD 1 dev", args.korquad, korquad)):
        if path is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            documents, queries = write(Path(folder), *read(path), args.queries, args.seed)
            print(f"\n{name}: {documents} documents, {queries} queries\n")
            print("| search | " + " | ".join(NAMES) + " | seconds |")
            print("|---|" + "---|" * (len(NAMES) + 1))
            for encoder in [None, *args.encoder]:
                words = [args.program, "search", "--docs", f"{folder}/docs", "--judged"]
                words += [f"{folder}/judged.csv", "--json"]
                words += ["--encoder", encoder] if encoder else []
                begun = time.time()
                found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
                took = time.time() - begun
                label = Path(encoder).name if encoder else "BM25"
                cells = [f"{found[n]['mean']:.3f} ± {found[n]['half_width']:.3f}" for n in NAMES]
                print("| " + " | ".join([label, *cells, f"{took:.1f}"]) + " |", flush=True)
                results.append({"set": name, "documents": documents, "by": label, "seconds": took, **found})
    if args.out:
        args.out.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
