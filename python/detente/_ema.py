# SPDX-License-Identifier: Apache-2.0
"""A teacher that follows its student."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from . import _core
from ._arguments import real_number, whole_number

_BUFFERS = ("own", "copy", "ema")
_NARROW = (torch.float16, torch.bfloat16)


class Ema(nn.Module):
    """A copy of a module, `.module`, whose parameters follow the module's at each `update()`:

        a = d a + (1 - d) θ

    `decay` in [0, 1]: d. With `steps` = T it goes from there to 1 by half a cosine, as the teacher's of
    DINO (Caron et al., ICCV 2021) and BYOL: 1 - (1 - decay) (1 + cos(π t / T)) / 2 for the updates t = 0,
    ..., T - 1, then 1.

    `buffers` (running statistics of BatchNorm and the like): "copy": those of the module at each update.
    "own": what the teacher's own passes make of them, as the published code of DINO (leave it in training
    mode then). "ema": averaged as the parameters; whole numbers are copied.

    Called, it is `.module` without a graph. Its parameters require no gradient. It is in training or
    evaluation mode as any module, at first as the one it copies, which is not part of it: neither
    parameters() nor state_dict() has that. A DistributedDataParallel is followed without its wrapper.

    Parameters in float16 and bfloat16 are averaged in float32 beside them. Cost: a pass over the parameters
    per update, and their memory once.

    Raises ValueError for options out of range, TypeError for what is no module."""

    module: nn.Module

    def __init__(
        self, module: nn.Module, decay: float = 0.996, steps: Optional[int] = None, *, buffers: str = "copy"
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
        if buffers not in _BUFFERS:
            raise ValueError(f"buffers is {buffers!r}; expected one of {', '.join(_BUFFERS)}")
        self.decay = _decay(decay)
        self.steps = None if steps is None else whole_number(steps, "steps", 1)
        self.buffers_mode = buffers
        if isinstance(module, DistributedDataParallel):
            module = module.module
        self._followed = (module,)  # in a tuple it is no part of this module, to be saved and trained
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.train(module.training)
        self._updates = 0
        self._averages: Dict[str, Tensor] = {}  # of what is narrower than float32

    @property
    def updates(self) -> int:
        """How many there were."""
        return self._updates

    def decay_at(self, update: int) -> float:
        """d of the update with this number, from 0."""
        update = whole_number(update, "update", 0)
        if self.steps is None:
            return self.decay
        return 1.0 if update >= self.steps else _core.cosine_course(self.decay, 1.0, update, self.steps)

    @torch.no_grad()
    def update(self, decay: Optional[float] = None) -> float:
        """Follows the module's present values, after the optimiser's step. Returns d, which is `decay` in
        [0, 1] where given, else that of the schedule. ValueError where the module has parameters that the
        copy has not, or of other shapes."""
        d = self.decay_at(self._updates) if decay is None else _decay(decay)
        (followed,) = self._followed
        pairs = _pairs(self.module.named_parameters(), followed.named_parameters())
        buffers = _pairs(self.module.named_buffers(), followed.named_buffers())
        if self.buffers_mode == "ema":
            pairs += buffers
        averages, values = [], []
        for name, average, value in pairs:
            averages.append(self._average(name, average))
            values.append(value.detach().to(average.device))
        _core.follow(averages, values, d)
        for (_, tensor, _), average in zip(pairs, averages):
            if average is not tensor:
                tensor.copy_(average)
        if self.buffers_mode == "copy":
            for _, average, value in buffers:
                average.copy_(value)
        self._updates += 1
        return d

    @torch.no_grad()
    def forward(self, *arguments: Any, **named: Any) -> Any:
        """The teacher's answer, without a graph."""
        return self.module(*arguments, **named)

    def _average(self, name: str, tensor: Tensor) -> Tensor:
        if tensor.dtype not in _NARROW:
            return tensor
        wide = self._averages.get(name)
        # Moved along with the module, and made anew where what was loaded had none.
        wide = tensor.float() if wide is None else wide.to(tensor.device)
        self._averages[name] = wide
        return wide

    def get_extra_state(self) -> Dict[str, Any]:
        """The number of updates, and averages in float32 of narrower parameters."""
        return {
            "updates": torch.tensor(self._updates),
            "averages": {name: wide.clone() for name, wide in self._averages.items()},
        }

    def set_extra_state(self, state: Dict[str, Any]) -> None:
        """Of get_extra_state()."""
        self._updates = int(state["updates"])
        self._averages = {name: wide.clone() for name, wide in state["averages"].items()}

    def extra_repr(self) -> str:
        """For repr()."""
        return f"decay={self.decay}, steps={self.steps}, buffers={self.buffers_mode}, updates={self._updates}"


def _decay(given: Any) -> float:
    decay = real_number(given, "decay")
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is {decay}; expected a number from 0 to 1")
    return decay


def _pairs(own: Any, followed: Any) -> List[Tuple[str, Tensor, Tensor]]:
    mine, theirs = dict(own), dict(followed)
    if mine.keys() != theirs.keys():
        name = sorted(mine.keys() ^ theirs.keys())[0]
        raise ValueError(
            f"'{name}' is in {'the teacher' if name in mine else 'the module'} alone; expected the module as "
            "it was when the teacher was made. Make the teacher after the last change of the module"
        )
    for name, tensor in mine.items():
        if tensor.shape != theirs[name].shape:
            raise ValueError(
                f"'{name}' has shape {list(theirs[name].shape)}, and {list(tensor.shape)} in the teacher; "
                "expected the module as it was when the teacher was made"
            )
    return [(name, tensor, theirs[name]) for name, tensor in mine.items()]
