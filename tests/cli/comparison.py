# SPDX-License-Identifier: Apache-2.0
"""What the tests of studies look at in comparison.json."""
import json


def without_times(text):
    """What must be the same however often and wherever a study was run."""
    found = json.loads(text)
    for method in found["methods"]:
        del method["seconds"], method["ms_per_step"], method["step_change"]
    found["sentences"] = [s for s in found["sentences"] if not s.startswith("A step ")]
    return found
