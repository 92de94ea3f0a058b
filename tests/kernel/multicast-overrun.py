#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Beside another audit daemon, by multicast: the buffer runs over while the dispatcher is stopped, and the kernel counts nothing of what
it drops. The dispatcher finds the losses by their serials, says them in gap records, and counts the events that never came exactly.
The audit daemon is left alone."""

import os
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

GRACE_SECONDS = 10
NETLINK_AUDIT, AUDIT_NLGRP_READLOG = 9, 1


def multicast_socket(receive_buffer):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
    s.setsockopt(socket.SOL_SOCKET, h.SO_RCVBUFFORCE, receive_buffer)
    s.bind((0, AUDIT_NLGRP_READLOG))
    h.held_sockets.append(s)
    return s


class AuditDaemon:
    """The one there is: registered, and reads."""

    def __init__(self):
        self.socket = h.hold_socket()
        message = struct.pack("=8I", h.STATUS_PID | h.STATUS_ENABLED, 1, 0, os.getpid(), 0, 0, 0, 0) + bytes(12)
        self.socket.sendto(struct.pack("=IHHII", 16 + len(message), h.AUDIT_SET, h.NLM_F_REQUEST, 0, 0) + message, (0, 0))
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        h.wait_for(lambda: h.status()["pid"] == os.getpid(), "the audit daemon's registration")

    def read(self):
        while True:
            try:
                if not self.socket.recv(16384):
                    return
            except OSError:
                return


def main():
    args = h.arguments(__doc__, rate=20000)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with h.Kernel() as kernel, h.Stage(os.path.abspath(args.build_dir)) as stage:
        AuditDaemon()
        held = multicast_socket(128 << 10)
        stage.start_collect()
        stage.start_dispatcher(held, "multicast")
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
        tap.ok(h.status()["pid"] == os.getpid() and not stage.condition("kernel_refused"), "the audit daemon is what it was")
        stage.dispatcher.terminate()
        stage.dispatcher.wait(20)
        held.close()
        h.judge_overrun(tap, h.Records(stage.collected()))
    return tap.end()


sys.exit(main())
