#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every public header of the torch-free part compiles alone, in any order of includes. (LibTorch's
take 15 s each; the preset `plain` compiles those files one by one.)"""

import concurrent.futures
import os
import pathlib
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


def main():
    folders = [folder for level in TORCH_FREE for folder in level]
    headers = [path.relative_to(ROOT) for folder in folders
               for path in sorted((ROOT / "detente" / folder).glob("*.h"))]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, status, text in pool.map(compile_alone, headers):
            if status != 0:
                failed += 1
                print(f"{header} does not compile alone:\n{text}")
    print(f"headers: {len(headers)} compiled alone, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
