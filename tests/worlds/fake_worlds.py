# SPDX-License-Identifier: Apache-2.0
"""Environments of plain Python whose numbers a test can compute itself (tests/worlds/fake_worlds.h), and
which fail where FAKE_FAULTS, a JSON list of {"seed", "step", "what"}, says so: `seed` is the episode's."""
import json
import os
import subprocess
import sys
import time

FAULTS = json.loads(os.environ.get("FAKE_FAULTS", "[]"))
NAMES = ["plain", 'größe "1"', "タスク: [yes]", "a,b", "-5"]
NOT_A_NUMBER = float("nan")


class Box:
    def __init__(self, size, low, high):
        self.shape = (size,)
        self.low = [low] * size
        self.high = [high] * size


class Fake:
    def __init__(self, observation, action, high=1.0):
        self.observation_space = Box(observation, float("-inf"), float("inf"))
        self.action_space = Box(action, -high, high)

    def fault(self):
        for fault in FAULTS:
            if fault["seed"] == self.seed and fault["step"] == self.steps:
                return fault["what"]
        return ""

    def reset(self, seed):
        self.seed = seed
        self.steps = 0
        self.state = [(seed >> j) % 1000 / 1000 for j in range(self.observation_space.shape[0])]
        return [NOT_A_NUMBER if self.fault() == "nan" else x for x in self.state], {}

    def step(self, action):
        self.steps += 1
        what = self.fault()
        if what == "die":
            os._exit(3)
        if what == "kill":
            os.kill(os.getpid(), 9)
        if what == "hang":
            # With a child, which must end with it.
            child = subprocess.Popen(["sleep", "600"])
            with open(os.environ["FAKE_CHILD"], "w") as file:
                file.write(str(child.pid))
            time.sleep(600)
        if what == "raise":
            raise RuntimeError("the arm is <broken>")
        if what == "print":
            print("x" * 100 * 1000)
            os.write(1, b"y" * 300 * 1000)
            print("to errors", file=sys.stderr)
            sys.stdin.read()
        if what == "long":
            return [0.0] * 99, 0.0, False, False, {}
        size = len(self.action_space.low)
        self.state = [0.5 * x + 0.25 * float(action[j % size]) + 0.01 * j for j, x in enumerate(self.state)]
        seen = list(self.state)
        reward = sum(self.state)
        if what == "nan":
            seen[-1] = NOT_A_NUMBER
        if what == "inf":
            reward = float("inf")
        return seen, reward, self.state[0] > 0.55, False, {"success": self.state[0] > 0.4}

    def expert(self, observation):
        return [2 * x - 1 for x in observation[: len(self.action_space.low)]]


def five():
    """Sizes that differ, and an action space beyond [-1, 1]."""
    return [(NAMES[0], Fake(3, 2)), (NAMES[1], Fake(4, 1)), (NAMES[2], lambda: Fake(2, 3)),
            (NAMES[3], Fake(3, 2)), (NAMES[4], Fake(3, 2, 4.0))]


five.horizon = 6
five.setting = "five fakes"


def two():
    return {"a": Fake(3, 2), "b": Fake(3, 2)}


two.horizon = 6


def slow():
    time.sleep(600)


def printing():
    print("about to fail")
    raise ValueError("no such scene")


def ending():
    print("nothing here")
    sys.exit(5)


def empty():
    return []


def wrong():
    return [1, 2]


def missing():
    import detente_no_such_package  # noqa: F401


def discrete():
    class Discrete(Fake):
        def __init__(self):
            super().__init__(2, 2)
            self.action_space = "Discrete(4)"

    return {"d": Discrete()}


def unbounded():
    return {"u": Fake(2, 2, float("inf"))}


def twice():
    return [("same", Fake(2, 2)), ("same", Fake(2, 2))]
