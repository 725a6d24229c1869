# SPDX-License-Identifier: Apache-2.0
"""Rows between Python and the program: DataFrames and dicts of columns as JSON lines, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, List

import numpy as np


def written_rows(data: Any, file: Path) -> Path:
    """The file of rows: `data` itself where it is a path, else `file` with its rows."""
    if isinstance(data, (str, os.PathLike)):
        return Path(data)
    columns = _columns(data)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different lengths: {lengths}; expected one value per row in each")
    with open(file, "w", encoding="utf-8") as out:
        for i in range(next(iter(lengths.values()), 0)):
            row = {name: _cell(values[i]) for name, values in columns.items()}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return file


def _columns(data: Any) -> Dict[str, List[Any]]:
    if hasattr(data, "columns") and hasattr(data, "to_dict"):  # pandas, without importing it
        return {str(name): data[name].tolist() for name in data.columns}
    if isinstance(data, Mapping):
        found = {}
        for name, values in data.items():
            values = values.tolist() if hasattr(values, "tolist") else list(values)
            if any(isinstance(value, (list, tuple)) for value in values):
                raise ValueError(f"column '{name}' has more than one dimension; expected one value per row")
            found[str(name)] = values
        return found
    raise TypeError(
        f"rows are a {type(data).__name__}; expected a pandas DataFrame, a dict of columns, or a file's path"
    )


def _cell(value: Any) -> Any:
    """As JSON has it; null is a missing cell."""
    if hasattr(value, "tolist"):  # a NumPy scalar
        value = value.tolist()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return None if value != value else value
    if value is None or isinstance(value, (int, str)):
        return value
    text = str(value)
    if text in ("NaT", "<NA>"):  # pandas' words for it
        return None
    return value.isoformat() if hasattr(value, "isoformat") else text


def answers(file: Path, like: Any) -> Any:
    """The program's answers in the kind of `like`."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    columns = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {})}
    if hasattr(like, "to_dict") and hasattr(like, "index"):
        import pandas

        return pandas.DataFrame(columns, index=like.index)
    return columns
