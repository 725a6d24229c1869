# SPDX-License-Identifier: Apache-2.0
"""What examples are worth, as an object; tables of values; how well values find bad examples."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from . import _core
from ._value_inputs import column_of


class Series(NamedTuple):
    """What a column of values is of: the task that an example trains, the task that is judged, and the part
    of the data or network. "all": not told apart."""

    task_trained: str = "all"
    task_judged: str = "all"
    modality: str = "all"


@dataclass(frozen=True, eq=False)
class Values:
    """What n examples are worth; positive is helpful.

    `values`, `standard_errors` float64 and `counts` int64, [n] or [n, tasks]: a value, its standard error in
    the same unit, and how many measurements are behind it. NaN: unknown. `method`: by which it was found.
    `series`: what each column is of. `ids` int64 [n]: the examples' rows. `details`: what else a method says,
    by name."""

    values: np.ndarray
    standard_errors: np.ndarray
    counts: np.ndarray
    method: str
    series: Tuple[Series, ...]
    ids: np.ndarray
    details: Dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        harmful, helpful = int(self.harmful().sum()), int(self.helpful().sum())
        size = " x ".join(str(extent) for extent in self.values.shape)
        known = f"{helpful} helpful, {harmful} harmful beyond two standard errors"
        return f"Values({size} by {self.method}: {known})"

    def harmful(self) -> np.ndarray:
        """bool, of the shape of `values`: more than two standard errors below 0. Where either is unknown it
        is False: without a standard error nothing is known to be harmful."""
        return np.asarray(self.values < -2 * self.standard_errors)

    def helpful(self) -> np.ndarray:
        """bool, of the shape of `values`: more than two standard errors above 0."""
        return np.asarray(self.values > 2 * self.standard_errors)

    def verdicts(self) -> np.ndarray:
        """What each is: "helpful", "harmful" or "undecided", of the shape of `values`. Were all values noise,
        one in twenty would still have a verdict."""
        return np.where(self.helpful(), "helpful", np.where(self.harmful(), "harmful", "undecided"))

    def select(
        self,
        task_judged: Optional[str] = None,
        *,
        task_trained: Optional[str] = None,
        modality: Optional[str] = None,
    ) -> Values:
        """The columns of these names, [n] where one is left. ValueError where none is."""
        wanted = {"task_trained": task_trained, "task_judged": task_judged, "modality": modality}
        places = [
            place
            for place, one in enumerate(self.series)
            if all(name is None or getattr(one, key) == name for key, name in wanted.items())
        ]
        if not places:
            given = ", ".join(f"{key}={name!r}" for key, name in wanted.items() if name is not None)
            raise ValueError(
                f"no series is of {given}; expected one of {[tuple(one) for one in self.series]}"
            )
        chosen = [
            self._columns(array)[:, places] for array in (self.values, self.standard_errors, self.counts)
        ]
        if len(places) == 1:
            chosen = [array[:, 0] for array in chosen]
        return Values(
            chosen[0],
            chosen[1],
            chosen[2],
            self.method,
            tuple(self.series[place] for place in places),
            self.ids,
            self.details,
        )

    def to_pandas(self) -> Any:
        """A DataFrame with the columns id, task_trained, task_judged, modality, value, stderr, count, method,
        as `detente value` writes them: one row for each series and example, series after series. ImportError
        where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "to_pandas() needs pandas: pip install pandas. save() writes the same table without it"
            ) from None
        n, series = len(self.ids), self.series
        return pandas.DataFrame(
            {
                "id": np.tile(self.ids, len(series)),
                "task_trained": np.repeat([one.task_trained for one in series], n),
                "task_judged": np.repeat([one.task_judged for one in series], n),
                "modality": np.repeat([one.modality for one in series], n),
                "value": self._columns(self.values).T.reshape(-1),
                "stderr": self._columns(self.standard_errors).T.reshape(-1),
                "count": self._columns(self.counts).T.reshape(-1),
                "method": [self.method] * (n * len(series)),
            }
        )

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the table that read_values() and `detente value clean` read, CSV. OSError where it
        cannot."""
        rows = [
            np.ascontiguousarray(self._columns(array).T)
            for array in (self.values, self.standard_errors, self.counts)
        ]
        text = _core.value_csv(
            self.method, self.ids, [(one[0], one[1], one[2]) for one in self.series], *rows
        )
        Path(path).write_bytes(text.encode())

    def _columns(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(len(self.ids), len(self.series))


def made_values(
    arrays: Tuple[np.ndarray, np.ndarray, np.ndarray],
    method: str,
    series: List[Series],
    flat: bool,
    details: Optional[Dict[str, Any]] = None,
    ids: Optional[np.ndarray] = None,
) -> Values:
    """Of [series, n] as the module has them."""
    turned = [array[0] if flat else np.ascontiguousarray(array.T) for array in arrays]
    if ids is None:
        ids = np.arange(arrays[0].shape[1], dtype=np.int64)
    return Values(turned[0], turned[1], turned[2], method, tuple(series), ids, details or {})


def read_values(path: Union[str, os.PathLike[str]]) -> Values:
    """The table that `detente value` and Values.save() write, CSV or that through gzip: [n] for one series,
    else [n, series]. OSError where the file cannot be read, ValueError naming the line for what is no such
    table."""
    method, ids, names, arrays = _core.read_values(os.fspath(path))
    if not names:
        raise ValueError(
            f"{os.fspath(path)} has no values; expected at least one line below the names of columns"
        )
    return made_values(arrays, method, [Series(*name) for name in names], len(names) == 1, ids=ids)


def detection_auroc(values: Any, bad: Any) -> float:
    """How well low values find examples that are known to be bad, such as those whose label was changed on
    purpose: P(a bad one's value < a good one's) + P(equal) / 2. 1 finds them all first, 0.5 is chance.

    `values`: numbers [n], or Values of one series. `bad`: [n], truth values or 0 and 1. NaN in either leaves
    the example out. Raises ValueError for other sizes, and where all examples are bad or none is."""
    return _score(_core.detection_auroc, "detection_auroc", values, bad)


def detection_f1(values: Any, bad: Any) -> float:
    """F1 of calling bad what lies in the lower of the values' two clusters, the measure of OpenDataVal (Jiang
    et al., NeurIPS 2023). Arguments and errors as of detection_auroc()."""
    return _score(_core.detection_f1, "detection_f1", values, bad)


def _score(measure: Any, name: str, values: Any, bad: Any) -> float:
    numbers = column_of(values.values if isinstance(values, Values) else values, "values")
    flags = column_of(bad, "bad")
    if len(numbers) != len(flags):
        raise ValueError(f"there are {len(numbers)} values and {len(flags)} flags in bad; expected one each")
    if not np.isin(flags[~np.isnan(flags)], (0.0, 1.0)).all():
        raise ValueError("bad holds other numbers than 0 and 1; expected truth values")
    value, reason = measure(numbers, flags)
    if reason:
        raise ValueError(f"{name}() is undefined: {reason}")
    return float(value)
