# SPDX-License-Identifier: Apache-2.0
"""Makes dino.json: DINO's loss, its gradient and centre, its head and the courses of its numbers, as published code
gives them in float64. The inputs are formulas (`wave`), so that only answers are stored.

    git clone https://github.com/facebookresearch/dino && git clone https://github.com/lightly-ai/lightly
    python3 tests/golden/distill/make_dino.py dino lightly

Of those only class and function definitions are read, taken from the commit that is checked out (a bare
repository does); the packages they import beside torch and numpy are not needed. Each loss is also computed from
its definition here, pair by pair, and must agree.
"""

import ast
import json
import math
import pathlib
import subprocess
import sys
import types
from typing import Optional

import numpy
import torch

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = [  # teacher's first and last temperature, epochs of its warm-up, student's, momentum of the centre
    (0.04, 0.04, 0, 0.1, 0.9),
    (0.04, 0.07, 3, 0.1, 0.9),
    (0.3, 0.2, 1, 0.5, 0.5),
]
EPOCHS = 5
STEP_EPOCHS = [0, 2, 4]  # of the three steps of every case
EVERY = 7  # of the largest gradients this part is stored
DIGITS = 12


def git(folder, *words):
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout


def definitions(folder, path, names, scope):
    """Runs the named top-level definitions of one file of the checked-out commit in `scope`."""
    tree = ast.parse(git(folder, "show", f"HEAD:{path}"))
    tree.body = [node for node in tree.body if getattr(node, "name", "") in names]
    exec(compile(tree, path, "exec"), scope)
    return scope


def wave(shape, seed, scale=1.0):
    """Entry i of the tensor: scale · sin(0.7 i + 1.3 seed + 0.1 i² mod 17)."""
    i = numpy.arange(math.prod(shape), dtype=numpy.float64)
    return torch.from_numpy(scale * numpy.sin(0.7 * i + 1.3 * seed + numpy.mod(0.1 * i * i, 17.0))).reshape(shape)


def numbers(tensor):
    return [float(f"{x:.{DIGITS}g}") for x in numpy.asarray(tensor.detach()).ravel()]


def by_definition(student, teacher, centre, views, student_temperature, teacher_temperature):
    p = torch.softmax((teacher - centre) / teacher_temperature, 1).chunk(2)
    q = torch.log_softmax(student / student_temperature, 1).chunk(views)
    pairs = [(i, v) for i in range(2) for v in range(views) if i != v]
    means = {pair: -(p[pair[0]] * q[pair[1]]).sum(1).mean() for pair in pairs}

    def mean(kept):
        return torch.stack(kept).mean() if kept else None

    return (mean(list(means.values())), mean([m for (_, v), m in means.items() if v < 2]),
            mean([m for (_, v), m in means.items() if v >= 2]))


def loss_case(make, images, local, outputs, setting):
    first, last, warmup, student_temperature, momentum = SETTINGS[setting]
    views = 2 + local
    module = make(outputs, views, first, last, warmup, EPOCHS, student_temperature, momentum).double()
    case = {"images": images, "locals": local, "outputs": outputs, "setting": setting, "steps": []}
    for step, epoch in enumerate(STEP_EPOCHS):
        seed = 100 * step + 10 * images + local
        student = wave((views * images, outputs), seed).requires_grad_()
        teacher = wave((2 * images, outputs), seed + 5)
        temperature = float(module.teacher_temp_schedule[epoch])
        total, gg, lg = by_definition(student, teacher, module.center, views, student_temperature, temperature)
        value = module(student, teacher, epoch)
        assert abs(value.item() - total.item()) < 1e-12
        case["steps"].append({"epoch": epoch, "total": numbers(value)[0], "global_to_global": numbers(gg)[0],
                              "local_to_global": numbers(lg)[0] if local else None})
    value.backward()
    stride = EVERY if outputs > 4 else 1
    case["gradient"] = numbers(student.grad.ravel()[::stride])
    case["centre"] = numbers(module.center)
    return case


def head_case(make, layers):
    head = make(5, 6, norm_last_layer=False, nlayers=layers, hidden_dim=7, bottleneck_dim=4).double()
    linears = [m for m in (head.mlp.modules()) if isinstance(m, torch.nn.Linear)]
    with torch.no_grad():
        for i, linear in enumerate(linears):
            linear.weight.copy_(wave(linear.weight.shape, 10 + i, 0.8))
            linear.bias.copy_(wave(linear.bias.shape, 20 + i, 0.3))
        head.last_layer.weight_v.copy_(wave((6, 4), 30))
        head.last_layer.weight_g.copy_(1.5 + wave((6, 1), 31, 0.5))
    features = wave((3, 5), 40, 2.0).requires_grad_()
    answer = head(features)
    (answer * wave((3, 6), 41)).sum().backward()
    return {
        "layers": layers,
        "answer": numbers(answer),
        "features": numbers(features.grad),
        "first_weight": numbers(linears[0].weight.grad),
        "last_bias": numbers(linears[-1].bias.grad),
        "weight_v": numbers(head.last_layer.weight_v.grad),
        "weight_g": numbers(head.last_layer.weight_g.grad),
    }


def courses(reference, inclusive):
    result = []
    for begin, end, epochs, steps, warmup in [
        (5e-4, 1e-6, 10, 3, 2), (0.04, 0.4, 4, 5, 0), (0.996, 1.0, 6, 2, 0), (0.1, 0.001, 3, 1, 1), (0.1, 0.0, 2, 3, 2)
    ]:
        total = epochs * steps
        result.append({
            "begin": begin, "end": end, "total": total, "warmup": warmup * steps,
            "reference": [float(x) for x in reference(begin, end, epochs, steps, warmup)],
            "inclusive": [inclusive(t, total, begin, end, warmup * steps, 0.0) for t in range(total)],
        })
    return result


def main():
    dino, lightly = sys.argv[1:3]
    alone = types.SimpleNamespace(all_reduce=lambda tensor: None, get_world_size=lambda: 1)
    scope = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": numpy, "dist": alone,
             "trunc_normal_": torch.nn.init.trunc_normal_, "Optional": Optional}
    definitions(dino, "main_dino.py", ["DINOLoss"], scope)
    definitions(dino, "vision_transformer.py", ["DINOHead"], scope)
    definitions(dino, "utils.py", ["cosine_scheduler"], scope)
    definitions(lightly, "lightly/utils/scheduler.py", ["cosine_schedule", "cosine_warmup_schedule"], scope)
    golden = {
        "made_by": {
            "facebookresearch/dino": git(dino, "rev-parse", "HEAD").strip(),
            "lightly-ai/lightly": git(lightly, "rev-parse", "HEAD").strip(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
        "settings": [dict(zip(("first", "last", "warmup", "student", "momentum"), s)) for s in SETTINGS],
        "every": EVERY,
        "temperatures": [
            [float(t) for t in scope["DINOLoss"](2, 2, first, last, warmup, EPOCHS).teacher_temp_schedule]
            for first, last, warmup, _, _ in SETTINGS
        ],
        "losses": [
            loss_case(scope["DINOLoss"], images, local, outputs, setting)
            for images in (1, 2, 3) for local in range(4) for outputs in (2, 3, 4, 64)
            for setting in range(len(SETTINGS))
        ],
        "heads": [head_case(scope["DINOHead"], layers) for layers in (1, 2, 3)],
        "courses": courses(scope["cosine_scheduler"], scope["cosine_warmup_schedule"]),
    }
    text = json.dumps(golden, separators=(",", ":")).replace('{"images"', '\n{"images"')
    (HERE / "dino.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
