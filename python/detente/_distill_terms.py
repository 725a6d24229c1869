# SPDX-License-Identifier: Apache-2.0
"""Losses between networks, what features are worth, and courses of numbers."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from . import _core
from ._arguments import floating, real_number, whole_number
from ._methods import option_text


class Terms(Dict[str, Tensor]):
    """Losses by name, as `Balancer.backward` takes them."""

    @property
    def total(self) -> Tensor:
        """Their sum."""
        values = list(self.values())
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class DDGSD(nn.Module):
    """Data-distortion guided self-distillation (Xu and Liu, AAAI 2019): one network sees two independent
    distortions a, b of every image; its answers are to agree, and so are the batches' features.

        ce_a = CE(z_a, y)            kl_ab = kl_weight KL(p_a || p_b)            mmd = mmd_weight MMD²(f_a,
        f_b) ce_b = CE(z_b, y)            kl_ba = kl_weight KL(p_b || p_a)

    with p = softmax(z / temperature), KL summed over classes and averaged over rows. `mmd`: "linear", the
    squared distance of the means; "rbf", Gaussian kernels, never below zero; "unbiased", the same without
    pairs of a row with itself, which may be. `detach` makes the first of KL(p || q) a constant;
    `temperature_squared` multiplies both divergences by the temperature's square.

    Raises ValueError for temperature <= 0, weights below 0 and unknown names."""

    def __init__(
        self,
        temperature: float = 3.0,
        kl_weight: float = 1.0,
        mmd_weight: float = 5e-4,
        mmd: str = "linear",
        detach: bool = False,
        temperature_squared: bool = False,
    ) -> None:
        super().__init__()
        self._given = [
            ("temperature", option_text(temperature)),
            ("kl_weight", option_text(kl_weight)),
            ("mmd_weight", option_text(mmd_weight)),
            ("mmd", option_text(mmd)),
            ("detach", option_text(bool(detach))),
            ("temperature_squared", option_text(bool(temperature_squared))),
        ]
        _core.DdgsdOptions(self._given)  # whether they are legal

    def forward(
        self,
        logits_a: Tensor,
        logits_b: Tensor,
        features_a: Tensor,
        features_b: Tensor,
        labels: Tensor,
    ) -> Terms:
        """A dict of the five terms with their weights, scalars with their graphs; `.total` is their sum,
        and as it is it goes into `Balancer.backward`. `logits` [n, C], C > 1; `features` [n, d], from
        before the classifier; `labels` [n], class ids as torch.nn.functional.cross_entropy takes them.
        Float16 and bfloat16 are computed in float32. ValueError for shapes that do not fit."""
        a, b = floating(logits_a, "logits_a"), floating(logits_b, "logits_b")
        kl_ab, kl_ba, mmd = _core.ddgsd_terms(
            a,
            b,
            floating(features_a, "features_a"),
            floating(features_b, "features_b"),
            _core.DdgsdOptions(self._given),
        )
        wide = kl_ab.dtype
        return Terms(
            ce_a=F.cross_entropy(a.to(wide), labels),
            ce_b=F.cross_entropy(b.to(wide), labels),
            kl_ab=kl_ab,
            kl_ba=kl_ba,
            mmd=mmd,
        )

    def extra_repr(self) -> str:
        """For repr()."""
        return ", ".join(f"{name}={text}" for name, text in self._given)


def kd_loss(
    student: Tensor, teacher: Tensor, temperature: float = 4.0, kind: str = "classes"
) -> Optional[Tensor]:
    """What a student learns from a teacher's outputs for the same examples (Hinton, Vinyals, Dean 2015, arXiv
    1503.02531), a scalar with the student's graph; the teacher's gets nothing.

    `kind`, of the head: "classes" [n, C] and "segmentation" [b, C, h, w]: T² KL(teacher || student) of
    softmax(z / T), T = `temperature` > 0, summed over classes, mean over rows or pixels. "binary" and
    "labels": cross-entropy with the teacher's probabilities. "ordinal" [n, C - 1]: the same, summed over
    the steps. "regression", "depth": squared error. "normals": 1 - cosine. Logits, of one shape.

    Rows (of several numbers, numbers) for which the teacher has NaN are left out; None when none is left,
    which `Balancer.backward` takes for an absent task.

    Raises ValueError for shapes that do not fit and an unknown kind, ArithmeticError for infinite outputs
    of the teacher."""
    t = real_number(temperature, "temperature")
    if not isinstance(kind, str):
        raise TypeError(f"kind is a {type(kind).__name__}; expected a name such as 'classes'")
    return _core.kd_loss(floating(student, "student"), floating(teacher, "teacher"), t, kind)


def mutual_loss(own: Tensor, peers: Union[Tensor, Sequence[Tensor]]) -> Tensor:
    """What a network adds to its loss to learn from others that train beside it (deep mutual learning:
    Zhang, Xiang, Hospedales, Lu, CVPR 2018, arXiv 1706.00384): the mean over `peers` of KL(peer || own),
    summed over classes, mean over rows. Logits [n, C], C > 1; a scalar with own's graph, the peers' get
    nothing. ValueError for shapes that differ and no peer."""
    others = [peers] if isinstance(peers, Tensor) else peers
    if isinstance(others, (str, bytes)) or not hasattr(others, "__iter__"):
        raise TypeError(f"peers is a {type(peers).__name__}; expected a list of tensors")
    return _core.mutual_term(floating(own, "own"), [floating(peer, "a peer's logits") for peer in others])


def knn_accuracy(
    train: Tensor,
    train_labels: Any,
    test: Tensor,
    test_labels: Any,
    k: Union[int, Sequence[int]] = (10, 20, 100, 200),
    temperature: float = 0.07,
) -> Dict[int, float]:
    """What features are worth without training anything (Wu et al., CVPR 2018; Caron et al., ICCV 2021): the
    share of test rows whose class most of the k training rows of the largest cosine vote for, a vote worth
    exp(cosine / temperature); for each k, one above n counts as n.

    `train` [n, d] and `test` [m, d], floating-point, of any length; `*_labels`: whole numbers, one per row.
    Deterministic; O(n m d) on the features' device, in blocks.

    Raises ValueError for sizes that do not fit, k < 1 and temperature <= 0, ArithmeticError for features
    that are not finite."""
    ks = [whole_number(one, "k", 1) for one in ([k] if not hasattr(k, "__iter__") else k)]
    shares = _core.knn_accuracy(
        floating(train, "train"),
        _labels(train_labels, "train_labels"),
        floating(test, "test"),
        _labels(test_labels, "test_labels"),
        ks,
        real_number(temperature, "temperature"),
    )
    return dict(zip(ks, shares))


def linear_accuracy(
    train: Tensor, train_labels: Any, test: Tensor, test_labels: Any, ridge: float = 1e-3
) -> float:
    """What features are worth to a linear classifier: the share of test rows that softmax regression on the
    standardised training rows puts into their class, with ridge/2 |W|² beside the mean cross-entropy. The one
    answer of a convex problem, by Newton's method in float64: no seed, rate or epochs.

    Arguments and errors as of knn_accuracy(); ridge > 0."""
    return _core.linear_accuracy(
        floating(train, "train"),
        _labels(train_labels, "train_labels"),
        floating(test, "test"),
        _labels(test_labels, "test_labels"),
        real_number(ridge, "ridge"),
    )


def cosine_schedule(
    begin: float, end: float, steps: int, warmup: int = 0, ends: str = "reference"
) -> List[float]:
    """A number for each of `steps` steps T: up to `begin` in a straight line in `warmup` steps w, then to
    `end` by half a cosine.

    `ends`: which ends the course has, in which published code differs. "reference", as the code of DINO
    (Caron et al., ICCV 2021): the warm-up from 0 to `begin`, both included, and end + (begin - end) (1 +
    cos(π (t - w) / (T - w))) / 2, which never is `end`. "inclusive", as the library lightly: begin (t + 1)
    / w, which never is 0, and T - w - 1 below, so that the last number is `end`.

    Raises ValueError for ends that are not finite, steps < 1 and a warm-up longer than all steps."""
    if not isinstance(ends, str):
        raise TypeError(f"ends is a {type(ends).__name__}; expected 'reference' or 'inclusive'")
    return _core.cosine_schedule(
        real_number(begin, "begin"),
        real_number(end, "end"),
        whole_number(steps, "steps", 1),
        whole_number(warmup, "warmup", 0),
        ends,
    )


def _labels(given: Any, what: str) -> np.ndarray:
    array = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ValueError(
            f"{what} are {array.dtype} of shape {array.shape}; expected whole numbers, one for each row"
        )
    return array.astype(np.int64)
