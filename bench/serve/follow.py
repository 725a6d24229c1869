#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `detente serve` costs while runs train: RUNS logs grow by ten steps a second each, a client looks at
each run's page and one at the list, the way the pages' scripts do, and the server's processor time is read
from /proc.

    python3 bench/serve/follow.py build/release/detente --runs 8 --seconds 60 [--before 20000]

--before: so many steps stand in each log already. Prints one line of JSON.
"""
import argparse
import http.client
import json
import math
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TASKS = ["score", "same", "topic"]


def step_line(step, rng):
    pairs = [f"{a}|{b}" for i, a in enumerate(TASKS) for b in TASKS[i + 1:]]
    return json.dumps({
        "type": "step", "epoch": step // 600 + 1, "step": step, "lr": 0.001,
        "losses": {t: math.exp(-step / 5000) + rng.random() / 10 for t in TASKS}, "loss": rng.random(),
        "weights": {t: 1 / 3 for t in TASKS}, "grad_norms": {t: rng.random() for t in TASKS},
        "cosines": {p: rng.uniform(-1, 1) for p in pairs}, "conflict": rng.random() < 0.5,
        "direction_norm": rng.random(),
        "ms": {"total": 100.0, "forward": 30.0, "backward": 60.0, "solve": 0.1},
    }) + "\n"


def epoch_line(step):
    return json.dumps({
        "type": "epoch", "epoch": step // 600, "step": step, "train_losses": {t: 0.5 for t in TASKS},
        "dev": {t: {"f1": 0.6, "mae": 0.4} for t in TASKS}, "seconds": 60.0, "examples_per_second": 900.0,
        "best": True}) + "\n"


def lines(step, rng):
    return step_line(step, rng) + (epoch_line(step) if step % 600 == 0 else "")


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status)
    return body


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--before", type=int, default=600)
    asked = parser.parse_args()
    rng = random.Random(1)
    done = threading.Event()
    counts = {"pages": 0, "polls": 0, "page_bytes": 0}

    with tempfile.TemporaryDirectory() as folder:
        logs = []
        for i in range(asked.runs):
            run = Path(folder) / f"run-{i}"
            run.mkdir()
            (run / "recipe.yaml").write_text(
                "name: fake\nbalance:\n  method: cagrad\ntrain:\n  epochs: 100\n")
            logs.append((run / "metrics.jsonl").open("w"))
            for step in range(1, asked.before + 1):
                logs[-1].write(lines(step, rng))
            logs[-1].flush()
        server = subprocess.Popen([asked.program, "serve", folder], stdout=subprocess.PIPE, text=True)
        port = int(re.search(r":(\d+)/", server.stdout.readline()).group(1))

        def train():
            step = asked.before
            begin = time.monotonic()
            while not done.is_set():
                step += 1
                for log in logs:
                    log.write(lines(step, rng))
                    log.flush()
                done.wait(max(0, begin + (step - asked.before) / asked.rate - time.monotonic()))

        def look_at(path, wait):
            version = None
            while not done.is_set():
                now = json.loads(get(port, f"/api/run/{path}"))
                counts["polls"] += 1
                if now["version"] != version:
                    html = get(port, f"/run/{path}").decode()
                    counts["pages"] += 1
                    counts["page_bytes"] = len(html)
                    version = re.search(r'data-live data-version="([^"]*)"', html).group(1)
                done.wait(now["refresh"])

        def look_at_list():
            while not done.is_set():
                done.wait(json.loads(get(port, "/api/runs"))["refresh"])

        threads = [threading.Thread(target=train), threading.Thread(target=look_at_list)]
        threads += [threading.Thread(target=look_at, args=(f"run-{i}", 0)) for i in range(asked.runs)]
        for thread in threads:
            thread.start()
        time.sleep(3)  # the logs as they were are read by now
        begin, used = time.monotonic(), processor_seconds(server.pid)
        counts.update(pages=0, polls=0)
        time.sleep(asked.seconds)
        used, took = processor_seconds(server.pid) - used, time.monotonic() - begin
        done.set()
        for thread in threads:
            thread.join()
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=10)
        print(json.dumps({"runs": asked.runs, "seconds": round(took, 1), "processor_seconds": round(used, 2),
                          "percent_of_a_core": round(100 * used / took, 2),
                          "percent_per_run": round(100 * used / took / asked.runs, 3), **counts}))


if __name__ == "__main__":
    main()
