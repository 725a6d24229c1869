# SPDX-License-Identifier: Apache-2.0
"""The direction that reaches .grad is what torch.autograd.grad per task and the reported weights give."""

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

import detente
from zoo import ZOO, with_own_examples

# What stands in the way of one pass where tasks have examples of their own; all others must not fall back.
FALL_BACK = {
    "embedding_bag": "an operation without a rule",
    "lstm": "a fused operation",
    # Losses of their own, on all examples.
    "tied_language_model": "",
    "physics_informed": "",
    "mixture_of_experts": "",
    "scalar_losses_of_parameters": "",
}
A_PASS_FOR_SOME = {"batch_norm", "custom_function"}


def per_task(losses, parameters):
    return [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]


def flat(gradients, parameters):
    return torch.cat(
        [
            (torch.zeros_like(p) if g is None else g.to_dense()).reshape(-1).double()
            for g, p in zip(gradients, parameters)
        ]
    )


def close(a, b, tolerance=2e-6):
    assert (a - b).norm() <= tolerance * max(1e-30, b.norm()), ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("given", [True, False])
def test_direction_is_the_weighted_sum_of_the_tasks_gradients(name, given):
    shared, own, losses = ZOO[name]()
    balancer = detente.Balancer("upgrad", *((shared, own) if given else ()))
    for step in range(3):  # plans are made in the first and used in the next
        rows = per_task(losses(), shared)
        jacobian = torch.stack([flat(row, shared) for row in rows])
        heads = [per_task([loss], part)[0] if part else () for loss, part in zip(losses(), own)]
        for p in shared + [p for part in own for p in part]:
            p.grad = None
        report = balancer.backward(losses())
        weights = torch.tensor(report.weights, dtype=torch.float64)
        close(flat([p.grad for p in shared], shared), weights @ jacobian)
        close(torch.from_numpy(report.gram), jacobian @ jacobian.T, 1e-5)
        for part, gradients in zip(own, heads):
            for p, gradient in zip(part, gradients):
                close(p.grad, gradient)
        # The weights are the method's answer to that Gram matrix.
        expected = detente.solve(gram=report.gram, method="upgrad").weights
        np.testing.assert_allclose(report.weights, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ZOO)
def test_tasks_with_examples_of_their_own_take_one_pass(name):
    shared, own, losses = with_own_examples(name)
    jacobian = torch.stack([flat(row, shared) for row in per_task(losses(), shared)])
    report = detente.Balancer("upgrad", shared, own).backward(losses())
    weights = torch.tensor(report.weights, dtype=torch.float64)
    close(flat([p.grad for p in shared], shared), weights @ jacobian)
    close(torch.from_numpy(report.gram), jacobian @ jacobian.T, 1e-5)
    assert (report.strategy == "segmented") == (name not in FALL_BACK), report.strategy
    assert ("need a pass per task" in report.notice) == (name in A_PASS_FOR_SOME), report.notice


@pytest.mark.parametrize("name", ZOO)
def test_parameters_are_found(name):
    shared, own, losses = ZOO[name]()
    balancer = detente.Balancer("ew")
    balancer.backward(losses())
    found_shared, found_own = balancer.parameters()
    assert {id(p) for p in found_shared} == {id(p) for p in shared}
    assert [{id(p) for p in part} for part in found_own] == [{id(p) for p in part} for part in own]


@pytest.mark.filterwarnings("ignore:'famo' learns")
@pytest.mark.parametrize("method", [info.name for info in detente.methods()])
def test_every_method_takes_a_step(method):
    shared, own, losses = ZOO["mlp"]()
    options = {"mgda_ub": {"strategy": "features"}}.get(method, {})
    try:
        balancer = detente.Balancer(method, **options)
        reports = [balancer.backward(losses()) for _ in range(3)]
    except NotImplementedError as error:
        pytest.skip(str(error))
    if balancer.wants_losses_after_step:
        balancer.after_step(losses())
    assert all(np.isfinite(list(report.weights)).all() for report in reports)
    assert all(torch.isfinite(p.grad).all() for p in shared)


def test_equal_weights_are_plain_backward():
    shared, own, losses = ZOO["convolutions"]()
    everything = shared + [p for part in own for p in part]
    sum(losses()).backward()
    plain = [p.grad.clone() for p in everything]
    for p in everything:
        p.grad = None
    report = detente.backward(losses(), "ew", engine={"scale": "sum_to_tasks"})
    assert report.strategy == "weighted" and report.gram is None
    for p, gradient in zip(everything, plain):
        close(p.grad, gradient, 1e-6)


def test_an_option_that_both_have_is_the_methods():
    shared, own, losses = ZOO["mlp"]()
    assert detente.backward(losses(), "ew").weights != detente.backward(losses(), "ew", scale="sum").weights
    with pytest.raises(ValueError, match="scale"):
        detente.backward(losses(), "ew", scale="sum_to_tasks")


def test_gradients_are_added_to_those_there_are():
    shared, own, losses = ZOO["mlp"]()
    detente.backward(losses(), "pcgrad")
    once = [p.grad.clone() for p in shared]
    before = shared[0].grad
    detente.backward(losses(), "pcgrad")
    for p, gradient in zip(shared, once):
        close(p.grad, 2 * gradient)
    assert torch.equal(before, once[0])  # a tensor that somebody else holds is left alone


def test_names_and_absent_tasks():
    shared, own, losses = ZOO["mlp"]()
    balancer = detente.Balancer("upgrad", diagnose_every=1)
    a, b, c = losses()
    report = balancer.backward({"a": a, "b": None, "c": c})
    assert list(report.weights) == ["a", "b", "c"] and report.weights["b"] == 0 and report.present == 2
    assert np.isnan(report.losses["b"]) and np.isnan(report.gram[1]).all()
    # A task that comes later brings its head with it.
    a, b, c = losses()
    balancer.backward({"a": a, "b": b, "c": c})
    assert {id(p) for p in balancer.parameters()[0]} == {id(p) for p in shared}
    with pytest.raises(ValueError, match="expected those of"):
        balancer.backward({"a": a, "b": b})


def test_one_task_first():
    shared, own, losses = ZOO["mlp"]()
    balancer = detente.Balancer("upgrad")
    a, b, c = losses()
    balancer.backward([a, None, None])
    for p in shared:
        p.grad = None
    rows = per_task(losses(), shared)
    report = balancer.backward(losses())
    assert {id(p) for p in balancer.parameters()[0]} == {id(p) for p in shared}
    jacobian = torch.stack([flat(row, shared) for row in rows])
    close(
        flat([p.grad for p in shared], shared), torch.tensor(report.weights, dtype=torch.float64) @ jacobian
    )


def test_accumulated_batches_are_one_step():
    trunk, head = nn.Linear(4, 6), [nn.Linear(6, 1), nn.Linear(6, 1)]
    x, y = torch.randn(20, 4), torch.randn(2, 20, 1)

    def losses(rows):
        return [F.mse_loss(h(torch.tanh(trunk(x[rows]))), t[rows]) for h, t in zip(head, y)]

    whole = detente.Balancer("upgrad")
    report = whole.backward(losses(slice(0, 20)))
    expected = trunk.weight.grad.clone()
    trunk.weight.grad = None
    parts = detente.Balancer("upgrad")
    parts.accumulate(losses(slice(0, 5)), shares=[5, 5])
    parts.accumulate(losses(slice(5, 20)), shares=[15, 15])
    again = parts.finish()
    np.testing.assert_allclose(again.weights, report.weights, rtol=1e-5)
    close(trunk.weight.grad, expected, 1e-5)


def test_batches_of_one_step_agree_on_what_is_shared():
    shared, own, losses = ZOO["mlp"]()
    balancer = detente.Balancer("upgrad")
    a, b, c = losses()
    balancer.accumulate([a, None, None])
    a, b, c = losses()
    with pytest.raises(ValueError, match="shared="):
        balancer.accumulate([a, b, c])
    given = detente.Balancer("upgrad", shared, own)
    for batch in ([0], [0, 1, 2]):
        given.accumulate([loss if k in batch else None for k, loss in enumerate(losses())])
    assert given.finish().present == 3


def test_state_goes_on_elsewhere():
    def run(steps, balancer, losses, parameters):
        reports = []
        for _ in range(steps):
            for p in parameters:
                p.grad = None
            reports.append(balancer.backward(losses()))
            if balancer.wants_losses_after_step:
                balancer.after_step([loss * 0.9 for loss in losses()])
        return reports

    for method in ("famo", "rlw", "gradnorm", "moco", "nash_mtl", "dwa", "every_n"):
        shared, own, losses = ZOO["mlp"]()
        first = detente.Balancer(method, seed=3)
        run(3, first, losses, shared)
        state = first.state_dict()
        second = detente.Balancer(method, seed=9)
        second.load_state_dict(torch.load(_saved(state), weights_only=True))
        for a, b in zip(run(3, first, losses, shared), run(3, second, losses, shared)):
            assert a.weights == b.weights, method
        with pytest.raises(ValueError, match="of method"):
            detente.Balancer("ew").load_state_dict(state)


def _saved(state):
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "error, call",
    [
        (ValueError, lambda l: detente.backward(l, "cagard")),
        (ValueError, lambda l: detente.backward(l, "cagrad", c=-1)),
        (ValueError, lambda l: detente.backward(l, "cagrad", d=1)),
        (ValueError, lambda l: detente.backward(l, "famo")),
        (ValueError, lambda l: detente.backward([], "ew")),
        (ValueError, lambda l: detente.backward([l[0].detach(), l[1]], "ew")),
        (ValueError, lambda l: detente.backward([torch.stack([l[0], l[0]]), l[1]], "upgrad")),
        (ArithmeticError, lambda l: detente.backward([l[0] * float("nan"), l[1]], "upgrad")),
        (ArithmeticError, lambda l: detente.backward([l[0], (l[1] - l[1]).sqrt()], "upgrad")),
        (TypeError, lambda l: detente.backward([l[0], 1.0], "ew")),
        (TypeError, lambda l: detente.backward(l, 3)),
    ],
)
def test_errors_leave_gradients_alone(error, call):
    shared, own, losses = ZOO["mlp"]()
    for p in shared:
        p.grad = torch.full_like(p, 7.0)
    with pytest.raises(error):
        call(losses())
    assert all(torch.equal(p.grad, torch.full_like(p, 7.0)) for p in shared)


def test_an_exception_of_a_function_comes_through():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise KeyError("mine")

    layer = nn.Linear(3, 3)
    z = Fails.apply(layer(torch.randn(4, 3)))
    layer.weight.grad = torch.ones(3, 3)
    with pytest.raises(KeyError, match="mine"):
        detente.backward([z.sum(), z.pow(2).sum()], "upgrad")
    assert torch.equal(layer.weight.grad, torch.ones(3, 3))


def test_a_reentrant_checkpoint_is_refused_in_words():
    """PyTorch allows it in .backward() alone, which has no place for several losses."""
    layer, block = nn.Linear(3, 3), nn.Linear(3, 3)
    z = torch.utils.checkpoint.checkpoint(block, layer(torch.randn(4, 3)), use_reentrant=True)
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        detente.backward([z.sum(), z.pow(2).sum()], "upgrad")
    assert layer.weight.grad is None


def test_losses_without_a_common_parameter():
    a, b = nn.Linear(2, 1), nn.Linear(2, 1)
    with pytest.raises(ValueError, match="share no parameter"):
        detente.backward([a(torch.ones(1, 2)).sum(), b(torch.ones(1, 2)).sum()], "ew")


def test_inputs_that_require_gradients_are_no_parameters():
    net = nn.Linear(2, 2)
    x = torch.randn(3, 2, requires_grad=True)
    z = net(x)
    balancer = detente.Balancer("upgrad")
    balancer.backward([z.sum(), z.pow(2).sum()])
    assert {id(p) for p in balancer.parameters()[0]} == {id(net.weight), id(net.bias)}
    # Of tensors alone all count.
    t = torch.randn(4, requires_grad=True)
    detente.backward([t.pow(2).sum(), t.sum()], "upgrad")
    assert t.grad is not None


def test_rows_may_be_given():
    shared, own, losses = ZOO["own_examples_by_slices"]()
    report = detente.Balancer("upgrad").backward(losses(), rows=torch.arange(24) // 8)
    assert report.strategy == "segmented"


def test_method_written_in_python():
    class Shortest(detente.Method):
        name = "test_shortest"
        uses_losses = True

        def __init__(self, power=1.0):
            self.power = power
            self.steps = 0

        def weights(self, gram, losses):
            self.steps += 1
            assert gram.shape == (3, 3) and losses.shape == (3,)
            return np.diag(gram) ** (-self.power / 2)

    shared, own, losses = ZOO["mlp"]()
    method = Shortest(power=1.0)
    balancer = detente.Balancer(method)
    report = balancer.backward(losses())
    report = balancer.backward(losses())
    assert method.steps == 2
    np.testing.assert_allclose(report.weights, 1 / np.array(report.norms), rtol=1e-6)
    assert detente.backward(losses(), "test_shortest", power=0).weights == [1, 1, 1]
    with pytest.raises(ValueError, match="there is a method"):
        type("Again", (detente.Method,), {"name": "ew"})

    class Wrong(detente.Method):
        name = "test_wrong"

        def weights(self, gram, losses):
            return [1.0]

    with pytest.raises(ValueError, match="one number for each of 3 tasks"):
        detente.backward(losses(), "test_wrong")

    class Raises(detente.Method):
        name = "test_raises"

        def weights(self, gram, losses):
            raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        detente.backward(losses(), "test_raises")


def test_what_is_given_is_checked():
    shared, own, losses = ZOO["mlp"]()
    stranger = nn.Linear(2, 2)
    for wrong in (stranger, []):
        with pytest.raises(ValueError, match="no loss depends on"):
            detente.backward(losses(), shared=wrong)
    with pytest.warns(UserWarning, match="6 parameters"):
        detente.backward(losses(), shared=shared)
    for wrong in ("trunk", shared[0], stranger.named_parameters()):
        with pytest.raises(TypeError, match="shared"):
            detente.backward(losses(), shared=wrong)
    with pytest.raises(TypeError, match=r"own\[0\]"):
        detente.backward(losses(), shared=shared, own=["a", [], []])
    for wrong in (torch.zeros(32), torch.zeros(2, 2, dtype=torch.long), torch.full((32,), 3)):
        with pytest.raises(ValueError, match="rows"):
            detente.Balancer().backward(losses(), rows=wrong)


def test_names_in_another_order():
    shared, own, losses = ZOO["mlp"]()
    balancer = detente.Balancer("upgrad")
    a, b, c = losses()
    first = balancer.backward({"a": a, "b": b, "c": c})
    a, b, c = losses()
    second = balancer.backward({"c": c, "a": a, "b": b})
    assert first.weights == second.weights


def test_threads_of_their_own():
    results = {}

    def train(seed):
        shared, own, losses = made[seed]
        balancer = detente.Balancer("cagrad", *made[seed][:2])
        results[seed] = [balancer.backward(losses()).weights for _ in range(5)]

    made = [ZOO["mlp"]() for _ in range(4)]
    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for seed, (shared, own, losses) in enumerate(made):
        assert detente.Balancer("cagrad", shared, own).backward(losses()).weights == results[seed][0]


def test_diagnose_changes_nothing():
    shared, own, losses = ZOO["mlp"]()
    values = losses()
    found = detente.diagnose(dict(zip("abc", values)))
    assert all(p.grad is None for p in shared) and found.names == ("a", "b", "c")
    report = detente.backward(values, "upgrad")  # the graph is still there
    np.testing.assert_allclose(found.gram, report.gram, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.norms**2, np.diag(found.gram))
    assert 0 <= found.conflict_share <= 1 and (found.similarity <= 1 + 1e-12).all()
    a, b = losses()[:2]
    opposed = detente.diagnose([a, -a])
    assert opposed.conflict and opposed.cosines[0, 1] == pytest.approx(-1)


def test_independent_batches_are_asked_for_and_used():
    """sdmgrad with two batches of the step's own is sdmgrad on the batch alone; with others it is not."""
    results = []
    for factor in (None, 1.0, 3.0):
        torch.manual_seed(0)
        shared, own, losses = ZOO["mlp"]()
        balancer = detente.Balancer("sdmgrad")
        assert balancer.wants_independent
        if factor is not None:
            more = [loss * factor**k for k, loss in enumerate(losses())]
            balancer.independent(more, [loss * factor**k for k, loss in enumerate(losses())])
        results.append(balancer.backward(losses()).weights)
        assert balancer.wants_independent
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
    assert not np.allclose(results[0], results[2], rtol=1e-3)
    assert not detente.Balancer("upgrad").wants_independent
    with pytest.raises(ValueError, match="second batch"):
        detente.Balancer("sdmgrad").independent(dict(zip("abc", losses())), losses())


def test_an_estimate_takes_one_pass_once_it_is_trusted():
    shared, own, losses = ZOO["mlp"]()
    balancer = detente.Balancer("upgrad", diagnose_every=4)
    estimated = []
    for _ in range(6):
        if balancer.wants_estimate:
            balancer.estimate(losses())
        estimated.append(balancer.backward(losses()).estimated)
    assert estimated[0] is False and any(estimated)


def test_groups_of_parameters_have_gram_matrices_of_their_own():
    shared, own, losses = ZOO["mlp"]()
    balancer = detente.Balancer(
        "upgrad", groups={"first": shared[:1], "second": shared[1:2]}, diagnose_every=1
    )
    report = balancer.backward(losses())
    assert [name for name, _ in report.groups] == ["first", "second", "rest"]
    np.testing.assert_allclose(sum(gram for _, gram in report.groups), report.gram, rtol=1e-5)
    rows = [row[0].reshape(-1).double() for row in per_task(losses(), shared[:1])]
    np.testing.assert_allclose(
        report.groups[0][1], torch.stack(rows) @ torch.stack(rows).T, rtol=1e-4, atol=1e-9
    )
    with pytest.raises(ValueError, match="another group"):
        detente.Balancer(groups={"a": shared[:1], "b": shared[:1]}).backward(losses())
    with pytest.raises(TypeError, match="groups"):
        detente.Balancer(groups={"a": shared[0]})
