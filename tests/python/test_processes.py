# SPDX-License-Identifier: Apache-2.0
"""Several processes, each with a part of every batch, take the step of one process on the whole batch, with
the same bits in all of them; and what goes wrong in one is said by all, without anybody waiting."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import detente
from world import ALONE, CASES, METHODS, ROWS, Us, ends

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="PyTorch without Gloo"
)
HERE = Path(__file__).resolve().parent
SECONDS = 240  # for everything in a world, which takes a tenth of it on a machine at rest
TOLERANCE = {"nash_mtl": 1e-6, "float32": 1e-5, "bfloat16": 5e-2}
SIZES = (2, 3)


def together(commands, seconds, **options):
    """Starts all, waits for all, ends what is left after `seconds`; output and exit codes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    children = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=HERE,
            **options,
        )
        for command in commands
    ]
    deadline = time.time() + seconds
    texts = []
    try:
        for child in children:
            try:
                texts.append(child.communicate(timeout=max(1.0, deadline - time.time()))[0])
            except subprocess.TimeoutExpired:
                child.kill()
                texts.append(child.communicate()[0] + "\n(ended: took too long)")
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    return texts, [child.returncode for child in children]


def world(folder, size, names):
    command = [sys.executable, "-W", "error::FutureWarning", str(HERE / "world.py")]
    return together(
        [[*command, str(rank), str(size), str(folder), ",".join(names)] for rank in range(size)], SECONDS
    )


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """(size, case) → what its processes returned. All cases in one world of each size: starting them takes
    longer than what they do."""
    found = {}
    names = [name for name in CASES if name != "ends_early"]
    for size in SIZES:
        folder = tmp_path_factory.mktemp(f"world{size}")
        texts, _ = world(folder, size, names)
        for name in names:
            files = [folder / f"{name}.{rank}" for rank in range(size)]
            for file, text in zip(files, texts):
                if not file.exists():
                    found[size, name] = f"{file.name} is missing:\n{text[-3000:]}"
            if (size, name) not in found:
                found[size, name] = [torch.load(file, weights_only=False) for file in files]
    return found


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


@pytest.fixture
def outcome(worlds, size):
    def get(name):
        found = worlds[size, name]
        assert isinstance(found, list), found
        for one in found:
            assert not (isinstance(one, str) and one.startswith("Traceback")), one
        return found

    return get


def near(a, b, tolerance):
    assert (a is None) == (b is None)
    if a is not None:
        a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
        assert (a - b).norm() <= tolerance * (b.norm() + 1e-6), ((a - b).norm(), b.norm())


def same_bits(outcomes):
    for other in outcomes[1:]:
        for a, b in zip(outcomes[0], other):
            for key in ("grad", "parameters"):
                assert all((x is None) == (y is None) for x, y in zip(a[key], b[key]))
                assert all(torch.equal(x, y) for x, y in zip(a[key], b[key]) if x is not None)
            # As text: NaN, of an absent task, equals nothing.
            for key in ("weights", "losses"):
                assert repr(a.get(key)) == repr(b.get(key))


@pytest.mark.filterwarnings("ignore:'famo' learns")
@pytest.mark.parametrize("name", sorted(ALONE))
def test_several_take_the_step_of_one_on_the_whole_batch(outcome, size, name):
    outcomes = outcome(name)
    same_bits(outcomes)
    tolerance = TOLERANCE.get(name, 1e-9)
    alone = CASES[name](0, 1, None)
    assert len(alone) == len(outcomes[0]) or name.startswith("ddp")
    for one, expected in zip(outcomes[0], alone):
        for a, b in zip(one["grad"], expected["grad"]):
            near(a, b, tolerance)
        near(one["weights"], expected["weights"], tolerance)
        near([x for x in one["losses"] if x == x], [x for x in expected["losses"] if x == x], tolerance)
        near(one.get("numbers"), expected.get("numbers"), tolerance)


def test_the_methods_asked_for_are_among_them():
    assert {"mgda", "upgrad", "cagrad", "pcgrad", "nash_mtl", "ew", "graddrop"} <= set(METHODS) <= ALONE


@pytest.mark.parametrize("method", ["upgrad", "mgda", "cagrad", "pcgrad", "nash_mtl"])
def test_balancing_in_each_process_and_averaging_is_something_else(size, method):
    """So that the test above can fail: this is what it would let through otherwise."""
    expected = Us(0, 1, None)
    expected.steps(detente.Balancer(method), count=1)
    total = [torch.zeros_like(g) for g in expected.found[0]["grad"]]
    bounds = ends(size)
    for rank in range(size):
        us = Us(rank, size, None)
        us.steps(detente.Balancer(method), count=1)
        for sum_, gradient in zip(total, us.found[0]["grad"]):
            sum_ += gradient * (bounds[rank + 1] - bounds[rank]) / ROWS
    trunk = len(list(expected.net.trunk.parameters()))
    mean = torch.cat([g.flatten() for g in total[:trunk]])
    one = torch.cat([g.flatten() for g in expected.found[0]["grad"][:trunk]])
    assert (mean - one).norm() > 1e-2 * one.norm()


@pytest.mark.parametrize("name", ["ddp_in_turn", "ddp_buffers", "two_more_batches"])
def test_what_one_process_cannot_do_is_the_same_in_all(outcome, name):
    same_bits(outcome(name))


# What the process with rank 1 has done wrong: the error there, and in the others.
SAID = {
    "not_finite": ("ArithmeticError: .*the loss of task 't0' is nan",) * 2,
    "gradient_not_finite": ("ArithmeticError: .*the gradient of task 't1' is not finite",) * 2,
    "hook_that_raises": (
        "KeyError: 'no such key'",
        "RuntimeError: process 1 of . failed: KeyError: 'no such key'",
    ),
    "method_that_raises": ("KeyError: 'a mood'", "RuntimeError: process 1 of . failed: KeyError: 'a mood'"),
    "no_scalar": (
        "ValueError: .*the loss of task 't1' has 2 numbers",
        "ValueError: process 1 of . failed: .*the loss of task 't1' has 2 numbers",
    ),
    "other_losses": ("ValueError: .*Process 0: .*'t2'\\]. Process 1: .*'t1'\\]",) * 2,
    "other_methods": ("ValueError: .*same method.*Process 0: method upgrad.*Process 1: method mgda",) * 2,
    "other_seeds": ("ValueError: .*seed",) * 2,
    "other_start": ("ValueError: 1 of 10 parameters differ.*'trunk.2.weight' of shape \\(3, 7\\)",) * 2,
    "absent_at_first": ("ValueError: .*shared=.*Process 1: 4 shared .*\\[2, 0, 2\\]",) * 2,
    "other_calls": ("ValueError: .*Process 0: backward.*Process 1: accumulate",) * 2,
    "batch_not_finite": (
        "ArithmeticError: .*the loss of task 't0' is nan",
        "ArithmeticError: process 1 of . failed: .*the loss of task 't0' is nan",
    ),
    "low_memory": ("NotImplementedError: .*memory = fast",) * 2,
}


@pytest.mark.parametrize("name", SAID)
def test_what_goes_wrong_in_one_is_said_by_all(outcome, name):
    outcomes = outcome(name)
    for rank, one in enumerate(outcomes):
        assert re.match(SAID[name][rank != 1], one[0]["caught"], re.S), one[0]["caught"]
        assert one[0]["kept"], "an error changed .grad"
    same_bits(outcomes)  # of the good step after it


def test_a_step_that_one_cannot_take_is_skipped_by_all(outcome, size):
    for name in ("overflow", "overflow_in_a_batch"):
        outcomes = outcome(name)
        same_bits(outcomes)
        for one in outcomes:
            assert [step["skipped"] for step in one] == [True, False]
            assert [step["moved"] for step in one] == [False, True]
            assert [step["scale"] for step in one] == [32.0, 32.0]


def test_gradients_travel_once_in_shares_and_once_summed(outcome):
    for one in outcome("traffic"):
        assert one[0]["sent"] <= 1.02 * one[0]["bound"]


def test_a_forgotten_group_is_warned_of(outcome):
    for one in outcome("forgotten_group"):
        assert len(one[0]["warned"]) == 1 and "process_group" in one[0]["warned"][0]


@pytest.mark.parametrize(
    "name, there, elsewhere",
    [
        ("collapses", "CollapseError: .*answers are uniform", None),
        (
            "fails_in_one",
            r"ValueError: .*the teacher's outputs have shape \[4, 3\]; expected \[4, 4\]",
            "ValueError: process 1 of . failed: .*the teacher's outputs",
        ),
        ("other_options", "ValueError: .*different losses.*Process 1: .*centre_momentum=0.5", None),
        ("no_group", "RuntimeWarning: this is one of . processes, and DinoLoss has no process_group", None),
    ],
)
def test_what_goes_wrong_with_a_centre_is_said_by_all(outcome, name, there, elsewhere):
    outcomes = [one[0] for one in outcome(f"dino_{name}")]
    for rank, one in enumerate(outcomes):
        assert re.match((elsewhere if rank != 1 else None) or there, one["caught"], re.S), one["caught"]
        assert torch.equal(one["centre"], outcomes[0]["centre"])


def test_what_is_no_group_is_refused(outcome):
    assert all(one.startswith("TypeError: process_group is a str; expected") for one in outcome("text"))
    assert all(one.startswith("ValueError: this process is no member") for one in outcome("not_a_member"))


def test_a_process_that_ends_is_noticed(tmp_path):
    texts, codes = world(tmp_path, 2, ["ends_early"])
    assert codes == [0, 3], texts
    words, seconds = torch.load(tmp_path / "ends_early.0", weights_only=False)
    assert words.startswith(("RuntimeError", "DistBackendError")) and seconds < 30


def test_shares_in_all_their_forms():
    us = Us(0, 1, None)
    for shares in (4, 4.0, [1, 2, 3], {"t0": 1, "t1": 2, "t2": 3}, torch.tensor([1, 2, 3])):
        detente.backward(us.losses(), shares=shares)
    for wrong, error in (
        ([1, 2], ValueError),
        ({"t0": 1, "t1": 1, "t3": 1}, ValueError),
        ([1, 0, 1], ValueError),
        ({"t0": 1, "t1": 1}, TypeError),
        ("three", TypeError),
    ):
        with pytest.raises(error, match="share"):
            detente.backward(us.losses(), shares=wrong)
    detente.backward({**us.losses(), "t1": None}, shares={"t0": 1, "t2": 1})


def test_shares_go_by_name_in_a_dict_of_another_order():
    grads = []
    for turned in (False, True):
        us = Us(0, 1, None)
        balancer = detente.Balancer("upgrad")
        balancer.accumulate(us.losses(end=4), shares=[1, 2, 3])
        losses, shares = us.losses(begin=4), [3, 2, 1]
        if turned:
            losses, shares = dict(reversed(losses.items())), shares[::-1]
        balancer.accumulate(losses, shares=shares)
        balancer.finish()
        grads.append([p.grad for p in us.net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads))


def test_plain_torchrun_starts_the_example():
    script = HERE.parents[1] / "examples" / "python" / "torchrun_two_tasks.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    lines = []
    for start in ([*command, str(script), "--steps", "30"], [sys.executable, str(script), "--steps", "30"]):
        for _ in range(3):
            texts, codes = together([start], 120)
            # Once in twenty times on a busy machine, a process aborts after its last line: a thread of
            # PyTorch's process group asks for the interpreter while that ends.
            if codes == [0] or "terminate called without an active exception" not in texts[0]:
                break
        assert codes == [0], texts[0]
        found = re.findall(r"^step 29: .*", texts[0], re.M)
        assert len(found) == 1, texts[0]
        lines.append(found[0])
    numbers = [[float(n) for n in re.findall(r"\d+\.\d+", line)] for line in lines]
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-3), lines
