# SPDX-License-Identifier: LGPL-2.1-or-later
"""Broken frames on every socket that speaks the link: that session ends with a BYE and a reason, is counted and noted; others go on.

On the dispatcher's input, on remote's socket and, by a client with a good certificate, at the collector: a wrong checksum, an unknown
frame, an impossible length, a BATCH before HELLO; and frames that end in the middle.
"""

import time

from harness.frames import bad_frames, find_bye, frame, tls_talk
from harness.load import SteadyLoad
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE, STATUS_SEC, TLS


def at_input(t, data, seconds=20):
    return t.write_to_socket(data, seconds=seconds)


def at_remote(t, data, seconds=20):
    return t.write_to_socket(data, path="/run/audit-relay/remote", seconds=seconds)


def at_collector(t, data, seconds=20):
    return tls_talk(t.client, t.collector.address, data, t.client.path(f"{TLS}/cert.pem"), t.client.path(f"{TLS}/key.pem"), seconds)


PLACES = (("dispatcher", DISPATCHER, "violations", at_input),
          ("remote", REMOTE, "protocol_violations", at_remote),
          ("aggregator", AGGREGATOR, "protocol_violations", at_collector))


def expect_counted(t):
    for component, _, counter, _ in PLACES:
        t.expect_counter(component, counter, len(bad_frames()))


def story(t):
    load = SteadyLoad(t)
    for _, unit, _, _ in PLACES:
        t.restart_log(unit)
    for component, unit, _, talk in PLACES:
        since = t.host_of(unit).journal_now()
        reasons = []
        for what, data in bad_frames().items():
            bye = find_bye(talk(t, data))
            assert bye and bye[1], f"{component}: {what}: the answer was {bye}"
            reasons.append(bye[1])
        # The first is noted; further ones only once in a while, or a peer could flood the journal.
        t.host_of(unit).expect_journal(unit, reasons[0], since)
    expect_counted(t)
    # What ends in the middle is no violation, and leaves nothing behind.
    for _, _, _, talk in PLACES:
        talk(t, frame("hello-sender")[:30], 0.5)
    time.sleep(STATUS_SEC)
    for component, _, counter, _ in PLACES:
        assert t.counter(component, counter) == len(bad_frames()), component
    t.expect_stored(load.stop())
