# SPDX-License-Identifier: Apache-2.0
"""The balanced backward pass."""

from __future__ import annotations

import dataclasses
import json
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from . import _core, _scaling
from ._arguments import Losses, Own, Shares, generator, row_list, share_list, split_losses, tensor_list
from ._methods import Method, make_method, option_names, option_text, table
from ._owners import Owners, Split
from ._processes import Compared, processes_of, summary, warn_if_others
from ._report import Report, report_of, skipped_report

# Options of the engine; all others are the method's.
ENGINE_OPTIONS = (
    "strategy",
    "scale",
    "memory",
    "heads",
    "loss_scaling",
    "passes",
    "gram_sketch",
    "diagnose_every",
    "estimate_floor",
    "clip_norm",
)


class Balancer:
    """Backward passes of several losses, with what the method and the engine remember between steps.

    `method`: a name of detente.methods() with its options as keywords (`c=0.4`), or an instance of
    detente.Method. `shared`: the parameters whose gradients are balanced; `own`: per task those of it
    alone, which get the gradient of their own loss. Left out, both are found from the graph: what one loss
    alone depends on is that task's own, what several do is shared. Of the leaves, torch.nn.Parameter alone
    count, unless there are none.

    Other keywords are the engine's: `diagnose_every=n` measures conflict every n-th step whatever the method,
    `memory="low"`, `clip_norm`, `strategy`, `gram_sketch`, ... (docs/engine.md). One that the method has as
    well (`scale` of ew) is the method's; `engine={"scale": "sum_to_tasks"}` names the engine's. `seed`: of
    methods that draw. `scaler`: the torch.amp.GradScaler of the loop, if it has one; losses are given as they
    are or through scaler.scale(), methods see gradients without its factor, .grad has it for scaler.step(),
    and what is not finite ends in its skipping the step (report.skipped) instead of an ArithmeticError.

    `groups`: names with their shared parameters, or modules; steps that `diagnose_every` names then report a
    Gram matrix for each in report.groups, and one of the rest, which shows in which layers tasks conflict.

    `process_group`: of torch.distributed, such as torch.distributed.group.WORLD. This is then one of several
    processes that train one model, each on its examples of every batch: `.grad` becomes what one process
    would get from all of them, the same to the bit in every process, whether or not the model is wrapped in
    DistributedDataParallel. Every process makes the same calls; an error in one is raised in all.

    Raises ValueError for an unknown method or option, TypeError for what is no method or no list of
    parameters. Not thread-safe; one per training run."""

    def __init__(
        self,
        method: Union[str, Method] = "upgrad",
        shared: Optional[Iterable[Tensor]] = None,
        own: Optional[Own] = None,
        *,
        seed: int = 0,
        engine: Optional[Mapping[str, Any]] = None,
        scaler: Optional[Any] = None,
        groups: Optional[Mapping[str, Iterable[Tensor]]] = None,
        process_group: Optional[Any] = None,
        **options: Any,
    ) -> None:
        if engine is not None and not isinstance(engine, Mapping):
            raise TypeError(f"engine is a {type(engine).__name__}; expected a dict of the engine's options")
        mine = option_names(method)
        of_engine = {
            name: options.pop(name) for name in ENGINE_OPTIONS if name in options and name not in mine
        }
        of_engine.update(engine or {})
        self._scaler = scaler if _scaling.active(scaler) else None
        if self._scaler is not None:
            if "loss_scaling" in of_engine:
                raise ValueError("scaler and loss_scaling both scale the losses; expected one of them")
            of_engine["loss_scaling"] = "dynamic"
        self._method = make_method(method, options)
        self._engine_options = [(name, option_text(value)) for name, value in of_engine.items()]
        self._owners = Owners(shared, own)
        self._rng = generator(seed)
        self._engine: Optional[_core.Engine] = None
        self._names: Tuple[str, ...] = ()
        self._named = False
        self._split: Split = ([], [])
        self._engine_state: Optional[str] = None
        self._groups = {
            str(name): tensor_list(part, f"groups['{name}']") for name, part in (groups or {}).items()
        }
        self._processes = processes_of(process_group)
        self._compared = Compared()
        self._accumulating = False
        self._prepares = False  # independent() or estimate() was called for the step to come
        self._overflow = ""  # of a batch of the step that is being accumulated: what was not finite
        self._owes_losses = False  # a step was made and after_step() has not been called
        self._said_owed = False

    # ---- steps

    def backward(
        self, losses: Losses, *, rows: Optional[Tensor] = None, shares: Optional[Shares] = None
    ) -> Report:
        """In place of `sum(losses).backward()`: adds the balanced gradient to .grad of the shared
        parameters and each loss's own to its own parameters, and frees the graph. `losses`: scalars with
        their graphs, a dict by task or a list; None for a task that takes no part. `rows`: where tasks have
        examples of their own in one joint batch, the task of each example (position among the losses, -1:
        none), if the engine does not find it itself. `shares`: what each loss counts beside those of the same
        task in other processes, such as the number of examples in its mean; one number for all, a list, or a
        dict by task. Left out: all the same.

        Raises ArithmeticError for a loss or gradient that is not finite (with a scaler: skips), ValueError
        for what is no scalar or has no graph; .grad is then as it was before."""
        with self._together("backward()"):
            names, values, named = self._values_of(losses)
            given = dict(zip(names, share_list(shares, names, values)))
            engine = self._prepared(names, values, named)
            parts = [given[name] for name in self._names] if given else []
            where = row_list(rows, len(values))
            self._ask_for_losses()
            self._prepares = False
            if self._scaler is not None:
                engine.set_loss_scale(float(self._scaler.get_scale()))
            return self._ended(lambda: engine.backward(values, where, parts, self._rng), values, named)

    def accumulate(self, losses: Losses, *, shares: Optional[Shares] = None) -> None:
        """A part of a step over several batches; `finish` ends it. `shares`: what each loss counts, such as
        the number of examples in its mean: one number for all, a list, or a dict by task. Left out: all the
        same."""
        values: List[Optional[Tensor]] = []
        try:
            with self._together("accumulate()"):
                names, values, named = self._values_of(losses)
                given = dict(zip(names, share_list(shares, names, values)))
                engine = self._prepared(names, values, named)
                parts = [given[name] for name in self._names] if given else []
                self._accumulating = True
                if self._overflow:
                    return  # the step is lost already
                if self._scaler is not None:
                    engine.set_loss_scale(float(self._scaler.get_scale()))
                engine.accumulate(values, parts)
        except Exception as error:
            numeric = type(error) is ArithmeticError  # not ZeroDivisionError of a method in Python
            if self._processes is not None:
                self._forget_batches()  # another process may be the one that failed
            elif numeric:
                self._accumulating = False
            if not numeric:
                raise
            if self._scaler is None:
                raise ArithmeticError(f"{error}{_scaling.hint(values)}") from None
            self._accumulating = True
            self._overflow = str(error)

    def finish(self) -> Report:
        """Balances what was accumulated and adds it to .grad."""
        with self._together("finish()"):
            engine = self._engine
            if engine is None or not self._accumulating:
                raise RuntimeError("finish() without accumulate() before it")
            self._accumulating = False
            lost, self._overflow = self._overflow, ""
            if lost:
                return self._skipped(lost, [None] * len(self._names), self._named)
            self._ask_for_losses()
            return self._ended(lambda: engine.finish(self._rng), [], self._named)

    def _together(self, doing: str) -> AbstractContextManager[None]:
        """Around what all processes do; an error in one is one in all."""
        return nullcontext() if self._processes is None else self._processes.step(doing)

    def _forget_batches(self) -> None:
        self._accumulating = False
        if self._engine is not None:
            self._make_engine(self._split, self._names)

    def _ended(
        self, step: Callable[[], Dict[str, Any]], values: List[Optional[Tensor]], named: bool
    ) -> Report:
        """The step's report; under a scaler what is not finite ends in gradients that make it skip."""
        try:
            report = report_of(step(), self._names, named)
        except ArithmeticError as error:
            if type(error) is not ArithmeticError:  # ZeroDivisionError of a method in Python
                raise
            if self._scaler is None:
                raise ArithmeticError(f"{error}{_scaling.hint(values)}") from None
            return self._skipped(str(error), values, named)
        if report.skipped and self._scaler is not None:
            words = f"gradients are not finite at the scaler's factor {report.loss_scale:g}"
            report = dataclasses.replace(report, message=words)
            _scaling.overflow(p for part in (self._split[0], *self._split[1]) for p in part)
        self._owes_losses = self.wants_losses_after_step and not report.skipped
        if self._processes is not None:
            weights = report.weights.values() if isinstance(report.weights, dict) else report.weights
            self._processes.set_result(np.array(list(weights)).tobytes())
        return report

    def _skipped(self, message: str, values: List[Optional[Tensor]], named: bool) -> Report:
        _scaling.overflow(p for part in (self._split[0], *self._split[1]) for p in part)
        losses = [float("nan") if value is None else float(value.detach()) for value in values]
        return skipped_report(losses, message, self._names, named)

    def _ask_for_losses(self) -> None:
        if self._owes_losses and not self._said_owed:
            self._said_owed = True
            warnings.warn(
                f"'{self._method.name}' learns from the losses after the optimiser's step, and after_step() "
                "was not called after the last one: its weights stay as they are. Call "
                "balancer.after_step(losses of the same batch) after optimizer.step()",
                stacklevel=4,
            )

    def after_step(self, losses: Losses) -> None:
        """For methods with `wants_losses_after_step` (famo): the losses of the same batch after
        optimizer.step()."""
        with self._together("after_step()"):
            if self._engine is None:
                raise RuntimeError("after_step() without backward() before it")
            names, values, _ = split_losses(losses)
            self._owes_losses = False
            if names != self._names:
                raise ValueError(
                    f"after_step() got the losses of {list(names)}; expected those of {list(self._names)}"
                )
            self._engine.after_step([None if v is None else v.detach() for v in values])

    def independent(self, first: Losses, second: Losses) -> None:
        """For methods with `wants_independent` (class X: sdmgrad, modo): the losses of two more batches,
        before `backward` with those of the step's own. Without them a step uses its own batch twice, which is
        biased. 2K passes."""
        with self._together("independent()"):
            a, b = (self._values_of(losses) for losses in (first, second))
            engine = self._prepared(a[0], a[1], a[2])
            if b[0] != a[0]:
                raise ValueError(
                    f"the second batch has the losses of {list(b[0])}; expected those of {list(a[0])}"
                )
            engine.set_independent(a[1], b[1])
            self._prepares = True

    def estimate(self, losses_of_part: Losses) -> None:
        """Where `wants_estimate`: losses on some of the step's examples, with graphs of their own, before
        `backward` with those on all. The Gram matrix comes from these, and the step needs one pass; its
        quality is measured on steps that `diagnose_every` names."""
        with self._together("estimate()"):
            names, values, named = self._values_of(losses_of_part)
            self._prepared(names, values, named).set_estimate(values)
            self._prepares = True

    def _values_of(self, losses: Losses) -> Tuple[Tuple[str, ...], List[Optional[Tensor]], bool]:
        names, values, named = split_losses(losses)
        return names, values if self._scaler is None else _scaling.unscaled(values, self._scaler), named

    @property
    def wants_independent(self) -> bool:
        """Whether the next step would use what `independent` gives; ask at every step."""
        return self._method.needs == "X" if self._engine is None else self._engine.wants_independent

    @property
    def wants_estimate(self) -> bool:
        """Whether the next step would use what `estimate` gives; ask at every step. Never the first: an
        estimate is trusted once it was measured."""
        return self._engine is not None and self._engine.wants_estimate

    @property
    def wants_losses_after_step(self) -> bool:
        return bool(self._method.wants_losses_after_step)

    # ---- state

    def state_dict(self) -> Dict[str, Any]:
        """Tensors and text alone: for torch.save(..., weights_only=True), safetensors or JSON."""
        engine = self._engine.state() if self._engine is not None else self._engine_state
        return {
            "format": "detente-balancer-1",
            "method": self._method.name,
            "options": self._method.options(),
            "state": self._method.state(),
            "engine": engine or "null",
            "rng": json.dumps(self._rng.state()),
            "arrays": {
                name: torch.from_numpy(np.array(values)) for name, values in self._method.arrays().items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where the balancer of that state stood. ValueError for a state of another method."""
        if not isinstance(state, Mapping):
            raise TypeError(f"the state is a {type(state).__name__}; expected what state_dict() gave")
        if state.get("format") != "detente-balancer-1":
            raise ValueError("this is no state of a detente.Balancer")
        if state["method"] != self._method.name:
            raise ValueError(
                f"the state is of method '{state['method']}' and this balancer's is '{self._method.name}'"
            )
        self._method.load_state(state["state"])
        arrays = {name: values.numpy() for name, values in state["arrays"].items()}
        if arrays:
            self._method.load_arrays(arrays)
        self._rng.set_state(json.loads(state["rng"]))
        self._engine_state = None if state["engine"] == "null" else state["engine"]
        if self._engine is not None and self._engine_state is not None:
            self._engine.load_state(self._engine_state)

    # ---- who owns what

    def parameters(self) -> Tuple[List[Tensor], List[List[Tensor]]]:
        """Shared ones, and per task its own, as they are known so far."""
        if self._engine is None:
            raise RuntimeError("parameters() before the first step")
        return list(self._split[0]), [list(part) for part in self._split[1]]

    def _prepared(
        self, names: Tuple[str, ...], values: List[Optional[Tensor]], named: bool
    ) -> "_core.Engine":
        if not values:
            raise ValueError("there is no loss; expected one per task")
        if named and self._named and names != self._names and set(names) == set(self._names):
            values[:] = [dict(zip(names, values))[name] for name in self._names]
            names = self._names
        if self._names and names != self._names:
            raise ValueError(
                f"losses of {list(names)}; expected those of {list(self._names)} as before, None for a "
                "task that takes no part"
            )
        split = self._owners.split(names, values, may_lack_all=self._processes is not None)
        if self._engine is not None and split is not self._split and (self._accumulating or self._prepares):
            raise ValueError(
                "this batch shows that other parameters are shared than those before it did; expected "
                "shared=... and own=... where the batches of one step have different tasks"
            )
        if self._engine is None and self._processes is None:
            warn_if_others()
        engine = self._engine
        if engine is None or split is not self._split:
            engine = self._make_engine(split, names)
        self._names, self._named = names, named
        self._compare()
        return engine

    def _make_engine(self, split: Split, names: Tuple[str, ...]) -> "_core.Engine":
        state = self._engine.state() if self._engine is not None else self._engine_state
        engine = _core.Engine(split[0], split[1], self._method, list(names), self._engine_options)
        if state is not None:
            engine.load_state(state)
        if self._processes is not None:
            engine.set_group(self._processes)
            self._processes.set_device(next(iter(split[0]), torch.empty(0)))
        self._engine, self._split = engine, split
        self._set_groups()
        return engine

    def _compare(self) -> None:
        """With the other processes: whether all do the same, on parameters that begin alike."""
        if self._processes is None:
            return
        first = not self._compared
        options = {**(json.loads(self._method.options()) or {}), **dict(self._engine_options)}
        words = f"method {self._method.name} with {options}, losses {list(self._names)}"
        state = [self._method.state(), self._engine_state] if first else []
        self._processes.set_setup(words, f"{_core.version} {self._rng.state()} {state}")
        words, parameters = summary(self._split[0], self._split[1])
        self._processes.set_parameters(words, parameters)
        new = [parameter for parameter in parameters if parameter not in self._compared]
        if new:
            self._processes.compare(new)
            self._compared.update((parameter, True) for parameter in new)

    def _set_groups(self) -> None:
        if not self._groups or self._engine is None:
            return
        group_of: Dict[int, int] = {}
        for number, (name, part) in enumerate(self._groups.items()):
            for parameter in part:
                if group_of.setdefault(id(parameter), number) != number:
                    raise ValueError(
                        f"a parameter of group '{name}' is in another group as well; expected one each"
                    )
        places = [group_of.get(id(parameter), len(self._groups)) for parameter in self._split[0]]
        names = [*self._groups, "rest"] if len(self._groups) in places else list(self._groups)
        self._engine.set_groups(names, places)


_rng = _core.Rng(0)
_compared = Compared()


def backward(
    losses: Losses,
    method: Union[str, Method] = "upgrad",
    *,
    shared: Optional[Iterable[Tensor]] = None,
    own: Optional[Own] = None,
    rows: Optional[Tensor] = None,
    shares: Optional[Shares] = None,
    **options: Any,
) -> Report:
    """In place of `sum(losses).backward()`, for methods that keep nothing between steps; others need a
    Balancer. Arguments as those of Balancer and Balancer.backward."""
    info = table().get(method) if isinstance(method, str) else None
    if info is not None and info.stateful:
        raise ValueError(
            f"'{method}' keeps a state between steps; expected balancer = detente.Balancer('{method}', ...) "
            "once and balancer.backward(losses) in each step"
        )
    balancer = Balancer(method, shared, own, **options)
    balancer._rng = _rng
    balancer._compared = _compared  # parameters are compared with other processes once
    return balancer.backward(losses, rows=rows, shares=shares)
