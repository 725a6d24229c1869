# SPDX-License-Identifier: Apache-2.0
"""Makes views.json: changes of an image as torchvision makes them, on values 0..255 stored with them.

    python3 -m venv VENV && VENV/bin/pip install numpy torch torchvision
    VENV/bin/python tests/golden/data/make_views.py

torchvision's grey is 0.2989 red + 0.587 green + 0.114 blue, which sums to 0.9999: contrast and saturation
agree with 0.299 to 0.02 of 255. Its blur mirrors an image at its edges; here the edges' pixels are repeated
before it, as Pillow does, and what was added is cut off again.
"""

import json
import math
import pathlib

import numpy
import torch
import torchvision
import torchvision.transforms.functional as changes


def main():
    rng = numpy.random.default_rng(20210429)
    image = rng.integers(0, 256, (3, 7, 9))
    image[:, 2, 3] = 77  # a grey pixel, which has no hue
    image[:, 3, :2] = [[200, 255], [200, 255], [30, 0]]  # two channels equal
    given = torch.tensor(image, dtype=torch.float64)
    share = given / 255

    def listed(values):
        return [round(value, 4) for value in values.flatten().tolist()]

    def of_share(values):
        return listed(255 * values)

    entries = []

    def add(change, amount, values):
        entries.append({"change": change, "amount": amount, "values": values})

    for factor in (0.6, 1.0, 1.4):
        add("brightness", factor, of_share(changes.adjust_brightness(share, factor)))
        add("contrast", factor, of_share(changes.adjust_contrast(share, factor)))
        add("saturation", factor, of_share(changes.adjust_saturation(share, factor)))
    for turn in (-0.5, -0.1, 0.0, 0.07, 0.4):
        add("hue", turn, of_share(changes.adjust_hue(share, turn)))
    add("solarise", 0, of_share(changes.solarize(share, 128 / 255)))
    for sigma in (0.1, 0.7, 2.0):
        reach = math.ceil(3 * sigma)
        wide = torch.nn.functional.pad(given[None], [2 * reach] * 4, mode="replicate")
        blurred = changes.gaussian_blur(wide, [2 * reach + 1] * 2, [sigma] * 2)
        inner = blurred[0, :, 2 * reach:-2 * reach, 2 * reach:-2 * reach]
        add("blur", sigma, listed(inner))
    for part, size in (([1, 2, 5, 4], 8), ([0, 0, 7, 9], 4), ([2, 1, 3, 8], 3), ([6, 8, 1, 1], 2)):
        resized = changes.resized_crop(given, *part, [size, size], antialias=True)
        entries.append({"change": "part", "part": part, "size": size, "values": listed(resized)})

    document = {
        "torchvision": torchvision.__version__,
        "height": image.shape[1],
        "width": image.shape[2],
        "image": image.flatten().tolist(),
        "entries": entries,
    }
    out = pathlib.Path(__file__).with_name("views.json")
    out.write_text(json.dumps(document) + "\n")


main()
