# SPDX-License-Identifier: Apache-2.0
"""Runs of the program from Python: train a recipe, use what was trained, compare methods."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import tempfile
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from ._process import call
from ._rows import answers, written_rows

Recipe = Union[str, "os.PathLike[str]", Mapping[str, Any]]
Record = Dict[str, Any]
Callback = Callable[[Record], Any]


class Run:
    """A folder that `detente train` wrote. In a notebook it shows its report."""

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        self.path = Path(path)
        if not (self.path / "recipe.yaml").is_file():
            raise FileNotFoundError(
                f"'{self.path}' is no run: it has no recipe.yaml; expected a folder that detente train wrote"
            )

    @property
    def summary(self) -> Dict[str, Any]:
        """The result: metrics of the best epoch, share of steps in conflict, times (docs/run_directory.md).
        FileNotFoundError before the first epoch has ended."""
        found: Dict[str, Any] = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
        return found

    def records(self, type: Optional[str] = None) -> List[Record]:
        """The lines of metrics.jsonl, one for each step and epoch; `type` "step" or "epoch": those alone."""
        found = []
        for line in (self.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a run that was killed
                record = json.loads(line)
                if type is None or record.get("type") == type:
                    found.append(record)
        return found

    def predict(self, data: Any) -> Any:
        """What the model says of new rows, with the recipe's input columns: a pandas DataFrame gives one with
        its index, a dict of columns (NumPy arrays or lists) a dict of arrays, a path a dict. NaN, None and
        NaT are missing cells. Columns as docs/data.md has them: `score`; `same` and `same_probability`.
        Raises DataError for rows that do not fit the recipe."""
        with tempfile.TemporaryDirectory(prefix="detente-") as folder:
            file = written_rows(data, Path(folder) / "rows.jsonl")
            out = Path(folder) / "answers.jsonl"
            arguments = ["predict", str(self.path), "--data", str(file), "--out", str(out), "--no-inputs"]
            if not isinstance(data, (str, os.PathLike)):
                arguments += ["--format", "jsonl"]
            call(arguments)
            return answers(out, data)

    def evaluate(self, data: Any = None, part: str = "dev") -> Dict[str, Any]:
        """Metrics of rows with targets: {task: {metric: value}}. Without `data` those of the recipe's `part`,
        train, dev or test."""
        with tempfile.TemporaryDirectory(prefix="detente-") as folder:
            arguments = ["eval", str(self.path), "--json"]
            if data is None:
                arguments += ["--part", part]
            else:
                arguments += ["--data", str(written_rows(data, Path(folder) / "rows.jsonl"))]
                if not isinstance(data, (str, os.PathLike)):
                    arguments += ["--format", "jsonl"]
            found: Dict[str, Any] = json.loads(call(arguments))["tasks"]
            return found

    def _repr_html_(self) -> str:
        return _inline(self.path / "report.html")

    def __repr__(self) -> str:
        return f"detente.Run({str(self.path)!r})"


class Study:
    """A folder that `detente compare --methods` wrote. In a notebook it shows its page."""

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        self.path = Path(path)
        text = (self.path / "comparison.json").read_text(encoding="utf-8")
        self.results: Dict[str, Any] = json.loads(text)  # docs/compare.md, "The JSON"

    @property
    def sentences(self) -> List[str]:
        """The verdict in words."""
        return [str(sentence) for sentence in self.results["sentences"]]

    @property
    def rows(self) -> List[Dict[str, Any]]:
        """A dict per method, task and metric: mean, low, high, by_seed; for pandas.DataFrame."""
        return list(self.results["rows"])

    def _repr_html_(self) -> str:
        return _inline(self.path / "comparison.html")

    def __repr__(self) -> str:
        return f"detente.Study({str(self.path)!r})"


def train(
    recipe: Recipe,
    out: Union[None, str, "os.PathLike[str]"] = None,
    *,
    callbacks: Union[Callback, Iterable[Callback]] = (),
    overrides: Optional[Mapping[str, Any]] = None,
    resume: bool = False,
    force: bool = False,
    quiet: bool = False,
) -> Run:
    """Trains a recipe, a file or a dict of the same keys (paths in a dict are relative to the current
    folder), into the folder `out` (left out: the recipe's output.dir, else runs/NAME) and returns the run.

    `callbacks` get every line of metrics.jsonl, a dict with "type" "step" or "epoch", soon after it is
    written, in this thread; one that returns True stops the training, which is saved (`resume=True` goes on).
    An exception of a callback stops it likewise and comes through. `overrides`: {"train.epochs": 3}, as
    --set. `force` replaces a run that is there. Ctrl-C saves and raises KeyboardInterrupt.

    Raises ValueError for a recipe that is wrong, DataError for data or a folder that cannot be used,
    ArithmeticError when numbers are not finite."""
    callbacks = (callbacks,) if callable(callbacks) else tuple(callbacks)
    with _recipe_file(recipe) as file:
        sets = _sets(overrides)
        folder = Path(out) if out is not None else _folder_of(file, sets)
        arguments = ["train", str(file), "--out", str(folder), "--json", *sets]
        arguments += ["--resume"] * resume + ["--force"] * force + ["--quiet"] * quiet
        follower = _Follower(folder, resume)

        def watch() -> bool:
            # Every callback sees every record, also when an earlier one has had enough.
            wanted = [bool(one(record)) for record in follower.fresh() for one in callbacks]
            return any(wanted)

        call(arguments, quiet=quiet, watch=watch if callbacks else None, may_stop=True)
    return Run(folder)


def load_run(path: Union[str, "os.PathLike[str]"]) -> Run:
    """The run in a folder. FileNotFoundError where there is none."""
    return Run(path)


def compare(
    recipe: Recipe,
    methods: Sequence[str],
    out: Union[str, "os.PathLike[str]"],
    *,
    seeds: int = 3,
    jobs: int = 1,
    grid: Optional[Mapping[str, Sequence[Any]]] = None,
    halving: bool = False,
    single: bool = True,
    overrides: Optional[Mapping[str, Any]] = None,
    quiet: bool = False,
) -> Study:
    """Trains every method with every seed (`"cagrad[c=0.2]"` for one with options), and unless `single=False`
    each task alone, into the folder `out`, and judges the difference (docs/compare.md). `grid`:
    {"optimizer.lr": [1e-3, 3e-3]}. Stopped in any way, the same call goes on. Errors as those of train."""
    if isinstance(methods, str):
        methods = [methods]
    with _recipe_file(recipe) as file:
        arguments = ["compare", str(file), "--methods", ",".join(methods), "--seeds", str(seeds)]
        arguments += ["--out", str(out), "--jobs", str(jobs), "--json", *_sets(overrides)]
        for key, values in (grid or {}).items():
            arguments += ["--grid", f"{key}={','.join(_word(value) for value in values)}"]
        arguments += ["--halving"] * halving + ["--no-stl"] * (not single) + ["--quiet"] * quiet
        call(arguments, quiet=quiet)
    return Study(out)


class _Follower:
    """The lines of a run's log as they come, each once."""

    def __init__(self, folder: Path, resume: bool) -> None:
        self._file = folder / "metrics.jsonl"
        self._before = self._identity()  # of an earlier run: not to be told unless it goes on
        self._fresh_only = not resume
        self._offset = 0
        self._seen: Set[Tuple[Any, Any]] = set()
        self._last: Tuple[int, int] = (0, 0)
        if resume and self._before is not None:
            for record in self._lines():
                self._seen.add((record.get("type"), record.get("step")))

    def _identity(self) -> Optional[Tuple[int, int]]:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino)

    def _lines(self) -> Iterator[Record]:
        try:
            with open(self._file, "rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return  # is being written
                    self._offset += len(line)
                    with contextlib.suppress(ValueError):
                        yield json.loads(line)
        except FileNotFoundError:
            return

    def fresh(self) -> Iterator[Record]:
        identity = self._identity()
        if identity is None or (self._fresh_only and identity == self._before):
            return
        if identity != self._last or self._file.stat().st_size < self._offset:  # written anew
            self._last, self._offset = identity, 0
        for record in self._lines():
            key = (record.get("type"), record.get("step"))
            if key not in self._seen:
                self._seen.add(key)
                yield record


@contextlib.contextmanager
def _recipe_file(recipe: Recipe) -> Iterator[str]:
    if isinstance(recipe, (str, os.PathLike)):
        yield os.fspath(recipe)
        return
    if not isinstance(recipe, Mapping):
        raise TypeError(f"recipe is a {type(recipe).__name__}; expected a file's path or a dict of its keys")
    try:
        text = json.dumps(recipe, default=_plain)  # which YAML is a superset of
    except TypeError as error:
        raise TypeError(f"the recipe cannot be written down: {error}") from None
    # Beside the user, since paths in a recipe are relative to its folder.
    handle, name = tempfile.mkstemp(prefix=".detente-recipe-", suffix=".yaml", dir=".")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield name
    finally:
        os.unlink(name)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}; expected text, numbers, lists and dicts")


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain)


def _sets(overrides: Optional[Mapping[str, Any]]) -> List[str]:
    return [part for key, value in (overrides or {}).items() for part in ("--set", f"{key}={_word(value)}")]


def _folder_of(file: str, sets: Sequence[str]) -> Path:
    """Where the program would put the run."""
    text = call(["recipe", "show", file, *sets])
    named = re.search(r"^output:\n(?:  .*\n)*?  dir: (.+)$", text, re.M)
    name = re.search(r"^name: (.+)$", text, re.M)
    for found in (named, name):
        word = found[1].strip().strip("\"'") if found else ""
        if word:
            return Path(word) if found is named else Path("runs") / word
    raise ValueError("the recipe has neither a name nor output.dir; expected out=FOLDER")


def _inline(page: Path) -> str:
    """A page in a frame of its own: its style and the notebook's leave each other alone."""
    if not page.is_file():
        return f"<p>There is no {html.escape(str(page))} yet.</p>"
    text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    return (
        f'<iframe srcdoc="{text}" sandbox="allow-scripts" style="width:100%;height:40em;border:0" '
        f'title="{html.escape(page.name)}"></iframe>'
    )
