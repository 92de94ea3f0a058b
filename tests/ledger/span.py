#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a power cut of a client would cost at this moment, again and again: the records that its ring has published and remote has not
acked, and the age of the oldest of them. The real programs, remote's store on a disk of this machine; the ring's file is read while
it is written (docs/ring.md).

    sudo tests/ledger/span.py [--build-dir DIR] [--disk DIR] [--seconds N] [--rate N]…

A line for each rate: how long a publication waits for its ack, and what is not acked at any moment; median, 99 of 100, the most.
Rate 0: at rest, ten single records a second. First of all how long the disk itself takes to sync a write, without us."""

import argparse
import collections
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, f"{TOP}/tests/faults")

import isolate  # noqa: E402
import records  # noqa: E402
from place import BASE, Place  # noqa: E402
from producers import Load  # noqa: E402

WORDS, STATES = 4096, 16384
KEPT_MAX, KEPT_SIZE, ACKED, AWAITS = 64, 176, 16, 1
BETWEEN_SAMPLES_SEC = 0.0002
SETTLE_SEC = 1


class Ring:
    """The words of the file that say how far it is published and acked."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.state_size = self.word(16)

    def word(self, at):
        return struct.unpack_from("=Q", self.map, at)[0]

    def newest(self):
        return self.word(STATES + (self.word(WORDS) & 1) * self.state_size)

    def acked(self):
        rows = [WORDS + 16 + i * KEPT_SIZE for i in range(KEPT_MAX)]
        return min(self.word(row + ACKED + 16 * (self.word(row + 8) & 1)) for row in rows if self.word(row) == AWAITS)


def sample(ring, seconds, tick=lambda now: None):
    """Milliseconds that publications waited; and, at equal distances in time, records not acked, and the age of the oldest."""
    waiting, waits, counts, ages = collections.deque(), [], [], []
    known, begun = ring.newest(), time.monotonic()
    while (now := time.monotonic()) < begun + seconds:
        tick(now - begun)
        # In this order both are rather too large than too small.
        acked, newest = ring.acked(), ring.newest()
        if newest > known:
            waiting.append((newest, now))
            known = newest
        while waiting and waiting[0][0] <= acked:
            waits.append(1000 * (now - waiting.popleft()[1]))
        counts.append(newest - acked)
        ages.append(1000 * (now - waiting[0][1]) if waiting else 0)
        time.sleep(BETWEEN_SAMPLES_SEC)
    return waits, counts, ages


def three(values, form="{:.1f}"):
    values = sorted(values) or [0]
    return " / ".join(form.format(values[min(len(values) - 1, int(len(values) * share))]) for share in (0.5, 0.99, 1))


def report(what, waits, counts, ages):
    print(f"{what}: acked after {three(waits)} ms; at any moment {three(counts, '{}')} records, {three(ages)} ms", flush=True)


def raw_disk(directory, seconds):
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        end = time.monotonic() + seconds
        while (begun := time.monotonic()) < end:
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append(1000 * (time.monotonic() - begun))
            time.sleep(0.01)
    print(f"the disk alone: {three(times)} ms", flush=True)


def at_rest(place, lines, ring, seconds):
    producer = subprocess.Popen(place.send(), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    sent = 0

    def tick(passed):
        nonlocal sent
        if passed * 10 >= sent + 1:
            sent += 1
            producer.stdin.write(lines.line(1, sent))
            producer.stdin.flush()

    time.sleep(SETTLE_SEC)
    found = sample(ring, seconds, tick)
    producer.communicate()
    return found


def main(options):
    raw_disk(options.disk, options.seconds)
    place = Place(options.build_dir, options.build_dir, 2048, options.seed)
    with tempfile.TemporaryDirectory(dir=options.disk) as disk:
        # The place's own disk is memory.
        subprocess.run(["mount", "--bind", disk, f"{BASE}/client/disk"], check=True)
        for program in place.programs.values():
            program.start()
        for program in place.programs.values():
            program.wait_ready()
        time.sleep(SETTLE_SEC)
        ring = Ring(f"{BASE}/client/ring")
        lines = records.Lines(options.seed)
        for rate in options.rate or (0, 1000, 10000, 50000):
            if rate == 0:
                report("at rest", *at_rest(place, lines, ring, options.seconds))
                continue
            load = Load(place.send(), lines, rate, options.seed)
            time.sleep(SETTLE_SEC)
            before = ring.newest()
            found = sample(ring, options.seconds)
            report(f"{(ring.newest() - before) / options.seconds:.0f} records a second", *found)
            load.finish(60)
        for program in place.programs.values():
            program.stop()
        shutil.rmtree(f"{disk}/store", ignore_errors=True)
        subprocess.run(["umount", f"{BASE}/client/disk"], check=True)
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", default=f"{TOP}/build", metavar="DIR", help="(%(default)s)")
    parser.add_argument("--disk", default="/var/tmp", metavar="DIR", help="where remote's store is (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, metavar="N", help="of each rate (%(default)s)")
    parser.add_argument("--rate", type=int, action="append", metavar="N", help="records a second; default: 0, 1000, 10000, 50000")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    isolate.enter(lambda options=arguments(): main(options))
