# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a large store costs those who have it: to open it, in order or after kill -9, to append to it, to read a minute of it."""

import os
import time

import reading
import relay
from figures import measure
from system import PATIENCE_SEC, Meter, resident, wait_for

# Fed in one piece; of a store that is killed while it takes them.
PIECE = 400000
LINE = 267
MIB = 1 << 20
SEGMENT_SMALL = 64 << 10
APPENDED = 500000


def texts(store):
    """Paths of the segments' texts, oldest first."""
    return sorted(f"{store}/{name}" for name in os.listdir(store) if name[0].isdigit() and name.endswith(".log"))


def size(store):
    return sum(map(os.path.getsize, texts(store)))


def last_segment(store):
    return os.path.getsize(texts(store)[-1]) / MIB


def read_mib(pid):
    """What a process has had read from the disk."""
    with open(f"/proc/{pid}/io") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("read_bytes:")) / MIB


def opened(programs, name, store):
    """Milliseconds from its start until it is ready, and MiB that it read from the disk, whose cache has nothing of the store."""
    reading.forget(store)
    begin = time.monotonic_ns()
    programs.start(name)
    took = (time.monotonic_ns() - begin) / 1e6
    pid, = programs.pids(name)[name]
    return took, read_mib(pid)


class Grown:
    """The whole path, whose remote keeps what was acked: both stores grow alike."""

    def __init__(self, bench, rows, programs):
        self.bench, self.rows, self.programs = bench, rows, programs
        self.count = 0

    def feed(self, last):
        first, self.count = self.count + 1, last
        return self.bench.running("feed", self.programs.input, last, first)

    def wait(self, feed):
        self.bench.result(feed, "feeding", self.patience())
        watch = self.bench.begin("watch", self.programs.store, self.rows.stored_bytes(self.count), self.patience())
        self.bench.result(watch, "what was fed", 2 * self.patience())

    def patience(self):
        return PATIENCE_SEC + self.count // 50000

    def begin_anew(self, name, store):
        """Ended in order; then killed while it takes records. Returns what measure() shows besides."""
        program = self.programs.programs[name]
        program.stop()
        orderly, orderly_read = opened(self.programs, name, store)
        with self.feed(self.count + PIECE) as feed:
            before = size(store)
            wait_for("records to be taken", lambda: size(store) > before + PIECE // 8 * LINE)
            program.kill()
            last = last_segment(store)
            killed, killed_read = opened(self.programs, name, store)
            self.wait(feed)
        return {"ms until it is ready": orderly, "MiB read": orderly_read, "ms after kill -9": killed, "MiB read then": killed_read,
                "MiB in its last segment": last}


def start(bench, rows, sizes):
    """{size and program: measure}, sizes in MiB, of the store's text: the aggregator's and remote's."""
    found = {}
    with rows.relay() as programs:
        programs.client_and_collector(remote="KeepAcked=yes\nMaxUse=0\nKeepFree=0\nSpaceLeft=0\n", aggregator="KeepFree=0\nSpaceLeft=0\n")
        programs.start("aggregator", "remote", "dispatcher")
        programs.wait_connected()
        stores = {"aggregator": programs.store, "remote": f"{programs.disk}/remote"}
        grown = Grown(bench, rows, programs)
        for mib in sizes:
            with grown.feed(max(grown.count, mib * MIB // LINE)) as feed:
                grown.wait(feed)
            also = {name: grown.begin_anew(name, store) for name, store in stores.items()}
            # Of both, as the collector has it in the end: what the one that was killed had not acked came again.
            verdict = rows.checked(programs.store, grown.count)
            for name in stores:
                found[f"{mib}MiB-{name}"] = measure(grown.count, None, {}, {}, also=also[name], **verdict)
        programs.stop()
    return found


def segments(bench, rows, options, n):
    """{number: measure}: a store of so many bytes in few segments, and in many."""
    return {str(number): in_segments(bench, rows, options, n * SEGMENT_SMALL // LINE, n * SEGMENT_SMALL // number)
            for number in (max(1, n * SEGMENT_SMALL >> 27), n)}


def in_segments(bench, rows, options, count, segment):
    """A store whose segments hold so many bytes."""
    with rows.relay() as programs:
        programs.client_and_collector()
        bench.say("store", count, relay.NODE, programs.store, segment)
        made = len(texts(programs.store))
        # Its first life makes the links for ausearch, which whoever wrote it did not.
        programs.start("aggregator")
        programs.programs["aggregator"].stop()
        took, _ = opened(programs, "aggregator", programs.store)
        pid, = programs.pids("aggregator")["aggregator"]
        first = resident(pid)
        programs.start("remote", "dispatcher")
        programs.wait_connected()
        last = count + APPENDED
        meter = Meter(programs.pids("aggregator"))
        watch = bench.begin("watch", programs.store, rows.stored_bytes(last), PATIENCE_SEC)
        feed = bench.say("feed", programs.input, last, count + 1)
        seen = bench.result(watch, "what was fed")
        used, most = meter.read()
        log = reading.of_minute(bench, options.build_dir, programs.store, programs.memory, last, count // 2)
        programs.stop()
        verdict = rows.checked(programs.store, last)
    return measure(APPENDED, (seen["end_ns"] - feed["begin_ns"]) / 1e9, used, most, lost=verdict["lost"] + log.lost,
                   duplicated=verdict["duplicated"], wrong=verdict["wrong"] + log.wrong,
                   also={"segments": made, "ms to start": took, "MiB when started": first,
                         "ms for a minute of the log": log.seconds * 1000})
