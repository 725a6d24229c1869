# SPDX-License-Identifier: Apache-2.0
"""What detente.compat says of TorchJD, against TorchJD where it is installed."""

import numpy as np
import pytest
import torch

from detente import compat, solve

MATRIX = torch.tensor(np.random.default_rng(5).normal(size=(3, 20)) @ np.diag(np.linspace(0.5, 2, 20)))
# How far TorchJD's answers may be off by its own approximations (compat says which).
OFF = {"UPGrad": 2e-3, "DualProj": 2e-3, "MGDA": 2e-2, "CAGrad": 1e-4, "FairGrad": 1e-4}


def aggregator(name):
    aggregation = pytest.importorskip("torchjd.aggregation")
    arguments = {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 2.0}}.get(name, {})
    if name == "NashMTL":
        arguments = {"n_tasks": 3, "max_norm": 1.0, "update_weights_every": 1, "optim_niter": 20}
    try:
        return getattr(aggregation, name)(**arguments)
    except (ImportError, AttributeError) as error:
        pytest.skip(str(error).splitlines()[0])


@pytest.mark.parametrize("name", [n for n in compat.torchjd_names() if n not in ("PCGrad", "Random")])
def test_the_direction_is_torchjds_up_to_what_is_said(name):
    theirs = aggregator(name)
    try:
        direction = theirs(MATRIX)
    except ImportError as error:
        pytest.skip(str(error).splitlines()[0])
    found = compat.torchjd_weights(theirs, MATRIX)
    tolerance = OFF.get(name, 1e-9 if not found.difference else 1e-2)
    error = (found.weights @ MATRIX - direction).norm() / direction.norm()
    assert error < tolerance, (name, float(error))
    assert name in OFF or found.difference == "" or name in ("AlignedMTL", "IMTLG", "NashMTL")


def test_settings_of_an_object_are_taken_over():
    class UPGrad:
        pref_vector = torch.tensor([0.5, 0.3, 0.2])

    class CAGrad:
        c = 0.7

    class AlignedMTL:
        pref_vector = None
        scale_mode = "rmse"

    weights = compat.torchjd_weights(UPGrad(), MATRIX).weights
    torch.testing.assert_close(
        weights, solve(MATRIX, "upgrad", preference=[0.5, 0.3, 0.2]).weights, rtol=1e-6, atol=0
    )
    assert compat.torchjd_weights(CAGrad(), MATRIX).options == {"c": 0.7}
    assert compat.torchjd_weights(AlignedMTL(), MATRIX).options == {"scale": "rmse"}


def test_names_and_differences():
    gram = MATRIX @ MATRIX.T
    for name in compat.torchjd_names():
        found = compat.torchjd_weights(name, gram=gram)
        assert found.weights.shape == (3,) and torch.isfinite(found.weights).all()
        torch.testing.assert_close(
            found.weights, solve(gram=gram, method=found.method, **found.options).weights
        )
    assert compat.torchjd_weights("Mean", MATRIX).difference == ""
    assert "1e-4" in compat.torchjd_weights("UPGrad", MATRIX).difference
    with pytest.raises(ValueError, match="UPGrad"):
        compat.torchjd_weights("Upgrad", MATRIX)
