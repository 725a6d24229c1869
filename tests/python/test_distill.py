# SPDX-License-Identifier: Apache-2.0
"""detente.distill against formulas written out in plain PyTorch, and in loops."""

import copy
import inspect
import io
import json
import math
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck

import detente
from detente import _program, distill
from detente.distill import DDGSD, CollapseError, DinoHead, DinoLoss, Ema

N, K = 5, 7
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def logits(*shape, scale=1.0):
    return (torch.randn(*shape, dtype=torch.float64) * scale).requires_grad_()


def dino_by_definition(student, teacher, centre, views, globals_, student_temperature, teacher_temperature):
    """The losses of all pairs: {(i, v): H}."""
    p = torch.softmax((teacher.detach() - centre) / teacher_temperature, 1).chunk(globals_)
    q = torch.log_softmax(student / student_temperature, 1).chunk(views)
    return {(i, v): -(p[i] * q[v]).sum(1).mean() for i in range(globals_) for v in range(views) if v != i}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


# ---- DINO's loss


@pytest.mark.parametrize("views, globals_", [(2, 2), (6, 2), (3, 1), (5, 3)])
def test_dino_loss_is_the_mean_over_pairs_of_views(views, globals_):
    loss = DinoLoss(K, views=views, globals=globals_, teacher_temperature=0.07).double()
    loss.centre.copy_(torch.randn(1, K))
    before = loss.centre.clone()
    student, teacher = logits(views * N, K), logits(globals_ * N, K)
    pairs = dino_by_definition(student, teacher, before, views, globals_, 0.1, 0.07)
    torch.testing.assert_close(loss.eval()(student, teacher), mean(pairs.values()), **TIGHT)
    torch.testing.assert_close(
        loss(student.chunk(views), list(teacher.chunk(globals_))), mean(pairs.values())
    )
    terms = loss.terms(student, teacher)
    expected = {
        "global_to_global": [h for (_, v), h in pairs.items() if v < globals_],
        "local_to_global": [h for (_, v), h in pairs.items() if v >= globals_],
    }
    assert list(terms) == [name for name, parts in expected.items() if parts]
    for name, value in terms.items():
        torch.testing.assert_close(value, mean(expected[name]), **TIGHT)
    assert torch.equal(loss.centre, before)


def test_dino_loss_and_its_terms_have_the_gradients_of_their_formulas():
    loss = DinoLoss(4, views=3, student_temperature=0.5, teacher_temperature=0.3).double().eval()
    student, teacher = logits(6, 4), logits(4, 4)
    assert gradcheck(lambda s: loss(s, teacher), student)
    assert gradcheck(lambda s: tuple(loss.terms(s, teacher).values()), student)
    loss(student, teacher).backward()
    assert teacher.grad is None


def test_centre_moves_after_the_loss_by_the_mean_of_the_teachers_rows():
    loss = DinoLoss(K, views=2, centre_momentum=0.8).double()
    centre = torch.zeros(1, K, dtype=torch.float64)
    for step in range(3):
        student, teacher = logits(2 * N, K), logits(2 * N, K)
        value = loss(student, teacher) if step else mean(loss.terms(student, teacher).values())
        expected = mean(dino_by_definition(student, teacher, centre, 2, 2, 0.1, 0.04).values())
        torch.testing.assert_close(value, expected, **TIGHT)
        centre = 0.8 * centre + 0.2 * teacher.detach().mean(0, keepdim=True)
        torch.testing.assert_close(loss.centre, centre, **TIGHT)
    assert not loss.centre.requires_grad
    assert set(loss.numbers) == {"mean_entropy", "entropy_of_mean", "kl", "teacher_temperature"}


def test_a_loop_may_move_the_centre_itself_once_for_several_batches():
    loss = DinoLoss(K, views=2, move_centre=False).double()
    parts = [logits(2 * n, K) for n in (2, 3)]
    for part in parts:
        loss(part, part)
    assert not loss.centre.any()
    loss.update_centre(parts)
    torch.testing.assert_close(loss.centre, 0.1 * torch.cat(parts).detach().mean(0, keepdim=True), **TIGHT)
    p = [torch.softmax(part.detach() / 0.04, 1) for part in parts]
    entropy = sum(n * -(q * q.log()).sum(1).mean() for n, q in zip((2, 3), p)) / 5
    assert loss.numbers["mean_entropy"] == pytest.approx(float(entropy) / math.log(K))
    still = DinoLoss(K, views=2, centre_momentum=1)
    still(torch.randn(4, K), torch.randn(4, K))
    assert not still.centre.any()


def test_the_teachers_temperature_rises_in_its_epochs():
    loss = DinoLoss(K, views=2, teacher_temperature=0.07, teacher_warmup_epochs=4).double().eval()
    student, teacher = logits(2 * N, K), logits(2 * N, K)
    for epoch, temperature in enumerate([0.04, 0.05, 0.06, 0.07, 0.07]):
        expected = mean(dino_by_definition(student, teacher, loss.centre, 2, 2, 0.1, temperature).values())
        torch.testing.assert_close(loss(student, teacher, epoch), expected, **TIGHT)


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_what_is_narrow_is_computed_in_float32(narrow):
    loss = DinoLoss(K, views=2)
    student, teacher = logits(2 * N, K).detach().to(narrow), logits(2 * N, K).to(narrow)
    value = loss(student.requires_grad_(), teacher)
    assert value.dtype == torch.float32 and loss.centre.dtype == torch.float32
    expected = dino_by_definition(student.double(), teacher.double(), 0, 2, 2, 0.1, 0.04)
    torch.testing.assert_close(value.double(), mean(expected.values()), rtol=1e-5, atol=1e-5)


def test_dino_errors_say_what_was_expected():
    for wrong, error, words in (
        ({"out": 1}, ValueError, "out is 1; expected 2 or more"),
        ({"out": 4.0}, TypeError, "out is a float"),
        ({"views": 1}, ValueError, "views is 1; expected 2"),
        ({"globals": 3}, ValueError, "globals is 3 of 2 views"),
        ({"student_temperature": 0}, ValueError, "student_temperature"),
        ({"teacher_temperature": -0.1}, ValueError, r"'teacher_temperature' must be in \[0\.001, 100\]"),
        ({"teacher_warmup_epochs": -1}, ValueError, "teacher_warmup_epochs"),
        ({"centre_momentum": 1.5}, ValueError, "centre_momentum"),
        ({"centre_momentum": "fast"}, ValueError, "centre_momentum"),
        ({"on_collapse": "halt"}, ValueError, "stop, warn, ignore"),
        ({"process_group": "gloo"}, TypeError, "process_group is a str"),
    ):
        with pytest.raises(error, match=words):
            DinoLoss(**{"out": K, "views": 2, **wrong})
    loss = DinoLoss(K, views=3)
    good, taught = torch.randn(3 * N, K), torch.randn(2 * N, K)
    for student, teacher, error, words in (
        (good[:-1], taught, ValueError, r"\[14, 7\]; expected \[3 N, K\]"),
        (good, taught[:-1], ValueError, "teacher"),
        (good[:, 1:], taught[:, 1:], ValueError, "centre has shape"),
        (list(good.chunk(3))[:2], taught, ValueError, "list of 2 tensors.*expected 3"),
        (good.long(), taught, TypeError, "torch.int64; expected floating"),
        (good.numpy(), taught, TypeError, "expected one|ndarray|a tensor"),
        (None, taught, TypeError, "student is a NoneType"),
    ):
        with pytest.raises(error, match=words):
            loss(student, teacher)
    with pytest.raises(ValueError, match="epoch is -1"):
        loss(good, taught, -1)
    with pytest.raises(ValueError, match=r"shape \[2, 3\]; expected \[n, 7\]"):
        loss.update_centre(torch.zeros(2, 3))
    assert not loss.centre.any() and not loss.numbers


# ---- collapse


def stub(state="uniform", out=16):
    """A teacher whose answers have come to nothing."""
    answers = torch.zeros(8, out)
    if state != "uniform":
        answers[:, 3] = 5.0 if state == "one_prototype" else 0.2
    return answers


@pytest.mark.parametrize(
    "state, words",
    [
        ("uniform", r"answers are uniform.*lower teacher_temperature \(now 0.1"),
        ("one_prototype", r"one output takes.*lower centre_momentum \(now 1"),
        ("one_answer", r"every image the same answer.*teacher_temperature \(now 0.1"),
    ],
)
def test_collapse_is_an_error_with_the_remedy_after_fifty_steps(state, words):
    loss = DinoLoss(16, views=2, teacher_temperature=0.1, centre_momentum=1)
    for _ in range(49):
        loss(stub(state), stub(state), features=torch.randn(4, 8))
        assert loss.collapse == "fine"
    with pytest.raises(CollapseError, match=words) as caught:
        loss(stub(state), stub(state), features=torch.randn(4, 8))
    assert isinstance(caught.value, ArithmeticError) and loss.collapse == state
    assert "on_collapse='warn'" in str(caught.value) and "features still differ" in str(caught.value)


def test_collapse_may_warn_once_or_say_nothing():
    loss = DinoLoss(16, views=2, teacher_temperature=0.1, patience=3, on_collapse="warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(6):
            loss(stub(), stub())
    assert [one.category for one in caught] == [RuntimeWarning] and "Sharpen" in str(caught[0].message)
    assert caught[0].filename == __file__
    loss = DinoLoss(16, views=2, teacher_temperature=0.1, patience=3, on_collapse="ignore")
    for _ in range(6):
        loss(stub(), stub())
    assert loss.collapse == "uniform"
    loss(torch.randn(8, 16) * 9, torch.randn(8, 16) * 9)
    assert loss.collapse == "fine"


def test_one_image_alone_is_no_collapse():
    loss = DinoLoss(16, views=2, teacher_temperature=0.1, patience=1)
    loss(stub("one_answer")[:2], stub("one_answer")[:2])
    assert loss.collapse == "fine" and loss.numbers["mean_entropy"] > 0


def test_collapse_is_looked_for_in_training_and_after_the_warm_up_alone():
    loss = DinoLoss(16, views=2, teacher_temperature=0.1, teacher_warmup_epochs=2, patience=2)
    for epoch in (0, 1):
        for _ in range(4):
            loss(stub(), stub(), epoch)
    loss.eval()
    for _ in range(4):
        loss(stub(), stub(), 2)
    assert loss.collapse == "fine"
    loss.train()
    loss(stub(), stub(), 2)
    with pytest.raises(CollapseError):
        loss(stub(), stub(), 2)


@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle"])
def test_a_saved_loss_goes_on_with_its_centre_and_its_count(way):
    options = {"views": 2, "teacher_temperature": 0.1, "centre_momentum": 0.5, "patience": 5}
    loss = DinoLoss(16, **options)
    for _ in range(4):
        loss(stub() + 1, stub() + 1)
    if way == "state_dict":
        file = io.BytesIO()
        torch.save(loss.state_dict(), file)
        file.seek(0)
        again = DinoLoss(16, **options)
        again.load_state_dict(torch.load(file, weights_only=True))
    else:
        again = copy.deepcopy(loss) if way == "deepcopy" else pickle.loads(pickle.dumps(loss))
    assert torch.equal(again.centre, loss.centre) and again.centre.any()
    with pytest.raises(CollapseError):
        again(stub(), stub())
    with pytest.raises(ValueError, match="saved state"):
        again.set_extra_state(torch.zeros(3))


# ---- the head


def head_by_definition(state, features):
    x = features
    layers = sum(name.startswith("mlp.") and name.endswith(".weight") for name in state)
    for i in range(layers):
        x = F.linear(F.gelu(x) if i else x, state[f"mlp.{i}.weight"], state[f"mlp.{i}.bias"])
    x = F.normalize(x, dim=1)
    v = state["last_layer.weight_v"]
    return x @ (state["last_layer.weight_g"] * F.normalize(v, dim=1)).T


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("norm", [True, False])
def test_head_is_its_formula_with_its_gradients(layers, norm):
    head = DinoHead(6, 9, layers=layers, hidden=8, bottleneck=4, norm_last_layer=norm).double()
    names = [f"mlp.{i}.{part}" for i in range(layers) for part in ("weight", "bias")]
    assert list(head.state_dict()) == [*names, "last_layer.weight_v", "last_layer.weight_g"]
    features = logits(N, 6)
    with torch.no_grad():  # as it starts, h is so short that its direction is no smooth function
        for part in head.mlp:
            part.of("weight").normal_()
        if not norm:
            head.last_layer.of("weight_g").uniform_(0.5, 2)
    state = dict(head.named_parameters())
    torch.testing.assert_close(head(features), head_by_definition(state, features), **TIGHT)
    assert state["last_layer.weight_g"].requires_grad is not norm
    trained = [p for p in head.parameters() if p.requires_grad]
    assert gradcheck(lambda *_: head(features), (features, *trained))


def test_head_starts_as_the_programs_does():
    torch.manual_seed(1)
    head = DinoHead(300, 400, hidden=500, bottleneck=100)
    weights = torch.cat([part.of("weight").detach().flatten() for part in head.mlp])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.01) and abs(float(weights.mean())) < 1e-4
    assert not any(part.of("bias").any() for part in head.mlp)
    v = head.last_layer.of("weight_v").detach()
    assert 0.099 < float(v.abs().max()) <= 0.1 and torch.equal(
        head.last_layer.of("weight_g"), torch.ones(400, 1)
    )
    same = [DinoHead(5, 4, hidden=6, bottleneck=3, seed=seed).mlp[0].of("weight") for seed in (3, 3, 4)]
    assert torch.equal(same[0], same[1]) and not torch.equal(same[1], same[2])
    torch.manual_seed(1)
    assert torch.equal(
        DinoHead(300, 400, hidden=500, bottleneck=100).mlp[0].of("weight"), head.mlp[0].of("weight")
    )


def test_head_takes_what_the_program_saves_where_a_fixed_length_is_not_in_it():
    head, other = (DinoHead(5, 4, hidden=6, bottleneck=3, seed=seed) for seed in (0, 1))
    state = {name: value for name, value in other.state_dict().items() if "weight_g" not in name}
    head.load_state_dict(state)
    x = torch.randn(3, 5)
    assert torch.equal(head(x), other(x))
    with pytest.raises(RuntimeError, match="weight_g"):
        DinoHead(5, 4, hidden=6, bottleneck=3, norm_last_layer=False).load_state_dict(state)
    assert torch.equal(copy.deepcopy(head)(x), head(x))


def test_head_errors():
    with pytest.raises(ValueError, match=r"'out' must be in \[2, 1000000\]"):
        DinoHead(5, 1)
    with pytest.raises(ValueError, match="width is 0"):
        DinoHead(0, 4)
    with pytest.raises(ValueError, match="'layers'"):
        DinoHead(5, 4, layers=0)
    with pytest.raises(ValueError, match=r"shape \[3, 6\]; expected \[n, 5\]"):
        DinoHead(5, 4, hidden=6, bottleneck=3)(torch.randn(3, 6))


def test_a_frozen_last_layer_does_not_even_decay():
    model = nn.Sequential(nn.Linear(4, 5), DinoHead(5, 6, hidden=6, bottleneck=3, norm_last_layer=False))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model(torch.randn(3, 4)).pow(2).sum().backward()
    distill.freeze_last_layer(model)
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) is ("last_layer" in name), name
    with pytest.raises(ValueError, match="last_layer"):
        distill.freeze_last_layer(nn.Linear(2, 2))


def saved(file):
    """Tensors of a file of safetensors, float32 and float64."""
    data = file.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            kind = {"F32": np.float32, "F64": np.float64}[entry["dtype"]]
            first, last = (begin + offset for offset in entry["data_offsets"])
            found[name] = torch.tensor(np.frombuffer(data[first:last], kind)).reshape(entry["shape"])
    return found


def test_head_and_centre_of_a_run_of_the_program_fit(tmp_path):
    try:
        _program.program()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    records = np.random.default_rng(0).integers(0, 256, size=(48, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    records.tofile(tmp_path / "data_batch_1.bin")
    model = {"kind": "vit", "patch": 8, "width": 24, "layers": 1, "heads": 3, "ffn": 32, "dropout": 0}
    options = {"local_crops": 2, "head": {"hidden": 16, "bottleneck": 8, "out": 12}}
    recipe = {
        "name": "tiny",
        "threads": 1,
        "data": {"kind": "images", "train": str(tmp_path / "data_batch_*.bin"), "split": {"dev": 0.2}},
        "model": model,
        "tasks": [],
        "balance": {"method": "ew"},
        "train": {"objective": "dino", "dino": options, "epochs": 1, "batch_size": 16},
    }
    detente.train(recipe, tmp_path / "run", quiet=True)
    (folder,) = (tmp_path / "run" / "snapshots").glob("step-*")
    state = saved(folder / "losses.safetensors")
    for prefix in ("0.dino.", "0.teacher.average.dino."):
        head = DinoHead(24, 12, hidden=16, bottleneck=8)
        part = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        head.load_state_dict(part)
        for name, value in part.items():
            assert torch.equal(head.state_dict()[name], value)
    loss = DinoLoss(12, views=4)
    assert loss.centre.shape == state["0.centre"].shape and state["0.centre"].any()
    loss.set_extra_state(state["0.monitor"])


# ---- loops


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 8)

    def forward(self, x):
        return torch.tanh(self.second(torch.tanh(self.first(x))))


def small_student(dtype=torch.float32):
    return nn.Sequential(Backbone(), DinoHead(8, 12, hidden=9, bottleneck=5, seed=1)).to(dtype)


def views_of(step, images=6, dtype=torch.float32):
    """2 global and 2 local ones, view-major."""
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(images, 6, generator=draw, dtype=torch.float64)
    noise = torch.randn(4, images, 6, generator=draw, dtype=torch.float64)
    amount = torch.tensor([0.1, 0.1, 0.5, 0.5], dtype=torch.float64)[:, None, None]
    return (x + amount * noise).reshape(-1, 6).to(dtype)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_twenty_steps_are_those_of_a_loop_written_by_hand(dtype, tolerance):
    steps, per_epoch, images = 20, 5, 6
    student = small_student(dtype)
    plain = copy.deepcopy(student)
    plain_teacher = copy.deepcopy(plain)
    rates = distill.cosine_schedule(0.02, 1e-4, steps, warmup=4)

    teacher = Ema(student, decay=0.9, steps=steps)
    loss = DinoLoss(12, views=4, teacher_temperature=0.07, teacher_warmup_epochs=2).to(dtype)
    optimizer = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], weight_decay=0.1)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rates[step]
        x = views_of(step, dtype=dtype)
        value = loss(student(x), teacher(x[: 2 * images]), step // per_epoch)
        optimizer.zero_grad()
        value.backward()
        if step < per_epoch:
            distill.freeze_last_layer(student)
        optimizer.step()
        teacher.update()
        losses.append(value.detach())

    def forward(model, x):
        return head_by_definition(dict(model[1].named_parameters()), model[0](x))

    optimizer = torch.optim.AdamW([p for p in plain.parameters() if p.requires_grad], weight_decay=0.1)
    centre = torch.zeros(1, 12, dtype=dtype)
    for step in range(steps):
        rate = 0.02 * step / 3 if step < 4 else 1e-4 + 0.0199 * (1 + math.cos(math.pi * (step - 4) / 16)) / 2
        optimizer.param_groups[0]["lr"] = rate
        x = views_of(step, dtype=dtype)
        with torch.no_grad():
            taught = forward(plain_teacher, x[: 2 * images])
        temperature = 0.04 if step < per_epoch else 0.07
        pairs = dino_by_definition(forward(plain, x), taught, centre, 4, 2, 0.1, temperature)
        value = mean(pairs.values())
        assert float((value.detach() - losses[step]).abs()) <= tolerance * float(losses[step])
        centre = 0.9 * centre + 0.1 * taught.mean(0, keepdim=True)
        optimizer.zero_grad()
        value.backward()
        if step < per_epoch:
            plain[1].last_layer.of("weight_v").grad = None
        optimizer.step()
        momentum = 1 + (0.9 - 1) * (1 + math.cos(math.pi * step / steps)) / 2
        with torch.no_grad():
            for own, theirs in zip(plain_teacher.parameters(), plain.parameters()):
                own.mul_(momentum).add_((1 - momentum) * theirs)
    torch.testing.assert_close(loss.centre, centre, rtol=tolerance, atol=tolerance)
    for found, expected in ((student, plain), (teacher.module, plain_teacher)):
        for a, b in zip(found.parameters(), expected.parameters()):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("method", ["ew", "upgrad", "mgda"])
def test_both_kinds_of_pairs_are_tasks_for_a_balancer(method):
    student = small_student(torch.float64)
    teacher, loss = Ema(student, decay=0.9, steps=20), DinoLoss(12, views=4).double()
    balancer = detente.Balancer(method, diagnose_every=1)
    optimizer = torch.optim.SGD([p for p in student.parameters() if p.requires_grad], lr=0.05)
    first = copy.deepcopy(student)
    for step in range(20):
        x = views_of(step, dtype=torch.float64)
        taught = teacher(x[:12])
        centre = loss.centre.clone()
        terms = loss.terms(student(x), taught)
        assert list(terms) == ["global_to_global", "local_to_global"]
        optimizer.zero_grad()
        report = balancer.backward(terms)
        assert set(report.weights) == set(terms)
        parameters = [p for p in student.parameters() if p.requires_grad]
        pairs = dino_by_definition(student(x), taught, centre, 4, 2, 0.1, 0.04)
        parts = [mean(h for (_, v), h in pairs.items() if (v < 2) is both) for both in (True, False)]
        weights = [report.weights[name] for name in terms]
        if method == "ew":
            assert weights == [0.5, 0.5]
        expected = torch.autograd.grad(sum(w * part for w, part in zip(weights, parts)), parameters)
        for parameter, gradient in zip(parameters, expected):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-9)
        optimizer.step()
        teacher.update()
    assert all(not torch.equal(a, b) for a, b in zip(first[0].parameters(), teacher.module[0].parameters()))


# ---- teachers


def test_a_teacher_is_the_weighted_mean_of_what_it_followed():
    net = nn.Linear(3, 2).double()
    teacher = Ema(net, decay=0.75)
    values = [net.weight.detach().clone()]
    for _ in range(6):
        with torch.no_grad():
            net.weight.add_(torch.randn(2, 3))
        values.append(net.weight.detach().clone())
        assert teacher.update() == 0.75
    expected = 0.75**6 * values[0] + sum(0.25 * 0.75 ** (6 - t) * values[t] for t in range(1, 7))
    torch.testing.assert_close(teacher.module.weight, expected, **TIGHT)
    assert teacher.updates == 6 and teacher.update(0.0) == 0
    assert torch.equal(teacher.module.weight, net.weight)


def test_the_decay_goes_to_one_by_half_a_cosine():
    net = nn.Linear(3, 2)
    teacher = Ema(net, decay=0.9, steps=4)
    expected = [1 - 0.1 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)] + [1.0, 1.0]
    assert [teacher.decay_at(t) for t in range(6)] == pytest.approx(expected, abs=1e-15)
    assert [teacher.update() for _ in range(6)] == pytest.approx(expected, abs=1e-15)
    assert Ema(net, 0.9, 4).decay_at(0) == pytest.approx(0.9)


def test_a_teacher_is_apart_from_its_student():
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    teacher = Ema(net)
    assert not any(p.requires_grad for p in teacher.parameters()) and all(
        p.requires_grad for p in net.parameters()
    )
    assert sorted(name for name, _ in teacher.named_parameters()) == ["module.0.bias", "module.0.weight"]
    assert set(teacher.state_dict()) == {"module.0.weight", "module.0.bias", "_extra_state"}
    assert not teacher(torch.randn(2, 3, requires_grad=True)).requires_grad
    assert teacher.training and not Ema(net.eval()).training
    student = net.train()
    before = student[0].weight.clone()
    teacher.update(0.5)
    assert torch.equal(student[0].weight, before)


@pytest.mark.parametrize("buffers", ["own", "copy", "ema"])
def test_buffers_are_the_teachers_the_students_or_averaged(buffers):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    teacher = Ema(net, decay=0.5, buffers=buffers)
    start = teacher.module[1].running_mean.clone()
    for _ in range(3):
        net(torch.randn(8, 3) + 1)
    teacher.update()
    mean_, count = net[1].running_mean, net[1].num_batches_tracked
    expected = {"own": start, "copy": mean_, "ema": (start + mean_) / 2}[buffers]
    torch.testing.assert_close(teacher.module[1].running_mean, expected)
    assert int(teacher.module[1].num_batches_tracked) == (0 if buffers == "own" else int(count))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_teacher_goes_on_to_the_bit(dtype):
    net = nn.Linear(3, 2).to(dtype)
    teachers = [Ema(net, decay=0.99, steps=50)]

    def follow(steps):
        for _ in range(steps):
            with torch.no_grad():
                net.weight.add_(torch.randn(2, 3).to(dtype))
            for one in teachers:
                one.update()

    follow(5)
    file = io.BytesIO()
    torch.save(teachers[0].state_dict(), file)
    file.seek(0)
    again = Ema(net, decay=0.99, steps=50)
    again.load_state_dict(torch.load(file, weights_only=True))
    teachers += [again, copy.deepcopy(teachers[0])]
    teachers[2]._followed = (net,)
    follow(5)
    for other in teachers[1:]:
        assert other.updates == 10 and torch.equal(other.module.weight, teachers[0].module.weight)


def test_narrow_parameters_are_averaged_in_float32():
    net = nn.Linear(1, 1).to(torch.bfloat16)
    with torch.no_grad():
        net.weight.fill_(1.0)
        teacher = Ema(net, decay=0.999)
        net.weight.fill_(2.0)
    for _ in range(300):  # each step alone is lost in 8 bits
        teacher.update()
    assert float(teacher.module.weight) == pytest.approx(2 - 0.999**300, rel=1e-2)


def test_teacher_errors():
    net = nn.Linear(3, 2)
    for arguments, error, words in (
        ((net, 1.5), ValueError, "decay is 1.5; expected a number from 0 to 1"),
        ((net, "slow"), TypeError, "decay is a str"),
        ((net, 0.9, 0), ValueError, "steps is 0"),
        ((net.weight,), TypeError, "module is a Parameter"),
    ):
        with pytest.raises(error, match=words):
            Ema(*arguments)
    with pytest.raises(ValueError, match="own, copy, ema"):
        Ema(net, buffers="none")
    teacher = Ema(net)
    with pytest.raises(ValueError, match="decay is nan"):
        teacher.update(float("nan"))
    net.more = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match="'more' is in the module alone"):
        teacher.update()
    del net.more
    net.weight = nn.Parameter(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"'weight' has shape \[2, 4\]"):
        teacher.update()
    assert teacher.updates == 0


# ---- two distortions


def mmd_by_definition(a, b, kind):
    if kind == "linear":
        return (a.mean(0) - b.mean(0)).square().sum()
    rows = torch.cat([a, b])
    squares = torch.stack([torch.stack([(x - y).square().sum() for y in rows]) for x in rows])
    n = len(rows)
    scale = squares.detach().sum() / (n * (n - 1))
    k = sum(torch.exp(-squares / (beta * scale)) for beta in (0.25, 0.5, 1, 2, 4))
    m = len(a)
    aa, bb, ab = k[:m, :m], k[m:, m:], k[:m, m:]
    if kind == "rbf":
        return aa.mean() + bb.mean() - 2 * ab.mean()

    def others(square):
        return (square.sum() - square.diagonal().sum()) / (len(square) * (len(square) - 1))

    return others(aa) + others(bb) - 2 * ab.mean()


def kl_by_definition(z_p, z_q, temperature):
    p, q = torch.softmax(z_p / temperature, 1), torch.softmax(z_q / temperature, 1)
    return (p * (p / q).log()).sum(1).mean()


@pytest.mark.parametrize("mmd", ["linear", "rbf", "unbiased"])
@pytest.mark.parametrize("squared", [False, True])
def test_ddgsd_is_its_five_terms(mmd, squared):
    criterion = DDGSD(2.0, 0.7, 0.3, mmd, temperature_squared=squared)
    a, b, fa, fb = logits(N, K), logits(N, K), logits(N, 3), logits(N, 3)
    labels = torch.randint(K, (N,))
    weight = 0.7 * (4 if squared else 1)
    expected = {
        "ce_a": F.cross_entropy(a, labels),
        "ce_b": F.cross_entropy(b, labels),
        "kl_ab": weight * kl_by_definition(a, b, 2.0),
        "kl_ba": weight * kl_by_definition(b, a, 2.0),
        "mmd": 0.3 * mmd_by_definition(fa, fb, mmd),
    }
    terms = criterion(a, b, fa, fb, labels)
    assert list(terms) == list(expected) and isinstance(terms, dict)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, **TIGHT)
    torch.testing.assert_close(terms.total, sum(expected.values()), **TIGHT)
    found = torch.autograd.grad(terms.total, (a, b, fa, fb))
    for one, other in zip(found, torch.autograd.grad(sum(expected.values()), (a, b, fa, fb))):
        torch.testing.assert_close(one, other, **TIGHT)
    if mmd == "linear":
        assert gradcheck(lambda *z: tuple(criterion(*z, labels).values()), (a, b, fa, fb))


def test_equal_distortions_cost_nothing_but_their_cross_entropy():
    a, f, labels = logits(N, K), logits(N, 3), torch.randint(K, (N,))
    for mmd in ("linear", "rbf"):
        terms = DDGSD(mmd=mmd)(a, a, f, f, labels)
        values = {name: float(value.detach()) for name, value in terms.items()}
        assert values["kl_ab"] == values["kl_ba"] == 0 and abs(values["mmd"]) < 1e-15
        torch.testing.assert_close(terms.total, 2 * F.cross_entropy(a, labels), **TIGHT)


def test_detached_aims_learn_nothing():
    a, b, f, labels = logits(N, K), logits(N, K), logits(N, 3), torch.randint(K, (N,))
    for detach in (False, True):
        kl_ab = DDGSD(detach=detach)(a, b, f, f, labels)["kl_ab"]
        gradients = torch.autograd.grad(kl_ab, (a, b), allow_unused=True)
        assert (gradients[0] is None or not gradients[0].any()) is detach and gradients[1].any()


def test_five_terms_are_tasks_for_a_balancer():
    trunk, head = nn.Linear(4, 3), nn.Linear(3, K)
    x, y = torch.randn(2, N, 4), torch.randint(K, (N,))
    f = torch.tanh(trunk(x))
    z = head(f)
    report = detente.Balancer("upgrad").backward(DDGSD()(z[0], z[1], f[0], f[1], y))
    assert set(report.weights) == {"ce_a", "ce_b", "kl_ab", "kl_ba", "mmd"} and trunk.weight.grad.any()


def test_ddgsd_errors():
    for options, words in (
        ({"temperature": 0}, "'temperature' must be > 0"),
        ({"kl_weight": -1}, "kl_weight"),
        ({"mmd_weight": float("nan")}, "mmd_weight"),
        ({"mmd": "cubic"}, "mmd.*linear"),
    ):
        with pytest.raises(ValueError, match=words):
            DDGSD(**options)
    a, f, y = torch.randn(N, K), torch.randn(N, 3), torch.randint(K, (N,))
    with pytest.raises(ValueError, match="one shape"):
        DDGSD()(a, a[:, 1:], f, f, y)
    with pytest.raises(ValueError, match="two rows"):
        DDGSD(mmd="unbiased")(a[:1], a[:1], f[:1], f[:1], y[:1])
    with pytest.raises(TypeError, match="features_b is a list"):
        DDGSD()(a, a, f, [f], y)


# ---- teachers and peers


def test_kd_loss_of_classes_is_hintons():
    student, teacher = logits(N, K), logits(N, K)
    value = distill.kd_loss(student, teacher, 4.0)
    torch.testing.assert_close(value, 16 * kl_by_definition(teacher, student, 4.0), **TIGHT)
    (gradient,) = torch.autograd.grad(value, student)
    p, q = (torch.softmax(z / 4, 1) for z in (teacher, student))
    torch.testing.assert_close(gradient, 4 * (q - p).detach() / N, **TIGHT)
    assert gradcheck(lambda s: distill.kd_loss(s, teacher), student)
    assert float(distill.kd_loss(student, student).detach()) == 0


@pytest.mark.parametrize(
    "kind, shape, expected",
    [
        ("binary", (N,), lambda s, t: F.binary_cross_entropy_with_logits(s, t.sigmoid())),
        ("labels", (N, 3), lambda s, t: F.binary_cross_entropy_with_logits(s, t.sigmoid())),
        (
            "ordinal",
            (N, 3),
            lambda s, t: F.binary_cross_entropy_with_logits(s, t.sigmoid(), reduction="none").sum(1).mean(),
        ),
        ("regression", (N, 2), F.mse_loss),
        ("depth", (2, 1, 3, 4), F.mse_loss),
        ("normals", (2, 3, 3, 4), lambda s, t: (1 - F.cosine_similarity(s, t, 1)).mean()),
        (
            "segmentation",
            (2, 3, 2, 4),
            lambda s, t: 16 * kl_by_definition(*(z.movedim(1, 3).reshape(-1, 3) for z in (t, s)), 4.0),
        ),
    ],
)
def test_kd_loss_of_every_kind_of_head(kind, shape, expected):
    student, teacher = logits(*shape), logits(*shape)
    value = distill.kd_loss(student, teacher, kind=kind)
    aim = teacher.detach()
    torch.testing.assert_close(value, expected(student, aim), **TIGHT)
    assert gradcheck(lambda s: distill.kd_loss(s, teacher, kind=kind), student)
    value.backward()
    assert teacher.grad is None


def test_rows_that_the_teacher_does_not_know_are_left_out():
    student, teacher = logits(N, K), logits(N, K).detach()
    teacher[1, 2] = float("nan")
    keep = [0, 2, 3, 4]
    expected = distill.kd_loss(student[keep], teacher[keep])
    value = distill.kd_loss(student, teacher)
    torch.testing.assert_close(value, expected, **TIGHT)
    assert torch.isfinite(torch.autograd.grad(value, student)[0]).all()
    assert distill.kd_loss(student, torch.full_like(teacher, float("nan"))) is None


def test_kd_errors():
    student, teacher = torch.randn(N, K), torch.randn(N, K)
    with pytest.raises(ValueError, match="one shape"):
        distill.kd_loss(student, teacher[:, 1:])
    with pytest.raises(ValueError, match="temperature must be > 0"):
        distill.kd_loss(student, teacher, 0)
    with pytest.raises(ValueError, match="kind.*clases|clases.*classes"):
        distill.kd_loss(student, teacher, kind="clases")
    with pytest.raises(TypeError, match="kind is a int"):
        distill.kd_loss(student, teacher, 4, 3)
    with pytest.raises(ArithmeticError, match="infinite"):
        distill.kd_loss(student, teacher / 0)
    with pytest.raises(TypeError, match="student is a list"):
        distill.kd_loss([1.0], teacher)


def test_mutual_loss_is_the_mean_divergence_from_the_peers():
    own, peers = logits(N, K), [logits(N, K) for _ in range(3)]
    value = distill.mutual_loss(own, peers)
    torch.testing.assert_close(
        value, mean(kl_by_definition(peer.detach(), own, 1.0) for peer in peers), **TIGHT
    )
    assert gradcheck(lambda z: distill.mutual_loss(z, peers), own)
    value.backward()
    assert all(peer.grad is None for peer in peers)
    torch.testing.assert_close(distill.mutual_loss(own, peers[0]), distill.mutual_loss(own, peers[:1]))
    with pytest.raises(ValueError, match="no peers"):
        distill.mutual_loss(own, [])
    with pytest.raises(ValueError, match="one shape"):
        distill.mutual_loss(own, [peers[0][1:]])
    with pytest.raises(TypeError, match="peers is a int"):
        distill.mutual_loss(own, 3)


# ---- what features are worth


def clouds(rows, seed, classes=4, width=6):
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(classes, width)) * 1.2
    labels = draw.integers(classes, size=rows)
    return torch.tensor(centres[labels] + draw.normal(size=(rows, width))), labels + 3


def test_neighbours_vote_by_their_cosines():
    train, known = clouds(60, 0)
    test, wanted = clouds(40, 1)
    similar = F.normalize(test, dim=1) @ F.normalize(train, dim=1).T
    expected = {}
    for k in (1, 5, 200):
        right = 0
        for row, label in zip(similar, wanted):
            votes = {}
            for j in row.argsort(descending=True)[:k].tolist():
                votes[known[j]] = votes.get(known[j], 0.0) + math.exp(float(row[j]) / 0.07)
            right += max(sorted(votes), key=votes.__getitem__) == label
        expected[k] = right / len(wanted)
    assert distill.knn_accuracy(train, known, test, wanted, k=(1, 5, 200)) == pytest.approx(expected)
    assert distill.knn_accuracy(train, torch.tensor(known), test, wanted.tolist(), 5) == {
        5: pytest.approx(expected[5])
    }
    assert 0.5 < expected[5] < 1 and list(distill.knn_accuracy(train, known, test, wanted)) == [
        10,
        20,
        100,
        200,
    ]


def test_the_linear_answer_is_that_of_the_convex_problem():
    train, known = clouds(120, 0)
    test, wanted = clouds(400, 1)
    for ridge in (1e-3, 1.0):
        spread = train.std(0, correction=0)
        x, z = ((rows - train.mean(0)) / spread for rows in (train, test))
        weight = torch.zeros(4, 6, dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        y = torch.tensor(known) - 3
        solver = torch.optim.LBFGS(
            [weight, bias], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
        )

        def closure():
            solver.zero_grad()
            value = F.cross_entropy(x @ weight.T + bias, y) + ridge / 2 * weight.square().sum()
            value.backward()
            return value

        solver.step(closure)
        answers = (z @ weight.T + bias).argmax(1).numpy() + 3
        expected = float((answers == wanted).mean())
        assert distill.linear_accuracy(train, known, test, wanted, ridge) == pytest.approx(expected)


def test_feature_deviation_is_one_without_order_and_zero_for_one_direction():
    features = torch.randn(4000, 64)
    unit = F.normalize(features.double(), dim=1)
    expected = 8 * float(unit.std(0, correction=0).mean())
    assert distill.feature_deviation(features) == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx(1, abs=0.01)
    assert distill.feature_deviation(torch.rand(5, 1) * torch.randn(1, 3)) < 1e-6


def test_errors_of_measures():
    train, known = clouds(20, 0)
    for call, error, words in (
        (lambda: distill.knn_accuracy(train, known[1:], train, known), ValueError, "19 train"),
        (lambda: distill.knn_accuracy(train, known, train[:, 1:], known), ValueError, "expected"),
        (lambda: distill.knn_accuracy(train, known, train, known, 0), ValueError, "k is 0"),
        (lambda: distill.knn_accuracy(train, known, train, known, ()), ValueError, "k"),
        (lambda: distill.knn_accuracy(train, known, train, known, 5, 0), ValueError, "temperature"),
        (
            lambda: distill.knn_accuracy(train, known / 2, train, known),
            ValueError,
            "train_labels are float64",
        ),
        (lambda: distill.knn_accuracy(train / 0, known, train, known), ArithmeticError, "NaN or infinite"),
        (lambda: distill.linear_accuracy(train, known, train, known, 0), ValueError, "ridge"),
        (
            lambda: distill.linear_accuracy(train.numpy(), known, train, known),
            TypeError,
            "train is a ndarray",
        ),
    ):
        with pytest.raises(error, match=words):
            call()


# ---- courses


@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_cosine_schedule_has_the_ends_it_names(warmup):
    begin, end, steps = 2.0, 0.5, 12
    reference = distill.cosine_schedule(begin, end, steps, warmup)
    inclusive = distill.cosine_schedule(begin, end, steps, warmup, ends="inclusive")
    rest = steps - warmup
    course = [end + (begin - end) * (1 + math.cos(math.pi * t / rest)) / 2 for t in range(rest)]
    assert reference == pytest.approx([*np.linspace(0, begin, warmup), *course])
    course = [end + (begin - end) * (1 + math.cos(math.pi * t / (rest - 1))) / 2 for t in range(rest)]
    assert inclusive == pytest.approx([*(begin * (t + 1) / warmup for t in range(warmup)), *course])
    assert len(reference) == steps and inclusive[-1] == end != reference[-1]


def test_cosine_schedule_errors():
    for arguments, error, words in (
        ((1, 0, 0), ValueError, "steps is 0"),
        ((1, 0, 5, 6), ValueError, "warm-up has 6 steps"),
        ((1, 0, 5, -1), ValueError, "warmup is -1"),
        ((float("inf"), 0, 5), ValueError, "finite"),
        ((1, 0, 5, 0, "both"), ValueError, "reference"),
        ((1, 0, 5, 0, None), TypeError, "ends is a NoneType"),
        ((1, 0, 5.0), TypeError, "steps is a float"),
        (("fast", 0, 5), TypeError, "begin is a str"),
    ):
        with pytest.raises(error, match=words):
            distill.cosine_schedule(*arguments)


# ---- the module


def test_everything_public_is_described():
    for name in distill.__all__:
        thing = getattr(distill, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if inspect.isfunction(value) and not member.startswith("_"):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_threads_compute_side_by_side():
    own, peers = torch.randn(400, 500, requires_grad=True), [torch.randn(400, 500) for _ in range(4)]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(distill.mutual_loss(own, peers))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({float(value.detach()) for value in found}) == 1
