# SPDX-License-Identifier: Apache-2.0
"""Makes whitening.json: what numpy, by the published functions, makes of small images.

    git clone https://github.com/bfshi/ARML_Auxiliary_Task_Reweighting
    python3 tests/golden/data/make_whitening.py ARML_Auxiliary_Task_Reweighting

Only the three functions gcn, get_zca_normalization_param and zca_normalization are taken of SSL/build_dataset.py (MIT),
at the commit that is checked out; numpy has no `np.float` any more, which becomes `float`. The images are a formula
(`image`), so that only answers are stored, [image][row][column][channel].
"""

import ast
import json
import pathlib
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"gcn", "get_zca_normalization_param", "zca_normalization"}
TRAIN, OTHERS, SIDE = 40, 3, 2


def image(number):
    """Bytes [SIDE, SIDE, 3]; number 7 is all of one value."""
    values = [
        [[(number * 37 + y * 53 + x * 101 + c * 29 + number * number * (y + 2 * x + 3 * c)) % 256 for c in range(3)]
         for x in range(SIDE)]
        for y in range(SIDE)
    ]  # fmt: skip
    return numpy.full((SIDE, SIDE, 3), 90) if number == 7 else numpy.array(values)


def published(repository):
    """The functions, by name."""
    source = subprocess.check_output(["git", "-C", repository, "show", "HEAD:SSL/build_dataset.py"], text=True)
    tree = ast.parse(source.replace("np.float)", "float)"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in NAMES]
    found = {"np": numpy}
    exec(compile(tree, "build_dataset.py", "exec"), found)  # noqa: S102
    return found


def main():
    code = published(sys.argv[1])
    train = code["gcn"](numpy.stack([image(i) for i in range(TRAIN)]))
    others = code["gcn"](numpy.stack([image(TRAIN + i) for i in range(OTHERS)]))
    mean, matrix = code["get_zca_normalization_param"](train)
    answers = {
        "contrast": train[:9].tolist(),
        "train": code["zca_normalization"](train, mean, matrix)[:9].tolist(),
        "others": code["zca_normalization"](others, mean, matrix).tolist(),
    }
    (HERE / "whitening.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
