# SPDX-License-Identifier: Apache-2.0
"""Features, labels and answers of functions as detente.value takes them: arrays, tensors, lists,
DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch

Kind = Union[None, str, Sequence[str]]
_KINDS = ("classes", "numbers")
_NAN = float("nan")


@dataclass(frozen=True)
class Labels:
    """Of the rows that are valued and of those that judge, task after task: [tasks, n] and [tasks, m]
    float64. `classes`: how many there are, then ids from 0; 0 for numbers. `flat`: given as [n]."""

    train: np.ndarray
    test: np.ndarray
    classes: Tuple[int, ...]
    names: Tuple[str, ...]
    flat: bool


def features_of(given: Any, what: str, width: Optional[int] = None) -> np.ndarray:
    """[n, width] float32, C-contiguous. ValueError for another shape, ArithmeticError naming the row for what
    is not finite, TypeError for what are no real numbers."""
    array, _ = _numbers(given, what)
    if array.ndim != 2 or 0 in array.shape:
        hint = ". reshape(len(rows), -1) makes a row of each" if array.ndim > 2 else ""
        raise ValueError(
            f"{what} has shape {_shape(array)}; expected [rows, columns], at least one each{hint}"
        )
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{what} has {array.shape[1]} columns; expected {width}, as X has")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    wrong = ~np.isfinite(array)
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        raise ArithmeticError(
            f"{what} has {array[row, column]} in row {row}, column {column}; expected finite numbers of "
            "float32. Leave the row out, or look at what made it"
        )
    return array


def labels_of(y: Any, yv: Any, n: int, m: int, kind: Kind) -> Labels:
    """ValueError for other lengths and tasks than expected, TypeError for what are no numbers."""
    names, known, flat = _columns(y, "y", n, "X")
    other_names, judging, _ = _columns(yv, "yv", m, "Xv")
    if len(known) != len(judging):
        raise ValueError(f"y has {len(known)} tasks and yv {len(judging)}; expected the same")
    if isinstance(y, Mapping) and isinstance(yv, Mapping) and other_names != names:
        raise ValueError(
            f"y has the tasks {list(names)} and yv {list(other_names)}; expected the same, in order"
        )
    kinds = _kinds(kind, names, known, judging)
    train, test, classes = [], [], []
    for one, (a, _), (b, _) in zip(kinds, known, judging):
        levels = 0
        if one == "classes":
            both, levels = _ids(np.concatenate([a, b]))
            a, b = both[:n], both[n:]
        train.append(a)
        test.append(b)
        classes.append(levels)
    return Labels(_stack(train), _stack(test), tuple(classes), names, flat)


def answer_of(answer: Any, what: str, dimensions: int) -> np.ndarray:
    """What a function of the caller's has returned, float64 of at most so many dimensions. TypeError."""
    try:
        array = np.asarray(_without_torch(answer))
    except ValueError:  # of rows of several lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" or array.ndim > dimensions:
        kind = type(answer).__name__
        if isinstance(answer, np.ndarray):
            kind += f" of {array.dtype} and shape {_shape(array)}"
        raise TypeError(
            f"{what} returned a {kind}; expected a number or an array of numbers of up to {dimensions} "
            f"dimension{'s' if dimensions > 1 else ''}"
        )
    return array.astype(np.float64)


def column_of(given: Any, what: str) -> np.ndarray:
    """One dimension of float64, missing ones NaN."""
    array, _ = _numbers(given, what)
    if array.ndim != 1:
        raise ValueError(f"{what} has shape {_shape(array)}; expected one number for each example")
    return np.ascontiguousarray(array, dtype=np.float64)


def _shape(array: np.ndarray) -> str:
    return str(list(array.shape))


def _without_torch(given: Any) -> Any:
    """Tensors, and lists of them, as arrays; what has a graph or lies elsewhere is no array by itself."""
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu()
        if given.dtype == torch.bfloat16:  # which NumPy has not
            given = given.float()
        return np.asarray(given)
    if isinstance(given, (list, tuple)) and any(isinstance(one, torch.Tensor) for one in given):
        return [_without_torch(one) for one in given]
    return given


def _numbers(given: Any, what: str) -> Tuple[np.ndarray, bool]:
    """An array of real numbers, and whether all that are there are whole by their types."""
    if given is None:
        raise TypeError(f"{what} is None; expected an array of numbers")
    try:
        array = np.asarray(_without_torch(given))
    except ValueError:
        raise ValueError(f"{what} has rows of several lengths; expected an array") from None
    kind = array.dtype.kind
    if kind in "biuf":
        # pandas has whole numbers that may be missing, and makes them floating for NumPy.
        return array, kind != "f" or getattr(getattr(given, "dtype", None), "kind", "f") in "biu"
    if kind in "US" or (kind == "O" and any(isinstance(one, (str, bytes)) for one in array.flat)):
        raise TypeError(
            f"{what} holds texts; expected numbers. numpy.unique(texts, return_inverse=True)[1] numbers "
            "classes"
        )
    if kind != "O":
        raise TypeError(f"{what} is of {array.dtype}; expected real numbers")
    numbers, whole = np.full(array.shape, _NAN), True
    for place, one in np.ndenumerate(array):
        if one is None or str(one) in ("<NA>", "nan", "NaT"):  # pandas' words for it
            continue
        if not isinstance(one, (bool, int, float, np.number, np.bool_)) or isinstance(
            one, np.complexfloating
        ):
            raise TypeError(f"{what} holds a {type(one).__name__}; expected numbers")
        numbers[place] = one
        whole = whole and isinstance(one, (bool, int, np.integer, np.bool_))
    return numbers, whole


Column = Tuple[np.ndarray, bool]


def _columns(y: Any, what: str, n: int, rows: str) -> Tuple[Tuple[str, ...], List[Column], bool]:
    if isinstance(y, Mapping) or (hasattr(y, "columns") and hasattr(y, "to_dict")):  # or of pandas
        names = list(y) if isinstance(y, Mapping) else list(y.columns)
        found = [_numbers(y[name], f"{what}[{name!r}]") for name in names]
        flat = False
        for name, (array, _) in zip(names, found):
            if array.ndim != 1:
                raise ValueError(f"{what}[{name!r}] has shape {_shape(array)}; expected [{n}]")
    else:
        array, whole = _numbers(y, what)
        if array.ndim not in (1, 2):
            raise ValueError(f"{what} has shape {_shape(array)}; expected [{n}] or [{n}, tasks]")
        flat = array.ndim == 1
        found = [(one, whole) for one in (array.reshape(1, -1) if flat else array.T)]
        names = list(range(len(found)))
    if not found:
        raise ValueError(f"{what} has no task; expected labels of at least one")
    for name, (array, _) in zip(names, found):
        if len(array) != n:
            raise ValueError(f"{what} has {len(array)} labels for {n} rows of {rows}; expected one each")
        endless = np.isinf(array)
        if endless.any():
            raise ArithmeticError(
                f"{what} has {array[endless][0]} in row {int(np.argmax(endless))}, task {name}; expected "
                "finite numbers, or NaN where there is no label"
            )
    return tuple(str(name) for name in names), found, flat


def _kinds(
    kind: Kind, names: Sequence[str], known: Sequence[Column], judging: Sequence[Column]
) -> Tuple[str, ...]:
    if kind is not None:
        given = (kind,) * len(names) if isinstance(kind, str) else tuple(kind)
        if len(given) != len(names) or any(one not in _KINDS for one in given):
            raise ValueError(
                f"kind is {kind!r}; expected 'classes' or 'numbers', or one of them for each of "
                f"{len(names)} tasks"
            )
        return given
    for name, (a, whole), (b, other) in zip(names, known, judging):
        if whole != other:
            raise ValueError(
                f"y is of {a.dtype} and yv of {b.dtype} in task {name}; expected both whole numbers "
                "(classes) or both floating (numbers). kind='classes' or 'numbers' says which"
            )
    return tuple(_KINDS[0] if whole else _KINDS[1] for _, whole in known)


def _ids(labels: np.ndarray) -> Tuple[np.ndarray, int]:
    """Classes from 0 in the order of the labels."""
    known = ~np.isnan(labels)
    levels, places = np.unique(labels[known], return_inverse=True)
    ids = np.full(len(labels), _NAN)
    ids[known] = places.reshape(-1)
    return ids, len(levels)


def _stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.stack(rows), dtype=np.float64)
