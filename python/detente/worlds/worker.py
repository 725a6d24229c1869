# SPDX-License-Identifier: Apache-2.0
"""A worker of detente::worlds: serves some tasks of a list of environments over a socket and shared memory.

The program carries this file in itself and hands it to a Python of the user's, which needs what the
environments need and nothing of Detente. What goes over the socket stands in detente/worlds/worker.h, what
lies in the shared memory in frame.h.
"""
import array
import importlib
import json
import mmap
import os
import platform
import random
import struct
import sys
import time
import traceback

PROTOCOL = 1
METAWORLD = "pip install metaworld==3.1.1 packaging"
MASK = (1 << 64) - 1


class Cannot(Exception):
    """A reason that needs no traceback."""


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def episode_seed(seed, task, episode):
    return mix(mix(mix(seed & MASK) ^ task) ^ episode) >> 33


def as_floats(values):
    """float32 numbers of whatever an environment gives: an array, a list, a number."""
    if hasattr(values, "ravel"):
        values = values.ravel().tolist()
    elif not hasattr(values, "__len__"):
        values = [values]
    return array.array("f", values)


def as_action(values):
    """What an environment is given: an array where there is NumPy, else a list."""
    try:
        import numpy
    except ImportError:
        return list(values)
    return numpy.asarray(values, dtype=numpy.float32)


class Task:
    """One environment and what it is called."""

    def __init__(self, name, env, observation, action, low=None, high=None):
        self.name = name
        self.env = env
        self.observation = observation
        self.action = action
        # Affine from [-1, 1] to the space's bounds, where those are others.
        same = low is None or all(pair == (-1, 1) for pair in zip(low, high))
        self.bounds = None if same else list(zip(low, high))
        self.seen = None  # as the environment gave it, for its expert

    def begin(self, seed):
        answer = self.env.reset(seed=seed)
        self.seen = answer[0] if isinstance(answer, tuple) else answer
        return self.seen

    def step(self, action):
        """Observation, reward, success, ended, truncated."""
        action = action[: self.action]
        if self.bounds is not None:
            action = [low + (a + 1) / 2 * (high - low) for a, (low, high) in zip(action, self.bounds)]
        self.seen, reward, ended, truncated, info = self.env.step(as_action(action))
        success = info.get("success", info.get("is_success", False))
        return self.seen, float(reward), bool(success), bool(ended), bool(truncated)

    def expert(self):
        """The action of the environment's own expert, in [-1, 1]."""
        chooses = getattr(self.env, "expert", None)
        if chooses is None:
            raise Cannot(f"'{self.name}' has no expert: its environment has no method expert(observation).")
        action = as_floats(chooses(self.seen))
        if self.bounds is not None:
            action = [2 * (a - low) / (high - low) - 1 for a, (low, high) in zip(action, self.bounds)]
        return [min(1.0, max(-1.0, a)) for a in action]

    def close(self):
        close = getattr(self.env, "close", None)
        if close is not None:
            close()


def size_of(space, what, name):
    shape = getattr(space, "shape", None)
    if not shape or not hasattr(space, "low"):
        raise Cannot(f"the {what} space of '{name}' is {space}; expected a Box of numbers. "
                     "Wrap the environment.")
    size = 1
    for length in shape:
        size *= length
    return size


def gymnasium_task(name, env):
    """A task of any environment with Gymnasium's reset, step, observation_space and action_space."""
    observation = size_of(env.observation_space, "observation", name)
    action = size_of(env.action_space, "action", name)
    low, high = as_floats(env.action_space.low), as_floats(env.action_space.high)
    if any(abs(x) == float("inf") for x in (*low, *high)):
        raise Cannot(f"the action space of '{name}' has no bounds; expected a Box with finite ones.")
    return Task(name, env, observation, action, low, high)


def version_of(package):
    from importlib import metadata
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class MetaWorld(Task):
    """An environment of Meta-World 3 by its own classes: 50 goals from MT1(name, seed of the task)."""

    def __init__(self, name, number, config):
        import metaworld
        from metaworld.policies import ENV_POLICY_MAP

        benchmark = metaworld.MT1(name, seed=episode_seed(config["seed"], number, MASK))
        self.goals = benchmark.train_tasks
        if config["goal_hidden"]:
            self.goals = [self.hidden(goal) for goal in self.goals]
        self.kept = config["goals"] == "kept"
        env = benchmark.train_classes[name](reward_function_version=config["reward"])
        env.set_task(self.goals[0])
        self.policy = ENV_POLICY_MAP[name]()
        super().__init__(name, env, size_of(env.observation_space, "observation", name), 4)

    @staticmethod
    def hidden(goal):
        import pickle
        data = pickle.loads(goal.data)
        data["partially_observable"] = True
        return goal._replace(data=pickle.dumps(data))

    def begin(self, seed):
        # Its reset ignores seeds: what is random in an episode is which goal it has.
        self.env.set_task(self.goals[0 if self.kept else seed % len(self.goals)])
        return super().begin(seed)

    def expert(self):
        return [min(1.0, max(-1.0, float(a))) for a in self.policy.get_action(self.seen)]


def metaworld_names(words):
    try:
        from metaworld import env_dict
    except ImportError as error:
        raise Cannot(f"Meta-World is not there ({error}). Get it by: {sys.executable} -m "
                     f"{METAWORLD}") from None
    sets = {"MT10": env_dict.MT10_V3, "MT25": getattr(env_dict, "MT25_V3", None),
            "MT50": env_dict.ALL_V3_ENVIRONMENTS}
    if sets.get(words):
        return list(sets[words])
    names = words.split(",")
    unknown = [name for name in names if name not in env_dict.ALL_V3_ENVIRONMENTS]
    if unknown:
        import difflib
        near = difflib.get_close_matches(unknown[0], [*sets, *env_dict.ALL_V3_ENVIRONMENTS], 3, 0.4)
        raise Cannot(f"Meta-World has no environment '{unknown[0]}'; expected MT10, MT25, MT50 or names such "
                     f"as {', '.join(near or ['reach-v3'])}.")
    return names


def metaworld_tasks(words, config):
    import warnings

    names = metaworld_names(words)
    # The experts' constants exceed the bounds by design, and say so at every step.
    warnings.filterwarnings("ignore", message="Constant")
    horizon = config["horizon"] or 500
    if horizon > 500:
        raise Cannot("Meta-World's environments end after 500 steps; expected a horizon of at most 500, "
                     f"got {horizon}.")
    kept = config["goals"] == "kept"
    goals = "one goal kept for each task" if kept else "50 goals for each task, random each episode"
    goal = "hidden (partially_observable)" if config["goal_hidden"] else "observed"
    setting = (f"metaworld {version_of('metaworld')}, mujoco {version_of('mujoco')}, {words} "
               f"({len(names)} tasks), reward {config['reward']}, horizon {horizon}, {goals}, goal {goal}, "
               "no one-hot, no normalising, success at any step")

    def make(number, name):
        return MetaWorld(name, number, config)

    return [(name, make) for name in names], horizon, setting


def gymnasium_tasks(words, config):
    try:
        import gymnasium
    except ImportError as error:
        raise Cannot(f"Gymnasium is not there ({error}). Get it by: {sys.executable} -m pip install "
                     "gymnasium") from None
    names = words.split(",")
    specs = []
    for name in names:
        try:
            specs.append(gymnasium.spec(name))
        except gymnasium.error.Error as error:
            raise Cannot(str(error)) from None
    own = [spec.max_episode_steps for spec in specs if spec.max_episode_steps]
    horizon = config["horizon"] or (min(own) if own else 1000)
    setting = f"gymnasium {version_of('gymnasium')}, {words}, horizon {horizon}, success at any step"
    return [(name, lambda number, name: gymnasium_task(name, gymnasium.make(name))) for name in names], \
        horizon, setting


def entry_point(words):
    from importlib import metadata
    points = metadata.entry_points()
    name = "detente.worlds"
    group = points.select(group=name) if hasattr(points, "select") else points.get(name, [])
    for point in group:
        if point.name == words:
            return point.load()
    known = ", ".join(sorted(point.name for point in group)) or "none is installed"
    raise Cannot(f"there is no environment '{words}'; expected metaworld:MT10, gymnasium:ID, MODULE:FUNCTION "
                 f"or an entry point of the group detente.worlds ({known}).")


def users_tasks(words, config):
    """What a user's function gives: a dict, or a list of pairs, of names and environments (or functions that
    make one, called for those alone that this worker serves)."""
    module, _, function = words.partition(":")
    if function:
        made = getattr(importlib.import_module(module), function, None)
        if made is None:
            raise Cannot(f"the module '{module}' has no '{function}'.")
    else:
        made = entry_point(words)
    listed = made() if callable(made) else made
    pairs = list(listed.items()) if hasattr(listed, "items") else list(listed)
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise Cannot(f"'{words}' gives {pair!r}; expected pairs of a name and a Gymnasium environment.")
    if not pairs:
        raise Cannot(f"'{words}' gives no environments.")

    def make(number, name):
        env = pairs[number][1]
        return gymnasium_task(name, env if hasattr(env, "step") else env())

    horizon = config["horizon"] or int(getattr(made, "horizon", 0)) or 1000
    setting = getattr(made, "setting", "") or words
    return [(name, make) for name, _ in pairs], horizon, f"{setting}, horizon {horizon}, success at any step"


def tasks_of(config):
    """Pairs of a name and a function of its number and name; the horizon; the setting in words."""
    kind, _, words = config["environment"].partition(":")
    if kind == "metaworld":
        return metaworld_tasks(words, config)
    if kind == "gymnasium":
        return gymnasium_tasks(words, config)
    return users_tasks(config["environment"], config)


class Frame:
    """The shared memory, cut as FrameLayout (frame.h) says."""

    def __init__(self, descriptor, tasks):
        memory = mmap.mmap(descriptor, 0)
        os.close(descriptor)
        magic, protocol, self.n, self.o, self.a = struct.unpack_from("=8sIIII", memory)
        if magic != b"DETWORLD" or protocol != PROTOCOL or self.n != tasks:
            raise Cannot("the shared memory is of another version.")
        self.view = memoryview(memory)
        self.end = 24
        n, o, a = self.n, self.o, self.a
        self.episodes = self.part(8 * n, "Q")
        self.actions = self.part(4 * n * a, "f")
        self.after = self.part(4 * n * o, "f")
        self.now = self.part(4 * n * o, "f")
        self.rewards = self.part(4 * n, "f")
        self.success, self.ended, self.truncated, self.mask = (self.part(n, "B") for _ in range(4))

    def part(self, size, kind):
        begin = (self.end + 63) // 64 * 64
        self.end = begin + size
        return self.view[begin:self.end].cast(kind)

    def put(self, where, i, observation):
        begin = i * self.o
        where[begin:begin + len(observation)] = observation


class Server:
    def __init__(self, connection, config):
        self.connection = connection
        self.config = config
        listed, self.horizon, self.setting = tasks_of(config)
        if config["end_at_success"]:
            self.setting += ", which ends the episode"
        self.numbers = list(range(config["part"], len(listed), config["parts"]))
        self.tasks = [listed[k][1](k, listed[k][0]) for k in self.numbers]
        self.total = len(listed)
        self.steps = [0] * len(self.tasks)
        self.frame = None

    def hello(self):
        return json.dumps({
            "magic": "detente-worlds", "protocol": PROTOCOL, "total": self.total, "horizon": self.horizon,
            "setting": self.setting, "facts": facts(),
            "tasks": [{"index": k, "name": task.name, "observation": task.observation, "action": task.action}
                      for k, task in zip(self.numbers, self.tasks)]})

    def seed(self, i, episode):
        return episode_seed(self.config["seed"], self.numbers[i], episode)

    def floats(self, i, observation):
        numbers = as_floats(observation)
        if len(numbers) != self.tasks[i].observation:
            raise ValueError(f"'{self.tasks[i].name}' gave an observation of {len(numbers)} numbers; its "
                             f"space has {self.tasks[i].observation}")
        return numbers

    def begin(self, i, episode):
        self.steps[i] = 0
        return self.floats(i, self.tasks[i].begin(self.seed(i, episode)))

    def reset(self):
        for i in range(len(self.tasks)):
            if self.frame.mask[i]:
                self.frame.put(self.frame.now, i, self.begin(i, self.frame.episodes[i]))

    def step(self, experts):
        frame = self.frame
        for i, task in enumerate(self.tasks):
            begin = i * frame.a
            if experts:
                action = task.expert()
                frame.actions[begin:begin + len(action)] = array.array("f", action)
            seen, reward, success, ended, truncated = task.step(frame.actions[begin:begin + frame.a].tolist())
            self.steps[i] += 1
            truncated = truncated or self.steps[i] >= self.horizon
            ended = ended or (success and self.config["end_at_success"])
            seen = self.floats(i, seen)
            frame.put(frame.after, i, seen)
            frame.rewards[i] = reward
            frame.success[i], frame.ended[i], frame.truncated[i] = success, ended, truncated
            if ended or truncated:
                seen = self.begin(i, frame.episodes[i])
            frame.put(frame.now, i, seen)

    def own(self, steps):
        """The environments alone, with random actions; seconds."""
        chance = random.Random(1)
        began = time.perf_counter()
        for _ in range(steps):
            for i, task in enumerate(self.tasks):
                seen, _, _, ended, truncated = task.step([chance.uniform(-1, 1) for _ in range(task.action)])
                self.steps[i] += 1
                if ended or truncated or self.steps[i] >= self.horizon:
                    self.begin(i, self.frame.episodes[i])
        return repr(time.perf_counter() - began)

    def answer(self, kind, text="", sequence=0):
        sent = text.encode("utf-8", "replace")
        self.connection.sendall(struct.pack("=IIQ", ord(kind), len(sent), sequence) + sent)

    def do(self, kind, argument):
        if kind == "S":
            self.step(False)
        elif kind == "X":
            self.step(True)
        elif kind == "R":
            self.reset()
        elif kind == "O":
            return self.own(argument)
        else:
            raise Cannot(f"there is no request '{kind}'.")
        return ""

    def serve(self):
        import socket

        while True:
            message, descriptors = b"", []
            while len(message) < 16:
                part, more, _, _ = socket.recv_fds(self.connection, 16 - len(message), 1)
                if not part:
                    return
                message += part
                descriptors += more
            kind, argument, sequence = struct.unpack("=IIQ", message)
            kind = chr(kind)
            if kind == "Q":
                for task in self.tasks:
                    task.close()
                return
            try:
                if kind == "F":
                    self.frame = Frame(descriptors[0], len(self.tasks))
                    text = ""
                else:
                    text = self.do(kind, argument)
            except Cannot as reason:
                self.answer("N", str(reason), sequence)
                continue
            except BaseException:
                self.answer("E", traceback.format_exc(), sequence)
                raise SystemExit(1) from None
            self.answer("K", text, sequence)


def facts():
    """What this Python is and has."""
    packages = ("numpy", "gymnasium", "mujoco", "metaworld")
    return {"python": platform.python_version(), "program": sys.executable,
            "packages": {name: version_of(name) for name in packages}}


def probe():
    """facts(), whether Meta-World can be used, its names, and one environment timed."""
    said = {"magic": "detente-worlds", "protocol": PROTOCOL, **facts()}
    said["command"] = METAWORLD
    said["missing"] = [name for name, version in said["packages"].items() if version is None]
    said["problem"] = ""
    said["mt10"] = []
    try:
        said["mt10"] = metaworld_names("MT10")
        config = {"seed": 1, "goals": "random", "reward": "v2", "goal_hidden": False}
        began = time.perf_counter()
        task = MetaWorld("reach-v3", 0, config)
        said["start_s"] = time.perf_counter() - began
        task.begin(1)
        began = time.perf_counter()
        for _ in range(100):
            task.step([0.0] * 4)
        said["step_ms"] = 10 * (time.perf_counter() - began)
        said["observation"] = task.observation
    except Cannot as reason:
        said["problem"] = str(reason)
    except Exception:
        said["problem"] = traceback.format_exc()
    return json.dumps(said)


def run(connection, config):
    """Serves until the other side ends. Standard input is nothing from here on, for the environments, too."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if config["path"]:
        sys.path.insert(0, config["path"])

    def say(kind, text):
        sent = text.encode("utf-8", "replace")
        connection.sendall(struct.pack("=IIQ", ord(kind), len(sent), 0) + sent)

    if config["protocol"] != PROTOCOL:
        say("N", f"this is protocol {PROTOCOL}, {config['protocol']} was asked for.")
        return
    try:
        if config["environment"] == "probe:":
            say("H", probe())
            return
        server = Server(connection, config)
    except Cannot as reason:
        say("N", str(reason))
        return
    except BaseException:
        say("E", traceback.format_exc())
        raise SystemExit(1) from None
    say("H", server.hello())
    try:
        server.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the other side has ended


if __name__ == "detente_worker":
    run(connection, json.loads(take(int.from_bytes(take(8), "little"))))  # noqa: F821
