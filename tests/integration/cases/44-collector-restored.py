# SPDX-License-Identifier: LGPL-2.1-or-later
"""A collector is restored from an old backup: its client sends again what it still holds, and explains the rest, to the record.

Small segments at the client, so that it does not hold all. `remote/collector_set_back` says it; the gap record in the log counts
exactly those that are nowhere any more.
"""

import re

from harness.machine import until
from harness.records import as_stored, records
from harness.relay import AGGREGATOR, LOG, REMOTE, REMOTE_CONF

FRESH_HOSTS = True


def story(t):
    t.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF + "SegmentMaxSize=1M\n")
    t.client.systemctl("restart", REMOTE)
    early = records(1000, "early", size=267)
    t.send(early)
    t.expect_stored(early)
    t.collector.systemctl("stop", "audit-relay-collector.target")
    until(lambda: not t.collector.is_active(AGGREGATOR), "the aggregator is down")
    t.collector.sh(f"cp -a {LOG} /root/backup")

    t.collector.systemctl("start", "audit-relay-collector.target")
    late = records(20_000, "late", size=267)
    t.send(late)
    t.expect_stored(late)
    t.collector.systemctl("stop", "audit-relay-collector.target")
    until(lambda: not t.collector.is_active(AGGREGATOR), "the aggregator is down")
    t.collector.sh(f"rm -rf {LOG} && cp -a /root/backup {LOG}")
    t.seen = len(t.stored())
    since = t.client.journal_now()

    t.collector.systemctl("start", "audit-relay-collector.target")
    more = records(100, "more")
    t.send(more)
    t.expect_others("op=more n=100 ")
    t.client.expect_journal(REMOTE, "less than it had acknowledged", since)

    stored = t.stored_since().splitlines()
    gaps = [line for line in stored if b"op=relay-gap" in line]
    arrived = [line for line in stored if b"op=relay-gap" not in line]
    expected = as_stored(late + more).splitlines()
    lost = sum(int(n) for gap in gaps for n in re.findall(rb"\blost=(\d+)", gap))
    assert len(gaps) == 1 and b"reason=deleted-when-acked" in gaps[0], gaps
    assert 0 < lost < len(expected), lost
    assert arrived == expected[lost:], f"{lost} are told as lost, {len(expected)} were sent, {len(arrived)} have arrived"
    t.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF)
    t.client.systemctl("restart", REMOTE)
