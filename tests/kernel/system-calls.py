#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the dispatcher asks of the kernel under load, reload and drain, as strace sees it: it opens no network socket, makes no process,
writes nothing outside tmpfs, and once it runs opens no file elsewhere either; nothing is ever synced."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
# What makes a process. A thread is none.
PROCESSES = {"fork", "vfork", "execve", "execveat", "clone", "clone3"}
SYNCS = {"sync", "fsync", "fdatasync", "syncfs", "sync_file_range", "msync"}
# Calls that change a file system by name or descriptor; open is looked at by its flags.
CHANGES = {"rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat",
           "truncate", "ftruncate", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "mknod", "mknodat", "utimensat",
           "fallocate", "write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range"}
RUNNING = "Dispatching as node"


def calls(path):
    """(name, the rest of the line) of each call, of whichever thread; a call that another one interrupts is two lines."""
    with open(path, errors="replace") as file:
        for line in file:
            found = LINE.match(line)
            if found and found[3]:
                yield found[3], found[4]


class Judge:
    def __init__(self, place):
        self.place = place
        self.names = {}
        self.sockets, self.processes, self.syncs, self.changes, self.opens = set(), [], [], [], []
        self.running = False

    def inside(self, path):
        """Below the test's directory, which is on tmpfs, or no file at all: a socket, a pipe, an event."""
        return path.startswith((self.place, "/proc/", "/dev/")) or not path.startswith("/")

    def paths(self, rest):
        """Absolute paths among the arguments, and what descriptors are of."""
        return re.findall(r'"(/[^"]*)"', rest) + re.findall(r"\d<([^>]*)>", rest.rpartition(") = ")[0])

    def see(self, name, rest):
        self.names[name] = self.names.get(name, 0) + 1
        if name == "socket":
            self.sockets.add(re.split(r"[,)]", rest)[0])
        elif name in PROCESSES and "CLONE_THREAD" not in rest:
            self.processes.append(name + "(" + rest)
        elif name in SYNCS:
            self.syncs.append(name + "(" + rest)
        elif name in ("open", "openat", "openat2", "creat") and not rest.rstrip().endswith("ENOENT (No such file or directory)"):
            path = re.search(r'"([^"]*)"', rest)[1]
            directory = re.match(r"\w+<([^>]*)>", rest)
            path = path if path.startswith("/") or not directory else f"{directory[1]}/{path}"
            if not self.inside(path) and (self.running or re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", rest)):
                self.opens.append(rest)
        elif name in CHANGES and not all(map(self.inside, self.paths(rest))):
            self.changes.append(name + "(" + rest)
        self.running = self.running or RUNNING in rest


def check_judge(tap):
    """That it sees what it is to see."""
    judge = Judge("/dev/shm/place")
    judge.see("write", '2</dev/shm/place/log>, "Dispatching as node host") = 24')
    for name, rest in (("socket", "AF_INET, SOCK_STREAM, 0) = 5"), ("clone", "child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = 7"),
                       ("fdatasync", "3</dev/shm/place/ring>) = 0"), ("pwrite64", '3</var/log/x>, "a", 1, 0) = 1'),
                       ("openat", 'AT_FDCWD</dev/shm/place>, "/etc/passwd", O_RDONLY) = 3</etc/passwd>')):
        judge.see(name, rest)
    tap.ok([len(found) for found in (judge.sockets, judge.processes, judge.syncs, judge.changes, judge.opens)] == [1] * 5,
           "each kind of call that may not be would be seen", vars(judge))


def start_traced(stage, held):
    """strace's child is the dispatcher, with the held socket as descriptor 3."""
    tracer = stage.run("strace", "-f", "-qq", "-y", "-s", "200", "-o", stage.path("trace"), "/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh",
                       f"{stage.build}/src/dispatcher/dispatcher", f"--config={stage.path('dispatcher.conf')}",
                       env=dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES="kernel"), stderr=stage.log,
                       pass_fds=(3,), preexec_fn=lambda: os.dup2(held.fileno(), 3))
    h.wait_for(lambda: h.status()["pid"] not in (0, tracer.pid), "the registration")
    return tracer, h.status()["pid"]


def send(stage, count, *options):
    text = "".join(f"type=USER msg=audit(1700000000.000:{n}): op=relay-producer n={n}\n" for n in range(count))
    subprocess.run([f"{stage.build}/src/tool/audit-relay", "send", f"--socket={stage.path('input')}", *options], input=text.encode(),
                   check=True, timeout=60)


def main():
    args = h.arguments(__doc__, rate=3000)
    if not shutil.which("strace"):
        h.skip("strace is not installed")
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check_judge(tap)
    with h.Kernel() as kernel, h.Stage(os.path.abspath(args.build_dir), place="/dev/shm") as stage:
        with open(stage.path("dispatcher.conf"), "a") as file:
            # With the configuration names of users are read, at SIGHUP too: here there are none.
            file.write(f"RemoteProducers=\nInput={stage.path('input')}\nSubscribe={stage.path('subscribe')}\nLines={stage.path('lines')}\n")
        held = h.hold_socket()
        stage.start_collect()
        tracer, pid = start_traced(stage, held)
        h.wait_for(lambda: h.status()["enabled"] == 1, "auditing to be on")
        kernel.add_rule()
        load = h.Load((h.load_users, args.rate), (h.load_execs,))
        send(stage, 5000)
        os.kill(pid, signal.SIGHUP)
        time.sleep(2)
        load.finish()
        kernel.drop_rule()
        h.user_message("relay-end.")
        h.wait_for(lambda: b"relay-end." in stage.collected(), "the last record")
        os.kill(pid, signal.SIGTERM)
        tap.ok(tracer.wait(30) == 0, "it ends in order")
        held.close()
        filesystem = subprocess.run(["stat", "--file-system", "--format=%T", stage.dir], stdout=subprocess.PIPE, text=True).stdout.strip()
        judge = Judge(stage.dir)
        for name, rest in calls(stage.path("trace")):
            judge.see(name, rest)
    print(f"# {sum(judge.names.values())} calls of {len(judge.names)} kinds: {judge.names}")
    tap.ok(filesystem == "tmpfs", "what is the dispatcher's is on tmpfs", filesystem)
    tap.ok(judge.running and judge.names.get("recvmmsg", 0) > 50 and judge.names.get("sendmsg", 0) > 50, "there was a load to look at")
    tap.ok(judge.sockets and judge.sockets <= {"AF_UNIX", "AF_NETLINK"}, "no socket of the network", judge.sockets)
    # Its own beginning: strace's, the shell's.
    tap.ok(len(judge.processes) == 2 and all(call.startswith("execve(") for call in judge.processes), "no process is made", judge.processes)
    tap.ok(not judge.syncs, "nothing is synced", judge.syncs)
    tap.ok(not judge.changes, "nothing is written outside tmpfs", judge.changes[:5])
    tap.ok(not judge.opens, "no file outside tmpfs is opened for writing, nor any once it runs", judge.opens[:5])
    return tap.end()


sys.exit(main())
