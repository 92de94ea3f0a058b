#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets that the dispatcher opens itself: by unicast it is the audit daemon and unregisters when it ends; by multicast it listens
beside whoever is. Either way all comes, whole, and once."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def run(tap, build, mode):
    with h.Kernel() as kernel, h.Stage(build, settings=f"Kernel={mode}\n") as stage:
        h.set_status(h.STATUS_ENABLED, enabled=1)
        stage.start_collect()
        stage.start_dispatcher()
        h.wait_for(lambda: os.path.exists(stage.path("state", "dispatcher", "status")), "the status")
        if mode == "unicast":
            h.wait_for(lambda: h.status()["pid"] == stage.dispatcher.pid, "the registration")
        kernel.add_rule()
        load = h.Load((h.load_execs,), (h.load_users, 2000))
        h.wait_for(lambda: os.path.exists(stage.path("collected")) and len(stage.collected()) > 200000, "records")
        results = load.finish()
        h.user_message("relay-end.")
        h.wait_for(lambda: b"relay-end." in stage.collected(), "the last record")
        tap.ok(h.status()["pid"] == (stage.dispatcher.pid if mode == "unicast" else 0), f"{mode}: who is the audit daemon")
        stage.dispatcher.terminate()
        tap.ok(stage.dispatcher.wait(20) == 0, f"{mode}: it ends in order")
        tap.ok(h.status()["pid"] == 0, f"{mode}: nobody is the audit daemon then", h.status())
        records = h.Records(stage.collected())
        wanted = {name: n for name, _, n in results}
        users, execs = (len(set(records.texts(p))) for p in (rb"relay-user-\d+-\d+\.", rb'a1="(relay-exec-\d+-\d+)"'))
        print(f"# {mode}: {records.lines} records, {users} messages, {execs} execs")
        tap.ok((users, execs) == (wanted["load_users"], wanted["load_execs"]), f"{mode}: all that was caused is there", wanted)
        tap.ok(not records.missing() and not records.cut() and not records.twice(), f"{mode}: whole, and once",
               (records.missing()[:3], records.cut()[:3], records.twice()[:3]))


def main():
    args = h.arguments(__doc__)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for mode in ("unicast", "multicast"):
        run(tap, os.path.abspath(args.build_dir), mode)
    return tap.end()


sys.exit(main())
