#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks on the text of every tracked file: white space, licence lines, links between our own
documents, and that the version is written the same everywhere."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE = {".h", ".cpp", ".py", ".sh", ".cmake"}
TEXT = CODE | {".md", ".txt", ".yaml", ".yml", ".json", ".in", ""}
# Data and stored results are kept as they came.
DATA = ("data/", "tests/golden/", "bench/results/")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CHECKED = re.compile(r"<!-- checked: (\S+) -->\n```cpp\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def tracked():
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def problems_of(path):
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        yield "is not UTF-8"
        return
    if "\r" in text:
        yield "has carriage returns"
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield f"line {number} ends in white space"
        if "\t" in line and path.name != "Makefile":
            yield f"line {number} has a tab"
        if path.suffix in (".py", ".cmake") and len(line) > 110:  # clang-format sees to C++
            yield f"line {number} is {len(line)} columns wide"
    if raw and not text.endswith("\n"):
        yield "has no newline at its end"
    if path.suffix in CODE and "SPDX-License-Identifier: Apache-2.0" not in text[:200]:
        yield "has no licence line (SPDX-License-Identifier: Apache-2.0)"
    if path.suffix == ".md":
        yield from example_problems(text)
        for link in LINK.findall(FENCE.sub("", text)):
            target = (link[0] or link[1]).split("#")[0]
            if target and "://" not in target and not target.startswith("mailto:"):
                if not (path.parent / target).exists():
                    yield f"links to {target}, which does not exist"


def example_problems(text):
    """A C++ example under "<!-- checked: FOLDER -->" is the program that a test builds and runs."""
    for folder, code in CHECKED.findall(text):
        program = ROOT / folder / "main.cpp"
        if not program.exists():
            yield f"example: {folder}/main.cpp does not exist"
        elif code.strip() not in program.read_text(encoding="utf-8"):
            yield f"the example differs from {folder}/main.cpp, which the tests build"


def version_problems():
    cmake = re.search(r"project\(Detente VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    header = re.search(r'DETENTE_VERSION "([^"]+)"', (ROOT / "detente/core/version.h").read_text())
    if cmake.group(1) != header.group(1):
        yield f"CMakeLists.txt says version {cmake.group(1)}, detente/core/version.h {header.group(1)}"


def main():
    failed = False
    count = 0
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix not in TEXT or name.startswith(DATA):
            continue
        count += 1
        for problem in problems_of(path):
            failed = True
            print(f"{name}: {problem}")
    for problem in version_problems():
        failed = True
        print(problem)
    print(f"text: {count} files" + ("" if not failed else ", problems above"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
