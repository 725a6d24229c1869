# SPDX-License-Identifier: Apache-2.0
"""The balanced backward pass."""

from __future__ import annotations

import dataclasses
import json
import warnings
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from . import _core, _scaling
from ._arguments import Losses, Own, generator, share_list, split_losses, tensor_list
from ._methods import Method, make_method, option_names, option_text, table
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
        self._shared = None if shared is None else tensor_list(shared, "shared")
        self._given_own = own
        if own is not None and shared is None:
            raise ValueError("own without shared; give both, or neither: then they are found from the graph")
        self._rng = generator(seed)
        self._engine: Optional[_core.Engine] = None
        self._names: Tuple[str, ...] = ()
        self._named = False
        self._masks: Dict[int, Tuple[Tensor, int]] = {}  # id → parameter, bits of the tasks that reach it
        self._seen = 0  # bits of the tasks that have taken part
        self._split: Tuple[Any, ...] = ()
        self._engine_state: Optional[str] = None
        self._groups = {
            str(name): tensor_list(part, f"groups['{name}']") for name, part in (groups or {}).items()
        }
        self._accumulating = False
        self._prepares = False  # independent() or estimate() was called for the step to come
        self._overflow = ""  # of a batch of the step that is being accumulated: what was not finite
        self._owes_losses = False  # a step was made and after_step() has not been called
        self._said_owed = False

    # ---- steps

    def backward(self, losses: Losses, *, rows: Optional[Tensor] = None) -> Report:
        """In place of `sum(losses).backward()`: adds the balanced gradient to .grad of the shared
        parameters and each loss's own to its own parameters, and frees the graph. `losses`: scalars with
        their graphs, a dict by task or a list; None for a task that takes no part. `rows`: where tasks have
        examples of their own in one joint batch, the task of each example (position among the losses, -1:
        none), if the engine does not find it itself.

        Raises ArithmeticError for a loss or gradient that is not finite (with a scaler: skips), ValueError
        for what is no scalar or has no graph; .grad is then as it was before."""
        names, values, named = self._values_of(losses)
        engine = self._prepared(names, values, named)
        where: List[int] = []
        if rows is not None:
            task_of = torch.as_tensor(rows)
            if task_of.dim() != 1 or task_of.is_floating_point() or task_of.dtype == torch.bool:
                raise ValueError(
                    "rows is one whole number per example, got "
                    f"{task_of.dtype} of shape {tuple(task_of.shape)}"
                )
            where = [int(row) for row in task_of.tolist()]
            if where and not -1 <= min(where) <= max(where) < len(values):
                raise ValueError(
                    f"rows names task {max(where)} of {len(values)}; expected -1 to {len(values) - 1}"
                )
        self._ask_for_losses()
        self._prepares = False
        if self._scaler is not None:
            engine.set_loss_scale(float(self._scaler.get_scale()))
        return self._ended(lambda: engine.backward(values, where, self._rng), values, named)

    def accumulate(self, losses: Losses, *, shares: Optional[Sequence[float]] = None) -> None:
        """A part of a step over several batches; `finish` ends it. `shares`: what each loss counts, such as
        the number of examples in its mean; left out, all the same."""
        names, values, named = self._values_of(losses)
        parts = share_list(shares, names)
        engine = self._prepared(names, values, named)
        self._accumulating = True
        if self._overflow:
            return  # the step is lost already
        try:
            if self._scaler is not None:
                engine.set_loss_scale(float(self._scaler.get_scale()))
            engine.accumulate(values, parts)
        except ArithmeticError as error:
            self._accumulating = False
            if type(error) is not ArithmeticError:
                raise
            if self._scaler is None:
                raise ArithmeticError(f"{error}{_scaling.hint(values)}") from None
            self._accumulating = True
            self._overflow = str(error)

    def finish(self) -> Report:
        """Balances what was accumulated and adds it to .grad."""
        engine = self._engine
        if engine is None or not self._accumulating:
            raise RuntimeError("finish() without accumulate() before it")
        self._accumulating = False
        lost, self._overflow = self._overflow, ""
        if lost:
            return self._skipped(lost, [None] * len(self._names), self._named)
        self._ask_for_losses()
        return self._ended(lambda: engine.finish(self._rng), [], self._named)

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
        split = self._split
        if self._shared is not None:
            if self._engine is None:
                split = (self._shared, self._own_lists(names))
                self._check_given(values, split)
        else:
            split = self._found(values)
        if self._engine is not None and split is not self._split and (self._accumulating or self._prepares):
            raise ValueError(
                "this batch shows that other parameters are shared than those before it did; expected "
                "shared=... and own=... where the batches of one step have different tasks"
            )
        if self._engine is None or split is not self._split:
            state = self._engine.state() if self._engine is not None else self._engine_state
            self._engine = _core.Engine(split[0], split[1], self._method, list(names), self._engine_options)
            if state is not None:
                self._engine.load_state(state)
            self._split = split
            self._set_groups()
        self._names, self._named = names, named
        return self._engine

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

    def _check_given(self, values: List[Optional[Tensor]], split: Tuple[Any, ...]) -> None:
        leaves = _core.reach(values)[0]
        reached = {id(p) for p in leaves}
        if not any(id(p) in reached for p in split[0]):
            raise ValueError(
                f"no loss depends on any of the {len(split[0])} parameters in shared=...; expected those of "
                "the network that the losses were computed with"
            )
        given = {id(p) for part in (split[0], *split[1]) for p in part}
        left = [p for p in leaves if isinstance(p, torch.nn.Parameter) and id(p) not in given]
        if left:
            warnings.warn(
                f"{len(left)} parameters that the losses depend on are in neither shared=... nor own=... and "
                "get no gradient",
                stacklevel=4,
            )

    def _own_lists(self, names: Tuple[str, ...]) -> List[List[Tensor]]:
        own = self._given_own
        if own is None:
            return []
        if isinstance(own, Mapping):
            unknown = [name for name in own if name not in names]
            if unknown:
                raise ValueError(f"own names {unknown}; expected names of the losses: {list(names)}")
            return [tensor_list(own.get(name, ()), f"own['{name}']") for name in names]
        lists = [tensor_list(part, f"own[{k}]") for k, part in enumerate(own)]
        if len(lists) != len(names):
            raise ValueError(f"own has {len(lists)} lists for {len(names)} losses; expected one each")
        return lists

    def _found(self, values: List[Optional[Tensor]]) -> Tuple[Any, ...]:
        parameters, by_loss, compiled = _core.reach(values)
        if compiled and not self._split:
            warnings.warn(
                "a part of the graph is compiled to one piece (torch.compile), which hides what each loss "
                "depends on: all parameters in it count as shared. Heads that are compiled with the trunk "
                "need shared=... and own=...",
                stacklevel=4,
            )
        if any(isinstance(p, torch.nn.Parameter) for p in parameters):
            kept = [j for j, p in enumerate(parameters) if isinstance(p, torch.nn.Parameter)]
        else:
            kept = list(range(len(parameters)))
        changed = not self._split
        for k, value in enumerate(values):
            if value is not None and not self._seen >> k & 1:
                self._seen |= 1 << k
                changed = True
        for j in kept:
            bits = sum(1 << k for k, row in enumerate(by_loss) if row[j])
            parameter = parameters[j]
            known = self._masks.get(id(parameter))
            if known is None or known[0] is not parameter:
                self._masks[id(parameter)] = (parameter, bits)
                changed = True
            elif known[1] | bits != known[1]:
                self._masks[id(parameter)] = (parameter, known[1] | bits)
                changed = True
        if not changed:
            return self._split
        alone = bin(self._seen).count("1") < 2
        shared: List[Tensor] = []
        own: List[List[Tensor]] = [[] for _ in values]
        for parameter, bits in self._masks.values():
            if alone or bits & (bits - 1):
                shared.append(parameter)
            else:
                own[bits.bit_length() - 1].append(parameter)
        if not shared:
            raise ValueError(
                "the losses share no parameter that requires a gradient: there is nothing to balance; "
                "expected losses of one network (is its trunk frozen?), or shared=... with the parameters"
            )
        return (shared, own)


_rng = _core.Rng(0)


def backward(
    losses: Losses,
    method: Union[str, Method] = "upgrad",
    *,
    shared: Optional[Iterable[Tensor]] = None,
    own: Optional[Own] = None,
    rows: Optional[Tensor] = None,
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
    return balancer.backward(losses, rows=rows)
