# SPDX-License-Identifier: LGPL-2.1-or-later
"""The collector's disk runs low, is full, and has room again: both sides say so, nothing is acked that is not stored, all goes on.

While it is full, and so nothing is acked: the client is set back to a snapshot (stream_restarted), and the collector to a backup
(collector_set_back). Then too many connect (overload), and a byte of the log is changed (store_damaged).
"""

import threading

from harness.frames import find_bye, tls_talk
from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, CA, LOG, REMOTE, SPOOL
from harness.states import SmallDisk, watch

FRESH_HOSTS = True
CONF = "/etc/audit-relay/aggregator.conf"
TARGET, CLIENT_TARGET = "audit-relay-collector.target", "audit-relay-client.target"
MIB = 1 << 20
NAMES = ["aggregator/disk_low", "aggregator/disk_full", "remote/collector_disk_low", "remote/collector_disk_full",
         "remote/stream_restarted", "remote/collector_set_back", "aggregator/overload", "aggregator/store_damaged"]


def stop(host, target, program):
    host.systemctl("stop", target)
    until(lambda: not host.is_active(program), f"{program} is down")


def fill(t, w, disk):
    """Says so at once when little is left, and when nothing is. Returns what could not be stored any more."""
    disk.leave(6 * MIB)
    w.begun("aggregator/disk_low", "DIRECTORY")
    w.begun("remote/collector_disk_low", "PEER")
    disk.leave(0)
    lines = records(20_000, "full", size=267)
    t.send(lines)
    w.begun("aggregator/disk_full", "DIRECTORY")
    w.begun("remote/collector_disk_full", "PEER")
    t.expect_counter("remote", "waiting_records", 1)
    stored = t.stored_since().count(b"\n")
    acked = len(lines.splitlines()) - t.counter_settled("remote", "waiting_records")
    assert acked <= stored, f"{acked} are acked, {stored} stored"
    return lines


def set_back(t, w, disk):
    """Both as they were at first, one after the other."""
    stop(t.collector, TARGET, AGGREGATOR)
    t.collector.sh(f"find {LOG} -mindepth 1 -delete; cp -a /root/backup/. {LOG}")
    disk.leave(0)
    t.collector.systemctl("start", TARGET)
    w.begun("remote/collector_set_back")
    stop(t.client, CLIENT_TARGET, REMOTE)
    t.client.sh(f"rm -rf {SPOOL}.new && cp -a /root/snapshot {SPOOL}.new && rm -rf {SPOOL} && mv {SPOOL}.new {SPOOL}")
    t.client.systemctl("start", CLIENT_TARGET)
    w.begun("remote/stream_restarted")
    disk.free()
    # What was wrong with the disk is over some seconds after it has room.
    overloaded(t, w)
    for name in NAMES[:4]:
        w.ended(name)
    w.ended("remote/collector_set_back")
    w.ended("remote/stream_restarted")


def overloaded(t, w):
    """There is room for two: another one sits there and says nothing, a third is told to come back later."""
    for name in "second", "third":
        t.collector.sh(f"audit-relay cert client {name} --dir {CA}")
    files = {name: [t.collector.path(f"{CA}/{name}/{part}.pem") for part in ("cert", "key")] for name in ("second", "third")}
    sitting = threading.Thread(target=tls_talk, args=(t.client, t.collector.address, b"", *files["second"], 4))
    sitting.start()
    t.expect_counter("aggregator", "connections", 2)
    bye = find_bye(tls_talk(t.client, t.collector.address, b"", *files["third"], 3))
    assert bye and "later" in bye[1], bye
    w.begun("aggregator/overload")
    sitting.join()
    w.ended("aggregator/overload")


def damaged(t, w):
    lines = records(1000, "to-be-damaged", size=267)
    t.send(lines)
    t.expect_others("op=to-be-damaged n=1000 ")
    stop(t.collector, TARGET, AGGREGATOR)
    # The newest record is in the newest segment, which is read at the start.
    for segment in t.segments():
        content = segment.read_bytes()
        segment.write_bytes(content.replace(b"op=to-be-damaged n=1000 ", b"op=to-be-damaged n=1x00 "))
    t.collector.systemctl("start", TARGET)
    w.begun("aggregator/store_damaged", "DIRECTORY")
    # Until an administrator has looked and restarted it.
    t.collector.systemctl("restart", AGGREGATOR)
    w.ended("aggregator/store_damaged")


def story(t):
    t.collector.write(CONF, "[Aggregator]\nSpaceLeft=8M\nSegmentMaxSize=1M\nMaxConnections=2\n")
    disk = SmallDisk(t.collector, LOG, 32, TARGET, AGGREGATOR)
    t.expect_counter("remote", "connected", 1)
    stop(t.client, CLIENT_TARGET, REMOTE)
    t.client.sh(f"rm -rf /root/snapshot && cp -a {SPOOL} /root/snapshot")
    t.client.systemctl("start", CLIENT_TARGET)
    first = records(10, "first")
    t.send(first)
    t.expect_stored(first)
    t.collector.sh(f"rm -rf /root/backup && cp -a {LOG} /root/backup")
    with watch(t, *NAMES) as w:
        lines = fill(t, w, disk)
        disk.free()
        for name in NAMES[:4]:
            w.ended(name)
        t.expect_stored(lines)
        fill(t, w, disk)
        set_back(t, w, disk)
        damaged(t, w)
