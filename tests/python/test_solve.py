# SPDX-License-Identifier: Apache-2.0
"""detente.solve against the command line's answers and the laws of what it returns."""

import json
import os
import subprocess

import numpy as np
import pytest
import torch

import detente

PROGRAM = os.environ.get("DETENTE_PROGRAM", "")
NAMES = [info.name for info in detente.methods()]


def test_the_table_of_methods():
    assert len(NAMES) > 45 and len(set(NAMES)) == len(NAMES)
    cagrad = next(info for info in detente.methods() if info.name == "cagrad")
    assert cagrad.needs == "G" and "c" in [option.name for option in cagrad.options] and cagrad.paper


@pytest.mark.skipif(not PROGRAM, reason="DETENTE_PROGRAM names the program to compare with")
@pytest.mark.parametrize("method", NAMES)
def test_answers_are_those_of_the_program(method, tmp_path):
    rng = np.random.default_rng(3)
    jacobian, losses = rng.normal(size=(4, 9)), rng.uniform(0.5, 2, size=4)
    np.save(tmp_path / "j.npy", jacobian)
    np.save(tmp_path / "l.npy", losses)
    done = subprocess.run(
        [
            PROGRAM,
            "solve",
            "--method",
            method,
            "--jacobian",
            tmp_path / "j.npy",
            "--losses",
            tmp_path / "l.npy",
            "--json",
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        with pytest.raises(Exception) as error:
            detente.solve(jacobian, method, losses)
        assert str(error.value) in done.stderr
        return
    answer = json.loads(done.stdout)
    mine = detente.solve(jacobian, method, losses)
    np.testing.assert_allclose(mine.weights, answer["weights"], rtol=1e-13, atol=1e-15)
    if answer.get("direction") is not None:
        np.testing.assert_allclose(mine.direction, answer["direction"], rtol=1e-12, atol=1e-13)


def test_kinds_types_and_leading_dimensions():
    rng = np.random.default_rng(1)
    batch = rng.normal(size=(2, 3, 4, 10))
    found = detente.solve(batch, "upgrad")
    assert found.weights.shape == (2, 3, 4) and found.direction.shape == (2, 3, 10) and len(found.stop) == 6
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(detente.solve(batch[i, j], "upgrad").weights, found.weights[i, j])
    single = detente.solve(batch.astype(np.float32), "upgrad")
    assert single.weights.dtype == np.float32
    tensor = detente.solve(torch.tensor(batch, dtype=torch.float32), "upgrad")
    assert tensor.weights.dtype == torch.float32 and tensor.direction.shape == (2, 3, 10)
    np.testing.assert_array_equal(tensor.weights.numpy(), single.weights)
    gram = batch @ batch.swapaxes(-1, -2)
    np.testing.assert_allclose(detente.solve(gram=gram, method="upgrad").weights, found.weights, atol=1e-12)
    assert detente.solve(gram=gram, method="upgrad").direction is None
    assert detente.solve(np.zeros((0, 2, 3)), "ew").weights.shape == (0, 2)
    assert detente.solve([[1.0, 0.0], [0.0, 1.0]], "mgda").weights == pytest.approx([0.5, 0.5])


def test_no_task_loses():
    """UPGrad's direction is against no gradient (Quinton and Rey, 2024)."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        jacobian = rng.normal(size=(5, 3))
        assert (jacobian @ detente.solve(jacobian, "upgrad").direction >= -1e-9).all()


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: detente.solve(), ValueError, "one of them"),
        (lambda: detente.solve(np.ones((2, 2)), gram=np.ones((2, 2))), ValueError, "one of them"),
        (lambda: detente.solve(np.ones(3)), ValueError, "two dimensions"),
        (lambda: detente.solve(gram=np.ones((2, 3))), ValueError, "square"),
        (lambda: detente.solve(gram=np.array([[1, 2], [3, 4.0]])), ArithmeticError, "symmetric"),
        (lambda: detente.solve(np.full((2, 2), np.nan)), ArithmeticError, ""),
        (lambda: detente.solve(np.eye(2), "gls", [1.0]), ValueError, "one each"),
        (lambda: detente.solve(gram=np.eye(2), method="graddrop"), ValueError, "gradients themselves"),
        (lambda: detente.solve(np.eye(2), "cagrad", c="much"), ValueError, "'c'"),
    ],
)
def test_what_is_wrong_has_words(call, error, words):
    with pytest.raises(error, match=words):
        call()
