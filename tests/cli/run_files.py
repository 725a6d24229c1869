# SPDX-License-Identifier: Apache-2.0
"""What a run leaves in its folder, as tests of the program read it."""
import json

import numpy


def tensors(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    types = {"F32": numpy.float32, "F64": numpy.float64, "I64": numpy.int64}
    return {name: numpy.frombuffer(content[8 + size:], types[entry["dtype"]],
                                   count=(entry["data_offsets"][1] - entry["data_offsets"][0])
                                   // numpy.dtype(types[entry["dtype"]]).itemsize,
                                   offset=entry["data_offsets"][0])
            for name, entry in header.items() if name != "__metadata__"}
