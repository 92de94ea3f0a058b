#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket's buffer runs over while the dispatcher is stopped: the kernel drops the registration. The dispatcher registers again,
says the loss in gap records, and counts the events that never came exactly."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

GRACE_SECONDS = 10


def main():
    args = h.arguments(__doc__, rate=20000)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Little backlog, too: what the kernel can hold back would hide the loss.
    with h.Kernel(backlog_limit=256) as kernel, h.Stage(os.path.abspath(args.build_dir)) as stage:
        held = h.hold_socket(128 << 10)
        stage.start_collect()
        stage.start_dispatcher(held)
        h.wait_for(lambda: h.status()["pid"] == stage.dispatcher.pid, "the registration")
        h.wait_for(lambda: h.status()["enabled"] == 1, "auditing to be on")
        kernel.add_rule()
        load = h.Load((h.load_users, args.rate), (h.load_execs,))
        for _ in range(3):
            time.sleep(0.4)
            stage.dispatcher.send_signal(signal.SIGSTOP)
            time.sleep(1)
            stage.dispatcher.send_signal(signal.SIGCONT)
        h.wait_for(lambda: stage.condition("kernel_lost"), "kernel_lost")
        load.finish()
        time.sleep(1)
        for i in range(100):
            h.user_message(f"relay-after-{i}.")
        h.wait_for(lambda: b"relay-after-99." in stage.collected(), "the records after the loss")
        time.sleep(GRACE_SECONDS)
        kernel.drop_rule()
        tap.ok(not stage.condition("kernel_refused"), "it is the audit daemon still")
        stage.dispatcher.terminate()
        stage.dispatcher.wait(20)
        held.close()
        h.judge_overrun(tap, h.Records(stage.collected()))
    return tap.end()


sys.exit(main())
