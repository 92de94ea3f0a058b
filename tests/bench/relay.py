# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our three programs, as they are shipped and with their own defaults; only names, paths and sockets are set."""

import os
import re
import socket

from programs import Failure, Program
from system import Broken, run, wait_for

NODE, COLLECTOR = "client", "collector"
CIPHER = "AES-128-GCM"


class Relay:
    """One client and one collector, below one directory on the disk and one on tmpfs."""

    def __init__(self, build, disk, memory):
        self.build, self.disk, self.memory = build, disk, memory
        self.programs = {}
        for name in "state", "subscribers.d":
            os.mkdir(f"{memory}/{name}")

    # Before the programs begin.

    def tls(self, name):
        return "".join(f"TLS{key}={self.disk}/ca/{name}/{file}.pem\n"
                       for key, file in (("Certificate", "cert"), ("Key", "key"), ("Authority", "ca")))

    def subscriber(self, name, overflow):
        """Returns its listening socket, which is there whether the subscriber lives or not."""
        with open(f"{self.memory}/subscribers.d/{name}.conf", "w") as file:
            file.write(f"[Subscriber]\nSocket={self.memory}/{name}\nOverflow={overflow}\n")
        return listen(f"{self.memory}/{name}")

    def dispatcher(self, kernel=None):
        """`kernel`: its socket, held as PID 1 holds it; without it only producers are read."""
        held = [("input", listen(f"{self.memory}/input")), *([("kernel", kernel)] if kernel else [])]
        self.program("dispatcher", held,
                     f"[Dispatcher]\nNode={NODE}\nRingFile={self.memory}/ring\nKernel={'unicast' if kernel else 'none'}\n"
                     f"StateDirectory={self.memory}/state\nSubscribersDirectory={self.memory}/subscribers.d\n")

    def client_and_collector(self, way=None, kernel=None, remote="", aggregator=""):
        """`way`: from the collector's port to the one that remote connects to. `remote`, `aggregator`: more of their settings."""
        certificates(self.build, f"{self.disk}/ca")
        inbox = self.subscriber("remote", "block")
        server = socket.create_server(("127.0.0.1", 0), backlog=128)
        port = server.getsockname()[1]
        self.dispatcher(kernel)
        self.program("remote", [("remote", inbox)],
                     f"[Remote]\nCollector=127.0.0.1:{way(port) if way else port}\nCollectorName={COLLECTOR}\nNode={NODE}\n"
                     f"{self.tls(NODE)}Directory={self.disk}/remote\nStateDirectory={self.memory}/state\nRetryMin=10ms\n{remote}")
        self.program("aggregator", [("tls", server)],
                     f"[Aggregator]\nName={COLLECTOR}\n{self.tls(COLLECTOR)}Directory={self.store}\n"
                     f"StateDirectory={self.memory}/state\n{aggregator}")

    def client_of_auditd(self, port):
        """remote with a stock collector."""
        inbox = self.subscriber("remote", "block")
        self.dispatcher()
        self.program("remote", [("remote", inbox)],
                     f"[Remote]\nProtocol=auditd\nCollector=127.0.0.1:{port}\nNode={NODE}\nDirectory={self.disk}/remote\n"
                     f"StateDirectory={self.memory}/state\nRetryMin=10ms\n")

    def program(self, name, sockets, configuration):
        path = f"{self.memory}/{name}.conf"
        with open(path, "w") as file:
            file.write(configuration)
        program = Program(name, [f"--config={path}"], sockets, self.memory)
        program.path = f"{self.build}/src/{name}/{name}"
        self.programs[name] = program

    # Afterwards.

    @property
    def input(self):
        return f"{self.memory}/input"

    @property
    def store(self):
        return f"{self.disk}/collector"

    def start(self, *names):
        for name in names:
            self.programs[name].start()
        for name in names:
            self.programs[name].wait_ready()

    def pids(self, *names):
        return {name: [self.programs[name].pid] for name in names}

    def words(self, name):
        with open(self.programs[name].log, errors="replace") as file:
            return file.read()

    def wait_connected(self):
        """The aggregator names the cipher: another one would be another benchmark."""
        wait_for("remote's WELCOME", lambda: "Connected to collector" in self.words("remote"))
        if CIPHER not in self.words("aggregator"):
            raise Broken(f"the session does not use {CIPHER}: {self.words('aggregator')}")

    def metric(self, program, name):
        """Of its status, which it writes each second; None: there is none yet."""
        try:
            with open(f"{self.memory}/state/{program}/status") as file:
                found = re.search(rf"^audit_relay_{program}_{re.escape(name)} (\S+)$", file.read(), re.MULTILINE)
        except FileNotFoundError:
            return None
        return int(float(found[1])) if found else None

    def wait_acked(self, subscriber, seq):
        wait_for(f"the acknowledgement of all by {subscriber}",
                 lambda: self.metric("dispatcher", f'subscriber_acked_seq{{subscriber="{subscriber}"}}') == seq)

    def stop(self):
        for program in self.programs.values():
            if program.pid:
                program.stop()

    def kill(self):
        """Whatever happened: nothing of ours is left."""
        for program in self.programs.values():
            if program.pid:
                try:
                    program.kill()
                except (Failure, ProcessLookupError):
                    pass
        for program in self.programs.values():
            for _, held in program.sockets:
                held.close()


def certificates(build, directory, collector=COLLECTOR, client=NODE):
    for words in ("init",), ("collector", collector), ("client", client):
        run([f"{build}/src/tool/audit-relay", "cert", *words, "--dir", directory])


def listen(path):
    held = socket.socket(socket.AF_UNIX)
    held.bind(path)
    held.listen(128)
    return held
