# SPDX-License-Identifier: Apache-2.0
"""DINO for loops of one's own: the loss with its centre, and the head."""

from __future__ import annotations

import math
import os
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.distributed as dist
from torch import Tensor, nn

from . import _core
from ._arguments import floating, generator, whole_number
from ._methods import option_text
from ._processes import processes_of

Rows = Union[Tensor, Sequence[Tensor]]

_REACTIONS = ("stop", "warn", "ignore")
_NAN = float("nan")


class CollapseError(ArithmeticError):
    """Self-distillation has come to nothing; the message says how, and what to change."""


class DinoLoss(nn.Module):
    """DINO's loss (Caron et al., ICCV 2021, arXiv 2104.14294): the student's answer to every view of an image
    is to be the teacher's to every other view that the teacher saw.

    N images, V = `views` views of each, G = `globals` of them global (they come first), K = `out` outputs.
    Rows are view-major: row v N + n is view v of image n.

        p = softmax((teacher - centre) / teacher temperature)      a constant
        q = log softmax(student / student_temperature)
        loss = mean of -(p q) summed over K, over the N images and the G V - G pairs of different views

    `student_temperature`, `teacher_temperature`, `first_teacher_temperature`: > 0. The teacher's goes in a
    straight line from the first to the last in `teacher_warmup_epochs` (0: it is the last from the start).
    `centre_momentum` in [0, 1]: 1 keeps the centre at zero.

    `move_centre`: whether every call in training mode ends with update_centre(teacher), so that a loss uses
    the centre from before its step; False leaves that call to the loop, once a step, which is what several
    batches per step want.

    `on_collapse` ("stop", "warn", "ignore"): what happens when all answers say nothing, one output takes
    every batch, or every image has the same answer, for `patience` steps on end after the warm-up of the
    temperature: CollapseError, one RuntimeWarning, or nothing; `collapse` says it in any case.

    `process_group`: of torch.distributed, where each process has its own images of every batch. Centre and
    monitor then see the rows of all, whose number may differ, and every process makes the same calls.

    State: buffer `centre` [1, K], zeros at first, and the monitor's numbers, both in state_dict(). What is
    below float32 is computed in float32; for a loss in float64 call `.double()`.

    Raises ValueError for options out of range and V < 2, TypeError for values that are no numbers."""

    centre: Tensor

    def __init__(
        self,
        out: int,
        *,
        views: int,
        globals: int = 2,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        first_teacher_temperature: float = 0.04,
        teacher_warmup_epochs: int = 0,
        centre_momentum: float = 0.9,
        move_centre: bool = True,
        on_collapse: str = "stop",
        patience: int = 50,
        process_group: Optional[Any] = None,
    ) -> None:
        super().__init__()
        self.out = whole_number(out, "out", 2)
        self.views = whole_number(views, "views", 2)
        self.globals = whole_number(globals, "globals", 1)
        self.patience = whole_number(patience, "patience", 1)
        if self.globals > self.views:
            raise ValueError(f"globals is {globals} of {views} views; expected 1 to {views}")
        if on_collapse not in _REACTIONS:
            raise ValueError(f"on_collapse is {on_collapse!r}; expected one of {', '.join(_REACTIONS)}")
        self._given = [
            (name, option_text(value))
            for name, value in (
                ("student_temperature", student_temperature),
                ("teacher_temperature", teacher_temperature),
                ("first_teacher_temperature", first_teacher_temperature),
                ("teacher_warmup_epochs", teacher_warmup_epochs),
                ("centre_momentum", centre_momentum),
            )
        ]
        self._options()  # whether they are legal
        self.move_centre = bool(move_centre)
        self.on_collapse = on_collapse
        self.register_buffer("centre", torch.zeros(1, self.out))
        self._monitor = _core.CollapseMonitor(self.out, self.patience).state()
        self._collapse = "fine"
        self._warned = False
        self._seen: List[Tuple[float, ...]] = []  # of the calls since the centre moved
        self._epoch = 0
        self._numbers: Dict[str, float] = {}
        self._processes = processes_of(
            process_group, "have different losses. Give DinoLoss the same options in all of them"
        )
        self._alone = process_group is None
        if self._processes is not None:
            self._processes.set_setup(f"DinoLoss({self.extra_repr()})", "")

    def forward(
        self, student: Rows, teacher: Rows, epoch: int = 0, *, features: Optional[Tensor] = None
    ) -> Tensor:
        """The loss, a scalar with the student's graph.

        `student`: [V N, K], or a list of V tensors [N, K]; `teacher` likewise of the G global views, whose
        graph gets nothing. Floating-point. `epoch` >= 0 gives the teacher's temperature. `features`: the
        teacher's of one global view, [N, d], if the words of a collapse shall say whether they still
        differ.

        In training mode the centre moves afterwards (see `move_centre`).

        Raises ValueError for shapes that do not fit, TypeError for what are no floating-point tensors,
        CollapseError (an ArithmeticError) as above."""
        return self._step(student, teacher, epoch, features)[0]

    def terms(
        self, student: Rows, teacher: Rows, epoch: int = 0, *, features: Optional[Tensor] = None
    ) -> Dict[str, Tensor]:
        """In place of a call, for `Balancer.backward`: pairs of two global views and pairs with a local one
        of the student's as tasks, each the mean over its own pairs. "global_to_global" where G > 1,
        "local_to_global" where V > G; weighted with G (G - 1) and G (V - G) pairs their mean is the loss.

        Arguments, errors and the moving centre as of a call."""
        _, both, local = self._step(student, teacher, epoch, features)
        found = {"global_to_global": both, "local_to_global": local}
        return {name: value for name, value in found.items() if value is not None}

    def update_centre(self, teacher: Rows) -> None:
        """centre = m centre + (1 - m) mean of the teacher's rows, m = `centre_momentum`: of those given,
        [rows, K] or a list, and of all processes'. Ends a step for the monitor of collapse, with what the
        calls since the last one have shown.

        Raises ValueError for another number of outputs or no row in any process, and CollapseError."""
        with self._together("update_centre()"):
            sums = self._moved(_cat(teacher, "teacher"))
        self._watch(sums)

    @property
    def collapse(self) -> str:
        """Of the last step: "fine", "uniform" (all answers say nothing), "one_prototype" (one output takes
        the whole batch) or "one_answer" (every image has the same)."""
        return self._collapse

    @property
    def numbers(self) -> Dict[str, float]:
        """Of the last step, as the program's metrics have them: "mean_entropy" of the teacher's answers and
        "entropy_of_mean", shares of ln K; "kl", the loss without that entropy; "teacher_temperature"; and
        "feature_deviation" where features were given. Empty before the first."""
        return dict(self._numbers)

    # ---- within

    def _step(
        self, student: Rows, teacher: Rows, epoch: int, features: Optional[Tensor]
    ) -> Tuple[Tensor, Optional[Tensor], Optional[Tensor]]:
        if not (self.training and self.move_centre):
            return self._terms(student, _cat(teacher, "teacher", self.globals), epoch, features)
        with self._together("a call"):
            aim = _cat(teacher, "teacher", self.globals)
            terms = self._terms(student, aim, epoch, features)
            sums = self._moved(aim)
        self._watch(sums)
        return terms

    def _terms(
        self, student: Rows, aim: Tensor, epoch: int, features: Optional[Tensor]
    ) -> Tuple[Tensor, Optional[Tensor], Optional[Tensor]]:
        options = self._options()
        own = _cat(student, "student", self.views)
        temperature = options.teacher_temperature(whole_number(epoch, "epoch", 0))
        total, both, local, mean_entropy, entropy_of_mean, cross_entropy = _core.dino_terms(
            own, aim, self.centre, self.views, self.globals, options.student_temperature, temperature
        )
        if self.training:
            n = float(len(own) // self.views)
            seen = [n, n * mean_entropy, n * entropy_of_mean, n * cross_entropy, 0.0, 0.0]
            if features is not None:
                seen[4:] = [n, n * feature_deviation(features)]
            self._seen.append(tuple(seen))
            self._epoch = int(epoch)
        return total, both, local

    @torch.no_grad()
    def _moved(self, rows: Tensor) -> List[float]:
        """Moves the centre; sums over all processes of what the calls since the last time have shown."""
        seen, self._seen = self._seen, []
        if rows.dim() != 2 or rows.shape[1] != self.out:
            raise ValueError(f"the teacher's outputs have shape {list(rows.shape)}; expected [n, {self.out}]")
        kind = torch.promote_types(self.centre.dtype, torch.float32)
        total = rows.to(self.centre.device, kind).sum(0, keepdim=True)
        sums = [sum(column) for column in zip(*seen)] or [0.0] * 6
        numbers = torch.tensor([float(len(rows)), *sums], dtype=torch.float64)
        if self._processes is not None:
            self._processes.set_device(self.centre)
            self._processes.sum_tensor(total)
            self._processes.sum_numbers(numbers)
        elif self._alone:
            self._warn_if_others()
        count, *sums = numbers.tolist()
        self.centre.copy_(_core.moved_centre(self.centre, total, count, self._options().centre_momentum))
        return sums

    def _watch(self, sums: Sequence[float]) -> None:
        if sums[0] == 0:
            return
        options = self._options()
        rows, mean_entropy, entropy_of_mean, cross_entropy, known, deviation = sums
        mean_entropy, entropy_of_mean, cross_entropy = (
            value / rows for value in (mean_entropy, entropy_of_mean, cross_entropy)
        )
        deviation = deviation / known if known else _NAN
        whole = math.log(self.out)
        self._numbers = {
            "mean_entropy": mean_entropy / whole,
            "entropy_of_mean": entropy_of_mean / whole,
            "kl": cross_entropy - mean_entropy,
            "teacher_temperature": options.teacher_temperature(self._epoch),
        }
        if known:
            self._numbers["feature_deviation"] = deviation
        if self._epoch < options.teacher_warmup_epochs:
            return  # while the temperature rises the answers are what it makes them
        monitor = _core.CollapseMonitor(self.out, self.patience)
        monitor.load_state(self._monitor)
        told = mean_entropy if rows > 1 else _NAN  # one image has the answer of all
        self._collapse, remedy = monitor.add(told, entropy_of_mean, deviation, options)
        self._monitor = monitor.state()
        if not remedy or self.on_collapse == "ignore":
            return
        if self.on_collapse == "stop":
            raise CollapseError(
                f"[detente.distill.DinoLoss] {remedy} (on_collapse='warn' goes on all the same.)"
            )
        if not self._warned:
            self._warned = True
            warnings.warn(remedy, RuntimeWarning, stacklevel=_level_of_the_loop())

    def _options(self) -> "_core.DinoOptions":
        return _core.DinoOptions(self._given)

    def _together(self, doing: str) -> AbstractContextManager[None]:
        """Around what all processes do; an error in one is one in all."""
        return nullcontext() if self._processes is None else self._processes.step(f"DinoLoss, {doing}")

    def _warn_if_others(self) -> None:
        self._alone = False  # said once
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            warnings.warn(
                f"this is one of {dist.get_world_size()} processes, and DinoLoss has no process_group: its "
                "centre is that of this process's rows alone. Give process_group="
                "torch.distributed.group.WORLD",
                stacklevel=_level_of_the_loop(),
            )

    def get_extra_state(self) -> Tensor:
        """What the monitor of collapse remembers."""
        return torch.tensor(self._monitor, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Of get_extra_state(). ValueError for anything else."""
        numbers = floating(state, "the monitor's state").tolist()
        _core.CollapseMonitor(self.out, self.patience).load_state(numbers)
        self._monitor = numbers

    def extra_repr(self) -> str:
        """For repr()."""
        given = ", ".join(f"{name}={text}" for name, text in self._given)
        return f"{self.out}, views={self.views}, globals={self.globals}, {given}"


class _Part(nn.Module):
    """Parameters under a name; their mathematics is the head's."""

    def of(self, name: str) -> Tensor:
        """The parameter of this name."""
        return self._parameters[name]  # type: ignore[return-value]


class DinoHead(nn.Module):
    """DINO's projection head (Caron et al., ICCV 2021, appendix C): features to logits over prototypes.

        h = MLP(x)                     `layers` linear: width, hidden, ..., bottleneck, GELU between
        u = h / max(|h|, 1e-12)
        y_k = g_k u · v_k / |v_k|      g = 1, fixed with `norm_last_layer`: logits are cosines then

    `width`: of the features. Parameters have the program's names and shapes: "mlp.0.weight", "mlp.0.bias",
    ..., "last_layer.weight_v" [out, bottleneck] and "last_layer.weight_g" [out, 1]; what the program saves
    goes into load_state_dict(), a fixed weight_g that is not there being 1. Weights of the MLP start as
    N(0, 0.02²), biases as 0, v uniformly within 1/√bottleneck, drawn from `seed` (None: from PyTorch's
    generator).

    Raises ValueError for sizes below 1 and `out` below 2, TypeError for what are no whole numbers."""

    def __init__(
        self,
        width: int,
        out: int = 65536,
        *,
        layers: int = 3,
        hidden: int = 2048,
        bottleneck: int = 256,
        norm_last_layer: bool = True,
        seed: Optional[int] = None,
    ) -> None:
        super().__init__()
        options = [
            ("layers", option_text(layers)),
            ("hidden", option_text(hidden)),
            ("bottleneck", option_text(bottleneck)),
            ("out", option_text(out)),
            ("norm_last_layer", option_text(bool(norm_last_layer))),
        ]
        if seed is None:
            seed = int(torch.randint(2**62, ()).item())
        self.norm_last_layer = bool(norm_last_layer)
        self.mlp = nn.ModuleList()
        self.last_layer: _Part = _Part()
        start = _core.dino_head_start(options, whole_number(width, "width", 1), generator(seed))
        kind = torch.get_default_dtype()
        for name, value, trained in start:
            part, _, own = name.rpartition(".")
            if part.startswith("mlp.") and int(part[len("mlp.") :]) == len(self.mlp):
                self.mlp.append(_Part())
            parameter = nn.Parameter(value.to(kind), requires_grad=trained)
            self.get_submodule(part).register_parameter(own, parameter)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, out] of features [n, width], with the graph of both. ValueError for another shape."""
        mlp = [part.of(name) for part in self._layers() for name in ("weight", "bias")]
        direction, gain = self.last_layer.of("weight_v"), self.last_layer.of("weight_g")
        return _core.dino_head(floating(features, "features"), mlp, direction, gain)

    def _layers(self) -> List[_Part]:
        return list(self.mlp)  # type: ignore[arg-type]

    def _load_from_state_dict(self, state: Dict[str, Any], prefix: str, *rest: Any) -> None:
        gain = f"{prefix}last_layer.weight_g"
        if self.norm_last_layer and gain not in state and f"{prefix}last_layer.weight_v" in state:
            state[gain] = torch.ones_like(self.last_layer.of("weight_g"))
        super()._load_from_state_dict(state, prefix, *rest)

    def extra_repr(self) -> str:
        """For repr()."""
        layers = self._layers()
        width, (out, bottleneck) = layers[0].of("weight").shape[1], self.last_layer.of("weight_v").shape
        return f"{width}, {out}, layers={len(layers)}, bottleneck={bottleneck}"


def freeze_last_layer(module: nn.Module) -> None:
    """For the first epoch, between backward and the optimiser's step: drops the gradients of a head's last
    layer (`.grad = None`: of zeros, AdamW would still decay the weights). `module`: the student, or its head;
    the teacher's has none. ValueError where no parameter is of a `last_layer`."""
    found = [parameter for name, parameter in module.named_parameters() if _core.is_last_layer(name)]
    if not found:
        raise ValueError(
            "freeze_last_layer() found no parameter of a 'last_layer'; expected the student with its head, "
            "or the head"
        )
    for parameter in found:
        parameter.grad = None


def feature_deviation(features: Tensor) -> float:
    """How much the directions of features [n, d] differ: √d times the mean over the columns of the standard
    deviation of f / |f|. About 1 for directions without order, 0 when all rows point one way. ValueError for
    another shape."""
    return _core.feature_deviation(floating(features, "features"))


def _level_of_the_loop() -> int:
    """How far above the caller, for warnings, the first function is that is neither ours nor PyTorch's."""
    ours = tuple(os.path.dirname(name) + os.sep for name in (__file__, torch.__file__))
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        frame, level = frame.f_back, level + 1
    return level


def _cat(given: Rows, what: str, count: Optional[int] = None) -> Tensor:
    """Rows of one tensor, of a list one for each view."""
    if isinstance(given, Tensor):
        return floating(given, what)
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise TypeError(
            f"{what} is a {type(given).__name__}; expected a tensor or a list with one for each view"
        )
    parts = [floating(part, f"a tensor of {what}") for part in given]
    shapes = {tuple(part.shape) for part in parts}
    if not parts or (count is not None and (len(parts) != count or len(shapes) > 1)):
        raise ValueError(
            f"{what} is a list of {len(parts)} tensors of shapes {sorted(shapes)}; expected "
            f"{count or 'some'} of one shape [N, K], or one tensor with a view after the other"
        )
    return torch.cat(parts)
