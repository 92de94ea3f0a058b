# SPDX-License-Identifier: LGPL-2.1-or-later
"""Broken frames on every socket that speaks the link: that session ends with a BYE and a reason, is counted and noted; others go on.

On the dispatcher's input, on remote's socket and, by a client with a good certificate, at the collector: a wrong checksum, an unknown
frame, an impossible length, a BATCH before HELLO; and frames that end in the middle.
"""

from harness.frames import bad_frames, find_bye, frame, tls_talk
from harness.load import SteadyLoad
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE, TLS


def at_input(t, data, seconds=20):
    return t.write_to_socket(data, seconds=seconds)


def at_remote(t, data, seconds=20):
    return t.write_to_socket(data, path="/run/audit-relay/remote", seconds=seconds)


def at_collector(t, data, seconds=20):
    return tls_talk(t.client, t.collector.address, data, t.client.path(f"{TLS}/cert.pem"), t.client.path(f"{TLS}/key.pem"), seconds)


def story(t):
    load = SteadyLoad(t)
    for component, unit, counter, talk in (("dispatcher", DISPATCHER, "violations", at_input),
                                           ("remote", REMOTE, "protocol_violations", at_remote),
                                           ("aggregator", AGGREGATOR, "protocol_violations", at_collector)):
        t.restart_log(unit)
        before = t.counter_settled(component, counter)
        since = t.host_of(unit).journal_now()
        reasons = []
        for what, data in bad_frames().items():
            bye = find_bye(talk(t, data))
            assert bye and bye[1], f"{component}: {what}: the answer was {bye}"
            reasons.append(bye[1])
        t.expect_counter(component, counter, before + len(bad_frames()))
        # The first is noted; further ones only once in a while, or a peer could flood the journal.
        t.host_of(unit).expect_journal(unit, reasons[0], since)
        # What ends in the middle is no violation, and leaves nothing behind.
        talk(t, frame("hello-sender")[:30], 0.5)
        assert t.counter_settled(component, counter) == before + len(bad_frames())
    t.expect_stored(load.stop())
