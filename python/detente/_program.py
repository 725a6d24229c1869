# SPDX-License-Identifier: Apache-2.0
"""The program `detente`: where it is, and the console entry that starts it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Dict


def program() -> str:
    """The path of the program: $DETENTE_PROGRAM, that of the package, that of the build folder beside the
    package, or the one on PATH. FileNotFoundError where there is none."""
    here = Path(__file__).absolute().parent
    named = os.environ.get("DETENTE_PROGRAM")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"DETENTE_PROGRAM={named} is no file; expected the program detente")
        return named
    for path in (here / "bin/detente", here.parents[1] / "detente"):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    # The package's own entry lies on PATH as well, and would start itself for ever.
    found = shutil.which("detente")
    if found and Path(found).read_bytes()[:4] == b"\x7fELF":
        return found
    raise FileNotFoundError(
        "the program detente is not in this package, nor on PATH; install the package with pip, build it "
        "(make build), or name it in DETENTE_PROGRAM"
    )


def environment() -> Dict[str, str]:
    """That of the program: it is linked to PyTorch's libraries, and finds them by itself only where the
    package lies in one folder with PyTorch."""
    spec = importlib.util.find_spec("torch")
    values = dict(os.environ)
    if spec is None or spec.origin is None:
        return values
    torch = Path(spec.origin).parent
    if torch != Path(__file__).absolute().parent.parent / "torch":
        paths = [str(torch / "lib"), values.get("LD_LIBRARY_PATH", "")]
        values["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in paths if path)
    return values


def main() -> None:
    """The command `detente`: becomes the program."""
    try:
        path = program()
    except FileNotFoundError as error:
        sys.exit(f"error: {error}.")
    os.execve(path, [path, *sys.argv[1:]], environment())
