# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured of a process, and the directories of a run."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

# For anything that has to happen; nothing measured depends on it.
PATIENCE_SEC = 120


class Broken(Exception):
    """A run that gives no figures."""


def cpu(pid):
    """Seconds of all threads, to the nanosecond (the tick of /proc/PID/stat is a hundredth of a second)."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def peak(pid):
    """MiB that were resident at most; for the dispatcher with its ring."""
    return memory_of(pid, "VmHWM:")


def resident(pid):
    """MiB now."""
    return memory_of(pid, "VmRSS:")


def memory_of(pid, key):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    raise Broken(f"process {pid} has no memory")


class Meter:
    """CPU of some processes from now on: {name: [pid, …]}."""

    def __init__(self, pids):
        self.pids = pids
        self.begun = {pid: cpu(pid) for group in pids.values() for pid in group}

    def read(self):
        """Seconds of CPU, and MiB at the peak."""
        return ({name: sum(cpu(pid) - self.begun[pid] for pid in group) for name, group in self.pids.items()},
                {name: max(peak(pid) for pid in group) for name, group in self.pids.items()})


def read_life(pids):
    """The same from each process's beginning."""
    return ({name: sum(map(cpu, group)) for name, group in pids.items()},
            {name: max(map(peak, group)) for name, group in pids.items()})


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE_SEC
    while not condition():
        if time.monotonic() > end:
            raise Broken(f"{what} did not happen within {PATIENCE_SEC} s")
        time.sleep(0.01)


def run(argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Broken(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Bench:
    """The program that feeds, waits, checks, subscribes, and is the bounds."""

    def __init__(self, program):
        self.program = program

    def say(self, *arguments):
        return json.loads(run([self.program, *map(str, arguments)]))

    def begin(self, *arguments, into=subprocess.PIPE, **options):
        return subprocess.Popen([self.program, *map(str, arguments)], stdout=into, text=True, **options)

    @contextlib.contextmanager
    def running(self, *arguments):
        """The same, which does not outlive us."""
        process = self.begin(*arguments)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def result(self, process, what, patience=PATIENCE_SEC):
        """Of one that ends by itself."""
        try:
            out, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Broken(f"{what} did not end within {patience} s") from None
        if process.returncode != 0:
            raise Broken(f"{what} ended with {process.returncode}: {out.strip()}")
        return json.loads(out)


@contextlib.contextmanager
def directories(place):
    """(on the disk, on tmpfs), gone afterwards."""
    disk = tempfile.mkdtemp(prefix="audit-relay-bench-", dir=place)
    memory = tempfile.mkdtemp(prefix="audit-relay-bench-", dir="/dev/shm")
    try:
        yield disk, memory
    finally:
        shutil.rmtree(disk, ignore_errors=True)
        shutil.rmtree(memory, ignore_errors=True)
