# SPDX-License-Identifier: LGPL-2.1-or-later
"""One workload on two live file systems, and the crash images of its log."""

import os
import shutil
import subprocess
import time

DISKS = ("sender", "collector")
# Room for the workload's records, and for the smallest log xfs makes.
DISK_SIZE = 32 * 1024 * 1024
RECORDS = 1000
# Nothing here takes a second on an idle machine.
TIMEOUT_SEC = 300
START_SEC = 30

MKFS = {
    # Nothing is to be initialised later, behind the workload's back.
    "ext4": ["mkfs.ext4", "-q", "-F", "-N", "512", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-K"],
}
# mkfs.xfs makes file systems below 300 MB for test suites only, which it knows by these.
MKFS_ENVIRONMENT = {"TEST_DIR": "1", "TEST_DEV": "1", "QA_CHECK_FS": "1"}
# The same file system is made once and mounted by several rounds at a time.
MOUNT_OPTIONS = {"ext4": "loop,noatime", "xfs": "loop,noatime,nouuid"}


class Failure(Exception):
    pass


def run(argv, **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_SEC,
                          **more)
    if done.returncode != 0:
        raise Failure(f"{os.path.basename(argv[0])}: exit status {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def make_bases(directory, fs):
    """Empty file systems, one for each disk; returns their files."""
    bases = [f"{directory}/{fs}-{disk}" for disk in DISKS]
    for base in bases:
        with open(base, "wb") as file:
            file.truncate(DISK_SIZE)
        run([*MKFS[fs], base], env={**os.environ, **MKFS_ENVIRONMENT})
    return bases


class Round:
    """`figures` has what check counted, `words` what it and the workload said."""

    def __init__(self, directory, programs, fs, bases, images, seed, bug):
        self.directory, self.programs, self.fs, self.bases = directory, programs, fs, bases
        self.images, self.seed, self.bug = images, seed, bug
        self.figures, self.words = {}, []

    def path(self, name):
        return f"{self.directory}/{name}"

    def program(self, name):
        return f"{self.programs}/{name}"

    def run(self):
        for name in ("fuse", *DISKS):
            os.makedirs(self.path(name))
        self.work()
        self.check()
        if self.good():
            shutil.rmtree(self.directory)
        return self

    def work(self):
        """The workload, logged."""
        disks = subprocess.Popen([self.program("log-disk"), *self.bases, self.path("log"), self.path("fuse")], stdin=subprocess.DEVNULL)
        mounted = []
        try:
            wait_for(self.path("fuse/acks"), disks)
            for disk in DISKS:
                run(["mount", "-t", self.fs, "-o", MOUNT_OPTIONS[self.fs], self.path(f"fuse/{disk}"), self.path(disk)])
                mounted.append(disk)
            self.words.append(run([self.program("workload"), "--seed", str(self.seed), "--records", str(RECORDS), "--bug", self.bug,
                                   self.path("sender"), self.path("collector"), self.path("fuse/acks")]).strip())
        finally:
            for disk in mounted:
                run(["umount", self.path(disk)])
            run(["umount", self.path("fuse")])
            disks.wait(TIMEOUT_SEC)

    def check_command(self):
        return [self.program("check"), "--fs", self.fs, "--images", str(self.images), "--seed", str(self.seed), *self.bases,
                self.path("log"), self.directory]

    def check(self):
        done = subprocess.run(self.check_command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=TIMEOUT_SEC * max(1, self.images // 100))
        *words, last = done.stdout.strip().split("\n")
        try:
            self.figures = {name: int(value) for name, value in (word.split("=") for word in last.split())}
        except ValueError:
            raise Failure(f"check: exit status {done.returncode}: {done.stdout.strip()}") from None
        self.words += words
        if (done.returncode == 0) != (self.figures["bad"] == 0):
            raise Failure(f"check: exit status {done.returncode} and {last}")

    def good(self):
        return self.figures.get("bad") == 0

    def keep(self, directory):
        """What it takes to see a failure again: the moment of a write is as it is, so only the log has it."""
        directory = f"{directory}/{self.fs}-{self.seed}"
        os.makedirs(directory)
        for path in (*self.bases, self.path("log")):
            shutil.copy(path, directory)
        command = self.check_command()
        with open(f"{directory}/command", "w", encoding="utf-8") as file:
            file.write(" ".join(["check", *command[1:-4], *(os.path.basename(path) for path in command[-4:-1]), "DIRECTORY"]) + "\n")


def wait_for(path, process):
    end = time.monotonic() + START_SEC
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > end:
            raise Failure(f"log-disk did not start: {process.returncode}")
        time.sleep(0.01)
