#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small training run, disturbed at every single thing it does to its folder.

    every_operation.py PROGRAM FAULTS.so [--every N] [kill_before kill_after kill_half short ENOSPC ...]

FAULTS.so is file_faults.c. What must hold, whatever is disturbed and when:
  killed                 --resume ends with the run that was never disturbed, byte for byte
  a write cut short      the run notices nothing
  a call that fails      exit code 3 and words, or the same run; then --resume as above
and nothing that is no part of a run stays in the folder.
"""
import json
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "cli"))
from crash_points import PARTS, names, result, run, write_data  # noqa: E402  the same run

KILLS = ["kill_before", "kill_after", "kill_half"]
FAILURES = ["ENOSPC", "EIO", "EDQUOT"]


def train(program, out, *more, **environment):
    return run(program, out, "--set", "train.snapshot_minutes=1e-9", "--set", "train.epochs=2",
               *more, **environment)


def main():
    arguments = sys.argv[1:]
    every = 1
    if "--every" in arguments:
        at = arguments.index("--every")
        every = int(arguments[at + 1])
        del arguments[at:at + 2]
    program, faults, *actions = arguments
    actions = actions or [*KILLS, "short", "EINTR", *FAILURES]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_data(folder)
        out = folder / "run"
        log = folder / "operations"
        quiet = {"LD_PRELOAD": str(Path(faults).resolve()), "FAULT_DIR": str(out)}
        done = train(program, out, **quiet, FAULT_LOG=str(log))
        assert done.returncode == 0, done.stderr
        expected, whole = result(out), names(out)
        operations = log.read_text().splitlines()
        print(f"{len(operations)} operations in a run of {len(expected[0])} lines of log",
              flush=True)
        for action in actions:
            counts = Counter()
            for number in range(1, len(operations) + 1, every):
                shutil.rmtree(out, ignore_errors=True)
                disturbed = train(program, out, **quiet, FAULT_AT=str(number), FAULT_DO=action)
                where = f"{action} at {operations[number - 1]}"
                code = disturbed.returncode
                if action in KILLS and code == -signal.SIGKILL:
                    counts["killed"] += 1
                elif code == 0:
                    counts["went on"] += 1
                elif code == 3 and action in FAILURES and "error" in disturbed.stderr:
                    counts["said so"] += 1
                else:
                    failed.append((where, code, disturbed.stderr[-300:]))
                    continue
                resumed = disturbed
                if code != 0:
                    resumed = train(program, out, "--resume")
                if resumed.returncode != 0:
                    failed.append((where, "resume", resumed.returncode, resumed.stderr[-300:]))
                    continue
                for found, wanted, what in zip(result(out), expected, PARTS):
                    if found != wanted:
                        failed.append((where, "differs", what))
                stray = sorted(set(names(out)) - set(whole))
                if stray:
                    failed.append((where, "stays", stray))
            print(f"{action}: {dict(counts)}", flush=True)
    for one in failed:
        print("FAILED", json.dumps(one, default=str, ensure_ascii=False))
    print(f"{len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
