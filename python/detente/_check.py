# SPDX-License-Identifier: Apache-2.0
"""The module belongs to one minor version of PyTorch: its C++ interface changes with each."""
import torch


def _minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])


try:
    from . import _core
except ImportError as error:
    raise ImportError(
        f"detente's module cannot be loaded with PyTorch {torch.__version__}: {error}. It was built for another "
        "PyTorch; install detente again in this environment (pip install --force-reinstall --no-build-isolation)."
    ) from error

if _minor(_core.torch_version) != _minor(torch.__version__):
    raise ImportError(
        f"detente was built for PyTorch {_core.torch_version} and this is {torch.__version__}; expected the same "
        "minor version. Install detente again in this environment (pip install --force-reinstall "
        "--no-build-isolation).")

version: str = _core.version
