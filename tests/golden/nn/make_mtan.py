# SPDX-License-Identifier: Apache-2.0
"""Makes mtan.json: a training step of the published SegNet with attention, by the published code itself.

    git clone https://github.com/Cranial-XIX/CAGrad       (commit dc3d481; MIT)
    python make_mtan.py CAGrad/nyuv2                      (torch, numpy; scipy where it is installed)

The class, the losses and the metrics are those of model_segnet_mtan.py and utils.py there, run in double precision.
One thing is changed, in memory: the widths, 64 to 512 there, are 2 to 16. Parameters, images and targets come from
a generator of whole numbers that the test repeats, so that they need not be stored. Names are those of
detente/nn/mtan_trunk.h.
"""
import argparse
import json
import runpy
import sys
import tempfile
import types
from pathlib import Path

import numpy
import torch

WIDTHS = [2, 4, 8, 16, 16]
HEIGHT, WIDTH = 32, 64


class Numbers:
    """x -> 1103515245 x + 12345 mod 2^31; numbers in [-1, 1)."""

    def __init__(self, seed):
        self.x = seed

    def next(self):
        self.x = (1103515245 * self.x + 12345) % 2**31
        return self.x / 2**30 - 1

    def array(self, *shape):
        count = int(numpy.prod(shape))
        return torch.tensor([self.next() for _ in range(count)], dtype=torch.float64).reshape(shape)


def in_single(x):
    """What the test holds in float32."""
    return x.float().double()


def published(folder):
    """The namespace of the script up to where it begins to train."""
    sys.path.insert(0, str(folder))
    try:
        import scipy.optimize  # noqa: F401
    except ImportError:
        optimize = types.ModuleType("scipy.optimize")
        optimize.minimize = optimize.Bounds = optimize.minimize_scalar = None
        sys.modules["scipy"] = types.ModuleType("scipy")
        sys.modules["scipy.optimize"] = optimize
    text = (folder / "model_segnet_mtan.py").read_text(encoding="utf-8")
    text = text.split("# control seed")[0]
    widths = "filter = [64, 128, 256, 512, 512]"
    assert text.count(widths) == 1
    sys.argv = ["model_segnet_mtan.py"]
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "model_segnet_mtan.py"
        script.write_text(text.replace(widths, f"filter = {WIDTHS}"), encoding="utf-8")
        return runpy.run_path(str(script))


def named(net):
    """Our name -> parameter."""
    names = {}

    def conv_norm(name, block):
        names[name + ".conv.weight"], names[name + ".conv.bias"] = block[0].weight, block[0].bias
        names[name + ".norm.weight"], names[name + ".norm.bias"] = block[1].weight, block[1].bias

    def attention(name, block):
        for i, (conv, norm) in enumerate([(0, 1), (3, 4)], start=1):
            names[f"{name}.conv{i}.weight"], names[f"{name}.conv{i}.bias"] = block[conv].weight, block[conv].bias
            names[f"{name}.norm{i}.weight"], names[f"{name}.norm{i}.bias"] = block[norm].weight, block[norm].bias

    for j in range(5):
        for half, first, more in [("encoder", net.encoder_block, net.conv_block_enc),
                                  ("decoder", net.decoder_block, net.conv_block_dec)]:
            conv_norm(f"{half}.{j}.0", first[j])
            if j < 2:
                conv_norm(f"{half}.{j}.1", more[j])
            else:
                conv_norm(f"{half}.{j}.1", more[j][0])
                conv_norm(f"{half}.{j}.2", more[j][1])
        conv_norm(f"attended.encoder.{j}", net.encoder_block_att[j])
        conv_norm(f"attended.decoder.{j}", net.decoder_block_att[j])
        for k, task in enumerate(["segmentation", "depth", "normals"]):
            attention(f"attention.{task}.encoder.{j}", net.encoder_att[k][j])
            attention(f"attention.{task}.decoder.{j}", net.decoder_att[k][j])
    for k, task in enumerate(["segmentation", "depth", "normals"], start=1):
        head = getattr(net, f"pred_task{k}")
        for part, layer in [("conv", head[0]), ("out", head[1])]:
            names[f"heads.{task}.{part}.weight"] = layer.weight
            names[f"heads.{task}.{part}.bias"] = layer.bias
    assert sum(p.numel() for p in names.values()) + 3 == sum(p.numel() for p in net.parameters())
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="nyuv2/ of the published code")
    code = published(parser.parse_args().folder)
    net = code["SegNet"]().double()
    parameters = named(net)
    numbers = Numbers(1)
    with torch.no_grad():
        for name in sorted(parameters):
            p = parameters[name]
            value = numbers.array(*p.shape)
            if p.dim() == 4:
                value *= (3 / (p.shape[1] * p.shape[2] * p.shape[3])) ** 0.5
            else:
                value *= 0.2
                if "norm" in name and name.endswith("weight"):
                    value += 1
            p.copy_(value)
    numbers = Numbers(2)
    images = in_single(numbers.array(2, 3, HEIGHT, WIDTH))
    label = ((numbers.array(2, HEIGHT, WIDTH) + 1) * 7).floor().long() - 1  # 14 values from -1 on
    depth = in_single(3 * numbers.array(2, 1, HEIGHT, WIDTH))
    depth = torch.where(depth > 0, depth, torch.zeros_like(depth))
    normal = numbers.array(2, 3, HEIGHT, WIDTH)
    there = (normal[:, :1] > -0.5).double()
    normal = in_single(normal / normal.norm(dim=1, keepdim=True) * there)

    net.train()
    predictions, _ = net(images)
    losses = [code["model_fit"](predictions[0], label, "semantic"),
              code["model_fit"](predictions[1], depth, "depth"),
              code["model_fit"](predictions[2], normal, "normal")]
    shared = [n for n in sorted(parameters) if not n.startswith(("attention.", "heads."))]
    gradients = []
    norms = {}
    for k, loss in enumerate(losses):
        net.zero_grad()
        loss.backward(retain_graph=True)
        gradients.append(torch.cat([parameters[n].grad.flatten() for n in shared]))
        task = ["segmentation", "depth", "normals"][k]
        for n in parameters:
            if n.startswith((f"attention.{task}.", f"heads.{task}.")):
                norms[n] = parameters[n].grad.norm().item()
    net.zero_grad()
    sum(losses).backward()
    for n in shared:
        norms[n] = parameters[n].grad.norm().item()
    rows = torch.stack(gradients)

    matrix = code["ConfMatrix"](13)
    depths = []
    normals = []
    for i in range(2):  # as two batches of one image
        part = slice(i, i + 1)
        matrix.update(predictions[0][part].argmax(1).flatten(), label[part].flatten())
        depths.append(code["depth_error"](predictions[1][part], depth[part]))
        normals.append([float(v) for v in code["normal_error"](predictions[2][part], normal[part])])
    miou, accuracy = matrix.get_metrics()
    names = ["mean_angle_batch", "median_angle_batch", "within_11_batch", "within_22_batch", "within_30_batch"]
    metrics = [{"miou": miou.item(), "pixel_accuracy": accuracy.item()},
               dict(zip(["abs_error_batch", "rel_error_batch"], numpy.mean(depths, axis=0).tolist())),
               dict(zip(names, numpy.mean(normals, axis=0).tolist()))]
    net.eval()
    with torch.no_grad():
        after, _ = net(images)
        evaluated = [code["model_fit"](after[0], label, "semantic").item(),
                     code["model_fit"](after[1], depth, "depth").item(),
                     code["model_fit"](after[2], normal, "normal").item()]
    golden = {
        "generator": "make_mtan.py",
        "reference": f"github.com/Cranial-XIX/CAGrad nyuv2, widths {WIDTHS}, torch {torch.__version__}, float64",
        "losses": [loss.item() for loss in losses],
        "evaluated": evaluated,  # by the running statistics that the step left
        "gram": (rows @ rows.T).tolist(),  # of the tasks' gradients of the shared parameters
        "gradient_norms": {n: norms[n] for n in sorted(norms)},
        "metrics": metrics,
    }
    Path(__file__).with_name("mtan.json").write_text(json.dumps(golden, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
