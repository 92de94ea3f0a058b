#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another process is the audit daemon: the dispatcher says who, changes nothing, and takes over when that one is gone."""

import os
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def main():
    args = h.arguments(__doc__)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with h.Kernel(), h.Stage(os.path.abspath(args.build_dir)) as stage:
        other = h.hold_socket()
        status = struct.pack("=8I", h.STATUS_PID, 0, 0, os.getpid(), 0, 0, 0, 0) + bytes(12)
        other.sendto(struct.pack("=IHHII", 16 + len(status), h.AUDIT_SET, h.NLM_F_REQUEST, 1, 0) + status, (0, 0))
        h.wait_for(lambda: h.status()["pid"] == os.getpid(), "the other one's registration")
        held = h.hold_socket()
        stage.start_collect()
        stage.start_dispatcher(held)
        h.wait_for(lambda: stage.condition("kernel_refused"), "kernel_refused")

        def reason():
            with open(stage.path("state", "dispatcher", "kernel_refused")) as f:
                return f.read()

        named = f"process {os.getpid()} is the audit daemon"
        h.wait_for(lambda: named in reason(), f"\"{named}\"", 5)
        tap.ok(True, "it says who is the audit daemon")
        tap.ok(h.status()["pid"] == os.getpid(), "who stays it")
        other.close()
        h.wait_for(lambda: h.status()["pid"] == stage.dispatcher.pid, "the registration")
        h.wait_for(lambda: not stage.condition("kernel_refused"), "the condition to end")
        h.user_message("relay-end.")
        h.wait_for(lambda: b"relay-end." in stage.collected(), "a record")
        tap.ok(True, "it takes over when that one is gone")
        stage.dispatcher.terminate()
        stage.dispatcher.wait(20)
        held.close()
    return tap.end()


sys.exit(main())
