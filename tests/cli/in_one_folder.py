# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a script that share one folder, in the order they stand in."""
import sys
import tempfile
import time
from pathlib import Path


def run_tests(names, make):
    """Those of `names` (a script's globals) that begin with test_, or that the command line names; all of
    them, whatever fails. `make` puts into the folder what they need. Ends the program."""
    wanted = sys.argv[2:]
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        for name, test in names.items():
            if not name.startswith("test_") or (wanted and name not in wanted):
                continue
            began = time.time()
            try:
                test(folder)
                print(f"{name}: ok, {time.time() - began:.1f} s", flush=True)
            except Exception as error:  # all of them are wanted
                failed = True
                print(f"{name}: FAILED\n{error!r:.3000}", flush=True)
    sys.exit(1 if failed else 0)
