# SPDX-License-Identifier: Apache-2.0
"""What several processes do together, by name (CASES), and a world of them to do it in. Each case gets its
process's rank, the number of processes and a group of its own (None: one process), and returns what the tests
compare."""

import datetime
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import detente
from detente import distill

ROWS = 9


def ends(size):
    """Where the processes' rows begin; uneven."""
    return {1: [0, 9], 2: [0, 5, 9], 3: [0, 2, 7, 9]}[size]


class Net(nn.Module):
    """Parameters of 35, 7, 21 and 3 numbers: shares of 2 and 3 processes are not even."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(3, 1) for _ in range(3)])

    def forward(self, x):
        z = self.trunk(x)
        return [head(z)[:, 0] for head in self.heads]


class Us:
    """A model, a batch and where this process stands."""

    def __init__(self, rank, size, group, dtype=torch.float64, net=Net):
        torch.manual_seed(4)
        self.rank, self.size, self.group = rank, size, group
        self.net = net().to(dtype)
        self.x = torch.randn(ROWS, 5).to(dtype)
        self.y = (torch.randn(ROWS, 3) * torch.tensor([1.0, 3.0, 0.3])).to(dtype)
        self.begin, self.end = ends(size)[rank : rank + 2]
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.05)
        self.found = []

    def rows(self):
        return self.end - self.begin

    def losses(self, model=None, begin=None, end=None):
        part = slice(self.begin if begin is None else begin, self.end if end is None else end)
        out = (model or self.net)(self.x[part])
        return {f"t{k}": F.mse_loss(out[k], self.y[part, k]) for k in range(3)}

    def given(self):
        """shared and own, as arguments."""
        return {
            "shared": list(self.net.trunk.parameters()),
            "own": {f"t{k}": head.parameters() for k, head in enumerate(self.net.heads)},
        }

    def balancer(self, method="upgrad", **options):
        return detente.Balancer(method, process_group=self.group, **options)

    def keep(self, report=None):
        """Of a step: gradients, and the weights of the model after it."""
        self.found.append(
            {
                "grad": [None if p.grad is None else p.grad.clone() for p in self.net.parameters()],
                "weights": None if report is None else [float(w) for w in report.weights.values()],
                "losses": None if report is None else [float(w) for w in report.losses.values()],
            }
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.found[-1]["parameters"] = [p.detach().clone() for p in self.net.parameters()]

    def steps(self, balancer, model=None, count=2):
        for _ in range(count):
            self.keep(balancer.backward(self.losses(model), shares=self.rows()))
        return self.found


CASES = {}
ALONE = set()  # cases that one process can do as well, with the same gradients


def case(alone=True, name=None):
    def add(function):
        CASES[name or function.__name__] = function
        if alone:
            ALONE.add(name or function.__name__)
        return function

    return add


METHODS = ("mgda", "upgrad", "cagrad", "pcgrad", "nash_mtl", "ew", "graddrop", "dwa", "imtl_g")
for _method in METHODS:
    case(name=_method)(lambda *us, method=_method: Us(*us).steps(Us(*us).balancer(method)))


@case()
def many_tasks(*us):
    """A Gram matrix of more numbers than one meeting takes."""
    us = Us(*us)
    balancer = us.balancer("ew", diagnose_every=1)
    for _ in range(2):
        losses = {f"{name}{k}": v * (k + 1) for name, v in us.losses().items() for k in range(7)}
        report = balancer.backward(losses, shares=us.rows())
        us.keep(report)
        us.found[-1]["numbers"] = report.gram
    return us.found


@case()
def given_parameters(*us):
    us = Us(*us)
    return us.steps(us.balancer(**us.given()))


@case()
def diagnosed_and_clipped(*us):
    us = Us(*us)
    balancer = us.balancer("ew", diagnose_every=1, clip_norm=0.1, groups={"first": us.net.trunk[0]})
    for _ in range(2):
        report = balancer.backward(us.losses(), shares=us.rows())
        us.keep(report)
        us.found[-1]["numbers"] = torch.cat([torch.tensor(report.gram), torch.tensor(report.groups[0][1])])
    return us.found


@case()
def function_form(*us):
    us = Us(*us)
    for _ in range(2):
        us.keep(detente.backward(us.losses(), "cagrad", shares=us.rows(), process_group=us.group))
    return us.found


def _wrapped(name, no_sync=False, **options):
    def run(*arguments):
        us = Us(*arguments)
        if us.group is None:
            return us.steps(us.balancer())
        model = DistributedDataParallel(us.net, process_group=us.group, **options)
        balancer = us.balancer()
        if not no_sync:
            return us.steps(balancer, model, count=3)
        for _ in range(3):
            with model.no_sync():
                losses = us.losses(model)
            us.keep(balancer.backward(losses, shares=us.rows()))
        return us.found

    case(name=name)(run)


_wrapped("ddp")
_wrapped("ddp_no_sync", no_sync=True)
_wrapped("ddp_unused", find_unused_parameters=True)
_wrapped("ddp_bucket_view", gradient_as_bucket_view=True)
_wrapped("ddp_static", static_graph=True)


@case()
def as_on_a_device(*us):
    """The collectives that take the place of Gloo's weak ones where there is another backend."""
    us = Us(*us)
    balancer = us.balancer()
    if us.group is not None and tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 8):
        balancer._processes._through_host = lambda tensor: False
    return us.steps(balancer)


@case(alone=False)
def two_more_batches(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer("sdmgrad")
    for _ in range(2):
        assert balancer.wants_independent
        balancer.independent(us.losses(end=us.begin + 1), us.losses(begin=us.end - 1))
        us.keep(balancer.backward(us.losses(), shares=us.rows()))
    return us.found


@case(alone=False)
def ddp_in_turn(rank, size, group):
    """A step of ours, a plain one, one of ours, on the same wrapped model."""
    us = Us(rank, size, group)
    model = DistributedDataParallel(us.net, process_group=group)
    balancer = us.balancer()
    for step in range(4):
        losses = us.losses(model)
        if step % 2:
            sum(losses.values()).backward()
            us.keep()
        else:
            us.keep(balancer.backward(losses, shares=us.rows()))
    return us.found


class WithBuffers(Net):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3))


@case(alone=False)
def ddp_buffers(rank, size, group):
    us = Us(rank, size, group, net=WithBuffers)
    model = DistributedDataParallel(us.net, process_group=group)
    us.steps(us.balancer(), model, count=3)
    model(us.x)  # copies those of process 0 first; the same rows in all then
    us.found[-1]["parameters"] += [buffer.clone() for buffer in us.net.buffers()]
    return us.found


@case()
def accumulated(*us):
    us = Us(*us)
    balancer = us.balancer("upgrad")
    for _ in range(2):
        for begin, end in ((us.begin, us.begin + 1), (us.begin + 1, us.end)):
            shares = {f"t{k}": end - begin for k in range(3)}
            balancer.accumulate(us.losses(begin=begin, end=end), shares=shares)
        us.keep(balancer.finish())
    return us.found


@case()
def absent_in_one(*us):
    """Task t1 has its examples in the rows from 5 on alone, so not in process 0; t2 in no row."""
    us = Us(*us)
    balancer = us.balancer(**us.given())
    for _ in range(2):
        losses = us.losses()
        first = max(5, us.begin)
        shares = {"t0": us.rows(), "t1": max(0, us.end - first), "t2": 1}
        losses["t1"] = us.losses(begin=first)["t1"] if shares["t1"] else None
        losses["t2"] = None
        us.keep(balancer.backward(losses, shares=shares))
    return us.found


@case()
def nothing_in_one(*us):
    """All rows lie in the last process."""
    us = Us(*us)
    balancer = us.balancer("mgda", **us.given())
    for _ in range(2):
        mine = us.rank == us.size - 1
        losses = us.losses(begin=0, end=ROWS) if mine else {f"t{k}": None for k in range(3)}
        us.keep(balancer.backward(losses, shares=ROWS))
    return us.found


@case()
def absent_later(*us):
    """Parameters are found in a step that all processes have the tasks in."""
    us = Us(*us)
    balancer = us.balancer()
    us.keep(balancer.backward(us.losses(), shares=us.rows()))
    losses = us.losses(begin=0, end=ROWS)
    if us.rank > 0:
        losses = dict.fromkeys(losses)
    us.keep(balancer.backward(losses))
    return us.found


@case()
def losses_after_the_step(*us):
    us = Us(*us)
    balancer = us.balancer("famo")
    for _ in range(3):
        us.keep(balancer.backward(us.losses(), shares=us.rows()))
        balancer.after_step(us.losses())
    return us.found


@case()
def saved_and_loaded(*us):
    us = Us(*us)
    balancer = us.balancer("nash_mtl")
    us.steps(balancer)
    state = balancer.state_dict()
    other = us.balancer("nash_mtl")
    other.load_state_dict(state)
    return us.steps(other)


@case()
def scaled(*us):
    us = Us(*us)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    balancer = us.balancer(scaler=scaler)
    for _ in range(2):
        us.keep(
            balancer.backward({name: scaler.scale(v) for name, v in us.losses().items()}, shares=us.rows())
        )
    return us.found


def _in_half(dtype):
    def run(*arguments):
        us = Us(*arguments, dtype=dtype)
        return us.steps(us.balancer())

    return run


for _dtype in (torch.float32, torch.bfloat16):
    case(name=str(_dtype).split(".")[1])(_in_half(_dtype))


# ---- what goes wrong in one process goes wrong in all


def _wrong(us, balancer, call):
    """What `call` raises, then a good step, for which all must be where the others are."""
    caught = None
    before = [p.grad for p in us.net.parameters()]
    try:
        call()
    except Exception as error:
        caught = f"{type(error).__name__}: {error}"
    kept = all(p.grad is g for p, g in zip(us.net.parameters(), before))
    us.steps(balancer, count=1)
    us.found[0]["caught"], us.found[0]["kept"] = caught, kept
    return us.found


@case(alone=False)
def not_finite(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer()
    factor = float("nan") if rank == 1 else 1.0
    return _wrong(us, balancer, lambda: balancer.backward({n: v * factor for n, v in us.losses().items()}))


@case(alone=False)
def gradient_not_finite(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer()

    def call():
        losses = us.losses()
        if rank == 1:
            losses["t1"] = losses["t1"] + (us.net.trunk[0].weight * 0).sum().sqrt()
        balancer.backward(losses)

    return _wrong(us, balancer, call)


@case(alone=False)
def hook_that_raises(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer()

    def call():
        losses = us.losses()
        if rank == 1:
            z = us.net.trunk(us.x)
            z.register_hook(lambda gradient: {}["no such key"])
            losses["t0"] = losses["t0"] + z.sum()
        balancer.backward(losses)

    return _wrong(us, balancer, call)


@case(alone=False)
def no_scalar(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer()

    def call():
        losses = us.losses()
        if rank == 1:
            losses["t1"] = torch.stack([losses["t1"]] * 2)
        balancer.backward(losses)

    return _wrong(us, balancer, call)


@case(alone=False)
def other_losses(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer()

    def call():
        losses = us.losses()
        if rank == 1:
            del losses["t2"]
        detente.Balancer(process_group=group).backward(losses)

    return _wrong(us, balancer, call)


@case(alone=False)
def other_methods(rank, size, group):
    us = Us(rank, size, group)
    other = us.balancer("mgda" if rank == 1 else "upgrad")
    return _wrong(us, us.balancer(), lambda: other.backward(us.losses()))


@case(alone=False)
def other_seeds(rank, size, group):
    us = Us(rank, size, group)
    other = us.balancer("pcgrad", seed=rank)
    return _wrong(us, us.balancer(), lambda: other.backward(us.losses()))


@case(alone=False)
def other_start(rank, size, group):
    us = Us(rank, size, group)
    other = Us(rank, size, group)
    with torch.no_grad():
        other.net.trunk[2].weight[1, 2] += 1e-12 * rank
    return _wrong(us, us.balancer(), lambda: us.balancer().backward(other.losses()))


@case(alone=False)
def absent_at_first(rank, size, group):
    us = Us(rank, size, group)

    def call():
        losses = us.losses()
        if rank == 1:
            losses["t1"] = None
        us.balancer().backward(losses)

    return _wrong(us, us.balancer(), call)


@case(alone=False)
def other_calls(rank, size, group):
    us = Us(rank, size, group)
    balancer = us.balancer()
    us.steps(balancer)
    us.found.clear()
    return _wrong(us, balancer, lambda: (balancer.accumulate if rank else balancer.backward)(us.losses()))


@case(alone=False)
def batch_not_finite(rank, size, group):
    """In the second of two batches; the good step after it knows nothing of the first."""
    us = Us(rank, size, group)
    balancer = us.balancer()

    def call():
        balancer.accumulate(us.losses())
        factor = float("nan") if rank == 1 else 1.0
        balancer.accumulate({n: v * factor for n, v in us.losses().items()})

    return _wrong(us, balancer, call)


@case(alone=False)
def method_that_raises(rank, size, group):
    class Moody(detente.Method):
        def weights(self, gram, losses):
            if rank == 1:
                raise KeyError("a mood")
            return [1.0, 1.0, 1.0]

    us = Us(rank, size, group)
    return _wrong(us, us.balancer(), lambda: us.balancer(Moody()).backward(us.losses()))


@case(alone=False)
def low_memory(rank, size, group):
    us = Us(rank, size, group)
    return _wrong(us, us.balancer(), lambda: us.balancer(memory="low").backward(us.losses()))


def _overflow(accumulate):
    def run(rank, size, group):
        us = Us(rank, size, group)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        balancer = us.balancer(scaler=scaler)
        before = [p.detach().clone() for p in us.net.parameters()]
        for factor in (float("inf") if rank == 1 else 1.0, 1.0):
            losses = {n: v * factor for n, v in us.losses().items()}
            if accumulate:
                balancer.accumulate(us.losses())
                balancer.accumulate(losses)
                report = balancer.finish()
            else:
                report = balancer.backward(losses)
            scaler.step(us.optimizer)
            scaler.update()
            us.optimizer.zero_grad()
            us.found.append(
                {
                    "grad": [],
                    "parameters": [p.detach().clone() for p in us.net.parameters()],
                    "skipped": report.skipped,
                    "moved": any(not torch.equal(a, b) for a, b in zip(before, us.net.parameters())),
                    "scale": scaler.get_scale(),
                }
            )
        return us.found

    return run


case(alone=False, name="overflow")(_overflow(False))
case(alone=False, name="overflow_in_a_batch")(_overflow(True))


@case(alone=False)
def forgotten_group(rank, size, group):
    us = Us(rank, size, group)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detente.backward(us.losses(), "upgrad")
    return [{"warned": [str(one.message) for one in caught], "where": [one.filename for one in caught]}]


def _given(name):
    def run(rank, size, group):
        group = {"text": "gloo", "not_a_member": dist.GroupMember.NON_GROUP_MEMBER}[name]
        try:
            detente.Balancer(process_group=group)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    return run


for _name in ("text", "not_a_member"):
    case(alone=False, name=_name)(_given(_name))


@case()
def dino(*us):
    """A student, its teacher and the centre, the views' pairs as tasks."""
    us = Us(*us)
    views = us.x + 0.3 * torch.randn(4, *us.x.shape).to(us.x)
    x, rows = views[:, us.begin : us.end].flatten(0, 1), us.rows()
    teacher = distill.Ema(us.net, decay=0.8, steps=5)
    loss = distill.DinoLoss(3, views=4, teacher_temperature=0.07, process_group=us.group).double()
    balancer = us.balancer()
    for _ in range(3):
        taught = torch.stack(teacher(x[: 2 * rows]), 1)
        terms = loss.terms(torch.stack(us.net(x), 1), taught)
        us.keep(balancer.backward(terms, shares=rows))
        teacher.update()
        seen = [loss.numbers[name] for name in ("mean_entropy", "kl", "teacher_temperature")]
        averages = [p.flatten() for p in teacher.parameters()]
        us.found[-1]["numbers"] = torch.cat([loss.centre[0], torch.tensor(seen).double(), *averages])
        us.found[-1]["parameters"] += [loss.centre.clone(), *(p.clone() for p in teacher.parameters())]
    return us.found


def _dino_goes_wrong(call):
    """What each process is told, and whether the centre has moved."""

    def run(rank, size, group):
        options = {"process_group": group, "patience": 2, "teacher_temperature": 0.1}
        loss, caught = distill.DinoLoss(4, views=2, **options), None
        try:
            call(rank, loss, options)
        except Exception as error:
            caught = f"{type(error).__name__}: {error}"
        return [{"caught": caught, "centre": loss.centre}]

    return run


def _collapses(rank, loss, options):
    """In all processes, as their mean has; alone the last would not."""
    flat = torch.zeros(2000, 4)
    answers = flat if rank == 0 else torch.eye(4)
    for _ in range(2):
        loss(answers, answers)


def _fails_in_one(rank, loss, options):
    loss(torch.ones(4, 4), torch.ones(4, 4))
    answers = torch.ones(4, 3 if rank == 1 else 4)
    for call in (lambda: loss.update_centre(answers), lambda: loss(torch.ones(4, 4), answers)):
        try:
            call()
        except ValueError as error:
            told = error
    raise told


def _other_options(rank, loss, options):
    mine = distill.DinoLoss(4, views=2, **options, centre_momentum=0.5 if rank == 1 else 0.9)
    mine(torch.ones(4, 4), torch.ones(4, 4))


def _no_group(rank, loss, options):
    mine = distill.DinoLoss(4, views=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            mine(torch.ones(4, 4), torch.ones(4, 4))
    assert [one.filename for one in caught] == [__file__]
    raise RuntimeWarning(str(caught[0].message))


for _call in (_collapses, _fails_in_one, _other_options, _no_group):
    case(alone=False, name=f"dino{_call.__name__}")(_dino_goes_wrong(_call))


def ends_early(rank, size, group):
    """The last process is gone in the second step; what the others are told, and after how long."""
    us = Us(rank, size, group)
    balancer = us.balancer()
    us.steps(balancer, count=1)
    if rank == size - 1:
        os._exit(3)
    begin = time.time()
    try:
        us.steps(balancer, count=1)
    except Exception as error:
        return f"{type(error).__name__}: {error}", time.time() - begin


CASES["ends_early"] = ends_early  # in a world of its own


@case(alone=False)
def traffic(rank, size, group):
    torch.manual_seed(0)
    trunk = nn.Linear(300, 500)
    tasks = 6
    heads = [torch.randn(500) for _ in range(tasks)]
    z = trunk(torch.randn(4, 300))
    balancer = detente.Balancer(process_group=group)
    balancer.backward([(z @ head).pow(2).mean() for head in heads])
    parameters = sum(p.numel() for p in trunk.parameters())
    bound = (size - 1) * (tasks + 1) * 4 * parameters / size
    return [{"grad": [trunk.weight.grad], "parameters": [], "sent": balancer._processes.sent, "bound": bound}]


# ---- a world


def main(rank, size, folder, names):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(seconds=60),
    )
    for name in names:
        # Where one case leaves something behind, the next does not trip over it.
        group = dist.new_group(timeout=datetime.timedelta(seconds=20))
        try:
            outcome = CASES[name](rank, size, group)
        except Exception:
            outcome = traceback.format_exc()
        torch.save(outcome, Path(folder) / f"{name}.{rank}")
        if name == "ends_early":
            os._exit(0)  # the group's end would wait for the process that has gone
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split(","))
