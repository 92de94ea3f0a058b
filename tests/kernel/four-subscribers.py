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
        execs, users = h.made(results)
        print(f"# {execs} execs, {users} AUDIT_USER messages in {seconds:.1f} s")
        for name, file in zip(("remote",) + OTHERS, files):
            records = h.Records(stage.collected(file))
            print(f"# {name}: {records.lines} records, {len(records.events)} events")
            h.judge_whole(tap, records, execs, users, name)
        tap.ok(after["lost"] == kernel.before["lost"], "the kernel lost nothing", after)
    return tap.end()


sys.exit(main())
