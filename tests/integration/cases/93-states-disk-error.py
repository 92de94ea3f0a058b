# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disks of collector and client fail, one after the other, and work again: each says so, nothing is acked that is not stored.

What could not be made durable is delivered again from where it still is, so that in the end all is there once.
"""

from contextlib import closing

from harness.records import records
from harness.relay import AGGREGATOR, LOG, REMOTE, REMOTE_CONF, SPOOL
from harness.states import FailingDisk, watch

FRESH_HOSTS = True
CONF, COLLECTOR_CONF = "/etc/audit-relay/remote.conf", "/etc/audit-relay/aggregator.conf"
TARGET, CLIENT_TARGET = "audit-relay-collector.target", "audit-relay-client.target"
NAMES = ["aggregator/disk_error", "remote/collector_disk_error", "remote/spool_error"]


def story(t):
    t.client.write(CONF, REMOTE_CONF + "SpaceLeft=0\nInodesLeft=0\nRetryMax=1s\n")
    t.collector.write(COLLECTOR_CONF, "[Aggregator]\nSpaceLeft=0\nInodesLeft=0\n")
    with closing(FailingDisk(t.collector, LOG, 64, TARGET, AGGREGATOR)) as log, \
            closing(FailingDisk(t.client, SPOOL, 64, CLIENT_TARGET, REMOTE)) as spool:
        fail(t, log, spool)


def fail(t, log, spool):
    t.expect_counter("remote", "connected", 1)
    with watch(t, *NAMES) as w:
        log.fail()
        first = records(10_000, "first", size=267)
        t.send(first)
        w.begun("aggregator/disk_error", "DIRECTORY")
        w.begun("remote/collector_disk_error", "PEER")
        stored = t.stored_since().count(b"\n")
        assert 10_000 - t.counter_settled("remote", "waiting_records") <= stored
        spool.fail()
        second = records(10_000, "second", size=267)
        t.send(second)
        w.begun("remote/spool_error", "DIRECTORY")
        log.free()
        spool.free()
        for name in NAMES:
            w.ended(name)
        # Connections to the collector came and went meanwhile.
        assert w.notes("remote/spool_error") == ["begin", "end"], w.notes("remote/spool_error")
        t.expect_stored(first + second)
