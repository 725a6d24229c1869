#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""python3 tests/python/run.py BUILD/python [PROGRAM [PYTEST ARGUMENT...]]: pytest on the package as it was
built."""

import os
import subprocess
import sys
from pathlib import Path

try:
    import pytest  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

here = Path(__file__).resolve().parent
environment = {**os.environ, "PYTHONPATH": str(Path(sys.argv[1]).resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
if len(sys.argv) > 2:
    environment["DETENTE_PROGRAM"] = str(Path(sys.argv[2]).resolve())
sys.exit(
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *sys.argv[3:]],
        cwd=here,
        env=environment,
    ).returncode
)
