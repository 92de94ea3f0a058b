# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes between client and collector vanishes, without a word: both notice within NetworkTimeout=, and nothing waits for it.

Producers are acked meanwhile, and the records go to the second collector.
"""

import time

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR
from harness.second import two_collectors

TIMEOUT_SEC = 5
# The peer is told, should it hear, and has five seconds to close (docs/protocol.md, "BYE"); and a loaded machine takes its time.
SLACK_SEC = 30
DROP_IN = "/etc/audit-relay/aggregator.conf.d/black-hole.conf"


def story(t):
    t.collector.write(DROP_IN, f"[Aggregator]\nNetworkTimeout={TIMEOUT_SEC}s\n")
    t.collector.systemctl("restart", AGGREGATOR)
    with two_collectors(t, "refuge", f"FailBackSec=1s\nNetworkTimeout={TIMEOUT_SEC}s\nConnectTimeout=1s\n") as second:
        before = records(100, "before")
        t.send(before)
        t.expect_stored(before)
        since = t.collector.journal_now()
        begin = time.monotonic()
        t.switch.cable("collector", False)
        try:
            into = records(5000, "hole", size=267)
            t.send(into)
            assert time.monotonic() - begin < TIMEOUT_SEC, "the producer had to wait"
            why = t.expect_condition("remote", "network_timeout")
            assert "COLLECTOR=collector\n" in why and time.monotonic() - begin < TIMEOUT_SEC + SLACK_SEC, why
            t.collector.expect_journal(AGGREGATOR, "is gone", since)
            t.expect_condition("remote", "failed_over")
            second.expect_stored(into)
            assert time.monotonic() - begin < TIMEOUT_SEC + SLACK_SEC
        finally:
            t.switch.cable("collector", True)
        t.expect_condition("remote", "failed_over", holds=False)
        after = records(100, "after")
        t.send(after)
        until(lambda: b"op=after n=100 " in t.stored_since(), "the first has them again")
    t.collector.remove(DROP_IN)
    t.collector.systemctl("restart", AGGREGATOR)
