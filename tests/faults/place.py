# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the programs run: a client's and a collector's network joined by one wire, a file system for each of the two stores,
certificates, configuration and held sockets. All of it is below /run, which is ours alone."""

import json
import os
import random
import shutil
import socket
import subprocess

from programs import Program
from records import NODE

BASE = "/run/faults"
COLLECTOR = "collector"
ADDRESS = "10.77.0.1"
CLIENT_ADDRESS = "10.77.0.2"
PORT = 6560
PROGRAMS = ("dispatcher", "remote", "aggregator")
BLOCK = 4096


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Disk:
    """A file system on a loop device or, where there is none, a tmpfs."""

    def __init__(self, side, size):
        self.path = f"{BASE}/{side}/disk"
        self.filler = f"{self.path}/filler"
        os.makedirs(self.path)
        image = f"{BASE}/{side}/image"
        try:
            run("truncate", "-s", f"{size}M", image)  # only what is written takes memory
            run("mkfs.ext4", "-q", "-F", "-m", "0", image)
            run("mount", "-o", "loop,noatime", image, self.path)
            self.kind = "ext4"
        except (RuntimeError, FileNotFoundError):
            run("mount", "-t", "tmpfs", "-o", f"size={size}M", "tmpfs", self.path)
            self.kind = "tmpfs"

    def fill(self):
        """All that there is; again and again, as a store that deletes makes room for itself."""
        fd = os.open(self.filler, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            step, size = 1 << 30, os.fstat(fd).st_size
            while step >= BLOCK:
                try:
                    os.posix_fallocate(fd, size, step)
                    size += step
                except OSError:
                    step //= 2
        finally:
            os.close(fd)

    def free(self):
        os.unlink(self.filler)


class Wire:
    """We are in the collector's network; the client's is that of a process that sleeps."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], process_group=0)
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == ours:
            if self.holder.poll() is not None:
                raise RuntimeError("there is no second network namespace")
        self.client = ("nsenter", f"--net=/proc/{self.holder.pid}/ns/net")
        run("ip", "link", "add", "collector", "type", "veth", "peer", "name", "client", "netns", str(self.holder.pid))
        run(*self.client, "ip", "link", "set", "lo", "up")
        for prefix, name, address in ((), "collector", ADDRESS), (self.client, "client", CLIENT_ADDRESS):
            run(*prefix, "ip", "address", "add", f"{address}/24", "dev", name)
            run(*prefix, "ip", "link", "set", name, "up")

    def side(self, name):
        return () if name == "collector" else self.client

    def pull(self, side):
        run(*self.side(side), "ip", "link", "set", side, "down")

    def plug(self, side):
        run(*self.side(side), "ip", "link", "set", side, "up")

    def swallow(self, side):
        """What this side sends vanishes without a word: a queue without room."""
        run(*self.side(side), "tc", "qdisc", "add", "dev", side, "root", "pfifo", "limit", "0")

    def release(self, side):
        run(*self.side(side), "tc", "qdisc", "delete", "dev", side, "root")

    def reset(self):
        """Ends the connections as a broken middlebox does; returns how many."""
        out = run(*self.client, "ss", "-K", "-H", "-tn", "state", "established", f"dst {ADDRESS}")
        return len(out.split("\n")) - 1


class Place:
    def __init__(self, build, second_build, log_size, seed):
        """log_size: MiB that all records may take at the collector."""
        self.chance = random.Random(f"place {seed}")
        os.mkdir(BASE)
        self.disks = {"client": Disk("client", 512), "collector": Disk("collector", log_size)}
        self.wire = Wire()
        self.builds = [self.install(build, "first"), self.install(second_build, "second")]
        self.tool = f"{self.builds[0]}/audit-relay"
        self.certificates()
        self.configuration()
        self.programs = {name: self.program(name) for name in PROGRAMS}

    def install(self, build, name):
        """Copies, so that a build that runs meanwhile does not matter, and an upgrade execs another file."""
        directory = f"{BASE}/{name}"
        os.mkdir(directory)
        for program in PROGRAMS:
            shutil.copy(f"{build}/src/{program}/{program}", directory)
        shutil.copy(f"{build}/src/tool/audit-relay", directory)
        return directory

    def certificates(self):
        for words in ("init",), ("collector", COLLECTOR), ("client", NODE):
            run(self.tool, "cert", *words, "--dir", f"{BASE}/ca")

    def tls(self, name):
        return "".join(f"TLS{key}={BASE}/ca/{name}/{file}.pem\n"
                       for key, file in (("Certificate", "cert"), ("Key", "key"), ("Authority", "ca")))

    def configuration(self):
        """Small segments and short times, so that much happens; windows and sizes by the seed."""
        window, segment = (self.chance.choice(("256K", "1M", "8M")) for _ in range(2)), ("1M", "2M", "8M")
        window, segment = list(window), [self.chance.choice(segment) for _ in range(2)]
        self.described = f"Window={'/'.join(window)} SegmentMaxSize={'/'.join(segment)} on {self.disks['client'].kind}"
        os.makedirs(f"{BASE}/client/subscribers.d")
        for side in "client", "collector":
            os.makedirs(f"{BASE}/{side}/state")
        texts = {
            "client/dispatcher.conf":
                f"[Dispatcher]\nNode={NODE}\nRingFile={BASE}/client/ring\nRingSize=8M\nKernel=none\n"
                f"StateDirectory={BASE}/client/state\nSubscribersDirectory={BASE}/client/subscribers.d\n",
            "client/subscribers.d/remote.conf":
                f"[Subscriber]\nSocket={BASE}/client/remote\nOverflow=block\n",
            "client/remote.conf":
                f"[Remote]\nCollector={ADDRESS}:{PORT}\nCollectorName={COLLECTOR}\nNode={NODE}\n{self.tls(NODE)}"
                f"Directory={BASE}/client/disk/store\nStateDirectory={BASE}/client/state\nWindow={window[0]}\n"
                f"NetworkTimeout=1500ms\nConnectTimeout=1500ms\nRetryMin=50ms\nRetryMax=500ms\nSegmentMaxSize={segment[0]}\n"
                "SpaceLeft=8M\n",
            "collector/aggregator.conf":
                f"[Aggregator]\nName={COLLECTOR}\n{self.tls(COLLECTOR)}Directory={BASE}/collector/disk/store\n"
                f"StateDirectory={BASE}/collector/state\nWindow={window[1]}\nNetworkTimeout=3s\nConnectTimeout=3s\n"
                f"SegmentMaxSize={segment[1]}\nSpaceLeft=8M\n",
        }
        for name, text in texts.items():
            with open(f"{BASE}/{name}", "w") as file:
                file.write(text)

    def program(self, name):
        side = "collector" if name == "aggregator" else "client"
        if name == "aggregator":
            held = socket.create_server((ADDRESS, PORT), backlog=128)
        else:
            held = socket.socket(socket.AF_UNIX)
            held.bind(f"{BASE}/client/{'input' if name == 'dispatcher' else 'remote'}")
            held.listen(128)
        socket_name = {"dispatcher": "input", "remote": "remote", "aggregator": "tls"}[name]
        program = Program(name, [f"--config={BASE}/{side}/{name}.conf"], [(socket_name, held)], BASE,
                          self.wire.client if side == "client" else ())
        program.path = f"{self.builds[0]}/{name}"
        return program

    def upgrade(self, program):
        """The next start is from the other build."""
        now = self.builds.index(os.path.dirname(program.path))
        program.path = f"{self.builds[1 - now]}/{program.name}"

    def send(self):
        return [self.tool, "send", f"--socket={BASE}/client/input"]

    def conditions(self, side):
        """What `audit-relay status` says: its exit status and {component/condition: its file's keys}."""
        done = subprocess.run([self.tool, "status", "--json", f"--state-dir={BASE}/{side}/state"], capture_output=True, text=True)
        components = json.loads(done.stdout)
        return done.returncode, {f"{c['component']}/{held['name']}": held for c in components for held in c["conditions"]}

    def segments(self):
        store = f"{BASE}/collector/disk/store"
        names = [n for n in os.listdir(store) if n.endswith(".log") and n[0].isdigit()]
        return [f"{store}/{n}" for n in sorted(names, key=lambda n: int(n[:-4]))]

    def keep_evidence(self, directory):
        """Copies of everything: our own go with us."""
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(BASE, directory, symlinks=True, copy_function=copy_small,
                        ignore=lambda top, names: {n for n in names if n in ("image", "filler", "first", "second") or
                                                   n.endswith(".notify") or is_socket(os.path.join(top, n))})


def is_socket(path):
    return not (os.path.islink(path) or os.path.isdir(path) or os.path.isfile(path))


def copy_small(source, target):
    return shutil.copyfile(source, target)
