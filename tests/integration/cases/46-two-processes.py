# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second remote and a second aggregator are started on the directories of the first: they refuse, and harm nobody."""

from harness.records import records
from harness.relay import AGGREGATOR, LOG, REMOTE, SPOOL


def story(t):
    before = t.client.pid(REMOTE), t.collector.pid(AGGREGATOR)
    t.client.write("/etc/second.conf", f"[Remote]\nCollector=collector\nDirectory={SPOOL}\nStateDirectory=/run/second\n"
                                       "Listen=/run/second.socket\n")
    t.collector.write("/etc/second.conf", f"[Aggregator]\nDirectory={LOG}\nStateDirectory=/run/second\nListen=127.0.0.1:6999\n")
    for host, program in (t.client, "remote"), (t.collector, "aggregator"):
        status, said = host.sh(f"timeout 20 /usr/lib/audit-relay/{program} --config=/etc/second.conf", status=True)
        assert status not in (0, 124) and "in use by another process" in said, f"{program}: {status}, {said}"
    lines = records(100, "two")
    t.send(lines)
    t.expect_stored(lines)
    assert before == (t.client.pid(REMOTE), t.collector.pid(AGGREGATOR)), "somebody had to start again"
