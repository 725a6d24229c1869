# SPDX-License-Identifier: Apache-2.0
"""The ways to take a training step that step.py compares: plain training, code one would write by
hand, and libraries as their documentation or training loops drive them."""

import __future__

import ast
import dataclasses
import pathlib
import types
from collections.abc import Callable, Iterator

import numpy as np
import quadprog
import scipy.optimize
import torch
from step_models import Case, Model
from torch import Tensor, nn
from torch.nn import functional as F
from torchjd.aggregation import Aggregator, CAGrad, UPGrad, UPGradWeighting
from torchjd.autogram import Engine
from torchjd.autojac import jac_to_grad, mtl_backward

C = 0.4  # of CAGrad, detente's default
RATE = 1e-4


class Way:
    """gradients() leaves what the method wants in .grad, of shared and own parameters."""

    def __init__(self, case: Case):
        self.case = case
        self.model = Model(case)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)

    def gradients(self) -> None:
        raise NotImplementedError

    def prepare(self) -> None:
        """What is done once, before the first step."""

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.gradients()
        self.optimizer.step()

    def direction(self) -> Tensor:
        """The shared gradient as one vector."""
        self.optimizer.zero_grad()
        self.gradients()
        return torch.cat([p.grad.flatten() for p in self.model.shared()])


class Plain(Way):
    def gradients(self) -> None:
        sum(self.model.losses()[1]).backward()


class Passes(Way):
    """What every method on gradients needs, without the method: K passes through the trunk into
    one matrix, its Gram matrix, a weighted sum of its rows."""

    def __init__(self, case: Case):
        super().__init__(case)
        shapes = [p.shape for p in self.model.shared()]
        sizes = [shape.numel() for shape in shapes]

        def views(vector: Tensor) -> list[Tensor]:
            return [part.view(shape) for part, shape in zip(vector.split(sizes), shapes)]

        self.matrix = torch.empty(case.tasks, sum(sizes))
        self.rows = [views(row) for row in self.matrix]
        self.sum = torch.empty(sum(sizes))
        self.sum_views = views(self.sum)

    def losses(self) -> Iterator[Tensor]:
        """One after the other; own examples have a graph of their own."""
        if not self.case.multi:
            yield from self.model.losses()[1]
            return
        for k, inputs in enumerate(self.model.task_inputs()):
            yield self.model.head_loss(k, self.model.trunk(inputs))

    def gradients(self) -> None:
        shared = self.model.shared()
        for k, loss in enumerate(self.losses()):
            own = self.model.own(k)
            keep = not self.case.multi and k + 1 < self.case.tasks
            found = torch.autograd.grad(loss, shared + own, retain_graph=keep)
            torch._foreach_copy_(self.rows[k], found[: len(shared)])
            for parameter, gradient in zip(own, found[len(shared) :]):
                parameter.grad = gradient
        weights = self.weights(self.matrix @ self.matrix.T)
        torch.mv(self.matrix.T, weights, out=self.sum)
        for parameter, view in zip(shared, self.sum_views):
            parameter.grad = view

    def weights(self, gram: Tensor) -> Tensor:
        return torch.full((len(gram),), 1 / len(gram))


class TorchjdAutojac(Way):
    def __init__(self, case: Case, aggregator: Aggregator, tuned: bool = False):
        super().__init__(case)
        self.aggregator = aggregator
        self.tuned = tuned

    def gradients(self) -> None:
        features, losses = self.model.losses()
        shared = self.model.shared()
        mtl_backward(
            losses,
            features=features,
            tasks_params=[self.model.own(k) for k in range(self.case.tasks)],
            shared_params=shared,
            parallel_chunk_size=1 if self.tuned else None,
        )
        jac_to_grad(shared, self.aggregator, optimize_gramian_computation=self.tuned)


class TorchjdAutogram(Way):
    """The tasks are the batch dimension where the layers take examples of any rank. The weights
    scale the heads' gradients too; nothing else is offered."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.stacked = case.multi and case.network == "mlp"
        self.engine = Engine(self.model.trunk, batch_dim=0 if self.stacked else None)
        self.weighting = UPGradWeighting()

    def gradients(self) -> None:
        if self.stacked:
            z = self.model.trunk(self.model.task_inputs())
            losses = torch.stack([self.model.head_loss(k, part) for k, part in enumerate(z)])
        else:
            losses = torch.stack(self.model.losses()[1])
        losses.backward(self.weighting(self.engine.compute_gramian(losses)))


def upgrad_weights(gram: Tensor) -> Tensor:
    """Each row projected onto the cone of no conflict, exactly; the mean of the projections."""
    g = gram.double().numpy()
    k = len(g)
    scaled = g / np.trace(g)
    none, corner = np.zeros(k), np.eye(k)
    found = sum(quadprog.solve_qp(scaled, none, corner, row)[0] for row in corner / k)
    return torch.from_numpy(found).to(gram.dtype)


class CompiledVmap(Way):
    """torch.func: all tasks' gradients from one compiled batched pass over equal segments."""

    def __init__(self, case: Case):
        super().__init__(case)
        heads = list(self.model.heads)
        self.weight = nn.Parameter(torch.stack([head.weight.detach() for head in heads]))
        self.bias = nn.Parameter(torch.stack([head.bias.detach() for head in heads]))
        parameters = [*self.model.shared(), self.weight, self.bias]
        self.optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
        trunk = self.model.trunk

        def loss(
            shared: dict[str, Tensor], weight: Tensor, bias: Tensor, x: Tensor, y: Tensor
        ) -> Tensor:
            z = torch.func.functional_call(trunk, shared, x)
            return F.mse_loss(F.linear(z, weight, bias), y)

        every = torch.func.vmap(torch.func.grad(loss, (0, 1, 2)), (None, 0, 0, 0, 0))

        def jacobian(
            shared: dict[str, Tensor], weight: Tensor, bias: Tensor, x: Tensor, y: Tensor
        ) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
            found, weight_gradient, bias_gradient = every(shared, weight, bias, x, y)
            parts = [g.flatten(1) for g in found.values()]
            return parts, sum(g @ g.T for g in parts), weight_gradient, bias_gradient

        def combine(weights: Tensor, parts: list[Tensor]) -> list[Tensor]:
            return [weights @ part for part in parts]

        self.jacobian = torch.compile(jacobian, fullgraph=True, dynamic=False)
        self.combine = torch.compile(combine, fullgraph=True, dynamic=False)

    def prepare(self) -> None:
        self.gradients()  # compiles

    def gradients(self) -> None:
        named = {name: p.detach() for name, p in self.model.trunk.named_parameters()}
        parts, gram, self.weight.grad, self.bias.grad = self.jacobian(
            named,
            self.weight.detach(),
            self.bias.detach(),
            self.model.task_inputs(),
            self.model.target,
        )
        found = self.combine(upgrad_weights(gram), parts)
        for parameter, gradient in zip(self.model.shared(), found):
            parameter.grad = gradient.view_as(parameter)


class Libmtl(Way):
    """The body of its trainer's loop, which itself asks for a GPU."""

    def __init__(self, case: Case):
        super().__init__(case)
        from LibMTL.architecture import HPS
        from LibMTL.weighting import CAGrad as Weighting

        names = [str(k) for k in range(case.tasks)]
        joined = type("Joined", (HPS, Weighting), {})
        self.joined = joined(
            task_name=names,
            encoder_class=lambda: self.model.trunk,
            decoders=nn.ModuleDict(zip(names, self.model.heads)),
            rep_grad=False,
            multi_input=case.multi,
            device=torch.device("cpu"),
        )
        self.joined.init_param()

    def gradients(self) -> None:
        losses = torch.zeros(self.case.tasks)
        outputs = {} if self.case.multi else self.joined(self.model.inputs)
        for k, name in enumerate(self.joined.task_name):
            if self.case.multi:
                outputs = self.joined(self.model.task_inputs()[k], name)
            losses[k] = F.mse_loss(outputs[name], self.model.target[k])
        self.joined.backward(losses, calpha=C, rescale=1)


def functions_of(path: pathlib.Path, names: list[str]) -> types.SimpleNamespace:
    """Functions of a file that cannot be imported here: it is a part of another program. They may
    stand inside of classes and functions but must not use what these define."""
    found = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name in names
    ]
    code = compile(
        ast.Module(found, type_ignores=[]),
        str(path),
        "exec",
        flags=__future__.annotations.compiler_flag,  # their annotations need their imports
    )
    scope = {"np": np, "torch": torch, "minimize": scipy.optimize.minimize}
    exec(code, scope)
    return types.SimpleNamespace(**{name: scope[name] for name in names})


class AuthorsVision(Way):
    """CAGrad's authors, NYU-v2: one batch, three tasks, a matrix with a column per task."""

    def __init__(self, case: Case, repository: pathlib.Path):
        super().__init__(case)
        names = ["cagrad", "grad2vec", "overwrite_grad"]
        self.code = functions_of(repository / "nyuv2" / "utils.py", names)
        self.modules = types.SimpleNamespace(shared_modules=lambda: [self.model.trunk])
        self.sizes = [p.numel() for p in self.model.shared()]
        self.columns = torch.empty(sum(self.sizes), 3)

    def gradients(self) -> None:
        for k, loss in enumerate(self.model.losses()[1]):
            loss.backward(retain_graph=True)
            self.code.grad2vec(self.modules, self.columns, self.sizes, k)
            self.model.trunk.zero_grad()
        found = self.code.cagrad(self.columns, C, rescale=1)
        self.code.overwrite_grad(self.modules, found, self.sizes)


class AuthorsLearning(Way):
    """CAGrad's authors, Meta-World: one joint batch for any number of tasks, the exact solver."""

    def __init__(self, case: Case, repository: pathlib.Path):
        super().__init__(case)
        names = ["_check_param_device", "apply_vector_grad_to_parameters", "cagrad_exact"]
        self.code = functions_of(repository / "mtrl" / "mtrl_files" / "cagrad.py", names)
        self.agent = types.SimpleNamespace(cagrad_c=C)

    def gradients(self) -> None:
        losses = torch.stack(self.model.losses()[1])
        shared = self.model.shared()
        vectors = []
        for k in range(self.case.tasks):
            own = self.model.own(k)
            found = torch.autograd.grad(
                losses[k], shared + own, retain_graph=k + 1 < self.case.tasks
            )
            contiguous = [g.contiguous() for g in found]
            vectors.append(nn.utils.parameters_to_vector(contiguous[: len(shared)]).unsqueeze(0))
            for parameter, gradient in zip(own, contiguous[len(shared) :]):
                parameter.grad = gradient
        found = self.code.cagrad_exact(self.agent, torch.cat(vectors), self.case.tasks)
        self.code.apply_vector_grad_to_parameters(found, shared)


class Absent(Exception):
    """Why a way is not taken."""


@dataclasses.dataclass(frozen=True)
class Peers:
    """What is there beside the packages that are always installed."""

    libmtl: bool
    cagrad_repo: pathlib.Path | None


def make_vmap(case: Case, _: Peers) -> Way:
    if not case.multi:
        raise Absent("vmap stacks tasks that have examples of their own")
    return CompiledVmap(case)


def make_libmtl(case: Case, peers: Peers) -> Way:
    if not peers.libmtl:
        raise Absent("no --libmtl")
    return Libmtl(case)


def make_authors(case: Case, peers: Peers) -> Way:
    if peers.cagrad_repo is None:
        raise Absent("no --cagrad-repo")
    if case.multi:
        return AuthorsLearning(case, peers.cagrad_repo)
    if case.tasks != 3:
        raise Absent("the authors' code for one shared batch is written for three tasks")
    return AuthorsVision(case, peers.cagrad_repo)


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    method: str  # "upgrad", "cagrad" or none
    make: Callable[[Case, Peers], Way]  # throws Absent


PLAIN = Row("plain, equal weights", "", lambda case, _: Plain(case))
# In the order of the table.
ROWS = [
    PLAIN,
    Row("K passes, no method", "", lambda case, _: Passes(case)),
    Row("vmap(grad), compiled, quadprog UPGrad", "upgrad", make_vmap),
    Row("TorchJD UPGrad", "upgrad", lambda case, _: TorchjdAutojac(case, UPGrad())),
    Row("TorchJD UPGrad, tuned", "upgrad", lambda case, _: TorchjdAutojac(case, UPGrad(), True)),
    Row("TorchJD UPGrad, autogram", "upgrad", lambda case, _: TorchjdAutogram(case)),
    Row("TorchJD CAGrad", "cagrad", lambda case, _: TorchjdAutojac(case, CAGrad(c=C))),
    Row("LibMTL CAGrad", "cagrad", make_libmtl),
    Row("authors' CAGrad", "cagrad", make_authors),
]
