#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dispatcher is the audit daemon of this machine under a load of real execs and of AUDIT_USER messages, and is killed with
SIGKILL and started again, over and over, while this test holds the netlink descriptor as PID 1 would. Then, at the collector, behind
remote and TLS: serials contiguous, every event complete to its EOE, every exec and every message there, nothing twice."""

import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def main():
    args = h.arguments(__doc__, kills=20, seed=int(time.time()), rate=20000)
    rng = random.Random(args.seed)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"# seed {args.seed} (replay: --seed)")
    with h.Kernel() as kernel, h.Stage(os.path.abspath(args.build_dir)) as stage:
        held = h.hold_socket()
        stage.start_collector()
        stage.start_dispatcher(held)
        h.wait_for(lambda: h.status()["pid"] == stage.dispatcher.pid, "the registration")
        h.wait_for(lambda: h.status()["enabled"] == 1, "auditing to be on")
        kernel.add_rule()
        h.user_message("relay-begin.")
        begun = time.monotonic()
        load = h.Load((h.load_execs,), (h.load_execs,), (h.load_users, args.rate))
        for _ in range(args.kills):
            time.sleep(rng.uniform(0.05, 0.4))
            stage.dispatcher.kill()
            stage.dispatcher.wait()
            time.sleep(rng.choice([0, 0, 0.05, 0.3]))
            stage.start_dispatcher(held)
        time.sleep(0.5)
        results = load.finish()
        seconds = time.monotonic() - begun
        kernel.drop_rule()
        h.user_message("relay-end.")
        h.wait_for(lambda: b"relay-end." in stage.stored(), "the last record")
        after = h.status()
        refused = stage.condition("kernel_refused")
        stage.dispatcher.terminate()
        tap.ok(stage.dispatcher.wait(20) == 0, "the last dispatcher ends in order")
        held.close()
        records = h.Records(stage.stored())

        execs, users = h.made(results)
        print(f"# {args.kills} kills in {seconds:.1f} s; {records.lines} records, {len(records.events)} events; "
              f"{execs} execs, {users} AUDIT_USER messages")
        h.judge_whole(tap, records, execs, users)
        tap.ok(after["lost"] == kernel.before["lost"], "the kernel lost nothing", after)
        tap.ok(not refused, "the restarted dispatcher knows that it is the audit daemon already")
        starts = sum("registered as the kernel's audit daemon" in line.lower() for line in stage.log_lines())
        tap.ok(starts >= 1, "it said so", stage.log_lines()[-5:])
    now = h.status()
    same = all(now[k] == kernel.before[k] for k in ("enabled", "pid", "backlog_limit"))
    tap.ok(same, "kernel audit is as it was", (kernel.before, now))
    return tap.end()


sys.exit(main())
