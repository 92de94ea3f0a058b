# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client's own store while the collector is away: its disk runs low and full, its bound is reached, a byte of it is changed.

Full, it takes nothing and loses nothing (spool_low, spool_full). With WhenFull=drop-oldest it deletes the oldest and says so
(spool_dropping); what the collector gets afterwards and what it is told is missing are together all that was sent.
"""

import re

from harness.machine import until
from harness.records import as_stored, records
from harness.relay import AGGREGATOR, REMOTE, REMOTE_CONF, SPOOL
from harness.states import SmallDisk, watch

FRESH_HOSTS = True
CONF = "/etc/audit-relay/remote.conf"
TARGET, CLIENT_TARGET = "audit-relay-collector.target", "audit-relay-client.target"
MIB = 1 << 20
NAMES = [f"remote/{name}" for name in ("spool_low", "spool_full", "spool_dropping", "store_damaged")]


def away(t):
    t.collector.systemctl("stop", TARGET)
    until(lambda: not t.collector.is_active(AGGREGATOR), "the aggregator is down")


def full(t, w, disk):
    away(t)
    disk.leave(6 * MIB)
    w.begun("remote/spool_low", "DIRECTORY")
    disk.leave(0)
    lines = records(20_000, "full", size=267)
    t.send(lines)
    w.begun("remote/spool_full", "DIRECTORY")
    disk.free()
    w.ended("remote/spool_low")
    w.ended("remote/spool_full")
    t.collector.systemctl("start", TARGET)
    t.expect_stored(lines)


def dropping(t, w):
    away(t)
    t.client.write(CONF, REMOTE_CONF + "SpaceLeft=0\nSegmentMaxSize=1M\nMaxUse=8M\nWhenFull=drop-oldest\nRetryMax=1s\n")
    t.client.systemctl("restart", REMOTE)
    lines = records(60_000, "dropping", size=267)
    t.send(lines)
    w.begun("remote/spool_dropping", "DIRECTORY")
    t.collector.systemctl("start", TARGET)
    t.expect_others("op=dropping n=60000 ")
    stored = t.stored_since().splitlines()
    gaps = [line for line in stored if b"op=relay-gap" in line]
    arrived = [line for line in stored if b"op=relay-gap" not in line]
    lost = sum(int(re.search(rb"\blost=(\d+)", gap)[1]) for gap in gaps)
    assert gaps and all(b"reason=deleted-for-size" in gap for gap in gaps), gaps
    assert lost > 0 and arrived == as_stored(lines).splitlines()[lost:], f"{lost} are told as lost, {len(arrived)} have arrived"
    assert t.counter_settled("remote", "records_dropped") == lost
    t.skip_stored()
    w.ended("remote/spool_dropping")


def damaged(t, w):
    away(t)
    t.send(records(1000, "to-be-damaged", size=267))
    spool = t.client.path(SPOOL)
    until(lambda: sum(path.read_bytes().count(b"op=to-be-damaged ") for path in spool.glob("[0-9]*.log")) >= 1000, "all is in the spool")
    t.client.systemctl("stop", CLIENT_TARGET)
    until(lambda: not t.client.is_active(REMOTE), "remote is down")
    # The newest record is in the newest segment, which is read at the start.
    for segment in spool.glob("[0-9]*.log"):
        content = segment.read_bytes()
        segment.write_bytes(content.replace(b"op=to-be-damaged n=1000 ", b"op=to-be-damaged n=1x00 "))
    t.client.systemctl("start", CLIENT_TARGET)
    w.begun("remote/store_damaged", "DIRECTORY")
    t.collector.systemctl("start", TARGET)
    t.expect_others("op=relay-gap.*reason=store-damaged")
    t.client.systemctl("restart", REMOTE)
    w.ended("remote/store_damaged")


def story(t):
    t.client.write(CONF, REMOTE_CONF + "SpaceLeft=8M\nSegmentMaxSize=1M\nRetryMax=1s\n")
    disk = SmallDisk(t.client, SPOOL, 32, CLIENT_TARGET, REMOTE)
    t.expect_counter("remote", "connected", 1)
    with watch(t, *NAMES) as w:
        full(t, w, disk)
        dropping(t, w)
        damaged(t, w)
