#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dispatcher is the audit daemon of this machine and serves four subscribers: one that the ring waits for, three that it does
not. The load are real execs and AUDIT_USER messages, as many as the kernel gives, until each has 200,000 records. Then, at each of
the four: no serial missing, every event complete to its EOE, every exec and every message there, nothing twice."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

OTHERS = ("second", "third", "fourth")


class Lines:
    """How many there are in a file that grows."""

    def __init__(self, path):
        self.path, self.n, self.offset = path, 0, 0

    def count(self):
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        self.offset += len(data)
        self.n += data.count(b"\n")
        return self.n


def check(tap, name, data, execs, users):
    records = h.Records(data)
    print(f"# {name}: {records.lines} records, {len(records.events)} events")
    tap.ok(not records.bad, f"{name}: every line is a record of this node", records.bad[:3])
    missing = records.missing()
    tap.ok(not missing, f"{name}: no serial is missing", missing[:20])
    cut = records.cut()
    tap.ok(not cut, f"{name}: every event is complete to its EOE", [(s, records.events[s]) for s in cut[:2]])
    twice = records.twice()
    tap.ok(not twice, f"{name}: nothing came twice", twice[:4])
    seen = records.texts(rb'a1="(relay-exec-\d+-\d+)"')
    tap.ok(len(seen) == len(set(seen)) == execs, f"{name}: every exec is there once", f"{len(seen)} of {execs}")
    seen = records.texts(rb"relay-user-\d+-\d+\.")
    tap.ok(len(seen) == len(set(seen)) == users, f"{name}: every AUDIT_USER message is there once", f"{len(seen)} of {users}")
    gaps = [g for g in records.gaps if b"reason=kernel-lost" not in g]
    tap.ok(not gaps and not records.lost, f"{name}: no gap is told where there is none", gaps + records.lost)


def main():
    args = h.arguments(__doc__, records=200000, rate=100000)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with h.Kernel() as kernel, h.Stage(os.path.abspath(args.build_dir)) as stage:
        for name in OTHERS:
            stage.add_subscriber(name, name, "drop-oldest")
            stage.start_collect(socket_name=name, file=f"{name}.log")
        stage.start_collect()
        files = ["collected"] + [f"{name}.log" for name in OTHERS]
        held = h.hold_socket()
        stage.start_dispatcher(held)
        h.wait_for(lambda: h.status()["pid"] == stage.dispatcher.pid, "the registration")
        h.wait_for(lambda: h.status()["enabled"] == 1, "auditing to be on")
        kernel.add_rule()
        h.user_message("relay-begin.")
        begun = time.monotonic()
        load = h.Load((h.load_execs,), (h.load_users, args.rate))
        lines = Lines(stage.path("collected"))
        h.wait_for(lambda: lines.count() >= args.records, f"{args.records} records", 120)
        results = load.finish()
        seconds = time.monotonic() - begun
        kernel.drop_rule()
        h.user_message("relay-end.")
        for file in files:
            h.wait_for(lambda file=file: b"relay-end." in stage.collected(file)[-4096:], f"the last record in {file}")
        after = h.status()
        stage.dispatcher.terminate()
        tap.ok(stage.dispatcher.wait(20) == 0, "the dispatcher ends in order")
        held.close()
        execs = sum(n for name, _, n in results if name == "load_execs")
        users = sum(n for name, _, n in results if name == "load_users")
        print(f"# {execs} execs, {users} AUDIT_USER messages in {seconds:.1f} s")
        for name, file in zip(("remote",) + OTHERS, files):
            check(tap, name, stage.collected(file), execs, users)
        tap.ok(after["lost"] == kernel.before["lost"], "the kernel lost nothing", after)
    return tap.end()


sys.exit(main())
