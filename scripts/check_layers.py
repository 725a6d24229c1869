#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom (docs/layers.md). Debian's LibTorch headers lie in the system's include
path, so a forbidden include compiles; this is what notices."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# One row per level, left to right; a folder includes itself and every level above its row here.
# docs/layers.md has the same rows.
TORCH_FREE = [
    ["core"],
    ["balance", "metrics", "text", "machine", "simd", "slides"],
    ["report"],
    ["config", "data", "toy", "solver", "study", "launch", "valuation", "worlds"],
    ["serve", "annotate"],
]
TORCH = [
    ["tensor"],
    ["losses", "nn", "doctor", "autograd", "parallel"],
    ["engine", "distill"],
    ["train"],
    ["control"],
    ["appraise", "measure", "deploy"],
    ["cli"],
    ["apps"],
]
LEVELS = TORCH_FREE + TORCH
# Exceptions, each with its reason in docs/layers.md: (from, to).
EXCEPTIONS: set[tuple[str, str]] = set()
# Folders right of tensor that must not know LibTorch themselves.
NO_TORCH_HEADERS = {"cli", "apps"}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
TORCH_HEADER = re.compile(r"^(torch|ATen|c10|caffe2)/")


def level_of(folder):
    for index, level in enumerate(LEVELS):
        if folder in level:
            return index
    return None


def problems_of(path):
    relative = path.relative_to(ROOT)
    folder = relative.parts[1] if relative.parts[0] == "detente" else relative.parts[0]
    own = level_of(folder)
    if own is None:
        yield f"folder '{folder}' has no row in scripts/check_layers.py"
        return
    torch_free = any(folder in level for level in TORCH_FREE)
    for header in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if header == "torch/torch.h":
            yield "includes <torch/torch.h>, which costs every file 15 s; name the part that is used"
        elif TORCH_HEADER.match(header) and torch_free:
            yield f"includes <{header}>, but '{folder}' is torch-free"
        elif TORCH_HEADER.match(header) and folder in NO_TORCH_HEADERS:
            yield f"includes <{header}>; '{folder}' reaches LibTorch through the folders left of it"
        elif header.startswith("detente/"):
            parts = header.split("/")
            other = parts[1]
            if not (ROOT / header).exists():
                yield f"includes <{header}>, which does not exist"
            elif "internal" in parts[2:] and other != folder:
                yield f"includes <{header}>, which is internal to '{other}'"
            elif other != folder and (folder, other) not in EXCEPTIONS:
                level = level_of(other)
                if level is None:
                    yield f"includes <{header}>: folder '{other}' has no row"
                elif level >= own:
                    yield f"includes <{header}>, but '{other}' is not left of '{folder}'"
    if path.suffix == ".h" and "#pragma once" not in path.read_text(encoding="utf-8"):
        yield "has no #pragma once"


def documented_rows():
    """The rows of the picture in docs/layers.md."""
    text = (ROOT / "docs/layers.md").read_text(encoding="utf-8")
    picture = text.split("```")[1].strip().split("\n")[0]
    return [[name.strip() for name in row.split(",")] for row in picture.split("←")]


def main():
    count = 0
    failed = False
    files = [path for top in ("detente", "apps") for path in sorted((ROOT / top).rglob("*"))]
    for path in files:
        if path.suffix not in (".h", ".cpp"):
            continue
        count += 1
        for problem in problems_of(path):
            failed = True
            print(f"{path.relative_to(ROOT)}: {problem}")
    documented = [sorted(row) for row in documented_rows()]
    if documented != [sorted(row) for row in LEVELS]:
        failed = True
        print(f"docs/layers.md shows {documented}, this script {LEVELS}")
    print(f"layers: {count} files" + ("" if not failed else ", problems above"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
