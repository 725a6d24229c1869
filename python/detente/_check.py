# SPDX-License-Identifier: Apache-2.0
"""The module belongs to one minor version of PyTorch: its C++ interface changes with each."""

import torch


def _minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])


_AGAIN = "Install detente again in this environment (pip install --force-reinstall)."

try:
    from . import _core
except ImportError as error:
    raise ImportError(
        f"detente's module cannot be loaded with PyTorch {torch.__version__}: {error}. It was built for "
        f"another PyTorch. {_AGAIN}"
    ) from error

if _minor(_core.torch_version) != _minor(torch.__version__):
    raise ImportError(
        f"detente was built for PyTorch {_core.torch_version} and this is {torch.__version__}; expected the "
        f"same minor version. {_AGAIN}"
    )

version: str = _core.version
