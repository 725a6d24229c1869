# SPDX-License-Identifier: Apache-2.0
"""The loops people have: GradScaler, autocast, gradient accumulation, torch.compile, every optimiser."""

import gc
import inspect
import os
import sys
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import detente
from zoo import ZOO


def two_tasks(seed=0):
    torch.manual_seed(seed)
    trunk, heads = (
        nn.Sequential(nn.Linear(5, 8), nn.Tanh()),
        nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1)]),
    )
    x, y = torch.randn(12, 5), torch.randn(2, 12, 1)

    def losses():
        z = trunk(x)
        return [F.mse_loss(head(z), target) for head, target in zip(heads, y)]

    return [*trunk.parameters(), *heads.parameters()], losses


def gradients(parameters):
    return torch.cat([p.grad.reshape(-1) for p in parameters])


# ---- GradScaler


@pytest.mark.parametrize("method", ["upgrad", "nash_mtl", "ew", "moco", "famo"])
@pytest.mark.parametrize("through_scale", [True, False])
@pytest.mark.filterwarnings("ignore:'famo' learns")
def test_a_scaler_changes_nothing_but_the_factor(method, through_scale):
    """Of nash_mtl the direction of scaled losses is not the scaled direction, and moco and famo remember."""
    parameters, losses = two_tasks()
    plain = detente.Balancer(method)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1)
    scaled = detente.Balancer(method, scaler=scaler)
    optimizer = torch.optim.SGD(parameters, lr=0.0)
    for _ in range(3):
        optimizer.zero_grad()
        expected = plain.backward(losses())
        wanted = gradients(parameters)
        optimizer.zero_grad()
        factor = scaler.get_scale()
        given = [scaler.scale(loss) for loss in losses()] if through_scale else losses()
        report = scaled.backward(given)
        np.testing.assert_allclose(report.weights, expected.weights, rtol=1e-6)
        np.testing.assert_allclose(report.losses, expected.losses, rtol=1e-6)
        torch.testing.assert_close(gradients(parameters), wanted * factor, rtol=1e-5, atol=1e-3)
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == 2 * factor
        torch.testing.assert_close(gradients(parameters), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what", ["gradient", "loss", "scaled"])
@pytest.mark.parametrize("accumulated", [False, True])
def test_what_is_not_finite_makes_the_scaler_skip(what, accumulated):
    parameters, losses = two_tasks()
    huge = 2.0**120 if what == "scaled" else 2.0**10
    scaler = torch.amp.GradScaler("cpu", init_scale=huge, backoff_factor=0.5)
    balancer = detente.Balancer("upgrad", scaler=scaler)
    optimizer = torch.optim.SGD(parameters, lr=0.1)

    def step(bad):
        optimizer.zero_grad()
        a, b = losses()
        if bad and what == "gradient":
            b = b + (parameters[0].sum() - parameters[0].sum()).sqrt()
        if bad and what == "loss":
            b = b * float("inf")
        if bad and what == "scaled":
            b = b * 1e5
        if accumulated:
            balancer.accumulate([a, b])
            balancer.accumulate(losses())
            report = balancer.finish()
        else:
            report = balancer.backward([a, b])
        scaler.step(optimizer)
        scaler.update()
        return report

    if what != "scaled":
        assert not step(bad=False).skipped
    before = [p.detach().clone() for p in parameters]
    report = step(bad=True)
    assert report.skipped and scaler.get_scale() == huge / 2
    assert all(torch.equal(p, old) for p, old in zip(parameters, before))
    assert "finite" in report.message
    if what != "scaled":
        assert not step(bad=False).skipped
        assert not all(torch.equal(p, old) for p, old in zip(parameters, before))


def test_a_scaler_nobody_told_of_is_named_in_the_error():
    parameters, losses = two_tasks()
    scaler = torch.amp.GradScaler("cpu")
    a, b = losses()
    with pytest.raises(ArithmeticError, match="scaler=scaler"):
        detente.backward(scaler.scale([a, b * float("nan")]), "upgrad")
    a, b = losses()
    with pytest.raises(ArithmeticError) as error:
        detente.backward([a, b * float("nan")], "upgrad")
    assert "scaler" not in str(error.value)


def test_a_scaler_that_is_off_or_none():
    parameters, losses = two_tasks()
    off = torch.amp.GradScaler("cpu", enabled=False)
    detente.backward(losses(), "upgrad", scaler=off)
    with pytest.raises(ArithmeticError):
        detente.backward([losses()[0] * float("nan"), losses()[1]], scaler=off)
    with pytest.raises(TypeError, match="GradScaler"):
        detente.Balancer(scaler=1.0)
    with pytest.raises(ValueError, match="one of them"):
        detente.Balancer(scaler=torch.amp.GradScaler("cpu"), loss_scaling="dynamic")


# ---- autocast, accumulation, compiled trunks, optimisers


def test_autocast_in_bf16():
    shared, own, losses = ZOO["mlp"]()

    def under_autocast():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return losses()

    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in under_autocast()]
    report = detente.Balancer("upgrad").backward(under_autocast())
    for j, parameter in enumerate(shared):
        expected = sum(w * row[j] for w, row in zip(report.weights, rows))
        assert parameter.grad.dtype == torch.float32
        # The ghost's Gram matrix and the passes round in different places: bf16 has 8 bits.
        torch.testing.assert_close(
            parameter.grad, expected, rtol=2e-2, atol=2e-2 * float(expected.abs().max())
        )


def test_gradient_accumulation_without_accumulate_adds_directions():
    parameters, losses = two_tasks()
    balancer = detente.Balancer("upgrad")
    balancer.backward(losses())
    once = gradients(parameters).clone()
    for p in parameters:
        p.grad = None
    for _ in range(4):
        balancer.backward([loss / 4 for loss in losses()])
    torch.testing.assert_close(gradients(parameters), once, rtol=1e-5, atol=1e-7)


def test_a_compiled_trunk_falls_back_and_says_so_once():
    parameters, losses = two_tasks()
    trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
    heads = [nn.Linear(8, 1), nn.Linear(8, 1)]
    compiled = torch.compile(trunk, backend="aot_eager")
    x = torch.randn(6, 5)

    def losses_of(net):
        z = net(x)
        return [head(z).pow(2).mean() for head in heads]

    rows = [
        torch.autograd.grad(loss, list(trunk.parameters()), retain_graph=True) for loss in losses_of(trunk)
    ]
    balancer = detente.Balancer("upgrad")
    with pytest.warns(UserWarning, match="torch.compile") as caught:
        report = balancer.backward(losses_of(compiled))
        for p in trunk.parameters():
            p.grad = None
        report = balancer.backward(losses_of(compiled))
    assert len(caught) == 1
    for j, p in enumerate(trunk.parameters()):
        torch.testing.assert_close(
            p.grad, sum(w * row[j] for w, row in zip(report.weights, rows)), rtol=1e-4, atol=1e-6
        )


OPTIMIZERS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_steps(name):
    parameters, losses = two_tasks()
    kind = getattr(torch.optim, name)
    if name == "Muon":
        parameters = [p for p in parameters if p.dim() == 2]
    if name == "SparseAdam":
        pytest.skip("takes sparse gradients, which Python is not given")
    optimizer = kind(parameters, lr=0.01)
    before = [p.detach().clone() for p in parameters]

    def closure():
        optimizer.zero_grad()
        return sum(detente.backward(losses(), "upgrad").losses)

    optimizer.step(closure)  # LBFGS calls it again and again
    assert all(torch.isfinite(p).all() for p in parameters)
    assert not any(torch.equal(p, old) for p, old in zip(parameters, before))


# ---- famo, arguments, leaks


def test_famo_says_once_that_it_waits_for_losses():
    parameters, losses = two_tasks()
    balancer = detente.Balancer("famo")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            balancer.backward(losses())
    assert [str(w.message).count("after_step()") > 0 for w in caught] == [True]
    obedient = detente.Balancer("famo")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            obedient.backward(losses())
            obedient.after_step(losses())


@pytest.mark.parametrize(
    "call",
    [
        lambda l: detente.backward(5),
        lambda l: detente.backward("ab"),
        lambda l: detente.backward(None),
        lambda l: detente.backward(l, None),
        lambda l: detente.backward(l, detente.Method),
        lambda l: detente.backward(l, object()),
        lambda l: detente.backward(l, shared=3),
        lambda l: detente.backward(l, shared=l and [1]),
        lambda l: detente.backward(l, engine=["scale"]),
        lambda l: detente.Balancer(seed="one"),
        lambda l: detente.Balancer(seed=0.5),
        lambda l: detente.Balancer(seed=None),
        lambda l: detente.Balancer().accumulate(l, shares="three"),
        lambda l: detente.Balancer().accumulate(l, shares=["a", "b", "c"]),
        lambda l: detente.Balancer().load_state_dict(None),
        lambda l: detente.diagnose(7),
        lambda l: detente.diagnose([1.0, 2.0]),
        lambda l: detente.diagnose(l, shared=4),
        lambda l: detente.solve(np.ones((2, 2), dtype=complex)),
        lambda l: detente.solve([[1j, 0], [0, 1]]),
        lambda l: detente.solve(torch.ones(2, 2, dtype=torch.complex64)),
        lambda l: detente.solve(gram=torch.ones(2, 2, dtype=torch.complex64)),
        lambda l: detente.solve(np.eye(2), "gls", np.ones(2, dtype=complex)),
        lambda l: detente.solve("jacobian"),
        lambda l: detente.solve([[1, 2], [3]]),
        lambda l: detente.solve([["a", "b"]]),
        lambda l: detente.solve(np.eye(2), seed="s"),
        lambda l: detente.solve(np.eye(2), None),
    ],
)
def test_odd_arguments_are_refused_in_words(call):
    shared, own, losses = ZOO["mlp"]()
    with pytest.raises(TypeError, match="expected|no array") as error:
        call(losses())
    assert "incompatible" not in str(error.value) and "_core" not in str(error.value)
    assert len(str(error.value)) < 300


def test_every_option_of_the_engine_is_one():
    """A name that the engine does not know would be taken from the method and refused."""
    from detente._balancer import ENGINE_OPTIONS

    for name in ENGINE_OPTIONS:
        with pytest.raises(ValueError, match=name) as error:
            detente.backward(ZOO["mlp"]()[2](), "cagrad", **{name: "no such value"})
        assert "is not an option" not in str(error.value)


def test_odd_values_are_value_errors():
    shared, own, losses = ZOO["mlp"]()
    for call in (
        lambda: detente.Balancer(seed=-1),
        lambda: detente.Balancer("cagrad", c=[1, 2]),
        lambda: detente.Balancer("cagrad", c=None),
        lambda: detente.backward(losses(), "cagrad", engine={"memory": 3}),
        lambda: detente.backward(losses(), "cagrad", engine={"memry": "low"}),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert "incompatible" not in str(error.value)


def test_ctrl_c_is_heard_between_the_problems_of_a_batch():
    import signal
    import threading

    many = np.random.default_rng(0).normal(size=(2_000_000, 2, 2)).astype(np.float32)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        detente.solve(many, "upgrad")
    timer.join()


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("method, count", [("upgrad", 10_000), ("famo", 2000)])
def test_ten_thousand_steps_leave_nothing(method, count):
    parameters, losses = two_tasks()
    balancer = detente.Balancer(method)

    def steps(count):
        for _ in range(count):
            balancer.backward(losses())
            if balancer.wants_losses_after_step:
                balancer.after_step([loss.detach() for loss in losses()])
            for p in parameters:
                p.grad = None
        gc.collect()

    def counted():
        return len(gc.get_objects()), sum(sys.getrefcount(p) for p in parameters)

    steps(500)
    objects, references = counted()
    before = resident()
    steps(count)
    after_objects, after_references = counted()
    assert after_objects - objects <= 20 and after_references == references
    assert resident() - before < 2 << 20  # 200 bytes a step would be as much
