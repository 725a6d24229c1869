# SPDX-License-Identifier: Apache-2.0
"""Which parameters the tasks share and which are one task's own: as given, or found from the graph."""

from __future__ import annotations

import warnings
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import _core
from ._arguments import Own, tensor_list

Split = Tuple[List[Tensor], List[List[Tensor]]]  # shared, and per task its own (no lists: none has any)


class Owners:
    """TypeError and ValueError for what are no parameters."""

    def __init__(self, shared: Optional[Iterable[Tensor]], own: Optional[Own]) -> None:
        self._shared = None if shared is None else tensor_list(shared, "shared")
        self._given_own = own
        if own is not None and shared is None:
            raise ValueError("own without shared; give both, or neither: then they are found from the graph")
        self._masks: Dict[int, Tuple[Tensor, int]] = {}  # id → parameter, bits of the tasks that reach it
        self._seen = 0  # bits of the tasks that have taken part
        self._split: Optional[Split] = None

    def split(self, names: Sequence[str], values: List[Optional[Tensor]], may_lack_all: bool) -> Split:
        """The same object as before where nothing has changed. `may_lack_all`: whether it is nothing special
        that no task takes part here, because there are other processes."""
        if self._shared is None:
            self._split = self._found(values)
        elif self._split is None:
            split = (self._shared, self._own_lists(names))
            if not may_lack_all or any(value is not None for value in values):
                self._check_given(values, split)
            self._split = split
        return self._split

    def _check_given(self, values: List[Optional[Tensor]], split: Split) -> None:
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
                stacklevel=5,
            )

    def _own_lists(self, names: Sequence[str]) -> List[List[Tensor]]:
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

    def _found(self, values: List[Optional[Tensor]]) -> Split:
        parameters, by_loss, compiled = _core.reach(values)
        if compiled and self._split is None:
            warnings.warn(
                "a part of the graph is compiled to one piece (torch.compile), which hides what each loss "
                "depends on: all parameters in it count as shared. Heads that are compiled with the trunk "
                "need shared=... and own=...",
                stacklevel=5,
            )
        if any(isinstance(p, torch.nn.Parameter) for p in parameters):
            kept = [j for j, p in enumerate(parameters) if isinstance(p, torch.nn.Parameter)]
        else:
            kept = list(range(len(parameters)))
        changed = self._split is None
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
        if not changed and self._split is not None:
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
