#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents with the real program, in the native environment.

agents.py PROGRAM [TEST...]
"""

import json
import signal
import subprocess
import time

from in_one_folder import run_tests
from processes import PROGRAM, call, steps

PATIENCE = 200


def make(folder):
    (folder / "agent.yaml").write_text(
        'worlds: {environment: "point-mass:3", horizon: 20}\n'
        "threads: 1\n"
        "agent: {widths: [32, 32]}\n"
        "balance: {critic: {method: cagrad}, actor: {method: cagrad}}\n"
        "replay: {capacity: 3000, sampling: stratified}\n"
        "train: {steps: 400, batch_size: 48, first_steps: 50, log_every: 20, evaluate_every: 100,\n"
        "        episodes: 2}\n"
    )


def test_a_run_says_what_it_reached(folder):
    done = call(folder, "train", "agent.yaml", "--out", "whole", "--json")
    summary = json.loads(done.stdout)
    assert summary["status"] == "finished" and summary["steps"] == 400 and summary["updates"] == 400
    assert set(summary["tasks"]) == {"goal-0", "goal-1", "goal-2"}
    assert "point-mass" in summary["setting"] and "2 episode" in summary["evaluation"]
    assert 0 <= summary["success"]["last_ten"] <= summary["success"]["best"] <= 1
    assert summary == json.loads((folder / "whole" / "summary.json").read_text())
    assert "goal-1" in (folder / "whole" / "report.html").read_text()
    shown = call(folder, "report", "whole")
    assert "report.html" in shown.stdout + shown.stderr


def stopped(folder, out, how, *more):
    """The run, told to end after its first evaluation; how it ended."""
    process = subprocess.Popen(
        [PROGRAM, "train", "agent.yaml", "--out", out, "--quiet", *more],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log = folder / out / "metrics.jsonl"
        end = time.time() + PATIENCE
        while time.time() < end and not (log.exists() and '"epoch":1' in log.read_text().replace(" ", "")):
            time.sleep(0.002)
        process.send_signal(how)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, errors


def same_as_whole(folder, out):
    assert steps(folder / "whole") == steps(folder / out)
    for name in ("model.safetensors", "replay/step-400.safetensors"):
        assert (folder / "whole" / name).read_bytes() == (folder / out / name).read_bytes(), name


def test_after_ctrl_c_it_goes_on_to_the_bit(folder):
    code, errors = stopped(folder, "interrupted", signal.SIGINT)
    assert code in (0, 130), errors
    if code == 130:
        assert "--resume" in errors
    call(folder, "train", "agent.yaml", "--out", "interrupted", "--resume", "--quiet")
    same_as_whole(folder, "interrupted")


def test_after_a_kill_it_goes_on_to_the_bit(folder):
    stopped(folder, "killed", signal.SIGKILL)
    call(folder, "train", "agent.yaml", "--out", "killed", "--resume", "--quiet")
    same_as_whole(folder, "killed")


def test_more_steps_go_on(folder):
    call(folder, "train", "agent.yaml", "--out", "killed", "--resume", "--quiet", "--set", "train.steps=450")
    summary = json.loads((folder / "killed" / "summary.json").read_text())
    assert summary["steps"] == 450 and summary["epochs"] == 5


def test_a_finished_run_keeps_what_it_reached(folder):
    before = json.loads((folder / "killed" / "summary.json").read_text())
    more = ("--set", "train.steps=450")
    call(folder, "train", "agent.yaml", "--out", "killed", "--resume", "--quiet", *more)
    after = json.loads((folder / "killed" / "summary.json").read_text())
    assert before["tasks_last"] and after["tasks_last"] == before["tasks_last"]
    done = call(folder, "train", "agent.yaml", "--out", "killed", "--resume", code=2)
    assert "450 vector steps" in done.stderr
    assert json.loads((folder / "killed" / "summary.json").read_text()) == after


def test_what_is_wrong_has_words(folder):
    def refusal(*more, code=2):
        return call(folder, "train", "agent.yaml", "--out", "wrong", *more, code=code).stderr

    assert "cagrad" in refusal("--set", "balance.actor.method=cagard")
    assert "point-mass" in refusal("--set", "worlds.environment=point-mass:none")
    assert "worlds.workers" in refusal("--nproc", "2", code=2)
    assert "--resume" in refusal("--nproc", "1", "--max-restarts", "2", code=2)
    assert "no data" in refusal("--resume", "--accept-changed", code=2)
    assert not (folder / "wrong").exists()
    done = call(folder, "train", "agent.yaml", "--out", "whole", code=2)
    assert "whole" in done.stderr
    done = call(folder, "train", "agent.yaml", "--out", "whole", "--resume", "--set", "agent.lr=0.1", code=2)
    assert "agent.lr" in done.stderr
    # What is asked of runs of data says that this is none.
    assert "recipe of an agent" in call(folder, "eval", "whole", code=2).stderr


def test_recipes_of_data_come_through_pipes(folder):
    (folder / "data.yaml").write_text(
        "data: {kind: table, train: t.csv, dev: t.csv}\ntasks: [{name: y, head: binary}]\n"
    )
    for recipe, code in (("data.yaml", 0), ("agent.yaml", 2)):
        with subprocess.Popen(["cat", recipe], cwd=folder, stdout=subprocess.PIPE) as cat:
            done = subprocess.run(
                [PROGRAM, "recipe", "check", "/dev/stdin"], stdin=cat.stdout, capture_output=True, text=True
            )
        assert done.returncode == code, done
        assert ("valid recipe" in done.stdout) if code == 0 else ("recipe of an agent" in done.stderr), done


def test_recipes_are_checked_and_shown(folder):
    assert "point-mass:3" in call(folder, "recipe", "check", "agent.yaml").stdout
    shown = call(folder, "recipe", "show", "agent.yaml").stdout
    (folder / "shown.yaml").write_text(shown)
    assert call(folder, "recipe", "show", "shown.yaml").stdout == shown


if __name__ == "__main__":
    run_tests(dict(globals()), make)
