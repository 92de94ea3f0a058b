# SPDX-License-Identifier: LGPL-2.1-or-later
"""Failure states as an administrator sees them: a file with keys while it holds, a reaction at its beginning and one at its end."""

import calendar
import contextlib
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import time

from .machine import WORK, Skip, run, until
from .relay import STATE

NOTES = "/run/noted"
DROP_IN = "/etc/systemd/system/audit-relay-state@.service.d/note.conf"
# What the file says is kept by the reaction itself: it is there when the reaction begins.
REACTION = f"""[Service]
ExecStartPre=+/bin/sh -c 'mkdir -p {NOTES}; cat {STATE}/%I >{NOTES}/%i.file; echo begin >>{NOTES}/%i'
ExecStopPost=+/bin/sh -c 'echo end >>{NOTES}/%i'
"""


class Watch:
    """Reactions to these conditions ("remote/network_down") on the hosts they belong to, until closed."""

    def __init__(self, t, *names):
        self.t, self.names = t, names
        self.seen = {name: 0 for name in names}
        for host in {self.host(name) for name in names}:
            host.write(DROP_IN, REACTION)
            host.sh(f"rm -rf {NOTES}")
            host.systemctl("daemon-reload")
            host.systemctl("start", *(f"{self.unit(name)}.path" for name in names if self.host(name) is host))

    def host(self, name):
        return self.t.host_of(f"audit-relay-{name.split('/')[0]}.service")

    @staticmethod
    def unit(name):
        return "audit-relay-state@" + name.replace("/", "-")

    def notes(self, name):
        path = self.host(name).path(f"{NOTES}/{name.replace('/', '-')}")
        return path.read_text().split() if path.exists() else []

    def begun(self, name, *further):
        """Waits for the reaction at the beginning; the file it found had all its keys, and these further ones. Returns the file."""
        until(lambda: self.notes(name).count("begin") > self.seen[name], f"the reaction at the beginning of {name}")
        self.seen[name] = self.notes(name).count("begin")
        text = self.host(name).read(f"{NOTES}/{name.replace('/', '-')}.file").decode()
        lines = shlex.split(text)
        keys = dict(line.split("=", 1) for line in lines)
        component, condition = name.split("/")
        assert (keys["COMPONENT"], keys["CONDITION"]) == (component, condition), text
        since = calendar.timegm(time.strptime(keys["SINCE"], "%Y-%m-%dT%H:%M:%SZ"))
        assert abs(time.time() - since) < 300, text
        assert re.search(r"\w+ \w+", keys["REASON"]) and int(keys["COUNT"]) >= 1, text
        for key in further:
            assert keys.get(key), f"{key} is missing: {text}"
        return text

    def ended(self, name):
        """Waits for the end of the condition and for the reaction to that; they come in pairs."""
        component, condition = name.split("/")
        self.t.expect_condition(component, condition, holds=False)
        until(lambda: self.notes(name).count("end") == self.notes(name).count("begin"), f"the reaction at the end of {name}")
        notes = self.notes(name)
        assert notes == ["begin", "end"] * (len(notes) // 2), f"{name}: {notes}"

    def close(self):
        for host in {self.host(name) for name in self.names}:
            host.systemctl("stop", *(f"{self.unit(name)}.path" for name in self.names if self.host(name) is host))
            host.remove(DROP_IN)
            host.systemctl("daemon-reload")


@contextlib.contextmanager
def watch(t, *names):
    """For a case: what it says must have happened has happened when it is over."""
    w = Watch(t, *names)
    yield w
    for name in names:
        w.ended(name)
        assert w.seen[name] > 0, f"nothing made {name} happen"
    w.close()


class SmallDisk:
    """A file system of so many megabytes at `place`, where `program` of `target` keeps its store; for as long as the host lives."""

    def __init__(self, host, place, megabytes, target, program):
        self.host, self.place, self.target, self.program = host, place, target, program
        self.stop()
        self.mount(megabytes)
        host.systemctl("start", target)

    def mount(self, megabytes):
        self.host.sh(f"mount -t tmpfs -o size={megabytes}M,mode=0750 tmpfs {self.place}")

    def stop(self):
        self.host.systemctl("stop", self.target)
        until(lambda: not self.host.is_active(self.program), f"{self.program} is down")

    @property
    def filler(self):
        return self.host.path(f"{self.place}/filler")

    def leave(self, n):
        """Fills it, but for n bytes."""
        with open(self.filler, "ab") as file:
            status = os.fstatvfs(file.fileno())
            size = status.f_bavail * status.f_frsize - n
            if size > 0:
                os.posix_fallocate(file.fileno(), file.tell(), size)

    def free(self):
        self.filler.unlink(missing_ok=True)


class FailingDisk(SmallDisk):
    """The same on a block device whose medium can be made to fail: a file of holes, on a file system that can be filled. The device
    answers each write where nothing has been written before with an error, which the program hears of at its fdatasync. close() it."""

    def mount(self, megabytes):
        self.medium = pathlib.Path(tempfile.mkdtemp(prefix="medium.", dir=WORK))
        run("mount", "-t", "tmpfs", "-o", f"size={megabytes // 2}M", "tmpfs", self.medium)
        image = self.medium / "image"
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-O", "^has_journal", "-b", "4096", "-E", "lazy_itable_init=0", image)
        result = subprocess.run(["losetup", "--find", "--show", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            raise Skip(f"no loop devices: {result.stdout.strip()}")
        device = result.stdout.strip()
        # A page at a time: a loop device takes a request of which only a part could be written for one that was.
        self.limit = pathlib.Path("/sys/block", pathlib.Path(device).name, "queue/max_sectors_kb")
        self.limit_found = self.limit.read_text()
        self.limit.write_text("4")
        number = os.stat(device).st_rdev
        self.host.sh(f"test -e {device} || mknod {device} b {os.major(number)} {os.minor(number)}; mount {device} {self.place}")
        # From now on it goes with its mount.
        run("losetup", "--detach", device)
        self.host.sh(f"rmdir {self.place}/lost+found")

    @property
    def filler(self):
        return self.medium / "filler"

    def fail(self):
        self.leave(0)

    def close(self):
        """Leaves the device to others as it was."""
        self.limit.write_text(self.limit_found)


__all__ = ["FailingDisk", "SmallDisk", "watch"]
