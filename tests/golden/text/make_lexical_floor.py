# SPDX-License-Identifier: Apache-2.0
"""Makes lexical_floor.json: how well character-pair overlap alone correlates with the scores.

    python3 -m venv VENV && VENV/bin/pip install scipy
    VENV/bin/python tests/golden/text/make_lexical_floor.py
"""

import collections
import gzip
import json
import pathlib

import scipy
from scipy.stats import pearsonr, spearmanr

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = [
    ("klue_sts/train.tsv.gz", "real_label"),
    ("klue_sts/dev.tsv.gz", "real_label"),
    ("kor_sts/train.tsv.gz", "score"),
    ("kor_sts/dev.tsv.gz", "score"),
]


def pairs_of_characters(sentence):
    text = "".join(sentence.split())
    return collections.Counter(text[i : i + 2] for i in range(len(text) - 1))


def jaccard(first, second):
    a, b = pairs_of_characters(first), pairs_of_characters(second)
    return sum((a & b).values()) / sum((a | b).values())


def main():
    entries = []
    for name, target in FILES:
        with gzip.open(ROOT / "data" / name, "rt", encoding="utf-8", newline="") as file:
            header, *lines = file.read().split("\n")[:-1]
        rows = [dict(zip(header.split("\t"), line.split("\t"))) for line in lines]
        overlap = [jaccard(row["sentence1"], row["sentence2"]) for row in rows]
        scores = [float(row[target]) for row in rows]
        entries.append({"file": name, "target": target, "rows": len(rows),
                        "pearson": pearsonr(overlap, scores).statistic,
                        "spearman": spearmanr(overlap, scores).statistic})
    golden = {"generator": "make_lexical_floor.py", "reference": f"scipy {scipy.__version__}",
              "entries": entries}
    path = pathlib.Path(__file__).with_name("lexical_floor.json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
