# SPDX-License-Identifier: Apache-2.0
"""The package as a package: its PyTorch, its symbols, its types."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import detente
from detente import _check, _core

SOURCES = Path(__file__).resolve().parents[2] / "python/detente"


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("other", ["2.6.0", "9.99.1+cu130"])
def test_another_minor_version_of_pytorch_is_refused_in_words(other):
    done = python(f"import torch; torch.__version__ = {other!r}; import detente")
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith(
        "ImportError: detente was built for PyTorch " + _core.torch_version.split("+")[0]
    )
    assert other in message and "same minor version" in message and "pip install" in message


def test_a_patch_release_is_taken():
    minor = ".".join(torch.__version__.split("+")[0].split(".")[:2])
    done = python(
        f"import torch; torch.__version__ = '{minor}.77+cu999'; import detente; print(detente.__version__)"
    )
    assert done.stdout.strip() == detente.__version__, done.stderr


def test_a_module_that_cannot_be_loaded_says_why():
    """As where the libraries of another PyTorch lack what it is linked to."""
    code = "import sys, torch; sys.modules['detente._core'] = None; import detente"
    message = python(code).stderr.strip().splitlines()[-1]
    assert "cannot be loaded with PyTorch" in message and "pip install" in message


@pytest.mark.skipif(not shutil.which("nm"), reason="needs nm")
def test_nothing_of_ours_is_seen_from_outside():
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", _core.__file__], capture_output=True, text=True
    ).stdout
    names = [line.split()[-1] for line in listing.splitlines() if line.split()[1] in "TDBV"]
    assert "PyInit__core" in names and not [name for name in names if "detente" in name], names


def test_everything_public_is_described():
    for name in detente.__all__:
        thing = getattr(detente, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if inspect.isfunction(value) and not member.startswith("_"):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_stubs_name_what_the_module_has():
    tree = ast.parse((SOURCES / "_core.pyi").read_text())
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert hasattr(_core, node.name), node.name
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                assert not isinstance(member, ast.FunctionDef) or hasattr(
                    getattr(_core, node.name), member.name
                )
    stubbed = set(re.findall(r"^(?:def|class) (\w+)", (SOURCES / "_core.pyi").read_text(), re.M))
    assert {name for name in dir(_core) if not name.startswith("_")} <= stubbed | {"version", "torch_version"}


def test_types_are_strict(tmp_path):
    pytest.importorskip("mypy")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            SOURCES.parents[1] / "pyproject.toml",
            "-p",
            "detente",
        ],
        capture_output=True,
        text=True,
        cwd=SOURCES.parent,
        env={**os.environ, "MYPY_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout


def test_the_module_knows_its_pytorch():
    assert (
        _check.version == _core.version
        and _core.torch_version.split("+")[0] == torch.__version__.split("+")[0]
    )
