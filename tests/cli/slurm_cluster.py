# SPDX-License-Identifier: Apache-2.0
"""A SLURM cluster of a test's own: slurmctld and slurmd on loopback, in a folder."""
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager


PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol")


class NotHere(Exception):
    """Why a test cannot run on this machine."""


class NotInstalled(NotHere):
    """A program is missing that scripts/setup.sh installs when asked."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(what, seconds, words, facts=lambda: ""):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"{words}: not within {seconds} s; {facts()}"
        time.sleep(0.3)


@contextmanager
def cluster(folder):
    """The environment with which SLURM's commands speak to it. Ended with its jobs."""
    for name in PROGRAMS:
        if shutil.which(name) is None:
            raise NotInstalled(f"there is no {name}; scripts/setup.sh --slurm installs SLURM")
    config = folder / "slurm.conf"
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    me = getpass.getuser()
    config.write_text(f"""
ClusterName=private
SlurmctldHost={socket.gethostname().split(".")[0]}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser={me}
SlurmdUser={me}
AuthType=auth/none
CredType=cred/none
# A requeued job waits as long as a credential lives, which is two minutes otherwise.
AuthInfo=cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# By itself it looks for jobs to start every half minute.
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=20
NodeName=here NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=here Default=YES MaxTime=INFINITE State=UP
""")
    environment = {**os.environ, "SLURM_CONF": str(config)}
    daemons = []
    try:
        for words in (["slurmctld", "-D", "-c", "-f", str(config)],
                      ["slurmd", "-D", "-N", "here", "-f", str(config)]):
            daemons.append(subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL,
                                            stderr=(folder / f"{words[0]}.err").open("w")))
        end = time.monotonic() + 40
        while True:
            found = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True,
                                   text=True, timeout=30)
            if found.stdout.strip() in ("idle", "mixed"):
                break
            if time.monotonic() > end or any(d.poll() is not None for d in daemons):
                logs = "".join(p.read_text()[-800:] for p in folder.glob("slurm*.[le]*") if p.is_file())
                raise NotHere("no cluster of its own could be started here "
                              f"({found.stdout} {found.stderr}): {logs}")
            time.sleep(0.5)
        yield environment
    finally:
        subprocess.run(["scancel", "--user", me], env=environment, capture_output=True, timeout=30)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
