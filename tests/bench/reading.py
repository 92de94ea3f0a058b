# SPDX-License-Identifier: LGPL-2.1-or-later
"""A minute out of the middle of a large store, by `audit-relay log`, of which the disk's cache has nothing."""

import contextlib
import os
import re
import subprocess
import sys
import time

import relay
from figures import measure
from system import Broken, directories, peak

MINUTE = 60
# How often it is looked at: of a run that takes tenths of a second, a hundredth of the time.
LOOK_SEC = 0.002
TIME = re.compile(rb" msg=audit\((\d+)\.(\d+):")


def time_of(line):
    """Milliseconds."""
    found = TIME.search(line)
    return int(found[1]) * 1000 + int(found[2])


def number_of(line):
    return int(line.rstrip(b"\n")[-10:])


class Load:
    def __init__(self, bench):
        self.bench = bench

    def lines(self, first, last):
        done = subprocess.run([self.bench.program, "generate", str(last), relay.NODE, str(first)], stdout=subprocess.PIPE, check=True)
        return done.stdout


def forget(directory):
    """The files were synced as they were written, so the kernel need not keep a byte of them."""
    for name in os.listdir(directory):
        path = f"{directory}/{name}"
        if os.path.isfile(path):
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def command(program, store, since, output):
    """Runs it; returns seconds, CPU seconds, MiB at the peak, and MiB that the disk was asked for."""
    argv = [program, "log", f"--store={store}", f"--since=@{since}", f"--until=@{since + MINUTE - 1}.999"]
    begin = time.monotonic_ns()
    process = subprocess.Popen(argv, stdout=output)
    most = done = 0
    # Its rusage would count what this process had when it was begun.
    while not done:
        with contextlib.suppress(Broken, FileNotFoundError, ProcessLookupError):
            most = max(most, peak(process.pid))
        time.sleep(LOOK_SEC)
        done, status, used = os.wait4(process.pid, os.WNOHANG)
    seconds = (time.monotonic_ns() - begin) / 1e9
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Broken(f"{' '.join(argv)}: {process.returncode}")
    return seconds, used.ru_utime + used.ru_stime, most, used.ru_inblock / 2048


def check(load, found, since, count):
    """Exactly the records of that minute: what was fed between the two ends, of which the neighbours are outside."""
    begin, end = since * 1000, (since + MINUTE) * 1000
    lines = found.splitlines(keepends=True)
    if not lines:
        raise Broken("there is nothing in that minute")
    first, last = number_of(lines[0]), number_of(lines[-1])
    expected = load.lines(first, last)
    before = first > 1 and time_of(load.lines(first - 1, first - 1)) >= begin
    behind = last < count and time_of(load.lines(last + 1, last + 1)) < end
    return len(lines), int(before) + int(behind), int(found != expected)


def of_minute(bench, build, store, memory, count, middle):
    """Asks a store of `count` records for the minute that record number `middle` is in."""
    load = Load(bench)
    since = time_of(load.lines(middle, middle)) // 1000 // MINUTE * MINUTE
    with open(f"{memory}/found", "w+b") as output:
        seconds, cpu, most, read = command(f"{build}/src/tool/audit-relay", store, since, output)
        output.seek(0)
        found = output.read()
    n, lost, wrong = check(load, found, since, count)
    print(f"bench: a minute of the log: {n:,} records, {len(found) >> 20} MiB, out of {count:,}: {seconds:.2f} s, {read:.0f} MiB "
          "read from the disk", file=sys.stderr, flush=True)
    return measure(n, seconds, {"log": cpu}, {"log": most}, lost=lost, wrong=wrong)


def minute(bench, options):
    """The record in the middle is in it."""
    count = options.log_records
    with directories(options.place) as (disk, memory):
        store = f"{disk}/store"
        bench.say("store", count, relay.NODE, store)
        forget(store)
        return of_minute(bench, options.build_dir, store, memory, count, count // 2)
