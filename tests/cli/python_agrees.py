#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a little, then compares `detente predict` with examples/python/load_run.py."""
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import safetensors  # noqa: F401
    import torch  # noqa: F401
    import yaml  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

program, source = sys.argv[1], Path(sys.argv[2])
COUNT = 40

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    run = folder / "run"
    subprocess.run(
        [program, "train", source / "recipes/kor_sts.yaml", "--out", run, "--quiet"]
        + ["--set", "data.max_rows=300", "--set", "train.epochs=1", "--set", "threads=1"],
        check=True,
    )
    pairs = folder / "pairs.tsv"
    rows = ["sentence1\tsentence2", "A man, playing!\t남자가 [CLS] 연주한다.", " \t빈 문장"]
    words = "한 남자가 기타를 연주하고 있다 . 여자는 책을 3권 읽는다 NFD가 힣 ÉTÉ 漢字".split()
    for i in range(COUNT):
        a = " ".join(words[(i * 7 + j) % len(words)] for j in range(1 + i % 9))
        b = " ".join(words[(i * 5 + j) % len(words)] for j in range(1 + i % 7))
        rows.append(f"{a}\t{b}")
    pairs.write_text("\n".join(rows) + "\n", encoding="utf-8")
    subprocess.run(
        [program, "predict", run, "--data", pairs, "--out", folder / "cpp.tsv"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    python = subprocess.run(
        [sys.executable, source / "examples/python/load_run.py", run, pairs],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    ours = [line.split("\t") for line in (folder / "cpp.tsv").read_text().splitlines()]
    theirs = [line.split("\t") for line in python.splitlines()]
    score, same = ours[0].index("score"), ours[0].index("same_probability")
    assert len(ours) == len(theirs) == len(rows), (len(ours), len(theirs), len(rows))
    worst = max(
        max(abs(float(a[score]) - float(b[0])), abs(float(a[same]) - float(b[1])))
        for a, b in zip(ours[1:], theirs[1:])
    )
    print(f"{len(rows) - 1} pairs, largest difference {worst:.2g}")
    sys.exit(0 if worst < 1e-4 else 1)
