# SPDX-License-Identifier: LGPL-2.1-or-later
"""Readers of audispd's two paths, as setroubleshootd was one, are served by the shipped drop-in: several at a time, each everything.

They come back by themselves when the dispatcher was stopped and started, as they did with auditd.
"""

from harness.machine import until
from harness.readers import EventReader, readers_connected
from harness.records import TIME
from harness.relay import DISPATCHER

SOCKET = "audit-relay-dispatcher-lines.socket"
DROP_INS = f"/etc/systemd/system/{SOCKET}.d"
OLD, NEW = "/run/audispd_events", "/run/audit/audispd_events"


def events(first, count):
    """Denials as the kernel tells them, a producer saying it: three records and their end, two events at a time."""
    lines = []
    for serial in range(first, first + count, 2):
        stamps = [f"msg=audit({TIME}.{n % 1000:03}:{n})" for n in (serial, serial + 1)]
        for kind, text in (("AVC", "avc:  denied  { read } for  pid=1 comm=\"cat\""), ("SYSCALL", "arch=c000003e syscall=2"),
                           ("PATH", "item=0 name=\"/etc/shadow\""), ("EOE", "")):
            lines += [f"type={kind} {stamp}: {text}\n" for stamp in stamps]
        lines.append(f"type=USER_AUTH {stamps[0]}: pid=1 uid=0\n")
    return "".join(lines).encode()


def apply(t):
    t.client.systemctl("daemon-reload")
    t.client.systemctl("stop", SOCKET)
    t.client.systemctl("restart", "audit-relay-client.target")
    until(lambda: t.client.is_active(DISPATCHER), "the dispatcher runs")


def story(t):
    # The commands of docs/units.md.
    t.client.sh(["install", "-Dm644", "-t", DROP_INS, "/usr/share/audit-relay/audispd-paths.conf"])
    apply(t)
    readers = [EventReader(t, [OLD, NEW]), EventReader(t, [OLD, NEW]), EventReader(t, [NEW, OLD])]
    try:
        readers_connected(t, "lines", 3)
        t.send(events(1000, 600))
        for reader in readers:
            until(lambda: len(reader.events) >= 600, "all denials")
        t.client.systemctl("restart", DISPATCHER)
        readers_connected(t, "lines", 3)
        t.send(events(2000, 600))
        for reader in readers:
            until(lambda: len(reader.events) >= 1200, "the denials after the restart")
            assert len(reader.events) == 1200 and all(len(event) == 3 for event in reader.events)
            assert not reader.strange, reader.strange[:3]
            assert reader.connections == 2, reader.connections
    finally:
        for reader in readers:
            reader.stop()
        t.client.remove(f"{DROP_INS}/audispd-paths.conf")
        apply(t)
    assert not t.client.path(OLD).exists() or t.client.sh(["rm", OLD]) == ""
    t.skip_stored()
