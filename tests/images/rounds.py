# SPDX-License-Identifier: LGPL-2.1-or-later
"""A workload on two live file systems and the crash images of its log; then from one of these images the next, so that what a store
does when it comes back is cut off, too."""

import os
import shutil
import subprocess
import time

DISKS = ("sender", "collector")
# Room for the workload's records, and for the smallest log xfs makes.
DISK_SIZE = 32 * 1024 * 1024
RECORDS = 600
# Each begins with a crash of the one before.
LIVES = 3
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


class Life:
    """From one crash to the next. `base` are the disks as they were found, `after` what had been sent and acked then."""

    def __init__(self, directory, programs, fs, bases, images, seed, after=(0, 0, 0)):
        self.directory, self.programs, self.fs, self.bases = directory, programs, fs, bases
        self.images, self.seed, self.after = images, seed, after
        self.target = after[0] + RECORDS
        self.crash = None

    def path(self, name):
        return f"{self.directory}/{name}"

    def program(self, name):
        return f"{self.programs}/{name}"

    def work(self, bug):
        """The workload, logged. Returns what it said."""
        for name in ("fuse", "crash", *DISKS):
            os.makedirs(self.path(name))
        disks = subprocess.Popen([self.program("log-disk"), *self.bases, self.path("log"), self.path("fuse")], stdin=subprocess.DEVNULL)
        mounted = []
        try:
            wait_for(self.path("fuse/acks"), disks)
            for disk in DISKS:
                run(["mount", "-t", self.fs, "-o", MOUNT_OPTIONS[self.fs], self.path(f"fuse/{disk}"), self.path(disk)])
                mounted.append(disk)
            return run([self.program("workload"), "--seed", str(self.seed), "--records", str(self.target), "--bug", bug,
                        "--after", ",".join(map(str, self.after)), self.path("sender"), self.path("collector"),
                        self.path("fuse/acks")]).strip()
        finally:
            for disk in mounted:
                run(["umount", self.path(disk)])
            run(["umount", self.path("fuse")])
            disks.wait(TIMEOUT_SEC)

    def check_command(self):
        return [self.program("check"), "--fs", self.fs, "--images", str(self.images), "--seed", str(self.seed),
                "--acked", ",".join(map(str, self.after[1:])), "--save", self.path("crash"), *self.bases, self.path("log"),
                self.directory]

    def check(self):
        """Returns what is wrong, and the figures by name."""
        done = subprocess.run(self.check_command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=TIMEOUT_SEC * max(1, self.images // 100))
        try:
            *words, acked, last = done.stdout.strip().split("\n")
            figures = {name: int(value) for name, value in (word.split("=") for word in last.split())}
            self.crash = [int(seq) for seq in acked.partition("=")[2].split(",")]
        except ValueError:
            raise Failure(f"check: exit status {done.returncode}: {done.stdout.strip()}") from None
        if (done.returncode == 0) != (figures["bad"] == 0):
            raise Failure(f"check: exit status {done.returncode} and {last}")
        return words, figures

    def next(self, directory, images, seed):
        """The life that begins with the disks of a crash of this one."""
        return Life(directory, self.programs, self.fs, [self.path(f"crash/{disk}") for disk in DISKS], images, seed,
                    (self.target, *self.crash))

    def keep(self, directory):
        """What it takes to see a failure again: the moment of a write is as it is, so only the log has it."""
        os.makedirs(directory)
        command = self.check_command()
        for path, name in zip((*self.bases, self.path("log")), (*DISKS, "log")):
            shutil.copy(path, f"{directory}/{name}")
        with open(f"{directory}/command", "w", encoding="utf-8") as file:
            file.write(" ".join(["check", *command[1:command.index("--save")], *DISKS, "log", "DIRECTORY"]) + "\n")


class Round:
    """Some lives of the same disks. `figures` has what check counted, `words` what it found wrong."""

    def __init__(self, directory, programs, fs, bases, images, seed, bug):
        self.directory, self.fs, self.images, self.seed, self.bug = directory, fs, images, seed, bug
        self.first = (programs, fs, bases)
        self.lives, self.figures, self.words, self.finished = [], {}, [], False

    def run(self):
        lives = min(LIVES, self.images)
        for i in range(lives):
            images, directory = (self.images + i) // lives, f"{self.directory}/{i + 1}"
            if i == 0:
                life = Life(directory, *self.first, images, self.seed)
            else:
                life = self.lives[-1].next(directory, images, self.seed + i)
            self.lives.append(life)
            life.work(self.bug)
            words, figures = life.check()
            self.words += [f"life {i + 1}, {word}" for word in words]
            self.figures = {name: self.figures.get(name, 0) + value for name, value in figures.items()}
            # What comes after a failure proves nothing.
            if figures["bad"] > 0:
                return
        self.finished = True
        shutil.rmtree(self.directory)

    def good(self):
        return self.finished and self.figures["bad"] == 0

    def keep(self, directory):
        if self.lives and os.path.exists(self.lives[-1].path("log")):
            self.lives[-1].keep(f"{directory}/{self.fs}-{self.seed}")


def wait_for(path, process):
    end = time.monotonic() + START_SEC
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > end:
            raise Failure(f"log-disk did not start: {process.returncode}")
        time.sleep(0.01)
