# SPDX-License-Identifier: Apache-2.0
"""Two "hosts" of a test: network namespaces with a cable between them and nothing else."""
import fcntl
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections import deque

from slurm_cluster import NotHere


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        raise NotHere(f"ip {' '.join(map(str, words))} is refused here: {done.stderr.strip()}")
    return done.stdout


class Cable:
    """A slow cable where the kernel has no netem: frames go from one tap device to the other through this
    process, each after `delay` seconds, and some never."""

    TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000

    def __init__(self, names, delay, loss):
        self.delay, self.loss, self.draw = delay, loss, random.Random(1)
        self.lost = self.carried = 0
        self.ends = []
        try:
            for name in names:
                end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                self.ends.append(end)
                fcntl.ioctl(end, self.TUNSETIFF,
                            struct.pack("16sH22x", name.encode(), self.IFF_TAP | self.IFF_NO_PI))
        except OSError as error:
            self.close()
            raise NotHere(f"neither netem nor /dev/net/tun: {error}") from error
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def carry(self):
        under_way = deque()
        while not self.ending.is_set():
            wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 0.05
            for end in select.select(self.ends, [], [], wait)[0]:
                try:
                    frame = os.read(end, 65536)
                except OSError:  # the device is down
                    time.sleep(0.001)
                    continue
                self.carried += 1
                if self.draw.random() < self.loss:
                    self.lost += 1
                    continue
                other = self.ends[1 - self.ends.index(end)]
                under_way.append((time.monotonic() + self.delay, other, frame))
            while under_way and under_way[0][0] <= time.monotonic():
                _, other, frame = under_way.popleft()
                try:
                    os.write(other, frame)
                except OSError:
                    pass

    def close(self):
        if hasattr(self, "thread"):
            self.ending.set()
            self.thread.join()
        for end in self.ends:
            os.close(end)


class Hosts:
    """addresses[i] is that of host i; inside(i) is what stands before a command that runs there. With a delay
    (in ms) and a loss (in percent) the cable is a bad one."""

    def __init__(self, version=6, delay=0.0, loss=0.0):
        if shutil.which("ip") is None:
            raise NotHere("there is no ip (package iproute2)")
        if os.geteuid() != 0:
            raise NotHere("network namespaces take root")
        self.version, self.delay, self.loss = version, delay, loss
        self.names = [f"dt{os.getpid()}{side}" for side in "ab"]
        # Addresses that nobody has: for documentation, and unique local ones.
        self.addresses = ["192.0.2.201", "192.0.2.202"] if version == 4 else ["fdde::1", "fdde::2"]
        self.cable = None
        self.made = []

    def __enter__(self):
        try:
            for name in self.names:
                ip("netns", "add", name)
                self.made.append(name)
            self.lay_cable()
            for name, address in zip(self.names, self.addresses):
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "addr", "add", f"{address}/{24 if self.version == 4 else 64}", "dev", name,
                   *(("nodad",) if self.version == 6 else ()))
                ip("-n", name, "link", "set", name, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def lay_cable(self):
        if not self.delay:
            ip("link", "add", self.names[0], "netns", self.names[0], "type", "veth", "peer", "name",
               self.names[1], "netns", self.names[1])
            return
        try:
            ip("link", "add", self.names[0], "netns", self.names[0], "type", "veth", "peer", "name",
               self.names[1], "netns", self.names[1])
            for name in self.names:
                done = subprocess.run(["tc", "-n", name, "qdisc", "add", "dev", name, "root", "netem",
                                       "delay", f"{self.delay}ms", "loss", f"{self.loss}%"],
                                      capture_output=True, text=True, timeout=20)
                if done.returncode != 0:
                    raise NotHere(done.stderr)
        except (NotHere, FileNotFoundError):
            subprocess.run(["ip", "-n", self.names[0], "link", "del", self.names[0]], capture_output=True,
                           timeout=20)
            self.cable = Cable(self.names, self.delay / 1e3, self.loss / 100)
            for name in self.names:
                ip("link", "set", name, "netns", name)

    def inside(self, host):
        return ["ip", "netns", "exec", self.names[host]]

    def cut(self, host):
        """Takes its interface down; that of the other has no carrier from then on."""
        ip("-n", self.names[host], "link", "set", self.names[host], "down")

    def sent_on_loopback(self, host=0):
        """Bytes, as the interface itself counts them."""
        path = "/sys/class/net/lo/statistics/tx_bytes"
        return int(subprocess.run([*self.inside(host), "cat", path], capture_output=True, text=True,
                                  check=True, timeout=20).stdout)

    def __exit__(self, *unused):
        if self.cable:
            self.cable.close()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20)
