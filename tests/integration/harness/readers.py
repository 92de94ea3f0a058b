# SPDX-License-Identifier: LGPL-2.1-or-later
"""Those who connect to a Unix socket of a machine and read. They run outside of it and reach the socket by its directory."""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading
import time

from .machine import until


class Place:
    """A directory of a machine, whose sockets are reached by a path that outlives their making anew. Root opens it; who may
    connect is the socket file's business."""

    def __init__(self, host, directory):
        self.fd = os.open(host.path(directory), os.O_PATH | os.O_DIRECTORY)

    def path(self, name):
        return f"/proc/self/fd/{self.fd}/{name}"

    def connect(self, name):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(self.path(name))
        return s

    def __del__(self):
        os.close(self.fd)


class Program:
    """A program that reads until it is told to end."""

    def __init__(self, host, arguments, directory="/run/audit-relay", **options):
        self.place = Place(host, directory)
        self.arguments = [a.replace("{}", self.place.path("")) for a in map(str, arguments)]
        self.options = options
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.arguments, pass_fds=[self.place.fd], **self.options)

    def stop(self, name=signal.SIGTERM):
        self.process.send_signal(name)
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)


class Puller(Program):
    """tests/lib/pull.c: what it got is in a file, whichever of its lives it was."""

    def __init__(self, t, start, cursor=False, filter=""):
        self.out = pathlib.Path(os.environ["AUDIT_RELAY_TEST_WORK"], f"pull.{id(self)}")
        more = [f"{self.out}.cursor" if cursor else "", filter] if cursor or filter else []
        super().__init__(t.client, [pathlib.Path(os.environ["AUDIT_RELAY_TEST_BUILD"], "tests/lib/pull"), "{}subscribe", self.out,
                                    start, *more], stderr=subprocess.PIPE)

    def found(self):
        return self.out.read_bytes() if self.out.exists() else b""


class Socat(Program):
    """socat - UNIX-CONNECT:/run/audit-relay/lines, as somebody types it: its stdin stays open."""

    def __init__(self, t, name="lines", directory="/run/audit-relay"):
        self.out = pathlib.Path(os.environ["AUDIT_RELAY_TEST_WORK"], f"socat.{id(self)}")
        with open(self.out, "wb") as out:
            super().__init__(t.client, ["socat", "-", f"UNIX-CONNECT:{{}}{name}"], directory, stdin=subprocess.PIPE, stdout=out)

    def found(self):
        return self.out.read_bytes()


class SlowReader(threading.Thread):
    """A byte a second."""

    def __init__(self, t):
        super().__init__(daemon=True)
        self.place = Place(t.client, "/run/audit-relay")
        self.socket = self.place.connect("lines")
        self.ended = threading.Event()
        self.found = b""
        self.start()

    def run(self):
        while not self.ended.wait(1):
            self.found += self.socket.recv(1)

    def stop(self):
        self.ended.set()
        self.join(5)
        self.socket.close()


RECORD = re.compile(rb"^(?:node=\S+ )?type=(\S+) msg=audit\((\d+)\.(\d+):(\d+)\): ?(.*)$", re.DOTALL)


class EventReader(threading.Thread):
    """Reads an audispd socket as setroubleshootd did before it had a plugin: a thread that tries its paths one after the other until
    one connects, waits in select(2), reads up to 1,024 bytes, cuts them into lines, puts the records of an event together by time and
    serial until its EOE, and begins anew with connecting when the socket is closed."""

    TYPES = {b"AVC", b"AVC_PATH", b"SYSCALL", b"CWD", b"PATH", b"EOE"}

    def __init__(self, t, paths):
        super().__init__(daemon=True)
        self.places = [(Place(t.client, os.path.dirname(p)), os.path.basename(p)) for p in paths]
        self.ended = False
        self.connections = 0
        self.events = []  # of those that have an AVC: list of lines
        self.strange = []
        self.start()

    def connect(self):
        while not self.ended:
            for place, name in self.places:
                try:
                    found = place.connect(name)
                except OSError:
                    continue
                self.connections += 1
                return found
            time.sleep(0.05)
        return None

    def take(self, line, cache):
        match = RECORD.match(line)
        if not match:
            self.strange.append(line)
            return
        kind, event = match.group(1), match.group(2, 3, 4)
        if kind == b"EOE":
            lines = cache.pop(event, [])
            if any(b"type=AVC " in each for each in lines):
                self.events.append(lines)
        elif kind in self.TYPES:
            cache.setdefault(event, []).append(line)

    def run(self):
        while not self.ended:
            stream = self.connect()
            rest, cache = b"", {}
            while stream and not self.ended:
                if not select.select([stream], [], [], 0.1)[0]:
                    continue
                data = os.read(stream.fileno(), 1024)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.take(line, cache)
            if stream:
                stream.close()

    def stop(self):
        self.ended = True
        self.join(10)


def readers_connected(t, socket_name, n):
    """Waits until so many clients read at that socket."""
    def count():
        try:
            text = t.client.path("/run/audit-relay/state/dispatcher/status").read_text()
        except FileNotFoundError:
            return False  # it has only just started
        found = re.search(rf'pull_clients{{socket="{socket_name}"}} (\d+)', text)
        return found and int(found.group(1)) == n
    until(count, f"{n} clients at {socket_name}")
