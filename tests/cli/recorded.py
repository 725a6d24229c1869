#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente annotate --replay of what a real small model answered (tests/cli/recorded): the same labels and the
same transcript to the byte, without a network."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from annotating import run  # noqa: E402
from in_one_folder import run_tests  # noqa: E402

recorded = Path(__file__).resolve().parent / "recorded"
MODEL = ["--task", "mood:negative,positive", "--text", "document", "--model"]
SMALL = [*MODEL, "smollm2-135m-instruct"]
FLAGS = {
    "zero_shot": [*MODEL, "smollm2-135m", "--about", "mood:Is the film review negative or positive?"],
    "few_shot": [*SMALL, "--examples", recorded / "examples.tsv"],
    "rag": [*SMALL, "--docs", recorded / "docs", "--rows", 2],
    "cot": [*SMALL, "--rows", 2],
    "react": [*SMALL, "--docs", recorded / "docs", "--rows", 2, "--hide", "label"],
    "self_consistency": SMALL,
}


def test_recorded_calls_give_the_same_labels(folder):
    transcripts = sorted(recorded.glob("*.tsv.transcript.jsonl"))
    assert len(transcripts) >= 2, transcripts
    for transcript in transcripts:
        name = transcript.name.split(".")[0]
        data = recorded / f"{name}_reviews.tsv"
        out = folder / f"{name}.tsv"
        run("annotate", data if data.exists() else recorded / "reviews.tsv", *FLAGS[name],
            "--pattern", recorded / f"{name}.yaml", "--replay", transcript, "--out", out, key=None)
        assert out.read_bytes() == (recorded / f"{name}.tsv").read_bytes(), name
        assert Path(f"{out}.transcript.jsonl").read_bytes() == transcript.read_bytes(), name


if __name__ == "__main__":
    run_tests(dict(globals()), lambda folder: None)
