# SPDX-License-Identifier: Apache-2.0
"""Writes the archives beside it with NumPy 2: the same small arrays stored and deflated."""

import pathlib

import numpy as np

here = pathlib.Path(__file__).parent
values = np.array([[0, 1, 2], [3, 4, 100]])
arrays = {kind: values.astype(kind) for kind in
          ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i4", ">f8", ">f2", ">u2")}
arrays = {f"{'big_' if k[0] == '>' else ''}{k.strip('>')}": v for k, v in arrays.items()}
arrays["fortran"] = np.asfortranarray(np.arange(24, dtype="i4").reshape(2, 3, 4))
arrays["truth"] = np.array([True, False, True])
arrays["words"] = np.array(["개", "a cat", ""])
arrays["bytes"] = np.array([b"dog", b"ox"])
arrays["halves"] = np.array([1.5, -2.0, 6e-8, np.inf, np.nan, 65504], dtype="f2")
arrays["whole"] = np.array([2**63 - 1, -(2**63)], dtype="i8")
arrays["scalar"] = np.float64(7)
arrays["none"] = np.zeros((0, 3))
np.savez(here / "stored.npz", **arrays)
np.savez_compressed(here / "packed.npz", **arrays)
np.savez(here / "objects.npz", objects=np.array([1, "a", None], dtype=object))
