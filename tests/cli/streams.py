#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real program when its output goes nowhere: an error in words and an exit code, or the signal
that ends any other program."""
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

program = sys.argv[1]


def run(args, **options):
    done = subprocess.run([program, *args], stderr=subprocess.PIPE, **options)
    return done.returncode, done.stderr.decode()


def pipe_without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


for args in (["--help"], ["--version"], ["methods"], ["methods", "--json"], ["solve", "--help"]):
    with open("/dev/full", "wb") as full:
        code, errors = run(args, stdout=full)
    assert code == 3 and "No space left on device" in errors, (args, code, errors)

    writer = pipe_without_reader()
    code, errors = run(args, stdout=writer)
    assert code == -signal.SIGPIPE and errors == "", (args, code, errors)
    # Whoever has the signal ignored is told in words.
    code, errors = run(args, stdout=writer, restore_signals=False)
    assert code == 3 and "Broken pipe" in errors, (args, code, errors)
    os.close(writer)

    code, errors = run(args, preexec_fn=lambda: os.close(1))
    assert code == 3 and "Bad file descriptor" in errors, (args, code, errors)

# A closed stream's number is not lent to a file that is written.
with tempfile.TemporaryDirectory() as folder:
    gram = Path(folder, "g.npy")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }\n"
    gram.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16))
    out = Path(folder, "d.npy")
    args = ["solve", "--method", "ew", "--jacobian", str(gram), "--out", str(out)]
    code, errors = run(args, stdout=subprocess.DEVNULL)
    assert code == 0, errors
    whole = out.read_bytes()
    code, errors = run(args, preexec_fn=lambda: os.close(1))
    assert code == 3 and out.read_bytes() == whole, (code, errors)
    subprocess.run([program, "solve", "--nonsense"], preexec_fn=lambda: os.close(2), check=False)
print("lost output is said")
