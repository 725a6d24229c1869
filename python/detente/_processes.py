# SPDX-License-Identifier: Apache-2.0
"""The processes of a torch.distributed group that train one model, as the engine asks for them.

Sums and exchanges of tensors are the group's own collectives. What makes them safe is `meet`: before numbers
are summed, and before the first of several tensors of which the same is done, the processes compare in one
small exchange what they are about to do, and whether one of them has failed. Then all raise, instead of one
raising and the others waiting."""

from __future__ import annotations

import gc
import hashlib
import warnings
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Type

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_MESSAGE = 256  # numbers of 8 bytes in what the processes tell each other when they meet
_WORDS = 1024  # bytes of what one process tells the others when something is wrong

# What an error of one process is in the others.
_ERRORS: Dict[str, Type[Exception]] = {
    error.__name__: error for error in (ValueError, TypeError, ArithmeticError, NotImplementedError)
}

# What the processes compare, and what to do where they differ.
_ADVICE = (
    "balance in different ways. Give all of them the same method, options, seed and state, and the same "
    "losses in the same order, None for a task that takes no part in one of them",
    "do not have the same parameters. Build the same model in all of them; where a task is absent in some "
    "process when another sees it first, give shared=... and own=... (found from the graph otherwise)",
    "are at different points of the loop. Let all of them call the same functions in the same order, for the "
    "same steps",
)


# Parameters that were found to be the same in all processes.
Compared = WeakTensorKeyDictionary


def processes_of(group: Optional[Any], differ: str = _ADVICE[0]) -> Optional[Processes]:
    """None where there is nobody else. `differ`: in words, what processes of different setups are to do."""
    if group is None:
        return None
    here = dist.is_available()
    if not here or not isinstance(group, dist.ProcessGroup):
        if here and group is dist.GroupMember.NON_GROUP_MEMBER:
            raise ValueError("this process is no member of process_group; expected a group that it is in")
        raise TypeError(
            f"process_group is a {type(group).__name__}; expected a group of torch.distributed, such as "
            "torch.distributed.group.WORLD after init_process_group()"
        )
    return Processes(group, differ) if dist.get_world_size(group) > 1 else None


def warn_if_others() -> None:
    """Of a balancer without a group, where there are other processes: the easiest thing to forget."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        warnings.warn(
            f"this is one of {dist.get_world_size()} processes, and the balancer has no process_group: its "
            "gradients are of this process's examples alone. Give process_group="
            "torch.distributed.group.WORLD (after init_process_group(); before it that is None)",
            stacklevel=4,  # of the loop: Balancer.backward and its _prepared lie between
        )


class Processes:
    """`rank` of `size` in `group`. `sent` counts the bytes of gradients that this process sends, by what the
    usual algorithms do (rings, direct exchange); the few numbers of each step are not in it."""

    def __init__(self, group: Any, differ: str = _ADVICE[0]) -> None:
        self.group = group
        self._advice = (differ, *_ADVICE[1:])
        self.rank = dist.get_rank(group)
        self.size = dist.get_world_size(group)
        self.sent = 0
        pairs = (pair.split(":") for pair in dist.get_backend_config(group).split(","))
        self._backends = {device: backend for device, backend in pairs}
        # Of the few numbers; until the parameters are known the current one where the CPU is not served.
        self._device = torch.device("cpu" if "cpu" in self._backends else next(iter(self._backends)))
        self._told = ["", "", ""]  # in words: setup, parameters, what is done now
        self._codes = [0, 0, 0]
        self._doing = ""
        self._result = b""
        self._over = False  # the others know that this step has failed, or cannot be reached
        self._row = ""  # what is done with one tensor after another since the last meeting

    # ---- what is compared

    def set_setup(self, words: str, detail: str) -> None:
        self._say(0, words, detail)

    def set_parameters(self, words: str, parameters: Sequence[Tensor]) -> None:
        detail = ";".join(f"{tuple(p.shape)} {p.dtype} {p.requires_grad}" for p in parameters)
        self._say(1, words, detail)

    def set_result(self, numbers: bytes) -> None:
        """What the step came to: compared at its end."""
        self._result = numbers

    def set_device(self, parameter: Tensor) -> None:
        """Numbers go where the group can sum them. ValueError for a group that serves neither the
        parameters' device nor the CPU."""
        kind = parameter.device.type
        if kind not in self._backends and "cpu" not in self._backends:
            raise ValueError(
                f"process_group works on {', '.join(self._backends)} and the parameters are on {kind}; "
                "expected a backend for them (gloo for the CPU, nccl for CUDA)"
            )
        if "cpu" not in self._backends:
            self._device = parameter.device

    def _say(self, field: int, words: str, detail: str) -> None:
        self._told[field] = words
        code = hashlib.blake2b(f"{words}\n{detail}".encode(), digest_size=4).digest()
        self._codes[field] = int.from_bytes(code, "big") % 2**20

    # ---- meeting

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Around what all processes do together: an error in one is an error in all."""
        self._doing, self._result, self._over, self._row = doing, b"", False, ""
        try:
            yield
            self.meet("the end", self._result.hex())
        except Exception as error:
            # In the middle of a row of tensors nobody is there to meet; the others learn of it when this
            # process ends. Between sums and what comes next stands a method, which may be the user's.
            if not self._over and self._row in ("", "sum"):
                with suppress(Exception):  # of the group: others have ended
                    self.meet("an error", failure=error)
            raise

    def meet(
        self,
        point: str,
        detail: str = "",
        failure: Optional[Exception] = None,
        numbers: Optional[Tensor] = None,
    ) -> None:
        """One sum for all: of failures, of what shows whether all are at the same point, and of `numbers`,
        which thus cost no exchange of their own. It has one size, because who has failed does not know what
        the others are about."""
        self._say(2, f"{self._doing}, {point}", detail)
        head = [0 if failure is None else 1]
        for code in self._codes:
            head += [code, code * code]
        few = 0 if numbers is None else min(numbers.numel(), _MESSAGE - len(head))
        message = torch.zeros(_MESSAGE, dtype=torch.float64)
        message[: len(head)] = torch.tensor(head, dtype=torch.float64)
        if numbers is not None:
            message[len(head) : len(head) + few] = numbers[:few]
        there = message.to(self._device)
        self._sum(there)
        message = there.cpu()
        found = [int(number) for number in message[: len(head)].tolist()]
        self._row = ""
        if found[0] > 0:
            self._over = True
            self._hear(failure)
            return
        for field, advice in enumerate(self._advice):
            # By Cauchy and Schwarz they are the same in all processes exactly then; whole numbers below 2^53.
            if found[1 + 2 * field] ** 2 != self.size * found[2 + 2 * field]:
                self._over = True
                raise ValueError(self._difference(field, advice))
        if numbers is not None:
            numbers[:few] = message[len(head) : len(head) + few]
            if few < numbers.numel():
                rest = numbers[few:].to(self._device)
                self._sum(rest)
                numbers[few:] = rest

    def _hear(self, failure: Optional[Exception]) -> None:
        """Raises the error of the first process that has one, but not where there is one of its own."""
        texts = self._texts("" if failure is None else f"{type(failure).__name__}\n{failure}")
        if failure is not None:
            return
        rank = next(r for r, text in enumerate(texts) if text)
        name, _, words = texts[rank].partition("\n")
        known = name in _ERRORS
        raise _ERRORS.get(name, RuntimeError)(
            f"process {rank} of {self.size} failed: {'' if known else name + ': '}{words}"
        )

    def _difference(self, field: int, advice: str) -> str:
        texts = self._texts(self._told[field])
        other = next((r for r, text in enumerate(texts) if text != texts[0]), 0)
        found = ""
        if other:
            found = f". Process 0: {texts[0]}. Process {other}: {texts[other]}"
        return f"the {self.size} processes {advice}{found}"

    def _texts(self, mine: str) -> List[str]:
        data = mine.encode()[:_WORDS].ljust(_WORDS, b"\0")
        own = torch.tensor(list(data), dtype=torch.uint8, device=self._device)
        texts = torch.empty(self.size * _WORDS, dtype=torch.uint8, device=self._device)
        self._all_gather(texts, own)
        rows = texts.view(self.size, _WORDS).cpu()
        return [bytes(row.tolist()).rstrip(b"\0").decode(errors="replace") for row in rows]

    # ---- what the engine asks for (detente/tensor/group.h)

    @torch.no_grad()
    def sum_numbers(self, numbers: Tensor) -> None:
        self.meet(f"a sum of {numbers.numel()} numbers", numbers=numbers)

    @torch.no_grad()
    def sum_tensor(self, values: Tensor) -> None:
        self._before_tensor("sum", values)
        there = self._within_reach(values)
        # Every hop of a ring would round.
        if self._through_host(values) and values.dtype in (torch.bfloat16, torch.float16):
            there = there.float()
        self._sum(there)
        if there is not values:
            values.copy_(there)
        self.sent += 2 * (self.size - 1) * _bytes(there) // self.size

    @torch.no_grad()
    def scatter_sum(self, rows: Tensor, own: Tensor) -> None:
        self._before_tensor("share", rows)
        count, columns = rows.shape
        # What goes to one process lies together.
        parts = rows.reshape(count, self.size, columns // self.size).transpose(0, 1)
        parts = self._within_reach(parts)
        if self._through_host(rows):
            # Gloo's reduce-scatter sends what an all-reduce sends (measured with PyTorch 2.13), twice the
            # bytes of an exchange, whose sum is in the order of the processes besides.
            received = torch.empty_like(parts)
            self._call(
                dist.all_to_all_single, received.view(-1).view(torch.uint8), parts.view(-1).view(torch.uint8)
            )
            total = received[0].float() if own.dtype in (torch.bfloat16, torch.float16) else received[0]
            for part in received[1:]:
                total = total.add_(part)
            own.copy_(total)
        else:
            there = torch.empty_like(parts[0])
            # Its name in PyTorch 2.13 and newer.
            scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
            self._call(scatter, there.view(-1), parts.view(-1))
            own.copy_(there)
        self.sent += (self.size - 1) * _bytes(parts) // self.size

    @torch.no_grad()
    def gather(self, own: Tensor, everything: Tensor) -> None:
        self._before_tensor("gathering", own)
        mine = self._within_reach(own)
        there = everything if mine.device == everything.device else everything.to(mine.device)
        self._all_gather(there.view(-1).view(torch.uint8), mine.view(-1).view(torch.uint8))
        if there is not everything:
            everything.copy_(there)
        self.sent += (self.size - 1) * _bytes(mine)

    def _before_tensor(self, row: str, tensor: Tensor) -> None:
        if self._row != row:
            self.meet(f"a {row} of {tensor.numel()} values")
        self._row = row

    def _through_host(self, tensor: Tensor) -> bool:
        """Gloo is for the host's memory, whatever it says of others."""
        backend = self._backends.get(tensor.device.type, "gloo")
        return tensor.device.type == "cpu" or (backend == "gloo" and "cpu" in self._backends)

    def _within_reach(self, tensor: Tensor) -> Tensor:
        return (tensor.cpu() if self._through_host(tensor) else tensor).contiguous()

    def _sum(self, tensor: Tensor) -> None:
        self._call(dist.all_reduce, tensor)

    def _all_gather(self, everything: Tensor, own: Tensor) -> None:
        gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        self._call(gather, everything, own)

    def _call(self, collective: Any, *arguments: Any) -> None:
        try:
            collective(*arguments, group=self.group)
        except BaseException:
            self._over = True  # nobody can be told any more
            raise

    # ---- the start

    @torch.no_grad()
    def compare(self, parameters: Sequence[Tensor]) -> None:
        """ValueError naming the first parameter that is not the same to the bit in all processes: with the
        same gradients each would go its own way from there."""
        self.meet(f"a comparison of {len(parameters)} parameters")
        if not parameters:
            return
        if any(hasattr(p, "device_mesh") for p in parameters):
            raise NotImplementedError(
                "parameters are sharded (FSDP, tensor parallelism); expected all of them in every process"
            )
        digests = torch.stack([digest(p).to(self._device) for p in parameters])
        both = torch.cat([digests, ~digests])
        self._call(dist.all_reduce, both, dist.ReduceOp.MAX)
        largest, smallest = both.view(2, -1).cpu()
        differing = (largest != ~smallest).nonzero().flatten().tolist()
        if not differing:
            return
        self._over = True
        place = differing[0]
        raise ValueError(
            f"{len(differing)} of {len(parameters)} parameters differ between the {self.size} processes of "
            f"process_group before the first step, the first one being {_name_of(parameters[place], place)}. "
            "Start all processes alike: the same torch.manual_seed() before the model is built, the same "
            "file loaded, or DistributedDataParallel around it, which copies those of process 0"
        )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def digest(parameter: Tensor) -> Tensor:
    """A whole number of 64 bits on the parameter's device, made of its bits in exact arithmetic: the same on
    every kind of device and however the sum is ordered."""
    words = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[parameter.element_size()]
    bits = parameter.detach().reshape(-1).contiguous().view(words)
    total = torch.zeros((), dtype=torch.int64, device=parameter.device)
    for begin in range(0, bits.numel(), 1 << 20):
        part = bits[begin : begin + (1 << 20)].to(torch.int64)
        places = torch.arange(begin, begin + part.numel(), device=part.device)
        # Odd factors, so that no bit is lost; products and the sum are modulo 2^64.
        total += (part * (places * 0x1E3779B97F4A7C15 * 2 + 1)).sum()
    return total


def _name_of(parameter: Tensor, place: int) -> str:
    """As the outermost module that is alive calls it; for an error, so it may take its time."""
    names = [
        name
        for module in gc.get_objects()
        if issubclass(type(module), torch.nn.Module)
        for name, other in module.named_parameters()
        if other is parameter
    ]
    name = f"'{max(names, key=len)}'" if names else f"number {place + 1}"
    return f"{name} of shape {tuple(parameter.shape)}"


def summary(shared: Sequence[Tensor], own: Sequence[Sequence[Tensor]]) -> Tuple[str, List[Tensor]]:
    """In words, and all of them in order."""
    numbers = sum(p.numel() for p in shared)
    words = f"{len(shared)} shared parameters with {numbers} numbers"
    if own:
        words += f", of the tasks' own {[len(part) for part in own]}"
    parameters = [*shared, *(p for part in own for p in part)]
    frozen = sum(not p.requires_grad for p in parameters)
    return words + (f", {frozen} of all frozen" if frozen else ""), parameters
