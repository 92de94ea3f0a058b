# SPDX-License-Identifier: LGPL-2.1-or-later
"""Broken frames on every socket that speaks the link: that session ends with a BYE and a reason, is counted and noted; others go on.

On the dispatcher's input, on remote's socket and, by a client with a good certificate, at the collector: a wrong checksum, an unknown
frame, an impossible length, a BATCH before HELLO; and frames that end in the middle.
"""

from harness.frames import bad_frames, find_bye, frame, tls_talk
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE, TLS


def at_input(t, data):
    return t.write_to_socket(data)


def at_remote(t, data):
    return t.write_to_socket(data, path="/run/audit-relay/remote")


def at_collector(t, data):
    return tls_talk(t.client, t.collector.address, data, t.client.path(f"{TLS}/cert.pem"), t.client.path(f"{TLS}/key.pem"))


def story(t):
    steady = records(50_000, "steady", size=267)
    sender = t.send_in_background(steady)
    for component, unit, counter, talk in (("dispatcher", DISPATCHER, "violations", at_input),
                                           ("remote", REMOTE, "protocol_violations", at_remote),
                                           ("aggregator", AGGREGATOR, "protocol_violations", at_collector)):
        before = t.counter(component, counter)
        since = t.host_of(unit).journal_now()
        for what, data in bad_frames().items():
            bye = find_bye(talk(t, data))
            assert bye and bye[1], f"{component}: {what}: the answer was {bye}"
        t.expect_counter(component, counter, before + len(bad_frames()))
        t.host_of(unit).expect_journal(unit, bye[1], since)
        # What ends in the middle is no violation, and leaves nothing behind.
        talk(t, frame("hello-sender")[:30])
    output, _ = sender.communicate(timeout=60)
    assert sender.returncode == 0, output
    t.expect_stored(steady)
