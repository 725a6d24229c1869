# SPDX-License-Identifier: Apache-2.0
"""Talks to tests/slides/reader_program.cpp, a process that reads slides as long as it is told."""

import json
import os
import subprocess
import sys
from pathlib import Path


class Reader:
    def __init__(self, program, workers=1, handles=32, seconds=60):
        # BUILD/tests/slides/slides_reader, BUILD/detente-slide-worker
        worker = Path(program).resolve().parents[2] / "detente-slide-worker"
        if not os.environ.get("DETENTE_SLIDE_WORKER"):
            os.environ["DETENTE_SLIDE_WORKER"] = str(worker)
        words = [str(program), str(workers), str(handles), str(seconds)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, *words):
        line = "\t".join(map(str, words)) + "\n"
        self.process.stdin.write(line.encode())

    def answer(self):
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode()
        if not line:
            code = self.process.wait(10)
            if code == 77:
                print("skipped: OpenSlide's library is not there")
                sys.exit(77)
            raise AssertionError(f"the reader has ended with {code}")
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "P":
            wide, high, size = map(int, rest.split())
            assert size == wide * high * 3, line
            return "P", (wide, high, self.process.stdout.read(size))
        return kind, json.loads(rest)

    def ask(self, file, x, y, level, wide, high, out_wide=None, out_high=None):
        """Its answer comes after the next statistics() or info(), or when 32 others have been asked for."""
        self.say("R", file, x, y, level, wide, high, out_wide or wide, out_high or high)

    def pictures(self, regions):
        """Answers to (file, x, y, level, wide, high[, out_wide, out_high]), in order, and the statistics."""
        answers = []
        for at, region in enumerate(regions):
            self.ask(*region)
            if at >= 32:
                answers.append(self.answer())
        self.say("S")
        while len(answers) < len(regions):
            answers.append(self.answer())
        return answers, self.answer()[1]

    def info(self, file):
        self.say("I", file)
        return self.answer()

    def statistics(self):
        self.say("S")
        return self.answer()[1]

    def close(self):
        """Its exit code."""
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(20)
