# SPDX-License-Identifier: LGPL-2.1-or-later
"""A byte of the collector's log is changed while the aggregator is down: it says which records cannot be trusted, and goes on.

Condition store_damaged, a gap record that names the seqs, the segment set aside as it is; what comes afterwards is stored, and the
clients do not notice.
"""

import re

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, LOG

FRESH_HOSTS = True


def story(t):
    first, second = records(1000, "before-damage", size=267), records(1000, "behind-damage", size=267)
    for lines in first, second:
        t.send(lines)
        t.expect_stored(lines)
    t.collector.systemctl("stop", "audit-relay-collector.target")
    until(lambda: not t.collector.is_active(AGGREGATOR), "the aggregator is down")
    segment = t.segments()[-1]
    content = segment.read_bytes()
    place = content.index(b"op=before-damage n=500 ")
    damaged = content[:place] + b"X" + content[place + 1:]
    segment.write_bytes(damaged)
    since = t.collector.journal_now()

    t.collector.systemctl("start", "audit-relay-collector.target")
    t.expect_condition("aggregator", "store_damaged")
    t.collector.expect_journal(AGGREGATOR, "damaged", since)
    assert any(p.is_file() and p.read_bytes() == damaged for p in t.collector.path(LOG).glob("*")), "the segment was changed"

    t.seen = 0
    gap = t.expect_others("op=relay-gap.*reason=store-damaged")
    match = re.search(r"first=(\d+) last=(\d+)", gap)
    assert match and int(match[1]) <= 500 <= int(match[2]), f"record 500 is not among those it names: {gap}"

    t.skip_stored()
    more = records(1000, "after-damage")
    t.send(more)
    t.expect_stored(more)
    # The condition stays until an administrator has looked and restarted it.
    t.collector.systemctl("restart", AGGREGATOR)
