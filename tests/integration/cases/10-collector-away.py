# SPDX-License-Identifier: LGPL-2.1-or-later
"""The collector is away while 200,000 records are made; when it is back, it has exactly those, in order.

Meanwhile the client says so (condition network_down) and keeps the records on its disk.
"""

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR


def story(t):
    t.collector.systemctl("stop", "audit-relay-collector.target")
    until(lambda: not t.collector.is_active(AGGREGATOR), "the aggregator is down")
    lines = records(200_000, "away", size=267)
    t.send(lines)
    t.expect_condition("remote", "network_down")
    assert not t.stored_since()
    t.collector.systemctl("start", "audit-relay-collector.target")
    t.expect_stored(lines)
    t.expect_condition("remote", "network_down", holds=False)
