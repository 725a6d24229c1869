#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The workers of `detente train --nproc`, with a program of this file in their place: what a signal, a kill
and a stop do to them, to what they have started and to the exit code."""
import fcntl
import os
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

program = sys.argv[1]

# Writes its process id, counts its signals, and ends as it is told.
WORKER = r"""
import os, signal, sys, time
folder, mode = sys.argv[1:3]
rank = os.environ["RANK"]
count = {}

def note(number, frame):
    count[number] = count.get(number, 0) + 1
    with open(f"{folder}/signals.{rank}", "a") as file:
        file.write(f"{signal.Signals(number).name}\n")
    if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if mode == "stubborn" and count[number] < 9:
            return
        sys.exit(130)

for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    if signal.getsignal(one) is not signal.SIG_IGN:
        signal.signal(one, note)
if mode == "children":
    if os.fork() == 0:
        rank += ".child"
with open(f"{folder}/{rank}.new", "w") as file:
    file.write(str(os.getpid()))
os.rename(f"{folder}/{rank}.new", f"{folder}/pid.{rank}")
if mode == "unfinished" and rank == "1":
    sys.stdout.write("half a line")
    sys.stdout.flush()
end = time.monotonic() + 60
while time.monotonic() < end and not os.path.exists(f"{folder}/end"):
    time.sleep(0.02)
"""


def wait_for(what, words, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"{words}: not within {seconds} s"
        time.sleep(0.02)


def exists(pid):
    """Whether it runs: one that has ended and waits to be asked does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


class Start:
    """The program with `count` workers, all of which have begun."""

    def __init__(self, mode, count=3, restarts=0, settle=300, grace=500, **more):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.count = count
        script = self.folder / "worker.py"
        script.write_text(WORKER)
        words = [program, str(count), str(restarts), str(settle), str(grace), sys.executable, str(script),
                 str(self.folder), mode]
        self.process = subprocess.Popen(words, **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                                                  "stderr": subprocess.PIPE, "text": True, **more})
        self.begun()

    def begun(self):
        wait_for(lambda: all((self.folder / f"pid.{rank}").exists() for rank in range(self.count)),
                 "workers begin")
        self.pids = [int((self.folder / f"pid.{rank}").read_text()) for rank in range(self.count)]

    def signals(self, rank):
        file = self.folder / f"signals.{rank}"
        return file.read_text().split() if file.exists() else []

    def end(self, code, seconds=20):
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == code, (self.process.returncode, out, err)
        for pid in self.pids:
            assert not exists(pid), f"process {pid} is left"
        return err


def passes_signals_on():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        start = Start("plain")
        start.process.send_signal(number)
        start.end(130)
        for rank in range(3):
            assert start.signals(rank) == [number.name], (number, start.signals(rank))
    print("INT, TERM and HUP: once for each worker, exit code 130")

    start = Start("plain")
    start.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: all(start.signals(rank) == ["SIGUSR1"] for rank in range(3)), "USR1 arrives")
    (start.folder / "end").touch()
    start.end(0)
    print("USR1: passed on, and the exit code is the workers' own")


def ctrl_c_reaches_each_once():
    # The terminal sends SIGINT to its whole foreground group, which the workers must not be in.
    master, slave = pty.openpty()
    start = Start("plain", stdin=slave, start_new_session=True, preexec_fn=take_terminal)
    os.close(slave)
    os.write(master, b"\x03")
    start.end(130)
    os.close(master)
    for rank in range(3):
        assert start.signals(rank) == ["SIGINT"], start.signals(rank)
    print("Ctrl-C at a terminal: once for each worker")


def take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def leaves_ignored_signals_ignored():
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    start = Start("plain", preexec_fn=ignore)
    start.process.send_signal(signal.SIGINT)
    start.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert start.process.poll() is None and all(exists(pid) for pid in start.pids)
    start.process.send_signal(signal.SIGTERM)
    start.end(130)
    assert start.signals(0) == ["SIGTERM"], start.signals(0)
    print("ignored INT and HUP (nohup, jobs in the background): ignored, TERM is taken")


def ends_stubborn_workers():
    start = Start("stubborn")
    start.process.send_signal(signal.SIGINT)
    wait_for(lambda: all(start.signals(rank) for rank in range(3)), "INT arrives")
    time.sleep(1)
    assert start.process.poll() is None  # they may be saving
    start.process.send_signal(signal.SIGINT)
    err = start.end(130)
    assert "was killed" in err and start.signals(1) == ["SIGINT"] * 2, (err, start.signals(1))
    start = Start("stubborn", grace=60000)
    for times in (1, 2):
        start.process.send_signal(signal.SIGINT)
        wait_for(lambda: all(len(start.signals(rank)) == times for rank in range(3)), "INT arrives")
    start.process.send_signal(signal.SIGINT)
    start.end(130)
    print("workers that do not end: killed some time after the second signal, at once at the third")


def names_the_one_that_was_killed():
    start = Start("plain")
    os.kill(start.pids[1], signal.SIGKILL)
    err = start.end(137)
    assert f"rank 1 (process {start.pids[1]}) was ended by SIGKILL" in err, err
    assert start.signals(0) == ["SIGTERM"] and start.signals(2) == ["SIGTERM"]
    start = Start("plain")
    os.kill(start.pids[0], signal.SIGSEGV)
    err = start.end(139)
    assert "rank 0" in err and "SIGSEGV" in err, err
    start = Start("stubborn")
    os.kill(start.pids[2], signal.SIGKILL)
    err = start.end(137)
    assert "rank 0, 1 had not ended 500 ms after" in err, err
    print("a worker that is killed: named, the others ended, by force where they do not")


def goes_on_after_a_kill():
    start = Start("plain", restarts=1)
    first = start.pids
    for rank in range(3):
        (start.folder / f"pid.{rank}").unlink()
    os.kill(first[1], signal.SIGKILL)
    start.begun()
    assert not set(first) & set(start.pids)
    (start.folder / "end").touch()
    err = start.end(0)
    assert "all 3 are started again, for time 1 of at most 1" in err, err
    start = Start("plain", restarts=5)
    start.process.send_signal(signal.SIGINT)
    err = start.end(130)
    assert "again" not in err, err
    print("--max-restarts: all start again after a kill, and not after Ctrl-C")


def leaves_no_orphan():
    start = Start("stubborn")
    start.process.kill()
    start.process.wait()
    wait_for(lambda: not any(exists(pid) for pid in start.pids), "workers end with their parent")
    start.end(-9)
    # What a worker has started ends with it where the worker is killed.
    start = Start("children", settle=100, grace=100)
    children = []
    for rank in range(3):
        file = start.folder / f"pid.{rank}.child"
        wait_for(file.exists, "children begin")
        children.append(int(file.read_text()))
    for pid in start.pids:  # so that no signal but the last ends them
        os.kill(pid, signal.SIGSTOP)
    start.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    start.process.send_signal(signal.SIGTERM)
    start.end(130)
    wait_for(lambda: not any(exists(pid) for pid in children), "children end")
    print("no orphans: the parent killed, workers killed with what they have started")


def shows_unfinished_lines():
    start = Start("unfinished", count=2)
    os.kill(start.pids[1], signal.SIGKILL)
    err = start.end(137)
    assert err.startswith("[1] half a line\nerror: "), err
    print("a line that was not ended is shown, before what is said of its worker")


def stops_and_goes_on():
    # As a shell with job control starts it: a group of its own whose parent is in another.
    start = Start("plain", preexec_fn=lambda: os.setpgid(0, 0))
    start.process.send_signal(signal.SIGTSTP)
    wait_for(lambda: all(state(pid) == "T" for pid in [*start.pids, start.process.pid]), "all stop")
    start.process.send_signal(signal.SIGCONT)
    wait_for(lambda: all(state(pid) != "T" for pid in [*start.pids, start.process.pid]), "all go on")
    (start.folder / "end").touch()
    start.end(0)
    print("Ctrl-Z: all stop, and go on")


passes_signals_on()
ctrl_c_reaches_each_once()
leaves_ignored_signals_ignored()
ends_stubborn_workers()
names_the_one_that_was_killed()
goes_on_after_a_kill()
leaves_no_orphan()
shows_unfinished_lines()
stops_and_goes_on()
