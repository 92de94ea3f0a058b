# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs started by their units up to the exec, where they wait. What systemd does until then, namespaces, filters and all, takes
the emulated processor many seconds and is in the snapshot; the programs themselves begin after it was restored."""

import ctypes
import errno
import glob
import os
import subprocess
import time

PIPES = "/run/vm/hold"
# By side: what a start of it has to wait for, and the programs that are then released together.
SIDES = {"collector": (("audit-relay-collector.target", "audit-relay-aggregator.service"), ("aggregator",)),
         "client": (("audit-relay-client.target", "audit-relay-remote.service", "audit-relay-dispatcher.service"),
                    ("remote", "dispatcher"))}
DROP_IN = """[Service]
TimeoutStartSec=infinity
ExecStart=
ExecStart=/opt/vm/hold {program} /usr/lib/audit-relay/{program}
"""
DATA = "/srv/data"
PLACES = ("client", "/var/lib/audit-relay"), ("collector", "/var/log/audit-relay")
MS_BIND, CLONE_NEWNS = 0x1000, 0x00020000
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind=None, flags=0):
    check(libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), None))


def bind_stores():
    for name, place in PLACES:
        mount(f"{DATA}/{name}", place, flags=MS_BIND)


class Held:
    def __init__(self):
        self.pipes, self.pids, self.starts = {}, {}, {}

    def take(self):
        """Starts both sides and waits until each program is where it waits itself."""
        os.makedirs(PIPES)
        for _, programs in SIDES.values():
            for program in programs:
                os.mkfifo(f"{PIPES}/{program}")
                os.chmod(f"{PIPES}/{program}", 0o644)
                directory = f"/run/systemd/system/audit-relay-{program}.service.d"
                os.makedirs(directory, exist_ok=True)
                with open(f"{directory}/hold.conf", "w") as file:
                    file.write(DROP_IN.format(program=program))
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        for side, (units, _) in SIDES.items():
            self.starts[side] = subprocess.Popen(["systemctl", "start", *units])
        self.await_reader("remote")
        # It is ordered behind remote, which does not become ready now.
        subprocess.Popen(["systemctl", "start", "--job-mode=ignore-dependencies", "audit-relay-dispatcher.service"])
        for _, programs in SIDES.values():
            for program in programs:
                self.await_reader(program)
                self.pids[program] = int(subprocess.check_output(["systemctl", "show", "-P", "MainPID",
                                                                  f"audit-relay-{program}.service"]))

    def await_reader(self, program):
        while program not in self.pipes:
            try:
                self.pipes[program] = os.open(f"{PIPES}/{program}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as e:
                if e.errno != errno.ENXIO:
                    raise
                time.sleep(0.05)

    def release(self, side):
        """Returns when the units are ready. Whoever is started again does not wait any more."""
        _, programs = SIDES[side]
        for program in programs:
            with open(f"{PIPES}/{program}.open", "w") as file:
                file.write("\n")
            os.chmod(f"{PIPES}/{program}.open", 0o644)
            os.rename(f"{PIPES}/{program}.open", f"{PIPES}/{program}")
            os.write(self.pipes[program], b"\n")
            os.close(self.pipes.pop(program))
        if self.starts[side].wait() != 0:
            raise RuntimeError(f"{side}: systemctl start ended with {self.starts[side].returncode}")

    def mount_data(self):
        """Both stores are on the disk `data` from now on, also for those who wait with mounts of their own."""
        os.makedirs(DATA, exist_ok=True)
        mount(await_disk("data"), DATA, "ext4")
        for name, place in PLACES:
            os.makedirs(f"{DATA}/{name}", exist_ok=True)
            os.makedirs(place, exist_ok=True)
        bind_stores()
        for pid in self.pids.values():
            child = os.fork()
            if child == 0:
                self.bind_in_namespace_of(pid)
            if os.waitpid(child, 0)[1] != 0:
                raise RuntimeError(f"the stores could not be mounted for process {pid}")

    @staticmethod
    def bind_in_namespace_of(pid):
        """In a process of its own, which it ends."""
        status = 1
        try:
            check(libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), CLONE_NEWNS))
            bind_stores()
            status = 0
        finally:
            os._exit(status)


def await_disk(name):
    while True:
        for path in glob.glob("/sys/block/vd*/serial"):
            with open(path) as file:
                if file.read().strip() == name:
                    return f"/dev/{path.split('/')[3]}"
        time.sleep(0.02)
