#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real training under real launchers: --nproc, torchrun, mpirun and srun of a SLURM started here, and two
"hosts" that are network namespaces. Whoever starts the processes, and whatever happens to them, the run ends
with the bits of the undisturbed one of --nproc.

    launchers.py PROGRAM [TEST...]

A test whose launcher is not there, or for which this machine refuses something, says so; 77 when all do. With
CI=true a launcher that scripts/setup.sh installs must be there.
"""
import functools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from hosts import Hosts
from processes import (LONG, PROGRAM, largest_difference, newest_snapshot, same_run, steps, tensors,
                       wait_for_steps, write_data)
from slurm_cluster import NotHere, NotInstalled, cluster, free_port, wait_for

PATIENCE = 120
STARTED_BY = ("DETENTE_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "TORCHELASTIC_", "OMPI_", "PMI", "MPI_",
              "SLURM_", "GLOO_")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(STARTED_BY)}
CLOCK = {"seconds", "epoch_seconds", "log_bytes"}  # the log's lines hold times, which differ in length

# Long enough to be met in the middle, and a snapshot every few steps.
MIDDLE = 40
STEPS = (*LONG, "--set", "train.batch_size=5", "--set")  # 41 an epoch
SHORT = (*STEPS, "train.epochs=6")
LONGER = (*STEPS, "train.epochs=20")
ENDLESS = (*STEPS, "train.epochs=100000")
ROOT = Path()  # of all tests: one table, and runs to compare with that many use


def workers(out):
    """The processes that train in this folder, by rank. Whoever started them: they know it themselves."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            variables = dict(entry.split("=", 1) for entry in (
                process / "environ").read_bytes().decode(errors="replace").split("\0") if "=" in entry)
            if (process / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                continue
        except OSError:  # it has ended meanwhile
            continue
        if str(out) not in words or Path(words[0]).name != Path(PROGRAM).name or "--nproc" in words:
            continue
        for name in ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"):
            if name in variables:
                found[int(variables[name])] = int(process.name)
                break
    return found


class Started:
    """A launcher with its processes. None of them stays."""

    def __init__(self, out, *command, environment=None, **how):
        self.out = out
        self.begun = time.monotonic()
        self.process = subprocess.Popen(list(map(str, command)), env={**CLEAN, **(environment or {})},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, **how)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        for pid in workers(self.out).values():
            kill(pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()

    def trains(self):
        """Waits for the middle of the run; the processes by rank."""
        wait_for_steps(self.out, MIDDLE)
        return workers(self.out)

    def ends(self, code=0):
        """What it wrote on stdout and stderr."""
        said = self.process.communicate(timeout=PATIENCE)
        assert code is None or self.process.returncode == code, (self.process.returncode, *said)
        return said


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def command(out, *more):
    return [PROGRAM, "train", ROOT / "recipe.yaml", "--out", out, "--quiet", *more]


def train(launcher, out, *more, code=0, **how):
    """A run to its end: launcher is what stands before the program."""
    with Started(ROOT / out, *launcher, *command(ROOT / out, *more), **how) as run:
        return run.ends(code)


@functools.cache
def undisturbed(size, *more):
    out = f"undisturbed-{size}-{len(list(ROOT.glob('undisturbed-*')))}"
    train([], out, *more, "--nproc", size)
    return ROOT / out


def same_bits(out, size, *more):
    """The run is the undisturbed one in everything but the clock."""
    whole = undisturbed(size, *more)
    same_run(whole, out)
    snapshots = [newest_snapshot(run) for run in (whole, out)]
    names = [sorted(path.name for path in snapshot.iterdir()) for snapshot in snapshots]
    assert names[0] == names[1], names
    states = [json.loads((snapshot / "state.json").read_text()) for snapshot in snapshots]
    for state in states:
        for name in CLOCK:
            state.pop(name, None)
    assert states[0] == states[1], states


def program(name, setup):
    """Where a launcher is; setup says how it is installed."""
    beside = [str(Path(sys.executable).parent), "/usr/bin", "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *beside]))
    if found is None:
        raise NotInstalled(f"there is no {name}; {setup}")
    return found


# --nproc

def test_nproc_agrees_with_one_process(folder):
    train([], "one", "--set", "precision=float64")
    for size in (2, 3):
        said = train([], f"{size}", "--set", "precision=float64", "--nproc", size, "--json")[0]
        summary = json.loads(said)  # one document, whatever number of processes
        assert summary["status"] == "finished" and summary["steps"] == 33, summary
        assert largest_difference(ROOT / "one", ROOT / f"{size}") < 1e-5
        print(f"  {size} processes differ from one by "
              f"{largest_difference(ROOT / 'one', ROOT / f'{size}'):.1e}")


def test_nproc_starts_again_after_a_kill(folder):
    for victim in (0, 1):
        out = ROOT / f"nproc-killed-{victim}"
        with Started(out, *command(out, *SHORT), "--nproc", 2, "--max-restarts", 1) as run:
            kill(run.trains()[victim], signal.SIGKILL)
            said = run.ends()[1]
        assert f"rank {victim} (process" in said and "was ended by SIGKILL" in said, said
        assert "all 2 are started again, for time 1 of at most 1" in said, said
        same_bits(out, 2, *SHORT)


def test_nproc_saves_all_at_ctrl_c(folder):
    out = ROOT / "nproc-interrupted"
    with Started(out, *command(out, *SHORT), "--nproc", 2) as run:
        run.trains()
        run.process.send_signal(signal.SIGINT)
        said = run.ends(130)[1]
    # What it says to type goes on in as many processes.
    hint = re.search(r"Go on with: detente (train .*--nproc 2 --resume)$", said, re.M)
    assert hint, said
    with Started(out, PROGRAM, *hint[1].split()) as run:
        said = run.ends()[1]
    assert "in each of 2 processes" in said, said
    same_bits(out, 2, *SHORT)


def test_nproc_ends_with_the_error_of_one(folder):
    def small_files():  # a disk that is full, and for rank 0 alone: the others write nothing
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
    out = ROOT / "nproc-full"
    with Started(out, *command(out, *SHORT), "--nproc", 2, "--max-restarts", 3, preexec_fn=small_files,
                 restore_signals=False) as run:
        said = run.ends(code=None)[1]
        took = time.monotonic() - run.begun
    code = run.process.returncode
    assert code not in (0, 75, 130) and code < 128, (code, said)
    assert "rank 0 (process" in said and f"ended with exit code {code}" in said, said
    assert "[1] error:" in said and "rank 0 has failed" in said, said
    assert "nothing is started again" in said, said
    assert took < 40, took


# torchrun

TORCHRUN = ("torchrun", "scripts/setup.sh installs PyTorch")


def torchrun(*words):
    return [program(*TORCHRUN), "--no-python", "--nproc-per-node", "2",
            *map(str, words)]


C10D = ("--rdzv-backend", "c10d", "--rdzv-id", "some-run", "--rdzv-endpoint", "localhost:0")


def test_torchrun_trains_as_nproc_does(folder):
    static = ("--rdzv-backend", "static", "--nnodes", 1, "--node-rank", 0, "--master-addr", "127.0.0.1",
              "--master-port", free_port())
    for name, words in (("plain", ()), ("static", static), ("c10d", C10D)):
        train(torchrun(*words), f"torchrun-{name}")
        same_bits(ROOT / f"torchrun-{name}", 2)


def test_torchrun_starts_again_after_a_kill(folder):
    out = ROOT / "torchrun-killed"
    with Started(out, *torchrun(*C10D, "--max-restarts", 1), *command(out, *SHORT)) as run:
        kill(run.trains()[1], signal.SIGKILL)
        said = run.ends()[1]
    assert "rank 1 does not answer" in said or "exitcode: -9" in said, said
    same_bits(out, 2, *SHORT)


def test_torchrun_told_to_end_saves_all(folder):
    out = ROOT / "torchrun-ended"
    with Started(out, *torchrun(*C10D), *command(out, *SHORT)) as run:
        run.trains()
        run.process.send_signal(signal.SIGTERM)  # it passes this one on, and has an exit code of its own
        run.ends(code=None)
        assert run.process.returncode != 0
    assert newest_snapshot(out).name == f"step-{steps(out)[-1]['step']}"
    train([], out.name, *SHORT, "--nproc", 2, "--resume")
    same_bits(out, 2, *SHORT)


def test_torchrun_killed_leaves_nobody_training(folder):
    out = ROOT / "torchrun-orphans"
    with Started(out, *torchrun(*C10D), *command(out, *ENDLESS), "--set", "parallel.timeout_s=5") as run:
        there = run.trains()
        assert sorted(there) == [0, 1], there
        run.process.kill()
        killed = time.monotonic()
        wait_for(lambda: not workers(out), 20, "the orphans end", lambda: workers(out))
        print(f"  the last ended {time.monotonic() - killed:.1f} s after its agent")


# mpirun

def test_mpirun_trains_as_nproc_does(folder):
    mpirun = [program("mpirun.openmpi", "scripts/setup.sh --mpi installs Open MPI"), "--oversubscribe",
              "--allow-run-as-root", "-x", "OMP_NUM_THREADS=1", "-np"]
    train([*mpirun, "3"], "mpirun")
    same_bits(ROOT / "mpirun", 3)
    # It passes SIGUSR1 on, as a batch system's warning comes.
    out = ROOT / "mpirun-asked"
    with Started(out, *mpirun, "2", *command(out, *SHORT)) as run:
        run.trains()
        run.process.send_signal(signal.SIGUSR1)
        run.ends(130)
    train([*mpirun, "2"], out.name, *SHORT, "--resume")
    same_bits(out, 2, *SHORT)


def test_mpich_trains_as_nproc_does(folder):
    mpirun = shutil.which("mpirun.mpich")
    if mpirun is None:
        raise NotHere("there is no mpirun.mpich (package mpich)")
    train([mpirun, "-np", "2", "-genv", "MASTER_PORT", str(free_port())], "mpich")
    same_bits(ROOT / "mpich", 2)


# srun

def test_slurm_warns_requeues_and_ends_as_nproc_does(folder):
    with cluster(folder) as environment:
        def ask(*words):
            return subprocess.run(words, env=environment, check=True, capture_output=True, text=True,
                                  timeout=30).stdout

        def said():
            return (folder / "job.log").read_text() if (folder / "job.log").exists() else ""

        train(["srun", "-n", "2", "--overcommit"], "srun", environment=environment)
        same_bits(ROOT / "srun", 2)

        # As docs/parallel.md has it: a job that is warned of its end saves itself and comes back.
        out = ROOT / "slurm"
        script = folder / "job.sh"
        script.write_text(
            "#!/bin/sh\n"
            "#SBATCH --ntasks=2 --requeue --open-mode=append\n"
            "export OMP_NUM_THREADS=1\n"
            f"srun --kill-on-bad-exit=1 {' '.join(map(str, command(out, *LONGER)))} ||\n"
            "  { [ $? = 130 ] && echo asked to end && scontrol requeue $SLURM_JOB_ID; }\n")
        job = ask("sbatch", "--parsable", "--output", folder / "job.log", script).strip()

        def state():
            found = re.search(r"JobState=(\S+).* Restarts=(\d+)", ask("scontrol", "show", "job", job),
                              re.DOTALL)
            return found.group(1), int(found.group(2))

        def goes_on(restarts, since):
            wait_for(lambda: state() == ("RUNNING", restarts) and steps(out)[-1]["step"] >= since + MIDDLE,
                     PATIENCE, "the job goes on", lambda: (state(), said()))

        wait_for_steps(out, MIDDLE)
        ask("scancel", "--signal=USR1", job)  # what --signal=USR1@120 does two minutes before the end
        wait_for(lambda: state()[1] == 1, PATIENCE, "the job is warned and comes back", said)
        assert "asked to end" in said() and "--resume" in said(), said()
        saved = newest_snapshot(out).name
        assert saved == f"step-{steps(out)[-1]['step']}", saved
        goes_on(1, int(saved[5:]))
        ask("scontrol", "requeue", job)  # taken away while it trains
        wait_for(lambda: state() == ("COMPLETED", 2), PATIENCE, "the job ends",
                 lambda: (state(), said()))
        same_bits(out, 2, *LONGER)


# two hosts

class Both:
    """The two processes on the two hosts, by rank."""

    def __init__(self, ranks):
        self.ranks = ranks

    def ends(self, *codes):
        said = [rank.ends(code=None)[1] for rank in self.ranks]
        ended = [rank.process.returncode for rank in self.ranks]
        assert ended == list(codes), (ended, said)
        return said


@contextmanager
def on_hosts(hosts, out, *more, address=None, late=0.0, timeout=20):
    """One process in each, started by hand; rank 0 `late` seconds after the other."""
    def start(rank):
        variables = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": address or hosts.addresses[0],
                     "MASTER_PORT": "29500"}
        return Started(out, *hosts.inside(rank), *command(out, *more), "--set",
                       f"parallel.timeout_s={timeout}", environment=variables)
    with start(1) as other:
        time.sleep(late)
        with start(0) as first:
            yield Both([first, other])


def test_torchrun_trains_on_two_hosts(folder):
    out = ROOT / "torchrun-hosts"
    with Hosts(version=4) as hosts:
        def node(host):
            # Here both are called the same, and by that name neither finds the other: what a real host knows.
            known = ("--local-addr", hosts.addresses[host], "--rdzv-conf", f"is_host={1 - host}")
            meet = ("--rdzv-backend", "c10d", "--rdzv-id", "some-run", "--rdzv-endpoint",
                    f"{hosts.addresses[0]}:29500")
            return Started(out, *hosts.inside(host), program(*TORCHRUN), "--no-python", "--nnodes", 2,
                           "--nproc-per-node", 1, *meet, *known, *command(out))
        with node(0) as first, node(1) as other:
            first.ends()
            other.ends()
    same_bits(out, 2)


def median_ms(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    times = sorted(line["ms"]["total"] for line in lines if line["type"] == "step")
    return times[len(times) // 2]


def test_two_hosts_give_the_bits_of_loopback(folder):
    plain = ROOT / "hosts"
    with Hosts() as hosts, on_hosts(hosts, plain, late=5.0) as both:  # rank 0 comes late
        both.ends(0, 0)
    same_bits(plain, 2)
    slow = ROOT / "hosts-slow"
    with Hosts(version=4, delay=1.0, loss=0.1) as hosts, on_hosts(hosts, slow) as both:
        both.ends(0, 0)
        cable = hosts.cable
        how = f"a cable of ours, {cable.lost} of {cable.carried} frames lost" if cable else "netem"
    same_bits(slow, 2)
    times = median_ms(plain), median_ms(slow)
    print(f"  a step takes {times[0]:.1f} ms, and {times[1]:.1f} ms with 1 ms and 0.1 % loss each way "
          f"({how})")
    assert times[1] > times[0] + 2, times


def test_a_cut_cable_ends_both_hosts(folder):
    for side in (0, 1):
        out = ROOT / f"hosts-cut-{side}"
        with Hosts() as hosts, on_hosts(hosts, out, *ENDLESS, timeout=4) as both:
            both.ranks[0].trains()
            hosts.cut(side)
            cut = time.monotonic()
            said = both.ends(75, 75)
            took = time.monotonic() - cut
        print(f"  both ended {took:.1f} s after rank {side}'s interface was down; the timeout is 4 s")
        assert took < 4 + 25, took
        assert "rank 1" in said[0].split("lost the others")[1], said
        assert "rank 0" in said[1].split("lost the others")[1], said


def test_a_first_process_that_stands_still_is_named(folder):
    """It keeps the place where they meet, so nobody can ask there who is alive."""
    out = ROOT / "stopped-first"
    with Hosts() as hosts, on_hosts(hosts, out, *ENDLESS, timeout=3) as both:
        both.ranks[0].trains()
        both.ranks[0].process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        said = both.ranks[1].ends(75)[1]
        took = time.monotonic() - stopped
    assert "rank 0" in said.split("lost the others")[1], said
    assert took < 3 + 25, took


def test_hosts_that_cannot_meet_say_why(folder):
    with Hosts() as hosts:
        out = ROOT / "hosts-nowhere"
        with on_hosts(hosts, out, address="nowhere.invalid", timeout=4) as both:
            said = both.ends(2, 2)
        assert all("nowhere.invalid" in one and "MASTER_ADDR" in one for one in said), said
        listen = ("import socket, sys; s = socket.socket(socket.AF_INET6); s.bind(('::', 29500)); s.listen();"
                  "print(flush=True); sys.stdin.read()")
        taken = subprocess.Popen([*hosts.inside(0), sys.executable, "-c", listen], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            taken.stdout.readline()
            begun = time.monotonic()
            with on_hosts(hosts, out, timeout=4) as both:
                said = both.ends(2, 75)
            took = time.monotonic() - begun
        finally:
            taken.kill()
            taken.communicate()
        assert "port 29500" in said[0] and "is taken" in said[0], said
        assert "fdde::1" in said[1] and took < 4 + 25, (took, said)
        assert not out.exists()


# bytes

def test_sharded_gradients_send_what_is_promised(folder):
    """(W-1)(K+1) 4P bytes a step, by the count of a loopback interface that nobody else uses. What the heads,
    the sums of losses, the pulse and TCP's headers take has the 2 %."""
    tasks = 4
    lines = ["a,b,t0,t1,t2,t3"] + [f"{i % 7},{i % 5},{i % 3},{i % 4},{i % 6},{i % 2}" for i in range(320)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    recipe = folder / "wide.yaml"
    recipe.write_text("data: {kind: table, train: rows.csv, dev: rows.csv}\ntasks:\n" + "".join(
        f"  - {{name: t{k}, head: regression}}\n" for k in range(tasks)) +
        "model: {kind: mlp, widths: [700, 700], dropout: 0}\n"
        "balance: {method: cagrad}\n"
        "train: {epochs: 1, batch_size: 32}\n"
        "parallel: {mode: sharded}\n"
        "threads: 1\n")
    sent = {}
    with Hosts() as hosts:
        for epochs in (1, 3):
            before = hosts.sent_on_loopback()
            out = folder / f"epochs-{epochs}"
            with Started(out, *hosts.inside(0), PROGRAM, "train", recipe, "--out", out, "--quiet",
                         "--nproc", 2, "--set", f"train.epochs={epochs}") as run:
                run.ends()
            sent[epochs] = hosts.sent_on_loopback() - before
    shared = sum(value.size for name, value in tensors(newest_snapshot(out) / "model.safetensors").items()
                 if not any(f"t{k}" in name for k in range(tasks)))
    promised = (tasks + 1) * 4 * shared  # W - 1 is 1
    each = (sent[3] - sent[1]) / 20  # what is sent once, as the start takes it, falls out
    naive = 2 * tasks * 4 * shared
    print(f"  {each:.0f} bytes a step for {shared} parameters, {each / promised:.4f} of (W-1)(K+1) 4P; "
          f"all-reduced it would be {naive}")
    assert 0.98 * promised < each < 1.02 * promised, (each, promised)


def main():
    global ROOT
    wanted = sys.argv[2:]
    skipped = done = 0
    with tempfile.TemporaryDirectory() as root:
        ROOT = Path(root)
        write_data(ROOT)
        for name, test in list(globals().items()):
            if not name.startswith("test_") or (wanted and name not in wanted):
                continue
            begun = time.monotonic()
            folder = ROOT / name
            folder.mkdir()
            try:
                test(folder)
            except NotHere as reason:
                if isinstance(reason, NotInstalled) and os.environ.get("CI") == "true":
                    raise
                print(f"skipped: {name}: {reason}", flush=True)
                skipped += 1
                continue
            print(f"ok: {name} ({time.monotonic() - begun:.1f} s)", flush=True)
            done += 1
    sys.exit(77 if skipped and not done else 0)


if __name__ == "__main__":
    main()
