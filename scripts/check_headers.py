#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every public header of the torch-free part compiles alone, in any order of includes. (LibTorch's
take 15 s each; the preset `plain` compiles those files one by one.)

    scripts/check_headers.py          those that changed lately, and those that include one of them
    scripts/check_headers.py --all    all, which takes minutes (make thorough)

Lately: in the last commits, or not committed yet. Without git's history, all."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from check_layers import ROOT, TORCH_FREE  # noqa: E402


def flags():
    found = subprocess.run(
        ["pkg-config", "--cflags", "cairo", "libutf8proc"], capture_output=True, text=True, check=False
    )
    return ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++",
            f"-I{ROOT}", "-isystem", "/usr/include/eigen3", *found.stdout.split()]


def compile_alone(header):
    # Twice, so that a header without a guard fails as well.
    source = f"#include <{header}>\n#include <{header}>\n"
    result = subprocess.run([os.environ.get("CXX", "g++"), *flags(), "-"], input=source,
                            capture_output=True, text=True, check=False)
    return header, result.returncode, result.stderr


RECENT_COMMITS = 30


def changed_lately():
    """Paths from the repository's root; None where git does not know."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True,
                              check=False)

    count = git("rev-list", "--count", "--first-parent", "HEAD")
    if count.returncode != 0 or int(count.stdout) <= RECENT_COMMITS:
        return None
    found = git("diff", "--name-only", "--relative", f"HEAD~{RECENT_COMMITS}")
    new = git("ls-files", "--others", "--exclude-standard")
    if found.returncode != 0 or new.returncode != 0:
        return None
    return set(found.stdout.split("\n") + new.stdout.split("\n"))


def touched(headers, changed):
    def is_touched(header):
        text = (ROOT / header).read_text(encoding="utf-8")
        included = re.findall(r'#include [<"]([^>"]+)[>"]', text)
        return str(header) in changed or any(name in changed for name in included)
    return [header for header in headers if is_touched(header)]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every header")
    everything = parser.parse_args().all
    folders = [folder for level in TORCH_FREE for folder in level]
    headers = [path.relative_to(ROOT) for folder in folders
               for path in sorted((ROOT / "detente" / folder).glob("*.h"))]
    whole = len(headers)
    changed = None if everything else changed_lately()
    if changed is not None:
        headers = touched(headers, changed)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, status, text in pool.map(compile_alone, headers):
            if status != 0:
                failed += 1
                print(f"{header} does not compile alone:\n{text}")
    print(f"headers: {len(headers)} of {whole} compiled alone, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
