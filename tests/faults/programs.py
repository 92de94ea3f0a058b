# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program as PID 1 runs it: its sockets are open whether it runs or not and handed to each of its lives; it says when it is
ready; each end of it that was not ours is a failure."""

import os
import re
import signal
import socket
import struct
import threading
import time

READY_SEC = 20
STOP_SEC = 30
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|Assertion .* failed")


class Failure(Exception):
    """One of the programs did what it must not."""


class Program:
    def __init__(self, name, arguments, sockets, directory, prefix=()):
        self.name = name
        self.prefix, self.arguments, self.sockets = list(prefix), arguments, sockets
        self.log = os.path.join(directory, f"{name}.stderr")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notify_path = os.path.join(directory, f"{name}.notify")
        self.notify.bind(self.notify_path)
        self.path = None
        self.pid = self.ready_pid = None
        self.stopped = False
        threading.Thread(target=self.listen, daemon=True).start()

    def start(self):
        self.stopped = False
        env = dict(os.environ, LISTEN_FDS=str(len(self.sockets)), LISTEN_FDNAMES=":".join(n for n, _ in self.sockets),
                   NOTIFY_SOCKET=self.notify_path)
        argv = [*self.prefix, "/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", self.path, *self.arguments]
        files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                 (os.POSIX_SPAWN_OPEN, 2, self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
                 (os.POSIX_SPAWN_DUP2, 2, 1)]
        files += [(os.POSIX_SPAWN_DUP2, s.fileno(), 3 + i) for i, (_, s) in enumerate(self.sockets)]
        self.pid = os.posix_spawnp(argv[0], argv, env, file_actions=files, setpgroup=0, setsigmask=[])

    def listen(self):
        """Always: sd_notify() blocks when nobody reads. What is read may be by a life that is over."""
        while True:
            text, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(12))
            for _, kind, data in ancillary:
                if kind == socket.SCM_CREDENTIALS and b"READY=1" in text:
                    self.ready_pid = struct.unpack("3i", data)[0]

    def wait_ready(self):
        end = time.monotonic() + READY_SEC
        while self.ready_pid != self.pid:
            self.check()
            if time.monotonic() > end:
                raise Failure(f"{self.name} was not ready within {READY_SEC} s of its start")
            time.sleep(0.005)

    def check(self):
        """It must not end by itself."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid != 0:
            self.pid = None
            raise Failure(f"{self.name} {ending(status)} by itself")

    def reap(self, seconds):
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.pid = None
                return status
            if time.monotonic() > end:
                return None
            time.sleep(0.002)

    def kill(self):
        self.check()
        os.kill(self.pid, signal.SIGKILL)
        status = self.reap(STOP_SEC)
        if status is None or os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise Failure(f"{self.name} {ending(status)} when it was killed")

    def freeze(self):
        self.check()
        os.kill(self.pid, signal.SIGSTOP)
        self.stopped = True

    def thaw(self):
        if self.stopped:
            os.kill(self.pid, signal.SIGCONT)
            self.stopped = False

    def stop(self):
        # What is killed by SIGTERM before it is ready did not end in order.
        self.thaw()
        self.wait_ready()
        os.kill(self.pid, signal.SIGTERM)
        status = self.reap(STOP_SEC)
        if status is None or os.waitstatus_to_exitcode(status) != 0:
            raise Failure(f"{self.name} {ending(status)} when it was asked to stop")

    def reports(self):
        """Sanitizers' and assertions' words in its log."""
        with open(self.log, errors="replace") as file:
            return [f"{self.name}: {line.rstrip()}" for line in file if SANITIZER.search(line)]

    def last_words(self, count):
        try:
            with open(self.log, errors="replace") as file:
                return [f"{self.name}: {line.rstrip()}" for line in file.readlines()[-count:]]
        except FileNotFoundError:
            return []


def ending(status):
    if status is None:
        return f"did not end within {STOP_SEC} s"
    code = os.waitstatus_to_exitcode(status)
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
