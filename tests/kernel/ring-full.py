#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The subscriber that the ring waits for stands still until the ring is full. The kernel's socket is read on: what finds no room is
counted exactly, ring_low comes before ring_full, and when the subscriber goes on, one gap record stands where the records miss. When it
does not go on and nothing more is dropped for a while, that record is written into the reserve, while the ring is full."""

import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


TOLD = "kernel records were dropped because the ring was full"


def play(tap, args, told_while_full):
    what = "told while full" if told_while_full else "told when there is room"
    with h.Kernel(), h.Stage(os.path.abspath(args.build_dir), settings="RingSize=8M\n") as stage:
        held = h.hold_socket()
        stage.start_collect("--pause-after=1")
        stage.start_dispatcher(held)
        h.wait_for(lambda: h.status()["pid"] == stage.dispatcher.pid, "the registration")
        load = h.Load((h.load_users, args.rate))
        h.wait_for(lambda: stage.condition("ring_low"), "ring_low")
        tap.ok(not stage.condition("ring_full"), f"{what}: ring_low comes before ring_full")
        h.wait_for(lambda: stage.condition("ring_full"), "ring_full")
        time.sleep(1)
        # What was dropped is counted in the ring: a kill in the middle forgets nothing of it.
        stage.dispatcher.kill()
        stage.dispatcher.wait()
        stage.start_dispatcher(held)
        time.sleep(1)
        (_, pid, sent), = load.finish()
        if told_while_full:
            h.wait_for(lambda: any(TOLD in line for line in stage.log_lines()), "what was dropped to be told")
            tap.ok(stage.condition("ring_low"), f"{what}: the ring is as full as it was")
        else:
            time.sleep(1)
        stage.collect.send_signal(signal.SIGUSR1)
        h.wait_for(lambda: not stage.condition("ring_low") and not stage.condition("ring_full"), "the ring to be drained")
        h.user_message("relay-end.")
        h.wait_for(lambda: b"relay-end." in stage.collected(), "the last record")
        stage.dispatcher.terminate()
        stage.dispatcher.wait(20)
        held.close()
        records = h.Records(stage.collected())
        numbers = [int(n) for n in records.texts(rb"relay-user-%d-(\d+)\." % pid)]
        gaps = [g for g in records.gaps if b"where=ring" in g]
        # By type: there may be others' records among what was dropped.
        dropped = sum(int(n) for g in gaps for n in re.findall(rb"count=exact .* types=\S*\bUSER:(\d+)", g))
        print(f"# {sent} messages, {len(numbers)} arrived, {dropped} told as dropped; {gaps[:2]}")
        tap.ok(len(gaps) == 1, f"{what}: one gap record", gaps)
        tap.ok(dropped > 0 and sent == len(numbers) + dropped, f"{what}: what arrived and what is told as dropped, by type, is all")
        tap.ok(numbers == sorted(set(numbers)) and numbers[0] == 0, f"{what}: what arrived is in order, and once")
        tap.ok(not [g for g in records.gaps if b"where=kernel" in g and b"reason=kernel-lost" not in g],
               f"{what}: the kernel lost nothing meanwhile", records.gaps)
        tap.ok(not records.lost, f"{what}: nothing that was in the ring went away", records.lost)


def main():
    args = h.arguments(__doc__, rate=30000)
    tap = h.Tap()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for told_while_full in False, True:
        play(tap, args, told_while_full)
    return tap.end()


sys.exit(main())
